//! One file as a tree with places, and the faults found in it.
//!
//! Must never be done here: show a value that no reader has found to be harmless. A fault's source
//! line holds its keys and the faulty value alone; where the syntax is wrong and values cannot be
//! told from the rest, only lines of known harmless keys are shown.

use std::cell::{OnceCell, RefCell};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Excerpt, Fault};

/// What stands in place of a value that is not shown.
const HIDDEN: &str = "‹not shown›";
/// The longest source line that is shown, in characters.
const LINE_CHARS_MAX: usize = 200;

/// A parsed file.
pub(super) struct Document<'d> {
    file: &'d Path,
    text: &'d str,
    tree: Spanned<DeTable<'d>>,
    line_starts: Vec<usize>,
    syntax: Syntax,
    pieces: OnceCell<Vec<Piece>>,
    faults: RefCell<Vec<Fault>>,
}

/// How far the tree can be believed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Right,
    /// The tree is right but lacks the second values.
    KeysRepeated,
    /// Values may have become keys, or values of other keys.
    Broken,
}

/// Whether the value at the place of a fault may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Showing {
    Value,
    Nothing,
}

struct Piece {
    span: Range<usize>,
    kind: PieceKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PieceKind {
    Key,
    Value,
}

impl<'d> Document<'d> {
    /// Parses as much as can be understood; what cannot becomes faults.
    pub(super) fn parse(file: &'d Path, text: &'d str) -> Self {
        let (tree, errors) = DeTable::parse_recoverable(text);
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let document = Self {
            file,
            text,
            tree,
            line_starts: std::iter::once(0).chain(starts).collect(),
            syntax: match errors.as_slice() {
                [] => Syntax::Right,
                errors if errors.iter().all(|error| error.message() == "duplicate key") => {
                    Syntax::KeysRepeated
                }
                _ => Syntax::Broken,
            },
            pieces: OnceCell::new(),
            faults: RefCell::default(),
        };
        for error in errors {
            let mut fault =
                document.fault(String::new(), error.span().unwrap_or(0..0), Showing::Value);
            fault.problem = format!("not valid TOML: {}", error.message().replace('\n', ", "));
            document.faults.borrow_mut().push(fault);
        }
        document
    }

    pub(super) fn root(&self) -> &DeTable<'d> {
        self.tree.get_ref()
    }

    /// The folder that relative paths in this file start from.
    pub(super) fn folder(&self) -> &'d Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// Whether its syntax is broken, so that nothing can be said of its meaning.
    pub(super) fn is_broken(&self) -> bool {
        self.syntax == Syntax::Broken
    }

    /// Takes a fault, unless the syntax is broken: then it may be none, and what seems to be a key
    /// or a harmless value may be a secret.
    pub(super) fn push(&self, fault: Fault) {
        if !self.is_broken() {
            self.faults.borrow_mut().push(fault);
        }
    }

    /// How many faults there are so far.
    pub(super) fn fault_count(&self) -> usize {
        self.faults.borrow().len()
    }

    /// The whole file.
    pub(super) fn text(&self) -> &'d str {
        self.text
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// A fault at a place, still without words.
    pub(super) fn fault(&self, key: String, span: Range<usize>, showing: Showing) -> Fault {
        let (line, column) = self.position(span.start);
        Fault {
            line: Some(line + 1),
            column: Some(column + 1),
            // A quoted key may hold anything, and this goes to a terminal.
            key: key.replace(char::is_control, "\u{fffd}"),
            source: self.excerpt(line, &span, showing),
            ..Fault::of_file(self.file, "")
        }
    }

    /// `file:line` of a place, for faults that name two.
    pub(super) fn place(&self, offset: usize) -> String {
        format!("{}:{}", self.file.display(), self.position(offset).0 + 1)
    }

    /// Line and column of a byte, both from 0.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.line_starts.get(line).copied().unwrap_or(0);
        (line, self.text.get(start..offset).map_or(0, |before| before.chars().count()))
    }

    fn line(&self, line: usize) -> Range<usize> {
        let start = self.line_starts.get(line).copied().unwrap_or(0);
        let end = self.line_starts.get(line + 1).copied().unwrap_or(self.text.len());
        let length = self.text.get(start..end).unwrap_or_default().trim_end().len();
        start..start + length
    }

    fn excerpt(&self, line: usize, span: &Range<usize>, showing: Showing) -> Option<Excerpt> {
        let line = self.line(line);
        let text = self.text.get(line.clone()).filter(|text| !text.is_empty())?;
        if self.syntax != Syntax::Right && !is_harmless(text) {
            return None;
        }
        let mut canvas = Canvas::new(self.text, line.clone());
        if self.syntax == Syntax::Right {
            let pieces = self.pieces.get_or_init(|| pieces_of(self.tree.get_ref()));
            let first = pieces.partition_point(|piece| piece.span.end <= line.start);
            let on_line = pieces.iter().skip(first).take_while(|p| p.span.start < line.end);
            for Piece { span: own, kind } in on_line {
                if !canvas.plain_until(own.start) {
                    break;
                }
                let faulty = own.start <= span.start && span.end <= own.end;
                let shown = *kind == PieceKind::Key || (faulty && showing == Showing::Value);
                let stand_in = if faulty { HIDDEN } else { "…" };
                canvas.piece(own.clone(), (!shown).then_some(stand_in));
            }
        }
        canvas.plain_until(line.end);
        Some(canvas.finish(span))
    }
}

