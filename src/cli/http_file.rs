//! A request in a file, as it goes over the wire: request line, header lines, an empty line, body.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::Failure;

/// The largest file that is read.
const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A request that was saved.
#[derive(Debug)]
pub(crate) struct SavedRequest {
    pub(crate) method: String,
    pub(crate) authority: String,
    /// Path and query as written.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    /// The same with their names as written.
    pub(crate) written: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// What was done to the file to read it, for people.
    pub(crate) notes: Vec<String>,
}

impl SavedRequest {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let problem = |what: &dyn std::fmt::Display| {
            Failure::failed(format_args!("{}: {what}", path.display()))
        };
        let bytes = std::fs::read(path).map_err(|e| problem(&e))?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(problem(&"longer than 16 MiB"));
        }
        Self::parse(&bytes).map_err(|fault| problem(&fault))
    }

    /// Reads lines that end in LF or CRLF up to the first empty one; what follows is the body.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (head, body) = split(bytes);
        let head = std::str::from_utf8(head).map_err(|_| "line 1: the head is no UTF-8 text")?;
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default();
        let mut words = first.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(format!("line 1: expected `METHOD /path HTTP/1.1`, found `{first}`"));
        };
        let (mut headers, mut written) = (HeaderMap::new(), Vec::new());
        for (number, line) in lines.enumerate() {
            let header = line.split_once(':').and_then(|(own, value)| {
                let name = own.parse::<HeaderName>().ok()?;
                written.push((own.to_owned(), value.trim().to_owned()));
                Some((name, HeaderValue::from_str(value.trim()).ok()?))
            });
            let Some((name, value)) = header else {
                return Err(format!("line {}: expected `Name: value`", number + 2));
            };
            headers.append(name, value);
        }
        let mut request = Self {
            method: method.to_owned(),
            authority: String::new(),
            target: target.to_owned(),
            headers,
            written,
            body: Bytes::copy_from_slice(body),
            notes: Vec::new(),
        };
        request.settle()?;
        Ok(request)
    }

    /// Takes a whole URL apart, and cuts the line break that editors put at the end of a file.
    fn settle(&mut self) -> Result<(), String> {
        if !self.target.starts_with('/') {
            let wrong = || format!("line 1: `{}` is no path and no URL", self.target);
            let url = self.target.contains("://").then(|| self.target.parse::<Uri>().ok());
            let url = url.flatten().ok_or_else(wrong)?;
            self.authority = url.authority().ok_or_else(wrong)?.to_string();
            self.target = url.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        }
        if let Some(host) = self.headers.get(http::header::HOST) {
            self.authority = host.to_str().map_err(|_| "Host is no text")?.to_owned();
        }
        let stated = self.headers.get(http::header::CONTENT_LENGTH);
        let stated = stated.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let Some(length) = stated else { return Ok(()) };
        let surplus = self.body.get(length..).unwrap_or_default();
        if !surplus.is_empty() && surplus.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            self.body.truncate(length);
            self.notes.push(format!("the body was cut to its Content-Length of {length} bytes"));
        } else if self.body.len() != length {
            let bytes = self.body.len();
            self.notes.push(format!("Content-Length says {length} bytes, the body has {bytes}"));
        }
        Ok(())
    }
}

/// Head and body, without the empty line between them.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut start = 0;
    while let Some(length) = bytes.get(start..).and_then(|rest| rest.iter().position(is_feed)) {
        let line = bytes.get(start..start + length).unwrap_or_default();
        let next = start + length + 1;
        if line.is_empty() || line == b"\r" {
            let (head, body) = (bytes.get(..start), bytes.get(next..));
            return (head.unwrap_or_default(), body.unwrap_or_default());
        }
        start = next;
    }
    (bytes, &[])
}

fn is_feed(byte: &u8) -> bool {
    *byte == b'\n'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_go_over_the_wire() {
        let text =
            b"POST /v1/a?b=1 HTTP/1.1\r\nHost: api.example\r\nX-A:  b \r\n\r\nbody\r\n\r\nmore";
        let request = SavedRequest::parse(text).unwrap();
        assert_eq!((&*request.method, &*request.target), ("POST", "/v1/a?b=1"));
        assert_eq!(&*request.authority, "api.example");
        assert_eq!(request.headers["x-a"], "b");
        assert_eq!(request.body, &b"body\r\n\r\nmore"[..]);
        let request = SavedRequest::parse(b"GET https://a.example:8443/x HTTP/2\nA: b").unwrap();
        assert_eq!((&*request.authority, &*request.target), ("a.example:8443", "/x"));
        assert!(request.body.is_empty());
    }

    #[test]
    fn the_line_break_of_an_editor_is_no_body() {
        let cut = SavedRequest::parse(b"POST / HTTP/1.1\ncontent-length: 2\n\nab\n").unwrap();
        assert_eq!((&cut.body[..], cut.notes.len()), (&b"ab"[..], 1));
        let other = SavedRequest::parse(b"POST / HTTP/1.1\ncontent-length: 3\n\nab\n").unwrap();
        assert_eq!((&other.body[..], other.notes.len()), (&b"ab\n"[..], 0));
        let short = SavedRequest::parse(b"POST / HTTP/1.1\ncontent-length: 9\n\nab").unwrap();
        assert_eq!(short.notes.len(), 1);
    }

    #[test]
    fn what_is_no_request_is_named() {
        for (text, part) in [
            (&b""[..], "line 1"),
            (b"POST\n\n", "line 1"),
            (b"POST x y\n\n", "no path"),
            (b"POST / HTTP/1.1\nA: b\nno header\n\n", "line 3"),
            (b"\xff / HTTP/1.1\n\n", "UTF-8"),
        ] {
            let fault = SavedRequest::parse(text).unwrap_err();
            assert!(fault.contains(part), "{fault}");
        }
    }
}
