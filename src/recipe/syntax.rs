//! The text of a template taken apart, with the place of each part. Nothing is resolved here.
//!
//! After a mistake the parser goes on behind the hole in which it was made, so that all are told.

use std::borrow::Cow;
use std::ops::Range;

use crate::recipe::mistake::Mistake;

/// A part of a template.
pub(crate) enum RawPiece<'t> {
    Text(Word<'t>),
    Hole(RawPipeline<'t>),
}

/// What stands in a hole.
pub(crate) struct RawPipeline<'t> {
    pub(crate) source: RawSource<'t>,
    pub(crate) calls: Vec<RawCall<'t>>,
    /// With its braces.
    pub(crate) span: Range<usize>,
}

/// What a pipeline begins with.
pub(crate) enum RawSource<'t> {
    Quoted(Word<'t>),
    /// `word`, `word(word)`, or a name.
    Plain(Word<'t>),
    /// `word:name`.
    Naming(Word<'t>, Word<'t>),
}

/// A function with its arguments.
pub(crate) struct RawCall<'t> {
    pub(crate) name: Word<'t>,
    pub(crate) arguments: Vec<RawArgument<'t>>,
    /// From the name to the closing parenthesis.
    pub(crate) span: Range<usize>,
}

/// What stands in parentheses.
pub(crate) enum RawArgument<'t> {
    Quoted(Word<'t>),
    Number(i64, Range<usize>),
    /// `@name`, without the `@`.
    Name(Word<'t>),
}

/// Text with its place.
#[derive(Clone)]
pub(crate) struct Word<'t> {
    pub(crate) text: Cow<'t, str>,
    pub(crate) span: Range<usize>,
}

impl RawArgument<'_> {
    pub(crate) fn span(&self) -> Range<usize> {
        match self {
            Self::Quoted(word) | Self::Name(word) => word.span.clone(),
            Self::Number(_, span) => span.clone(),
        }
    }
}

