//! A message from a file.

use std::path::Path;

use bytes::Bytes;
use countersign::recipe::Subject;
use countersign::secret::NamedSecrets;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::cli::Failure;

/// A request, or the part of one that is known.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<Bytes>,
    pub(super) values: NamedSecrets,
}

impl Parcel {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            method: &self.method,
            scheme: "https",
            authority: "",
            target: &self.target,
            headers: &self.headers,
            body: &self.body,
            status: None,
            public_url: None,
            secret: None,
            values: &self.values,
        }
    }
}

/// Reads a request (`POST /path HTTP/1.1`, headers, an empty line, the body) or a body alone.
pub(super) fn read_message(path: &Path) -> Result<Parcel, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|e| Failure::because(format_args!("cannot read {}", path.display()), &e))?;
    let mut parcel = Parcel { method: "POST".into(), target: "/".into(), ..Parcel::default() };
    let Some((head, body)) = split_request(&bytes) else {
        parcel.body.push(Bytes::from(bytes));
        return Ok(parcel);
    };
    let wrong = |what: &str| Failure::failed(format_args!("{}: {what}", path.display()));
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    parcel.method = method.to_owned();
    parcel.target = target.to_owned();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("a header has no colon"))?;
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value.trim());
        let (Ok(name), Ok(value)) = (name, value) else { return Err(wrong("a bad header")) };
        parcel.headers.append(name, value);
    }
    parcel.body.push(Bytes::copy_from_slice(body));
    Ok(parcel)
}

/// Head and body, if the bytes begin with a request line.
fn split_request(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let first = bytes.split(|byte| *byte == b'\n').next()?;
    if !first.trim_ascii_end().ends_with(b" HTTP/1.1") {
        return None;
    }
    let ends = [&b"\r\n\r\n"[..], b"\n\n"];
    let mut found = ends.iter().filter_map(|end| {
        let at = bytes.windows(end.len()).position(|window| window == *end)?;
        Some((at, at + end.len()))
    });
    let (head, body) = found.next()?;
    Some((std::str::from_utf8(bytes.get(..head)?).ok()?, bytes.get(body..)?))
}
