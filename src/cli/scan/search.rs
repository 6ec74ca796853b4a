//! Finds texts of our own in a stream of bytes, however long it is.
//!
//! Promises that a text is found wherever it stands, across the borders of what is read at once.

use std::io::{self, Read};

use countersign::custody;
use countersign::secret::text::{Recognised, TextKind, recognise};
use zeroize::Zeroizing;

/// Read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// At least as long as the longest text, an anchor.
const OVERLAP_BYTES: usize = 256;
/// Of a text, so much is shown: enough to know which it is, not enough to use it.
const SHOWN_BYTES: usize = 12;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leak {
    /// A secret with its checksum.
    Text(TextKind),
    /// A line of a file of master keys, whose name is that of the key.
    MasterKey,
}

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// From 1.
    pub(super) line: u64,
    /// From 1, in bytes.
    pub(super) column: u64,
    pub(super) leak: Leak,
    /// The first characters of the text.
    pub(super) begins: String,
}

impl Leak {
    /// For people.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Text(kind) => kind.to_string(),
            Self::MasterKey => "a master key".to_owned(),
        }
    }
}

/// The secrets in a stream, in their order, at most so many.
pub(super) fn search(mut from: impl Read, most: usize) -> io::Result<Vec<Hit>> {
    let mut hits = Vec::new();
    let mut buffer = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + OVERLAP_BYTES));
    let mut place = Place { line: 1, column: 1 };
    loop {
        let room = CHUNK_BYTES + OVERLAP_BYTES - buffer.len();
        let limit = u64::try_from(room).unwrap_or(u64::MAX);
        let last = from.by_ref().take(limit).read_to_end(&mut buffer)? < room;
        // A text that begins later may end beyond the buffer: it is looked at next time.
        let sure = if last { buffer.len() } else { CHUNK_BYTES };
        let mut passed = 0;
        for (at, leak) in leaks(&buffer).into_iter().filter(|(at, _)| *at < sure) {
            place.pass(buffer.get(passed..at).unwrap_or_default());
            passed = at;
            let shown = buffer.get(at..).unwrap_or_default().iter().take(SHOWN_BYTES);
            let begins = shown.copied().map(char::from).collect();
            hits.push(Hit { line: place.line, column: place.column, leak, begins });
        }
        place.pass(buffer.get(passed..sure).unwrap_or_default());
        if last || hits.len() >= most {
            hits.truncate(most);
            return Ok(hits);
        }
        buffer.drain(..sure);
    }
}

struct Place {
    line: u64,
    column: u64,
}

impl Place {
    fn pass(&mut self, bytes: &[u8]) {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.line += number(memchr::memchr_iter(b'\n', bytes).count());
        match memchr::memrchr(b'\n', bytes) {
            Some(last) => self.column = number(bytes.len() - last),
            None => self.column += number(bytes.len()),
        }
    }
}

/// Where secrets stand in some bytes.
fn leaks(bytes: &[u8]) -> Vec<(usize, Leak)> {
    let secrets = TextKind::ALL.into_iter().filter(|kind| kind.is_secret());
    let mut found: Vec<(usize, Leak)> = secrets
        .flat_map(|kind| {
            let length = kind.prefix().len() + kind.tail_digits();
            let places = memchr::memmem::find_iter(bytes, kind.prefix());
            let whole = move |at: &usize| {
                let text = bytes.get(*at..*at + length);
                text.is_some_and(|text| recognise(text) == Recognised::Whole(kind))
            };
            places.filter(whole).map(move |at| (at, Leak::Text(kind)))
        })
        .collect();
    let keys = memchr::memmem::find_iter(bytes, custody::KEY_LINE_PREFIX).filter(|at| {
        let line = bytes.get(*at..*at + custody::KEY_LINE_BYTES);
        line.is_some_and(custody::is_key_line)
    });
    found.extend(keys.map(|at| (at, Leak::MasterKey)));
    found.sort_unstable_by_key(|(at, _)| *at);
    found
}

#[cfg(test)]
mod tests {
    use countersign::secret::text;

    use super::*;

    fn shown(secret: &countersign::secret::Secret) -> String {
        String::from_utf8(secret.expose().to_vec()).unwrap()
    }

    #[test]
    fn secrets_are_found_where_they_stand() {
        let secret = shown(&text::secret(true, &[1; 32]));
        let token = shown(&text::api_token(&[2; 32]));
        let page = format!("é\nkey = \"{secret}\", x{token}y\n\n{token}");
        let hits = search(page.as_bytes(), 9).unwrap();
        let places: Vec<_> = hits.iter().map(|hit| (hit.line, hit.column)).collect();
        assert_eq!(places, [(2, 8), (2, 8 + 58 + 4), (4, 1)]);
        assert_eq!(hits[0].leak, Leak::Text(TextKind::Secret { live: true }));
        assert_eq!(hits[0].begins, secret[..12]);
        assert_eq!(hits[1].leak, Leak::Text(TextKind::ApiToken));
        assert_eq!(search(page.as_bytes(), 2).unwrap(), hits[..2]);
    }

    #[test]
    fn what_only_looks_like_one_is_not() {
        let secret = shown(&text::secret(false, &[1; 32]));
        let mut other = secret.clone();
        other.replace_range(20..21, if &other[20..21] == "x" { "y" } else { "x" });
        let id = text::key_id(true, &[1; 10]);
        let page = format!("{other} {} csh_live_ csa_ mk_0123456789abcdef {id}", &secret[..57]);
        assert_eq!(search(page.as_bytes(), 9).unwrap(), []);
    }

    /// Wherever it lies about the border of two chunks, and by however little is read at once.
    #[test]
    fn no_border_hides_a_secret() {
        struct Drip<'a>(&'a [u8]);
        impl Read for Drip<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let some = buffer.len().min(1000);
                self.0.read(&mut buffer[..some])
            }
        }
        let anchor = text::anchor(true, &[3; 160]);
        for before in (CHUNK_BYTES - 300..CHUNK_BYTES + 300).step_by(7) {
            let mut page = vec![b'\n'; before];
            page.extend_from_slice(anchor.expose());
            page.resize(page.len() + 600, b'.');
            let hits = search(Drip(&page), 9).unwrap();
            assert_eq!(hits.len(), 1, "{before}");
            assert_eq!((hits[0].line, hits[0].column), (u64::try_from(before).unwrap() + 1, 1));
        }
    }
}
