//! The service behind the gate: plain sockets that write down every byte and answer as told.
//!
//! Each connection has a thread of its own, so that one that hangs holds up no other.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::certificates::Certificate;
use super::tls;

/// A port that is free.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    /// The head as it was written.
    pub(crate) head: Vec<u8>,
    /// Which connection brought it, counted from 1.
    pub(crate) connection: usize,
    /// Which request of all it is, counted from 1.
    pub(crate) number: usize,
    /// Trailer lines, without the blank one.
    pub(crate) trailers: Vec<u8>,
}

impl Recorded {
    /// Every value of a header as text.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let of_name = self.headers.iter().filter(|(own, _)| own == name);
        of_name.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The one value of a header; fails the test when it is absent or repeated.
    pub(crate) fn value(&self, name: &str) -> String {
        let values = self.values(name);
        assert_eq!(values.len(), 1, "{name} once in {}", String::from_utf8_lossy(&self.head));
        values[0].clone()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }
}

/// One thing to do with a connection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Byte by byte, with a pause after each.
    Drip(Vec<u8>, Duration),
    Pause(Duration),
    /// The same bytes until nobody takes them any more.
    Flood(Vec<u8>),
    /// Until the test calls [`Upstream::release`] or ends.
    Hold,
    /// Says no more, still listens.
    HalfClose,
    Close,
    /// Closes with a reset.
    Reset,
}

type Script = dyn Fn(&Recorded) -> Vec<Step> + Send + Sync;
type Reflex = dyn Fn(&Recorded) -> Option<Vec<Step>> + Send + Sync;

#[derive(Default)]
struct Seen {
    requests: Vec<Recorded>,
    connections: usize,
    /// Heads of requests, whatever became of the rest.
    heads: usize,
    bytes: usize,
    open: Vec<(usize, TcpStream)>,
    /// Connections that ended between two requests, with a goodbye where they have one.
    ended_in_order: usize,
    released: bool,
    over: bool,
}

struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
    answer: RwLock<Arc<Script>>,
    at_head: RwLock<Arc<Reflex>>,
    tls: Option<Arc<rustls::ServerConfig>>,
}