/// Whether a line of a broken file shows one value of a key that never holds a secret, or a header.
fn is_harmless(line: &str) -> bool {
    let name =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']' | ' ');
    let line = line.trim();
    if line.starts_with('[') {
        let top = line.trim_start_matches('[').split(['.', ']', ' ']).next().unwrap_or_default();
        return line.chars().all(name) && TABLES.contains(&top);
    }
    let Some((key, value)) = line.split_once('=') else { return false };
    PLAIN_KEYS.contains(&key.trim()) && !value.contains(['=', '{', '#'])
}

/// Top-level tables.
const TABLES: [&str; 10] = [
    "listener",
    "operations",
    "replay",
    "log",
    "upstreams",
    "routes",
    "merchants",
    "inbox",
    "destinations",
    "sources",
];

/// Keys whose values never are secrets, nor hold any.
#[rustfmt::skip]
const PLAIN_KEYS: [&str; 42] = [
    "access", "address", "addresses", "ahead", "body", "burst", "bytes_per_second", "ca", "chain",
    "connect", "connection_window", "connections", "drain", "environment", "expires", "fields",
    "format", "grace", "handshake", "head", "header_list", "hosts", "idle", "memory", "method",
    "methods", "path", "per_address", "per_second", "repeatable_reads", "requests", "require",
    "response", "scheme", "scopes", "stall", "state", "streams", "total", "unverified", "window",
    "workers",
];

fn pieces_of(table: &DeTable<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    collect_table(table, &mut pieces);
    pieces.sort_by_key(|piece| (piece.span.start, piece.span.end));
    pieces
}

fn collect_table(table: &DeTable<'_>, pieces: &mut Vec<Piece>) {
    for (key, value) in table {
        pieces.push(Piece { span: key.span(), kind: PieceKind::Key });
        collect_value(value, pieces);
    }
}

fn collect_value(value: &Spanned<DeValue<'_>>, pieces: &mut Vec<Piece>) {
    match value.get_ref() {
        DeValue::Table(table) => collect_table(table, pieces),
        DeValue::Array(items) => items.iter().for_each(|item| collect_value(item, pieces)),
        _ => pieces.push(Piece { span: value.span(), kind: PieceKind::Value }),
    }
}

/// A source line as it is drawn: pieces copied or replaced, its comment left out.
struct Canvas<'t> {
    source: &'t str,
    at: usize,
    line: Range<usize>,
    drawn: String,
    drawn_chars: usize,
    /// (source byte, drawn characters before it), ascending.
    marks: Vec<(usize, usize)>,
}

impl<'t> Canvas<'t> {
    fn new(source: &'t str, line: Range<usize>) -> Self {
        Self {
            source,
            at: line.start,
            line,
            drawn: String::new(),
            drawn_chars: 0,
            marks: Vec::new(),
        }
    }

    /// Copies what lies between two pieces; false where a comment ended the line.
    fn plain_until(&mut self, end: usize) -> bool {
        let between = self.source.get(self.at..end.min(self.line.end)).unwrap_or_default();
        let kept = between.split('#').next().unwrap_or_default();
        let commented = kept.len() < between.len();
        self.copy(if commented { kept.trim_end() } else { kept });
        if commented {
            self.at = self.line.end;
        }
        !commented
    }

    fn piece(&mut self, span: Range<usize>, stand_in: Option<&str>) {
        let end = span.end.min(self.line.end);
        let text = self.source.get(self.at..end).unwrap_or_default();
        match stand_in {
            None => self.copy(text),
            Some(stand_in) => {
                self.mark();
                self.drawn.push_str(stand_in);
                self.drawn_chars += stand_in.chars().count();
            }
        }
        self.at = self.at.max(end);
    }

    fn copy(&mut self, text: &str) {
        for c in text.chars() {
            self.mark();
            self.at += c.len_utf8();
            self.drawn.push(if c.is_control() { ' ' } else { c });
            self.drawn_chars += 1;
        }
    }

    fn mark(&mut self) {
        self.marks.push((self.at, self.drawn_chars));
    }

    fn finish(self, span: &Range<usize>) -> Excerpt {
        let total = self.drawn_chars;
        let drawn_at = |offset: usize| {
            let next = self.marks.iter().find(|(at, _)| *at >= offset);
            next.map_or(total, |(_, before)| *before)
        };
        let (indent, end) = (drawn_at(span.start), drawn_at(span.end));
        // Of a long line the part around the place is shown.
        let skipped = match end > LINE_CHARS_MAX {
            true => indent.saturating_sub(LINE_CHARS_MAX / 2),
            false => 0,
        };
        let mark = if skipped > 0 { "…" } else { "" };
        let shown: String = self.drawn.chars().skip(skipped).take(LINE_CHARS_MAX).collect();
        let within = |at: usize| at.saturating_sub(skipped).min(LINE_CHARS_MAX);
        let (indent, end) = (within(indent) + mark.chars().count(), within(end));
        let end = end + mark.chars().count();
        Excerpt { text: format!("{mark}{shown}"), indent, width: end.saturating_sub(indent).max(1) }
    }
}