/// Takes a template apart.
pub(crate) fn template<'t>(text: &'t str, mistakes: &mut Vec<Mistake>) -> Vec<RawPiece<'t>> {
    let mut parser = Parser { text, at: 0 };
    let mut pieces = Vec::new();
    while !parser.is_done() {
        let start = parser.at;
        if let Some(word) = parser.text_piece(mistakes) {
            pieces.push(RawPiece::Text(word));
        } else {
            match parser.hole() {
                Ok(pipeline) => pieces.push(RawPiece::Hole(pipeline)),
                Err(mistake) => {
                    mistakes.push(mistake);
                    parser.at = start;
                    parser.skip_hole();
                }
            }
        }
    }
    pieces
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn is_done(&self) -> bool {
        self.rest().is_empty()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> Word<'t> {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        let start = self.at;
        self.at += end;
        Word { text: Cow::Borrowed(rest.get(..end).unwrap_or_default()), span: start..self.at }
    }

    fn space(&mut self) {
        self.take_while(char::is_whitespace);
    }

    /// A mistake at the next character.
    fn here(&self, problem: impl Into<String>) -> Mistake {
        let end = self.at + self.peek().map_or(0, char::len_utf8);
        Mistake::new(self.at..end, problem)
    }

    /// Text up to the next hole; `None` if a hole begins here.
    fn text_piece(&mut self, mistakes: &mut Vec<Mistake>) -> Option<Word<'t>> {
        let start = self.at;
        let mut text = Cow::Borrowed("");
        loop {
            let plain = self.take_while(|c| c != '{' && c != '}').text;
            if text.is_empty() {
                text = plain;
            } else {
                text.to_mut().push_str(&plain);
            }
            let rest = self.rest();
            if rest.starts_with("{{") || rest.starts_with("}}") {
                text.to_mut().push_str(rest.get(..1).unwrap_or_default());
                self.at += 2;
            } else if rest.starts_with('}') {
                mistakes.push(self.here("a lone '}'").hint("write '}}' for a brace in text"));
                self.at += 1;
            } else {
                let span = start..self.at;
                return (!span.is_empty()).then_some(Word { text, span });
            }
        }
    }

    fn hole(&mut self) -> Result<RawPipeline<'t>, Mistake> {
        let start = self.at;
        self.take('{');
        self.space();
        let unclosed = Mistake::new(start..start + 1, "the closing '}' is missing")
            .hint("write '{{' for a brace in text");
        if self.is_done() {
            return Err(unclosed);
        }
        let source = self.source()?;
        let mut calls = Vec::new();
        loop {
            self.space();
            if self.take('}') {
                return Ok(RawPipeline { source, calls, span: start..self.at });
            }
            if self.is_done() {
                return Err(unclosed);
            }
            if !self.take('|') {
                return Err(self.here("'|' and a function, or '}', belongs here"));
            }
            self.space();
            calls.push(self.call()?);
        }
    }

    /// Moves behind a hole that could not be read: behind its brace outside of quotes.
    fn skip_hole(&mut self) {
        let mut quoted = false;
        let mut escaped = false;
        for (at, c) in self.rest().char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '\'' => quoted = !quoted,
                '}' if !quoted => {
                    self.at += at + 1;
                    return;
                }
                _ => {}
            }
        }
        self.at = self.text.len();
    }

    fn source(&mut self) -> Result<RawSource<'t>, Mistake> {
        if self.peek() == Some('\'') {
            return self.quoted().map(RawSource::Quoted);
        }
        let mut word = self.take_while(is_word);
        if word.text.is_empty() {
            return Err(self.here("a source belongs here, such as 'body' or 'header:NAME'"));
        }
        if self.take(':') {
            let name = match self.peek() {
                Some('\'') => self.quoted()?,
                _ => self.bare_name()?,
            };
            if name.text.is_empty() {
                return Err(self.here(format!("a name belongs after '{}:'", word.text)));
            }
            return Ok(RawSource::Naming(word, name));
        }
        if self.peek() == Some('(') {
            let start = word.span.start;
            self.take_while(|c| c != ')' && c != '}');
            if !self.take(')') {
                return Err(self.here("the closing ')' is missing"));
            }
            let text = self.text.get(start..self.at).unwrap_or_default();
            word = Word { text: Cow::Borrowed(text), span: start..self.at };
        }
        Ok(RawSource::Plain(word))
    }

    /// A name without single quotes; a part of a path in double quotes may hold anything.
    fn bare_name(&mut self) -> Result<Word<'t>, Mistake> {
        let start = self.at;
        loop {
            self.take_while(|c| !c.is_whitespace() && !matches!(c, '|' | '}' | '{' | '\'' | '"'));
            if self.peek() != Some('"') {
                let text = self.text.get(start..self.at).unwrap_or_default();
                return Ok(Word { text: Cow::Borrowed(text), span: start..self.at });
            }
            let quote = self.at;
            self.take('"');
            let mut escaped = false;
            loop {
                let Some(c) = self.peek() else {
                    return Err(Mistake::new(quote..quote + 1, "the closing '\"' is missing"));
                };
                self.at += c.len_utf8();
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => break,
                    _ => {}
                }
            }
        }
    }

    fn call(&mut self) -> Result<RawCall<'t>, Mistake> {
        let name = self.take_while(is_word);
        if name.text.is_empty() {
            return Err(self.here("a function belongs here"));
        }
        let mut arguments = Vec::new();
        if self.take('(') {
            self.space();
            while !self.take(')') {
                arguments.push(self.argument()?);
                self.space();
                if self.take(',') {
                    self.space();
                } else if self.peek() != Some(')') {
                    return Err(self.here("',' or ')' belongs here"));
                }
            }
        }
        let span = name.span.start..self.at;
        Ok(RawCall { name, arguments, span })
    }

    fn argument(&mut self) -> Result<RawArgument<'t>, Mistake> {
        match self.peek() {
            Some('\'') => self.quoted().map(RawArgument::Quoted),
            Some('@') => {
                self.take('@');
                let name = self.take_while(|c| is_word(c) || c == ':' || c == '-');
                if name.text.is_empty() {
                    return Err(self.here("a name belongs after '@'"));
                }
                Ok(RawArgument::Name(name))
            }
            Some('-' | '0'..='9') => {
                let word = self.take_while(|c| c == '-' || c.is_ascii_digit());
                let number = word.text.parse();
                let number = number.map_err(|_| Mistake::new(word.span.clone(), "no number"))?;
                Ok(RawArgument::Number(number, word.span))
            }
            _ => Err(self.here("an argument is 'text' in single quotes, a number, or @name")),
        }
    }

    /// Text in single quotes. `\n`, `\r`, `\t`, `\'` and `\\` are resolved; a backslash before
    /// anything else stands for itself, so that regular expressions need no second one.
    fn quoted(&mut self) -> Result<Word<'t>, Mistake> {
        let start = self.at;
        self.take('\'');
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' => {
                    self.at += at + 1;
                    return Ok(Word { text: Cow::Owned(text), span: start..self.at });
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some(c @ ('\'' | '\\')) => text.push(c),
                    Some(c) => text.extend(['\\', c]),
                    None => {}
                },
                c => text.push(c),
            }
        }
        Err(Mistake::new(start..start + 1, "the closing quote is missing"))
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Result<Vec<String>, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let pieces = template(text, &mut mistakes);
        let shapes = pieces.iter().map(|piece| match piece {
            RawPiece::Text(word) => format!("'{}'", word.text),
            RawPiece::Hole(hole) => {
                let source = match &hole.source {
                    RawSource::Quoted(word) => format!("'{}'", word.text),
                    RawSource::Plain(word) => word.text.to_string(),
                    RawSource::Naming(word, name) => format!("{}:{}", word.text, name.text),
                };
                let calls = hole.calls.iter().map(|call| {
                    let arguments = call.arguments.iter().map(|argument| match argument {
                        RawArgument::Quoted(word) => format!("'{}'", word.text),
                        RawArgument::Number(number, _) => number.to_string(),
                        RawArgument::Name(word) => format!("@{}", word.text),
                    });
                    let arguments = arguments.collect::<Vec<_>>().join(",");
                    format!("|{}({arguments})", call.name.text)
                });
                source + &calls.collect::<String>()
            }
        });
        if mistakes.is_empty() { Ok(shapes.collect()) } else { Err(mistakes) }
    }

    #[test]
    fn text_and_holes() {
        assert_eq!(shape("").unwrap(), Vec::<String>::new());
        assert_eq!(shape("a{{b}}c").unwrap(), ["'a{b}c'"]);
        assert_eq!(shape("{body}.{ header:X-T }").unwrap(), ["body", "'.'", "header:X-T"]);
        assert_eq!(shape("{url(public)}").unwrap(), ["url(public)"]);
        assert_eq!(shape("{form:productName[]}").unwrap(), ["form:productName[]"]);
        assert_eq!(shape("{header:'X Y'}{'t'}").unwrap(), ["header:X Y", "'t'"]);
        assert_eq!(shape(r#"{json:a."b.}|".c}"#).unwrap(), [r#"json:a."b.}|".c"#]);
    }

    #[test]
    fn calls_and_arguments() {
        assert_eq!(
            shape(r"{a | f('{k}=\n\'\d', -3, @b ,)|g()| h}").unwrap(),
            ["a|f('{k}=\n'\\d',-3,@b)|g()|h()"]
        );
    }

    #[test]
    fn all_mistakes_are_told_with_their_places() {
        let mistakes = shape("x}{a b}{|}{f:}{a|f('}')|}{a").unwrap_err();
        let spans: Vec<_> = mistakes.iter().map(|mistake| mistake.span.clone()).collect();
        assert_eq!(spans, [1..2, 5..6, 8..9, 13..14, 24..25, 25..26]);
    }

    #[test]
    fn ends_are_missed() {
        for text in
            ["{", "{a", "{a|", "{a|f(", "{a|f('", "{'", "{json:\"", "{url(", "{a|f(1", "{a|f(@"]
        {
            assert!(shape(text).is_err(), "{text}");
        }
        assert!(shape("{a|f(99999999999999999999)}").is_err());
    }
}
