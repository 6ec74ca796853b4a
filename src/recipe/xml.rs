//! XML documents without a document type: the texts of their elements.
//!
//! What readers of XML are known to disagree about is refused: a DTD and its entities, processing
//! instructions, and comments, which can cut a text in two.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};

use crate::recipe::fault::Fault;
use crate::recipe::value::{ITEMS_MAX, Pairs, VALUE_BYTES_MAX};

/// How deep elements may stand in each other, the root counted.
pub const DEPTH_MAX: usize = 64;

/// The elements that hold text and no elements, in document order, each with its path below the
/// root: `a`, `b/c`. Attributes are left out. A path may stand more than once.
///
/// # Errors
/// [`Fault::NotText`] for what is no UTF-8; [`Fault::Malformed`] for what is no XML, or has a DTD,
/// a processing instruction, a comment, or text beside elements; [`Fault::TooLong`].
pub fn parse(text: &[u8]) -> Result<Pairs<'_>, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::not_text())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.chars().all(is_character) {
        return Err(Fault::malformed());
    }
    let mut reader = Reader::from_str(text);
    let mut document = Document { leaves: Vec::new(), open: Vec::new(), size: 0, ended: false };
    let mut is_first = true;
    loop {
        match reader.read_event().map_err(|_| Fault::malformed())? {
            Event::Decl(declaration) if is_first => check_declaration(&declaration)?,
            Event::Start(tag) => document.start(&tag)?,
            Event::End(_) => document.end()?,
            Event::Empty(tag) => {
                document.start(&tag)?;
                document.end()?;
            }
            Event::Text(text) => document.text(text.xml10_content())?,
            Event::CData(text) => document.character_data(text.xml10_content())?,
            Event::GeneralRef(reference) => document.text(resolve(&reference)?)?,
            Event::Eof => return document.finish(),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {
                return Err(Fault::malformed());
            }
        }
        is_first = false;
    }
}

/// What was read so far.
struct Document<'a> {
    leaves: Pairs<'a>,
    open: Vec<Element<'a>>,
    /// Bytes in the paths of the leaves: they can be many more than the document has.
    size: usize,
    ended: bool,
}

struct Element<'a> {
    name: String,
    text: Cow<'a, str>,
    has_elements: bool,
}

impl<'a> Document<'a> {
    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), Fault> {
        let name = tag.name().as_ref().to_owned();
        if !is_name(&name) || self.ended || tag.attributes().any(|attribute| attribute.is_err()) {
            return Err(Fault::malformed());
        }
        if self.open.len() == DEPTH_MAX {
            return Err(Fault::too_long());
        }
        if let Some(parent) = self.open.last_mut() {
            parent.has_elements = true;
        }
        self.open.push(Element { name, text: Cow::Borrowed(""), has_elements: false });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let element = self.open.pop().ok_or_else(Fault::malformed)?;
        let Some((_, ancestors)) = self.open.split_first() else {
            self.ended = true;
            return if element.text.chars().all(is_space) {
                Ok(())
            } else {
                Err(Fault::malformed())
            };
        };
        if element.has_elements {
            return if element.text.chars().all(is_space) {
                Ok(())
            } else {
                Err(Fault::malformed())
            };
        }
        let names = ancestors.iter().map(|ancestor| &*ancestor.name).chain([&*element.name]);
        let path = names.collect::<Vec<_>>().join("/");
        self.size += path.len();
        if self.leaves.len() == ITEMS_MAX || self.size > VALUE_BYTES_MAX {
            return Err(Fault::too_long());
        }
        self.leaves.push((Cow::Owned(path), element.text));
        Ok(())
    }

    fn text(&mut self, text: Cow<'a, str>) -> Result<(), Fault> {
        match self.open.last_mut() {
            Some(element) if element.text.is_empty() => element.text = text,
            Some(element) => element.text.to_mut().push_str(&text),
            None if text.chars().all(is_space) => {}
            None => return Err(Fault::malformed()),
        }
        Ok(())
    }

    fn character_data(&mut self, text: Cow<'a, str>) -> Result<(), Fault> {
        if self.open.is_empty() { Err(Fault::malformed()) } else { self.text(text) }
    }

    fn finish(self) -> Result<Pairs<'a>, Fault> {
        if self.ended && self.open.is_empty() { Ok(self.leaves) } else { Err(Fault::malformed()) }
    }
}

fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), Fault> {
    let version = declaration.version().map_err(|_| Fault::malformed())?;
    let encoding = declaration.encoding().transpose().map_err(|_| Fault::malformed())?;
    let is_utf8 = encoding.is_none_or(|name| name.eq_ignore_ascii_case("utf-8"));
    if version == "1.0" && is_utf8 { Ok(()) } else { Err(Fault::malformed()) }
}

