//! HTTP/2 by hand: frames with any content, and fields that no library would write.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::client::{Client, Ended};
use super::request::{HOST, Request};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame as it came.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// What became of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer came whole.
    Answer { status: u16, body: String },
    /// The server gave this stream up.
    Reset(u32),
    /// The server gave the connection up, or ended it.
    Gone,
    /// Nothing within the time.
    Nothing,
}

impl Outcome {
    /// Whether the server refused in HTTP/2's own terms.
    pub(crate) fn is_protocol_refusal(&self) -> bool {
        matches!(self, Self::Reset(_) | Self::Gone)
    }

    /// The code of a refusal in HTTP's terms.
    pub(crate) fn code(&self) -> Option<String> {
        let Self::Answer { body, .. } = self else { return None };
        let json: serde_json::Value = serde_json::from_str(body).ok()?;
        json["code"].as_str().map(str::to_owned)
    }
}

/// A connection on which the test writes the frames.
pub(crate) struct Frames {
    pub(crate) client: Client,
    bytes: Vec<u8>,
    /// Everything that came, in order.
    pub(crate) seen: Vec<Frame>,
}

impl Frames {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[])
    }

    /// The same, to a gate that may have ended.
    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Self::dial(address, &[])
    }

    /// Connects, says hello with these settings, and does not wait for the other's.
    pub(crate) fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        Self::dial(address, settings).expect("handshake")
    }

    fn dial(address: SocketAddr, settings: &[(u16, u32)]) -> io::Result<Self> {
        let client = Client::dial(address, HOST, &["h2"])?;
        assert_eq!(client.protocol().as_deref(), Some("h2"));
        let mut own = Self { client, bytes: Vec::new(), seen: Vec::new() };
        // Without a table for headers every status is written out.
        let mut payload = vec![0, 1, 0, 0, 0, 0];
        for (id, value) in settings {
            payload.extend(id.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        own.client.send([PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat());
        Ok(own)
    }

    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.client.send(frame(kind, flags, stream, payload))
    }

    /// Opens a stream with these fields, in one frame.
    pub(crate) fn open(&mut self, stream: u32, fields: &[(Vec<u8>, Vec<u8>)], end: bool) -> bool {
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        self.send(HEADERS, flags, stream, &encode(fields))
    }

    /// Sends a whole request on a stream.
    pub(crate) fn request(&mut self, stream: u32, request: &Request) -> bool {
        if request.body.is_empty() {
            return self.open(stream, &request.h2(), true);
        }
        self.open(stream, &request.h2(), false)
            && self.send(DATA, END_STREAM, stream, &request.body)
    }

    /// The next frame; acknowledges settings and pings on the way.
    pub(crate) fn next(&mut self) -> Result<Frame, Ended> {
        loop {
            if let Some(frame) = self.parse() {
                match (frame.kind, frame.flags & ACK) {
                    (SETTINGS, 0) => drop(self.send(SETTINGS, ACK, 0, &[])),
                    (PING, 0) => drop(self.send(PING, ACK, 0, &frame.payload)),
                    _ => {}
                }
                self.seen.push(frame.clone());
                return Ok(frame);
            }
            self.client.more()?;
            self.bytes.extend(self.client.take_raw());
        }
    }

    fn parse(&mut self) -> Option<Frame> {
        let head = self.bytes.get(..9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let payload = self.bytes.get(9..9 + length)?.to_vec();
        self.bytes.drain(..9 + length);
        Some(Frame { kind, flags, stream, payload })
    }

    /// Reads on until this stream has come to an end.
    pub(crate) fn outcome(&mut self, stream: u32) -> Outcome {
        self.outcome_within(stream, Duration::from_secs(10))
    }

    pub(crate) fn outcome_within(&mut self, stream: u32, time: Duration) -> Outcome {
        let until = Instant::now() + time;
        loop {
            if let Some(outcome) = self.known(stream) {
                return outcome;
            }
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return Outcome::Nothing;
            };
            self.client.patience(left.max(Duration::from_millis(1)));
            match self.next() {
                Ok(_) => {}
                Err(Ended::Silent) => return Outcome::Nothing,
                Err(_) => return Outcome::Gone,
            }
        }
    }

    /// What is known of a stream from the frames that came so far.
    pub(crate) fn known(&self, stream: u32) -> Option<Outcome> {
        let mut status = 0;
        let mut body = Vec::new();
        for frame in &self.seen {
            if frame.kind == GOAWAY {
                let last = number(&frame.payload, 0) & 0x7fff_ffff;
                let code = number(&frame.payload, 4);
                if last < stream || code != 0 {
                    return Some(Outcome::Gone);
                }
            }
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                HEADERS if status < 200 => status = decode_status(&frame.payload),
                DATA => body.extend(&frame.payload),
                RST_STREAM if status >= 200 && number(&frame.payload, 0) == 0 => {}
                RST_STREAM => return Some(Outcome::Reset(number(&frame.payload, 0))),
                _ => {}
            }
            if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                let body = String::from_utf8_lossy(&body).into_owned();
                return Some(Outcome::Answer { status, body });
            }
        }
        None
    }

    /// Waits until the server has ended the connection or said that it will.
    pub(crate) fn gone_within(&mut self, time: Duration) -> bool {
        self.outcome_within(u32::MAX, time) == Outcome::Gone
    }
}

