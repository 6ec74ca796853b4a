//! HTTP/1.1 over TLS for the authority: one thread for each connection, whole requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request that came whole.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What is answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The body has no end.
    pub(crate) endless: bool,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Serves until the program ends.
pub(crate) fn serve(
    tls: Arc<ServerConfig>,
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (tls, answer) = (Arc::clone(&tls), Arc::clone(&answer));
            thread::spawn(move || socket.map(|socket| speak(socket, tls, &*answer)));
        }
    });
    address
}

/// Ends where the client does: what is half said is nobody's fault.
fn speak(
    socket: TcpStream,
    tls: Arc<ServerConfig>,
    answer: &dyn Fn(&Asked) -> Reply,
) -> Option<()> {
    socket.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let session = ServerConnection::new(tls).ok()?;
    let mut stream = BufReader::new(StreamOwned::new(session, socket));
    loop {
        let asked = read(&mut stream)?;
        let reply = answer(&asked);
        let out = stream.get_mut();
        let mut head = format!("HTTP/1.1 {} x\r\n", reply.status);
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match reply.endless {
            true => head.push_str("transfer-encoding: chunked\r\n\r\n1\r\n"),
            false => head.push_str(&format!("content-length: {}\r\n\r\n", reply.body.len())),
        }
        out.write_all(head.as_bytes()).ok()?;
        if asked.method != "HEAD" {
            out.write_all(&reply.body).ok()?;
        }
        out.flush().ok()?;
        if reply.endless {
            // Until the client has had enough.
            let mut rest = [0; 64];
            while out.read(&mut rest).is_ok_and(|count| count > 0) {}
            return None;
        }
    }
}

fn read(stream: &mut BufReader<StreamOwned<ServerConnection, TcpStream>>) -> Option<Asked> {
    let first = line(stream)?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = line(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut asked = Asked { method, path, headers, body: Vec::new() };
    let length = asked.header("content-length").map_or(0, |text| text.parse().unwrap());
    asked.body = vec![0; length];
    stream.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

fn line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let count = stream.read_line(&mut line).ok()?;
    (count > 0).then(|| line.trim_end().to_owned())
}