/// What `&name;` stands for: one of the five names, or a character by its number.
fn resolve<'a>(reference: &BytesRef<'_>) -> Result<Cow<'a, str>, Fault> {
    if let Some(c) = reference.resolve_char_ref().map_err(|_| Fault::malformed())? {
        return if is_character(c) { Ok(Cow::Owned(c.into())) } else { Err(Fault::malformed()) };
    }
    Ok(Cow::Borrowed(match &*reference.xml10_content() {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return Err(Fault::malformed()),
    }))
}

/// Characters that a document may hold (XML 1.0, section 2.2).
fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{1_0000}'..)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_name(name: &str) -> bool {
    let starts = |c: char| c.is_alphabetic() || c == '_' || c == ':';
    let goes_on = |c: char| starts(c) || c.is_alphanumeric() || c == '-' || c == '.' || c == '·';
    name.starts_with(starts) && name.chars().all(goes_on)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(text: &str) -> Vec<(String, String)> {
        let pairs = parse(text.as_bytes()).unwrap();
        pairs.into_iter().map(|(path, text)| (path.into_owned(), text.into_owned())).collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn texts_of_elements_are_read() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml>\r\n  <a><![CDATA[1 < 2]]></a>\
                    <b x=\"1\">&lt;&#x41;&#66;&amp;</b><c/><d></d> <e> x\r\ny </e></xml>\n";
        let expected = [("a", "1 < 2"), ("b", "<AB&"), ("c", ""), ("d", ""), ("e", " x\ny ")];
        assert_eq!(leaves(text), owned(&expected));
    }

    #[test]
    fn nested_elements_have_paths() {
        let text = "<r><a><b>1</b><b>2</b></a><a.b>3</a.b><n:c xmlns:n=\"u\">4</n:c></r>";
        let expected = [("a/b", "1"), ("a/b", "2"), ("a.b", "3"), ("n:c", "4")];
        assert_eq!(leaves(text), owned(&expected));
    }

    #[test]
    fn a_text_in_parts_is_one() {
        assert_eq!(leaves("<r><a>1<![CDATA[2]]>3&gt;</a></r>"), owned(&[("a", "123>")]));
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        let texts = [
            "<!DOCTYPE r><r><a>1</a></r>",
            "<!DOCTYPE r [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><r><a>&e;</a></r>",
            "<r><a>&e;</a></r>",
            "<r><a>1<!-- 2 -->3</a></r>",
            "<r><?php 1 ?><a>1</a></r>",
            "<r>text<a>1</a></r>",
            "<r>text</r>",
            "<r><a>1</a></r><r/>",
            "<r><a>1</a></r>text",
            "<r><a>1</a>",
            "<r><a>1</b></r>",
            "<r><a>1&</a></r>",
            "<r><a x=\"1\" x=\"2\">1</a></r>",
            "<r><a>&#0;</a></r>",
            "<r><a>\u{1}</a></r>",
            " <?xml version=\"1.0\"?><r><a>1</a></r>",
            "<?xml version=\"1.0\" encoding=\"utf-16\"?><r><a>1</a></r>",
            "<![CDATA[x]]><r><a>1</a></r>",
            "<r><1>1</1></r>",
            "text",
            "",
        ];
        for text in texts {
            assert_eq!(parse(text.as_bytes()), Err(Fault::malformed()), "{text}");
        }
        assert_eq!(parse(b"<r><a>\xff</a></r>"), Err(Fault::not_text()));
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
        assert_eq!(parse(nested(DEPTH_MAX).as_bytes()).unwrap().len(), 1);
        assert_eq!(parse(nested(DEPTH_MAX + 1).as_bytes()), Err(Fault::too_long()));
        let wide = |count: usize| format!("<r>{}</r>", "<a/>".repeat(count));
        assert_eq!(parse(wide(ITEMS_MAX).as_bytes()).unwrap().len(), ITEMS_MAX);
        assert_eq!(parse(wide(ITEMS_MAX + 1).as_bytes()), Err(Fault::too_long()));
    }

    fn escaped(text: &str) -> String {
        let escape = |c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '\r' => "&#13;".to_owned(),
            c => c.to_string(),
        };
        text.chars().map(escape).collect()
    }

    proptest! {
        #[test]
        fn what_was_escaped_is_read_again(
            texts in prop::collection::vec(("[a-zé_][a-z0-9._-]{0,8}", any::<String>()), 0..8),
        ) {
            let allowed = |text: &str| text.chars().filter(|c| is_character(*c)).collect();
            let mut pairs: Vec<(String, String)> = Vec::new();
            pairs.extend(texts.iter().map(|(name, text)| (name.clone(), allowed(text))));
            let element = |(name, text): &(String, String)| {
                format!("<{name}>{}</{name}>", escaped(text))
            };
            let document = format!("<r>{}</r>", pairs.iter().map(element).collect::<String>());
            prop_assert_eq!(leaves(&document), pairs);
        }

        #[test]
        fn never_panics(text in "[<>/a?!&;#x0\\-\\[\\]\"= ]{0,60}", bytes in any::<Vec<u8>>()) {
            let _ = parse(text.as_bytes());
            let _ = parse(format!("<r>{text}</r>").as_bytes());
            let _ = parse(&bytes);
        }
    }
}
