//! A request before it is sent: built once, written as HTTP/1.1 bytes or as HTTP/2 fields.

use std::fmt;

/// The name that the standard gateway answers to, port included where a test wants it.
pub(crate) const HOST: &str = "api.example.com";

/// How a body is framed over HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Content-Length`, unless there is no body and the method is one that rarely has one.
    Length,
    /// Chunks of so many bytes.
    Chunks(usize),
    /// No framing header: the test writes its own among the headers.
    ByHand,
}

/// A request that can be signed and sent, and changed in between.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) authority: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: Framing,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {} bytes", String::from_utf8_lossy(&self.head()), self.body.len())
    }
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            authority: HOST.into(),
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length,
        }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST of JSON.
    pub(crate) fn post(target: &str, body: &[u8]) -> Self {
        let mut request = Self::new("POST", target).header("Content-Type", "application/json");
        request.body = body.to_vec();
        request
    }

    /// Adds a header, beside any of the same name.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// Removes every header of a name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self
    }

    /// Gives a header this one value.
    pub(crate) fn set(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).header(name, value)
    }

    pub(crate) fn authority(mut self, authority: &str) -> Self {
        self.authority = authority.into();
        self
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    pub(crate) fn target(mut self, target: &str) -> Self {
        self.target = target.into();
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    pub(crate) fn chunks(mut self, bytes: usize) -> Self {
        self.framing = Framing::Chunks(bytes);
        self
    }

    pub(crate) fn by_hand(mut self) -> Self {
        self.framing = Framing::ByHand;
        self
    }

    /// The value of a header as text; empty when absent.
    pub(crate) fn value(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }

    /// The head as HTTP/1.1 writes it, with the blank line.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            bytes.extend(format!("Host: {}\r\n", self.authority).bytes());
        }
        for (name, value) in &self.headers {
            bytes.extend(name.bytes());
            bytes.extend(b": ");
            bytes.extend(value);
            bytes.extend(b"\r\n");
        }
        let bodiless = matches!(self.method.as_str(), "GET" | "HEAD" | "DELETE" | "OPTIONS");
        match self.framing {
            Framing::Length if self.body.is_empty() && bodiless => {}
            Framing::Length => {
                bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).bytes());
            }
            Framing::Chunks(_) => bytes.extend(b"Transfer-Encoding: chunked\r\n"),
            Framing::ByHand => {}
        }
        bytes.extend(b"\r\n");
        bytes
    }

    /// The whole request as HTTP/1.1 writes it.
    pub(crate) fn h1(&self) -> Vec<u8> {
        let mut bytes = self.head();
        match self.framing {
            Framing::Chunks(size) => bytes.extend(chunked(&self.body, size)),
            Framing::Length | Framing::ByHand => bytes.extend(&self.body),
        }
        bytes
    }

    /// The whole request as HTTP/1.1 writes it, with one piece of it replaced.
    pub(crate) fn edited(&self, from: &str, to: impl AsRef<[u8]>) -> Vec<u8> {
        let bytes = self.h1();
        let at = bytes.windows(from.len()).position(|part| part == from.as_bytes());
        let at = at.unwrap_or_else(|| panic!("{from:?} in {}", String::from_utf8_lossy(&bytes)));
        [&bytes[..at], to.as_ref(), &bytes[at + from.len()..]].concat()
    }

    /// The whole request as HTTP/1.1 writes it, with raw lines after the first one.
    pub(crate) fn with_lines(&self, lines: impl AsRef<[u8]>) -> Vec<u8> {
        self.edited(" HTTP/1.1\r\n", [b" HTTP/1.1\r\n", lines.as_ref()].concat())
    }

    /// The fields as HTTP/2 sends them.
    pub(crate) fn h2(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> = vec![
            (b":method".to_vec(), self.method.clone().into_bytes()),
            (b":scheme".to_vec(), b"https".to_vec()),
            (b":authority".to_vec(), self.authority.clone().into_bytes()),
            (b":path".to_vec(), self.target.clone().into_bytes()),
        ];
        for (name, value) in &self.headers {
            fields.push((name.to_ascii_lowercase().into_bytes(), value.clone()));
        }
        fields
    }
}

/// A body in chunks of so many bytes, with the last one.
pub(crate) fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in body.chunks(size) {
        bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
        bytes.extend(piece);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}
