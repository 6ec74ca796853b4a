//! Nothing is left in memory of a secret that templates worked with: not of the values that they
//! made of it, nor of texts that moved while they grew, nor of digests and MACs that ended. The
//! tests look at all memory that their own process can write to.
//!
//! What it looks for is kept masked, so that it does not find itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Mutex;

use bytes::Bytes;
use countersign::crypto::random_bytes;
use countersign::recipe::{Evaluation, Scope, Subject, Template};
use countersign::secret::NamedSecrets;
use http::HeaderMap;
use zeroize::Zeroizing;

const MASK: u8 = 0x5a;
/// What the allocator itself writes into memory that was given back is shorter than what is in
/// front.
const FRONT: &str = "in front: é<&\"' and  more  ";
/// Letters of the secret that are looked for.
const LENGTH: usize = 32;
/// As many bytes behind them, so that a text that grows has to move with the letters in it.
const BEHIND: usize = 500;

/// What HMAC lays over its key (RFC 2104), beside nothing at all.
const PADS: [u8; 3] = [0, 0x36, 0x5c];

/// Who looks at memory has a part of it in a buffer, where the other test would find it.
static ALONE: Mutex<()> = Mutex::new(());

/// Random letters, never in clear.
struct Masked(Vec<u8>);

impl Masked {
    fn draw() -> Self {
        let random = random_bytes(LENGTH).unwrap();
        Self(random.into_iter().map(|byte| (b'a' + byte % 26) ^ MASK).collect())
    }

    /// A secret with the letters, wiped when it is dropped.
    fn secret(&self) -> Zeroizing<Vec<u8>> {
        let mut secret = Zeroizing::new(Vec::with_capacity(FRONT.len() + LENGTH + BEHIND));
        secret.extend_from_slice(FRONT.as_bytes());
        secret.extend(self.0.iter().map(|byte| byte ^ MASK));
        secret.extend([b'.'; BEHIND]);
        secret
    }

    /// A secret that a digest or MAC takes in with its last block, and HMAC as its key.
    fn short_secret(&self) -> Zeroizing<Vec<u8>> {
        let mut secret = Zeroizing::new(Vec::with_capacity(LENGTH + 8));
        secret.extend([b'.'; 8]);
        secret.extend(self.0.iter().map(|byte| byte ^ MASK));
        secret
    }

    /// Whether the letters stand somewhere, forwards or backwards, in either case, in bytes or in
    /// UTF-16, in clear or as the key of an HMAC.
    fn is_in(&self, bytes: &[u8]) -> bool {
        let lower = |byte: u8, pad: u8| ((byte ^ pad) | 0x20) ^ MASK;
        let mut begins = [false; 256];
        for (byte, begins) in (0..=u8::MAX).zip(&mut begins) {
            let first = [self.0[0], self.0[LENGTH - 1]];
            *begins = PADS.into_iter().any(|pad| first.contains(&lower(byte, pad)));
        }
        let ways = || PADS.into_iter().flat_map(|pad| [(pad, 1), (pad, 2)]);
        let begin = bytes.iter().enumerate().filter(|(_, byte)| begins[usize::from(**byte)]);
        begin.map(|(at, _)| &bytes[at..]).any(|bytes| {
            ways().any(|(pad, step)| {
                let found = bytes.iter().step_by(step).take(LENGTH).map(|byte| lower(*byte, pad));
                found.len() == LENGTH
                    && (found.clone().eq(self.0.iter().copied())
                        || found.eq(self.0.iter().rev().copied()))
            })
        })
    }

    /// Whether they stand anywhere in what this process can write to.
    fn is_left(&self) -> bool {
        const CHUNK: usize = 1 << 20;
        let mut memory = fs::File::open("/proc/self/mem").unwrap();
        let mut room = vec![0; CHUNK + LENGTH * 2];
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.contains(" rw")).any(|line| {
            let (from, rest) = line.split_once('-').unwrap();
            let to = rest.split(' ').next().unwrap();
            let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
            (from..to).step_by(CHUNK).any(|at| {
                let length = room.len().min(usize::try_from(to - at).unwrap());
                memory.seek(SeekFrom::Start(at)).unwrap();
                // Some areas of the kernel's cannot be read.
                memory.read_exact(&mut room[..length]).is_ok() && self.is_in(&room[..length])
            })
        })
    }
}