/// A scripted service on a port of its own.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        Self::start_at(ANYWHERE)
    }

    /// The same at an address of one's own choice.
    pub(crate) fn start_at(address: SocketAddr) -> Self {
        Self::listen(address, None)
    }

    /// The same behind TLS.
    pub(crate) fn start_tls(certificate: &Certificate) -> Self {
        Self::start_with(tls::server(certificate))
    }

    /// The same behind TLS of the test's own making.
    pub(crate) fn start_with(tls: Arc<rustls::ServerConfig>) -> Self {
        Self::listen(ANYWHERE, Some(tls))
    }

    fn listen(address: SocketAddr, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            changed: Condvar::new(),
            answer: RwLock::new(Arc::new(plain)),
            at_head: RwLock::new(Arc::new(|_: &Recorded| None)),
            tls,
        });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut seen = own.seen();
                if seen.over {
                    return;
                }
                let Ok(stream) = stream else { continue };
                seen.connections += 1;
                let number = seen.connections;
                seen.open.push((number, stream.try_clone().expect("a second handle")));
                drop(seen);
                let own = Arc::clone(&own);
                std::thread::spawn(move || {
                    let served = Connection::open(stream, &own, number).and_then(|mut c| c.serve());
                    let mut seen = own.seen();
                    seen.ended_in_order += usize::from(served.is_ok());
                    seen.open.retain(|(n, _)| *n != number);
                    drop(seen);
                    own.changed.notify_all();
                });
            }
        });
        Self { address, shared }
    }

    /// How whole requests are answered from now on.
    pub(crate) fn answer_with(
        &self,
        script: impl Fn(&Recorded) -> Vec<Step> + Send + Sync + 'static,
    ) {
        *self.shared.answer.write().expect("script") = Arc::new(script);
    }

    /// Answers every request with these bytes.
    pub(crate) fn answer(&self, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.answer_with(move |_| vec![Step::Send(bytes.clone())]);
    }

    /// What happens when a head has come and before its body is read; `None`: read on.
    pub(crate) fn at_head(
        &self,
        reflex: impl Fn(&Recorded) -> Option<Vec<Step>> + Send + Sync + 'static,
    ) {
        *self.shared.at_head.write().expect("reflex") = Arc::new(reflex);
    }

    pub(crate) fn count(&self) -> usize {
        self.shared.seen().requests.len()
    }

    /// Whole requests of some kind.
    pub(crate) fn count_of(&self, is: impl Fn(&Recorded) -> bool) -> usize {
        self.shared.seen().requests.iter().filter(|request| is(request)).count()
    }

    /// Heads that came, whatever became of the rest of their requests.
    pub(crate) fn heads(&self) -> usize {
        self.shared.seen().heads
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.seen().connections
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.shared.seen().open.len()
    }

    /// Connections that ended between two requests, behind TLS only those whose end was told.
    pub(crate) fn ended_in_order(&self) -> usize {
        self.shared.seen().ended_in_order
    }

    /// Every byte that ever arrived.
    pub(crate) fn bytes(&self) -> usize {
        self.shared.seen().bytes
    }

    /// The newest request.
    pub(crate) fn last(&self) -> Recorded {
        self.shared.seen().requests.last().cloned().expect("a request")
    }

    /// Waits until so many requests have come whole.
    pub(crate) fn wait_for(&self, count: usize) {
        self.wait_until(|seen| seen.requests.len() >= count, "requests");
    }

    /// Waits until exactly so many connections are open.
    pub(crate) fn wait_open(&self, count: usize) {
        self.wait_until(|seen| seen.open.len() == count, "open connections");
    }

    fn wait_until(&self, good: impl Fn(&Seen) -> bool, what: &str) {
        let (seen, timeout) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.seen(), Duration::from_secs(10), |seen| !good(seen))
            .unwrap_or_else(PoisonError::into_inner);
        let (count, open) = (seen.requests.len(), seen.open.len());
        drop(seen);
        assert!(!timeout.timed_out(), "waited for {what}: {count} requests, {open} open");
    }

    /// Lets every connection that holds go on.
    pub(crate) fn release(&self) {
        self.shared.seen().released = true;
        self.shared.changed.notify_all();
    }

    /// Closes every connection, whatever it does.
    pub(crate) fn close_all(&self) {
        for (_, stream) in &self.shared.seen().open {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        {
            let mut seen = self.shared.seen();
            seen.over = true;
            seen.released = true;
        }
        self.shared.changed.notify_all();
        self.close_all();
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        // A test that failed with the lock in hand must still be able to end.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is answered when no test says otherwise; to HEAD the same head alone.
fn plain(request: &Recorded) -> Vec<Step> {
    let mut bytes = ok(b"{\"ok\":true}");
    if request.method == "HEAD" {
        bytes.truncate(bytes.len() - b"{\"ok\":true}".len());
    }
    vec![Step::Send(bytes)]
}

/// Answers every request with its own target, so that a mix-up shows.
pub(crate) fn own_target(request: &Recorded) -> Vec<Step> {
    vec![Step::Send(ok(request.target.as_bytes()))]
}

/// An answer of status 200 with a JSON body.
pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
    answer("200 OK", &[("Content-Type", "application/json")], body)
}

/// An answer with a length.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n", body.len());
    [text.as_bytes(), body].concat()
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ServerConnection, TcpStream>>),
}

