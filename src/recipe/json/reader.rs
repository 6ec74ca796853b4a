//! Reads JSON text, strictly and in time linear in its length.

use std::borrow::Cow;

use super::marks::Marks;
use super::{DEPTH_MAX, Json, Member, VALUES_MAX};
use crate::recipe::fault::Fault;
use crate::secret::wipe;

/// Objects of up to this many members are searched, larger ones sorted, for names that repeat.
const MEMBERS_SEARCHED: usize = 16;

pub(super) fn parse(text: &str) -> Result<Json<'_>, Fault> {
    let mut reader = Reader { text, at: 0, values: 0, marks: Marks::of(text) };
    reader.skip_space();
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at == text.len() { Ok(value) } else { Err(Fault::malformed()) }
}

/// Whether a name stands twice.
pub(super) fn is_repeated(members: &[Member<'_>]) -> bool {
    if members.len() <= MEMBERS_SEARCHED {
        let mut rest = members;
        while let Some(((name, _), others)) = rest.split_first() {
            if others.iter().any(|(other, _)| other == name) {
                return true;
            }
            rest = others;
        }
        return false;
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    values: usize,
    marks: Marks,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes one byte if it is the next.
    fn take(&mut self, wanted: u8) -> bool {
        let is_next = self.peek() == Some(wanted);
        if is_next {
            self.at += 1;
        }
        is_next
    }

    fn skip(&mut self, of: impl Fn(&u8) -> bool) -> usize {
        let rest = self.rest();
        let length = rest.iter().position(|byte| !of(byte)).unwrap_or(rest.len());
        self.at += length;
        length
    }

    fn skip_space(&mut self) {
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    }

    /// The text from a place that was read up to here.
    fn since(&self, start: usize) -> Result<&'a str, Fault> {
        self.text.get(start..self.at).ok_or_else(Fault::malformed)
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, Fault> {
        self.values += 1;
        if self.values > VALUES_MAX || depth > DEPTH_MAX {
            return Err(Fault::too_long());
        }
        match self.peek().ok_or_else(Fault::malformed)? {
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => self.string().map(Json::String),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Json<'a>, Fault> {
        let words: [(&[u8], Json<'a>); 3] =
            [(b"true", Json::True), (b"false", Json::False), (b"null", Json::Null)];
        for (word, value) in words {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(Fault::malformed())
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, Fault> {
        let mut members: Vec<Member<'a>> = Vec::new();
        self.sequence(b'{', b'}', depth, |reader| {
            let name = reader.string()?;
            reader.skip_space();
            if !reader.take(b':') {
                return Err(Fault::malformed());
            }
            reader.skip_space();
            members.push((name, reader.value(depth)?));
            Ok(())
        })?;
        if is_repeated(&members) {
            return Err(Fault::repeated());
        }
        Ok(Json::Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, Fault> {
        let mut items = Vec::new();
        self.sequence(b'[', b']', depth, |reader| {
            items.push(reader.value(depth)?);
            Ok(())
        })?;
        Ok(Json::Array(items))
    }

    /// What stands between two brackets, with commas between its parts.
    fn sequence(
        &mut self,
        open: u8,
        close: u8,
        depth: usize,
        mut part: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if depth > DEPTH_MAX {
            return Err(Fault::too_long());
        }
        self.take(open);
        self.skip_space();
        if self.take(close) {
            return Ok(());
        }
        loop {
            part(self)?;
            self.skip_space();
            if self.take(close) {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(Fault::malformed());
            }
            self.skip_space();
        }
    }

    fn number(&mut self) -> Result<Json<'a>, Fault> {
        let start = self.at;
        let digits = |reader: &mut Self| match reader.skip(u8::is_ascii_digit) {
            0 => Err(Fault::malformed()),
            _ => Ok(()),
        };
        self.take(b'-');
        if !self.take(b'0') {
            digits(self)?;
        }
        if self.take(b'.') {
            digits(self)?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'-') || self.take(b'+');
            digits(self)?;
        }
        Ok(Json::Number(Cow::Borrowed(self.since(start)?)))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        if !self.take(b'"') {
            return Err(Fault::malformed());
        }
        let first = self.plain(self.at)?;
        if self.take(b'"') {
            return Ok(Cow::Borrowed(first));
        }
        let ahead = memchr::memchr(b'"', self.rest()).unwrap_or_default();
        let mut text = String::with_capacity(first.len() + ahead);
        text.push_str(first);
        // A control character is no end and no escape: it is refused as one.
        while !self.take(b'"') {
            if !self.take(b'\\') {
                return Err(Fault::malformed());
            }
            let letter = self.peek().ok_or_else(Fault::malformed)?;
            let mut start = self.at;
            self.at += 1;
            // One that stands for itself is copied with what follows.
            let mut other = None;
            if !matches!(letter, b'"' | b'\\' | b'/') {
                other = Some(self.escaped(letter)?);
                start = self.at;
            }
            let plain = self.plain(start)?;
            let wanted = plain.len() + other.map_or(0, char::len_utf8);
            if text.capacity() - text.len() < wanted {
                text = self.with_room(text, wanted);
            }
            text.extend(other);
            text.push_str(plain);
        }
        Ok(Cow::Owned(text))
    }

    /// A text with room for so many bytes more, and for the rest of its string behind them: one
    /// that holds quotes is longer than it seemed. By growing it would leave a copy behind.
    #[cold]
    fn with_room(&self, text: String, wanted: usize) -> String {
        let is_escape = |mark: &usize| self.text.as_bytes().get(*mark) == Some(&b'\\');
        let mut end = self.at;
        while let Some(mark) = self.marks.find(end).filter(is_escape) {
            end = mark + 2;
        }
        let end = self.marks.find(end).unwrap_or(self.text.len());
        let mut room = String::with_capacity(text.len() + wanted + end.saturating_sub(self.at));
        room.push_str(&text);
        wipe(&mut text.into_bytes());
        room
    }

    /// Text from a place that was read, up to the next quote, escape or control character. Within
    /// the loop over a string, the marks stay in registers.
    #[inline(always)]
    fn plain(&mut self, start: usize) -> Result<&'a str, Fault> {
        self.at = self.marks.find(self.at).unwrap_or(self.text.len());
        self.since(start)
    }

    /// The character that a letter behind a backslash stands for.
    fn escaped(&mut self, letter: u8) -> Result<char, Fault> {
        Ok(match letter {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(Fault::malformed()),
        })
    }

    /// The character of `hhhh`, or of `hhhh\uhhhh` where the first is half of a pair.
    fn unicode(&mut self) -> Result<char, Fault> {
        let first = self.unit()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or_else(Fault::malformed);
        }
        if !(self.take(b'\\') && self.take(b'u')) {
            return Err(Fault::malformed());
        }
        match self.unit()? {
            second @ 0xdc00..=0xdfff => {
                let point = 0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
                char::from_u32(point).ok_or_else(Fault::malformed)
            }
            _ => Err(Fault::malformed()),
        }
    }

    fn unit(&mut self) -> Result<u32, Fault> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(Fault::malformed)?;
            self.at += 1;
        }
        Ok(unit)
    }
}
