//! Somebody's service on loopback, which can misbehave.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};

/// A request as the service got it.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// How many came before it.
    pub(super) number: usize,
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("{name}: {self:?}")).to_str().unwrap()
    }
}

/// What the service does about a request.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// Answers with a status and further header lines.
    Status(u16, &'static str),
    /// Answers 200 with a body.
    Says(String),
    /// Answers 200 after a while.
    Slow(Duration),
    /// Never answers.
    Hang,
    /// Ends the connection without an answer.
    Close,
    /// Ends it in the middle of one.
    Cut,
}

type Manner = Arc<dyn Fn(&Received) -> Deed + Send + Sync>;

/// A service, and all that it got.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    received: Vec<Received>,
    open: usize,
    most_open: usize,
}

impl Service {
    /// Starts a service that does about each request what it is told.
    pub(super) async fn start(manner: impl Fn(&Received) -> Deed + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let service = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (own, manner): (_, Manner) = (service.clone(), Arc::new(manner));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (service, manner) = (own.clone(), Arc::clone(&manner));
                tokio::spawn(async move { service.serve(stream, &manner).await });
            }
        });
        service
    }

    /// All that came so far.
    pub(super) fn received(&self) -> Vec<Received> {
        self.seen.lock().unwrap().received.clone()
    }

    /// The most requests that waited for an answer at the same time, since this was asked last.
    pub(super) fn take_most_open(&self) -> usize {
        let mut seen = self.seen.lock().unwrap();
        std::mem::take(&mut seen.most_open)
    }

    async fn serve(&self, stream: TcpStream, manner: &Manner) -> Option<()> {
        let mut stream = BufStream::new(stream);
        loop {
            let received = self.read(&mut stream).await?;
            let deed = manner(&received);
            if let Deed::Slow(time) = &deed {
                tokio::time::sleep(*time).await;
            }
            if matches!(deed, Deed::Hang) {
                // Until the other side gives up.
                drop(stream.read_u8().await);
            }
            self.seen.lock().unwrap().open -= 1;
            let (answer, goes_on) = match deed {
                Deed::Status(status, more) => {
                    (format!("HTTP/1.1 {status} X\r\n{more}content-length: 0\r\n\r\n"), true)
                }
                Deed::Says(body) => {
                    let length = body.len();
                    (format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"), true)
                }
                Deed::Slow(_) => ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into(), true),
                Deed::Cut => ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".into(), false),
                Deed::Hang | Deed::Close => (String::new(), false),
            };
            stream.write_all(answer.as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
            if !goes_on {
                return None;
            }
        }
    }

    async fn read(&self, stream: &mut BufStream<TcpStream>) -> Option<Received> {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|bytes| *bytes > 0)?;
        let mut headers = HeaderMap::new();
        loop {
            let mut field = String::new();
            stream.read_line(&mut field).await.ok()?;
            let Some((name, value)) = field.trim_end().split_once(": ") else { break };
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let length = headers.get("content-length").map_or("0", |length| length.to_str().unwrap());
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        let body = String::from_utf8(body).unwrap();
        let mut seen = self.seen.lock().unwrap();
        let number = seen.received.len();
        let line = line.trim_end().to_owned();
        let received = Received { number, line, headers, body };
        seen.received.push(received.clone());
        seen.open += 1;
        seen.most_open = seen.most_open.max(seen.open);
        Some(received)
    }
}