struct Connection<'a> {
    wire: Wire,
    socket: TcpStream,
    shared: &'a Shared,
    number: usize,
    buffer: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn open(stream: TcpStream, shared: &'a Shared, number: usize) -> io::Result<Self> {
        let _ = stream.set_nodelay(true);
        let socket = stream.try_clone()?;
        let wire = match &shared.tls {
            None => Wire::Plain(stream),
            Some(config) => {
                let session = rustls::ServerConnection::new(Arc::clone(config));
                let session = session.map_err(io::Error::other)?;
                Wire::Tls(Box::new(rustls::StreamOwned::new(session, stream)))
            }
        };
        Ok(Self { wire, socket, shared, number, buffer: Vec::new() })
    }

    fn serve(&mut self) -> io::Result<()> {
        while let Some(mut request) = self.read_head()? {
            let reflex = Arc::clone(&self.shared.at_head.read().expect("reflex"));
            if let Some(steps) = reflex(&request)
                && !self.perform(&steps)?
            {
                return Ok(());
            }
            self.read_body(&mut request)?;
            request.number = {
                let mut seen = self.shared.seen();
                request.number = seen.requests.len() + 1;
                seen.requests.push(request.clone());
                request.number
            };
            self.shared.changed.notify_all();
            let script = Arc::clone(&self.shared.answer.read().expect("script"));
            if !self.perform(&script(&request))? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads more and says how much; nothing: the peer has ended.
    fn more(&mut self) -> io::Result<usize> {
        let mut piece = [0; 16 * 1024];
        let count = match &mut self.wire {
            Wire::Plain(stream) => stream.read(&mut piece)?,
            Wire::Tls(stream) => stream.read(&mut piece)?,
        };
        self.buffer.extend(&piece[..count]);
        self.shared.seen().bytes += count;
        Ok(count)
    }

    /// Takes `count` bytes off the front, reading as long as there are fewer.
    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            if self.more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// Takes everything up to and with `end`.
    fn take_to(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|part| part == end) {
                return self.take(at + end.len());
            }
            if self.more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn read_head(&mut self) -> io::Result<Option<Recorded>> {
        if self.buffer.is_empty() && self.more()? == 0 {
            return Ok(None);
        }
        let head = self.take_to(b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut lines = text.split("\r\n").take_while(|line| !line.is_empty());
        let mut words = lines.next().unwrap_or_default().split(' ');
        let mut request = Recorded {
            method: words.next().unwrap_or_default().into(),
            target: words.next().unwrap_or_default().into(),
            connection: self.number,
            ..Recorded::default()
        };
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            request.headers.push((name.to_ascii_lowercase(), value.trim().as_bytes().to_vec()));
        }
        request.head = head;
        self.shared.seen().heads += 1;
        Ok(Some(request))
    }

    /// Reads strictly: exactly one framing header or none.
    fn read_body(&mut self, request: &mut Recorded) -> io::Result<()> {
        let (lengths, codings) =
            (request.values("content-length"), request.values("transfer-encoding"));
        match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => {}
            ([length], []) => {
                let length = length.parse().map_err(io::Error::other)?;
                request.body = self.take(length)?;
            }
            ([], [coding]) if coding == "chunked" => self.read_chunks(request)?,
            other => return Err(io::Error::other(format!("framing {other:?}"))),
        }
        Ok(())
    }

    fn read_chunks(&mut self, request: &mut Recorded) -> io::Result<()> {
        loop {
            let line = self.take_to(b"\r\n")?;
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            let size = usize::from_str_radix(&text, 16).map_err(io::Error::other)?;
            if size == 0 {
                break;
            }
            let piece = self.take(size)?;
            request.body.extend(piece);
            if self.take(2)? != b"\r\n" {
                return Err(io::Error::other("chunk end"));
            }
        }
        loop {
            let line = self.take_to(b"\r\n")?;
            if line == b"\r\n" {
                return Ok(());
            }
            request.trailers.extend(line);
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.wire {
            Wire::Plain(stream) => stream.write_all(bytes),
            Wire::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Goes through the steps and says whether the connection goes on.
    fn perform(&mut self, steps: &[Step]) -> io::Result<bool> {
        for step in steps {
            match step {
                Step::Send(bytes) => self.send(bytes)?,
                Step::Drip(bytes, pause) => {
                    for byte in bytes {
                        self.send(&[*byte])?;
                        std::thread::sleep(*pause);
                    }
                }
                Step::Pause(time) => std::thread::sleep(*time),
                Step::Flood(bytes) => loop {
                    self.send(bytes)?;
                },
                Step::Hold => self.hold(),
                Step::HalfClose => self.socket.shutdown(Shutdown::Write)?,
                Step::Close => {
                    self.socket.shutdown(Shutdown::Both)?;
                    return Ok(false);
                }
                Step::Reset => {
                    let socket = socket2::SockRef::from(&self.socket);
                    socket.set_linger(Some(Duration::ZERO))?;
                    // The reset leaves when the last handle goes.
                    let mut seen = self.shared.seen();
                    seen.open.retain(|(number, _)| *number != self.number);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn hold(&self) {
        let patience = Instant::now() + Duration::from_secs(60);
        let mut seen = self.shared.seen();
        while !seen.released && Instant::now() < patience {
            let wait = self.shared.changed.wait_timeout(seen, Duration::from_secs(1));
            seen = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
