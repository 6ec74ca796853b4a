//! An HTTP/1.1 client that sends exactly what it is told and reads exactly what comes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::answer::Answer;
use super::request::{HOST, Request};
use super::tls;

/// How long a client waits for anything before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The server closed it in order.
    Closed,
    /// It was cut: reset, or closed without the TLS goodbye.
    Cut,
    /// Nothing came for as long as the client waited.
    Silent,
}

/// One TLS connection that speaks HTTP/1.1, or whatever bytes the test sends.
pub(crate) struct Client {
    pub(crate) stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
    ended: Option<Ended>,
}

impl Client {
    /// Connects as most clients do.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::dial(address, HOST, &["http/1.1"]).expect("connection and handshake")
    }

    /// Connects with a server name and protocols of the test's choice, handshake included.
    pub(crate) fn dial(address: SocketAddr, name: &str, alpn: &[&str]) -> io::Result<Self> {
        Self::dial_with(address, name, tls::client(alpn, rustls::ALL_VERSIONS))
    }

    pub(crate) fn dial_with(
        address: SocketAddr,
        name: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?, name, config)
    }

    /// Makes TLS over a connection of the test's own.
    pub(crate) fn over(
        socket: TcpStream,
        name: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream, buffer: Vec::new(), ended: None })
    }

    /// The protocol that was agreed.
    pub(crate) fn protocol(&self) -> Option<String> {
        self.stream.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// Sends bytes; a server that has closed already is no fault here, its answer may still come.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Sends a request whole and reads its answer.
    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        self.send(request.h1());
        self.answer_to(&request.method)
    }

    /// Reads the next answer to a request that was not HEAD.
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// Reads the next answer; fails the test when none comes whole.
    pub(crate) fn answer_to(&mut self, method: &str) -> Answer {
        match self.try_answer(method) {
            Ok(answer) => answer,
            Err(ended) => {
                panic!("no whole answer: {ended:?} {:?}", String::from_utf8_lossy(&self.buffer))
            }
        }
    }

    /// Reads the next answer, or tells how the connection ended before it was whole.
    pub(crate) fn try_answer(&mut self, method: &str) -> Result<Answer, Ended> {
        let mut interim = Vec::new();
        loop {
            let mut answer = self.head()?;
            if (100..200).contains(&answer.status) && answer.status != 101 {
                interim.push(answer.status);
                continue;
            }
            answer.interim = interim;
            let bodiless = method == "HEAD" || matches!(answer.status, 204 | 304 | 101);
            if !bodiless {
                answer.body = self.body(&answer)?;
            }
            return Ok(answer);
        }
    }

    fn head(&mut self) -> Result<Answer, Ended> {
        let head = self.take_to(b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut lines = text.split("\r\n").take_while(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        let status = status.and_then(|digits| digits.parse().ok());
        let status = status.unwrap_or_else(|| panic!("status line {first:?}"));
        let pair = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("header {line:?}"));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let headers = lines.map(pair).collect();
        Ok(Answer { status, headers, ..Answer::default() })
    }

    fn body(&mut self, answer: &Answer) -> Result<Vec<u8>, Ended> {
        let coded = answer.value("transfer-encoding").is_some();
        match answer.value("content-length") {
            Some(length) => {
                assert!(!coded, "two framings in {answer:?}");
                self.take(length.parse().expect("a length"))
            }
            None if coded => self.chunks(),
            None => {
                while self.more().is_ok() {}
                match self.ended {
                    Some(Ended::Closed) => Ok(std::mem::take(&mut self.buffer)),
                    other => Err(other.unwrap_or(Ended::Silent)),
                }
            }
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, Ended> {
        let mut body = Vec::new();
        loop {
            let line = self.take_to(b"\r\n")?;
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            let size = usize::from_str_radix(&text, 16).expect("a chunk size");
            if size == 0 {
                while self.take_to(b"\r\n")? != b"\r\n" {}
                return Ok(body);
            }
            body.extend(self.take(size)?);
            assert_eq!(self.take(2)?, b"\r\n");
        }
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>, Ended> {
        while self.buffer.len() < count {
            self.more()?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    fn take_to(&mut self, end: &[u8]) -> Result<Vec<u8>, Ended> {
        let mut from = 0;
        loop {
            let at = self.buffer[from..].windows(end.len()).position(|part| part == end);
            if let Some(at) = at {
                return self.take(from + at + end.len());
            }
            from = self.buffer.len().saturating_sub(end.len());
            self.more()?;
        }
    }

    /// Bytes that have been read and belong to no answer yet.
    pub(crate) fn left_over(&self) -> &[u8] {
        &self.buffer
    }

    /// Drops so many bytes that have been read.
    pub(crate) fn forget(&mut self, count: usize) {
        self.buffer.drain(..count);
    }

    /// Reads whatever comes next; the end of the connection is an error.
    pub(crate) fn more(&mut self) -> Result<usize, Ended> {
        if let Some(ended) = self.ended {
            return Err(ended);
        }
        let mut piece = [0; 16 * 1024];
        let ended = match self.stream.read(&mut piece) {
            Ok(0) => Ended::Closed,
            Ok(count) => {
                self.buffer.extend(&piece[..count]);
                return Ok(count);
            }
            Err(fault) if is_timeout(&fault) => return Err(Ended::Silent),
            Err(_) => Ended::Cut,
        };
        self.ended = Some(ended);
        Err(ended)
    }

    /// Waits for the end of the connection; what still comes before it is kept.
    pub(crate) fn end(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.more() {
                return ended;
            }
        }
    }

    /// Whether the server ends the connection, in whatever way, within this time.
    pub(crate) fn ends_within(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while self.ended.is_none() {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
            self.patience(left.max(Duration::from_millis(1)));
            let _ = self.more();
        }
        self.patience(PATIENCE);
        true
    }

    /// How long to wait for the next bytes.
    pub(crate) fn patience(&mut self, time: Duration) {
        self.stream.sock.set_read_timeout(Some(time)).expect("timeout");
    }

    /// Says no more, over TCP, without a TLS goodbye.
    pub(crate) fn half_close(&mut self) {
        let _ = self.stream.sock.shutdown(Shutdown::Write);
    }
}

pub(crate) fn is_timeout(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A TCP connection without TLS, and how long it took the server to end it.
pub(crate) fn tcp_ends_after(address: SocketAddr, first: &[u8]) -> (Ended, Duration, Vec<u8>) {
    let started = Instant::now();
    let mut socket = TcpStream::connect(address).expect("connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.write_all(first).expect("bytes sent");
    let mut came = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match socket.read(&mut piece) {
            Ok(0) => return (Ended::Closed, started.elapsed(), came),
            Ok(count) => came.extend(&piece[..count]),
            Err(fault) if is_timeout(&fault) => return (Ended::Silent, started.elapsed(), came),
            Err(_) => return (Ended::Cut, started.elapsed(), came),
        }
    }
}