/// Works a template out, as signing does, and keeps nothing of it.
fn work_out(template: &str, secret: &[u8]) {
    let mut scope = Scope::default();
    let bytes = Template::compile("{secret | prepend('')}", &scope).unwrap();
    scope.define("own", bytes).unwrap();
    let document = "{secret | append('\"more') | json_string | prepend('[') | append(']') | json}";
    scope.define("document", Template::compile(document, &scope).unwrap()).unwrap();
    let template =
        Template::compile(template, &scope).unwrap_or_else(|e| panic!("{template}: {e:?}"));
    let (headers, values) = (HeaderMap::new(), NamedSecrets::default());
    let body = [Bytes::from_static(b"{\"a\":\"b\"}")];
    let subject = Subject {
        method: "POST",
        scheme: "https",
        authority: "api.example.com",
        target: "/",
        headers: &headers,
        body: &body,
        status: None,
        public_url: None,
        secret: Some(secret),
        values: &values,
    };
    let mut bytes = 0;
    let evaluation = Evaluation::new(subject, &scope);
    evaluation.feed(&template, &mut |more| bytes += more.len()).unwrap();
    assert!(bytes > 0);
}

#[test]
fn nothing_is_left_of_a_secret() {
    let _alone = ALONE.lock();
    let masked = Masked::draw();
    {
        let kept = masked.secret();
        assert!(masked.is_left(), "it is found while it is there");
        drop(kept);
    }
    assert!(!masked.is_left(), "and not afterwards");
    let mut leaves = Vec::new();
    for template in [
        "{secret}",
        "{method}{secret}{secret}",
        "{secret | text}",
        "{secret | text | lower}",
        "{secret | text | upper}",
        "{secret | text | title}",
        "{secret | text | squeeze}",
        "{secret | text | trim}",
        "{secret | text | only_chars('a-zA-Z0-9')}",
        "{secret | text | remove('<>')}",
        "{secret | text | replace('more', 'much more')}",
        "{secret | text | pad_left(2000, 'x')}",
        "{secret | text | pad_right(2000, 'x')}",
        "{secret | text | reverse}",
        "{secret | text | after(':')}",
        "{secret | text | field(' ', -1)}",
        "{secret | text | skip(4)}",
        "{secret | bytes(4)}",
        "{secret | text | utf16le}",
        "{secret | text | json_string}",
        "{secret | text | json_string('ascii', 'html')}",
        "{secret | text | ascii_escape}",
        "{secret | text | html_escape}",
        "{secret | urlencode}",
        "{secret | urlencode | urldecode}",
        "{secret | hex | unhex}",
        "{secret | base64 | base64_decode}",
        "{secret | base64url | base64url_decode}",
        "{secret | text | split(' ') | join('-')}",
        "{secret | text | split(' ') | sort('ci') | join('-')}",
        "{secret | text | split(' ') | last}",
        "{secret | text | wrap('a', 'b')}",
        "{secret | text | default('none')}",
        "{method | append(@secret)}",
        "{method | prepend(@secret)}",
        "{method | wrap(@secret, @own)}",
        "{method | replace('O', @secret)}",
        "{params.json | add('key', @secret) | dump}",
        "{params.json | add('key', @secret) | canon}",
        "{params.json | add('key', @secret) | flat('.') | items('{k}={v}') | join('&')}",
        "{params.json | add('key', @secret) | get('key') | text | lower}",
        "{own}{own | text | lower}",
        "{document.0}{document.0 | lower}",
        "{secret | append('\"more') | json_string | json | text | lower}",
        "{own | sha256 | hex}",
        "{method | hmac('sha256', @own) | hex}",
    ] {
        // Letters of its own each, so that what one leaves is not blamed on the next.
        let masked = Masked::draw();
        work_out(template, &masked.secret());
        if masked.is_left() {
            leaves.push(template);
        }
    }
    assert!(leaves.is_empty(), "something is left in memory by {leaves:#?}");
}

/// The last block of a message waits in a digest until it ends, and an HMAC lays its key under
/// masks. Some libraries hand a copy of that block on when they are not optimised, and BLAKE2's
/// always does: their digests are not looked at.
#[test]
fn nothing_is_left_in_digests_that_ended() {
    let _alone = ALONE.lock();
    let templates = [
        "{secret | sha1 | hex}",
        "{secret | sha224 | hex}",
        "{secret | sha256 | hex}",
        "{secret | sha3_256 | hex}",
        "{secret | sha3_512 | hex}",
        "{secret | keccak256 | hex}",
        "{secret | hmac('sha1', @secret) | hex}",
        "{secret | hmac('sha256', @secret) | hex}",
        "{secret | hmac('sha384', @secret) | hex}",
        "{secret | hmac('sha512', @secret) | hex}",
        "{secret | hmac('sha3-256', @secret) | hex}",
    ];
    let leaves_something = |template: &&str| {
        let masked = Masked::draw();
        work_out(template, &masked.short_secret());
        masked.is_left()
    };
    let leaves: Vec<&str> = templates.into_iter().filter(leaves_something).collect();
    assert!(leaves.is_empty(), "something is left in memory by {leaves:#?}");
}