impl Client {
    fn take_raw(&mut self) -> Vec<u8> {
        let bytes = self.left_over().to_vec();
        self.forget(bytes.len());
        bytes
    }
}

/// A frame as bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Fields as literals without indexing and without Huffman coding (RFC 7541, section 6.2.2).
pub(crate) fn encode(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            integer(&mut bytes, text.len());
            bytes.extend(text);
        }
    }
    bytes
}

/// A length with a prefix of seven bits.
fn integer(bytes: &mut Vec<u8>, value: usize) {
    if value < 127 {
        bytes.push(u8::try_from(value).expect("small"));
        return;
    }
    bytes.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).expect("small") | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).expect("small"));
}

fn number(payload: &[u8], at: usize) -> u32 {
    let bytes = payload.get(at..at + 4).map(|part| part.try_into().expect("four bytes"));
    bytes.map_or(0, u32::from_be_bytes)
}

/// The status of an answer, which is its first field. Digits are all that is ever decoded.
fn decode_status(block: &[u8]) -> u16 {
    let mut rest = block;
    // Changes of the table's size come first.
    while let [first, tail @ ..] = rest {
        if first & 0b1110_0000 != 0b0010_0000 {
            break;
        }
        rest = if first & 31 == 31 {
            let more = tail.iter().take_while(|byte| **byte & 128 != 0).count();
            &tail[more + 1..]
        } else {
            tail
        };
    }
    match rest {
        [0x88, ..] => 200,
        [0x89, ..] => 204,
        [0x8a, ..] => 206,
        [0x8b, ..] => 304,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        // A literal whose name is one of the table's seven `:status` entries.
        [0x48..=0x4e | 0x08..=0x0e, length, text @ ..] => {
            let plain = length & 128 == 0;
            let text = &text[..usize::from(length & 127)];
            let digits = if plain { text.to_vec() } else { huffman_digits(text) };
            String::from_utf8_lossy(&digits).parse().expect("a status")
        }
        other => panic!("status in {other:02x?}"),
    }
}

/// Decodes digits (RFC 7541, appendix B): 0 to 2 have five bits, 3 to 9 six.
fn huffman_digits(text: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> =
        text.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let value = |part: &[u8]| part.iter().fold(0_u8, |sum, bit| sum << 1 | bit);
    let mut digits = Vec::new();
    let mut at = 0;
    while digits.len() < 3 {
        let short = value(&bits[at..at + 5]);
        if short <= 2 {
            digits.push(b'0' + short);
            at += 5;
        } else {
            digits.push(b'3' + value(&bits[at..at + 6]) - 0b01_1001);
            at += 6;
        }
    }
    digits
}
