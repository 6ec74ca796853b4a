//! Every mistake in the configuration, each with its place, and the notes that are no mistakes.
//!
//! A fault holds text that is ready to print. Whoever makes one must never put a secret into it:
//! the source line comes from [`super::document`], which leaves out every value but the faulty
//! one.

use std::fmt;
use std::path::Path;

use serde::Serialize;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file it is in.
    pub file: String,
    /// Line, from 1; none where the whole file is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The key path, such as `listener.connections.total`; empty where there is none.
    pub key: String,
    /// What is wrong, in one sentence without a full stop.
    pub problem: String,
    /// What would have been right, where that is one thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What stands there instead; never a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// The line it is in, without any other value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Excerpt>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A source line and what to point at in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The line, values other than the faulty one replaced by `…`.
    pub text: String,
    /// Characters before the caret.
    #[serde(skip)]
    pub indent: usize,
    /// Characters under the caret.
    #[serde(skip)]
    pub width: usize,
}

impl Fault {
    /// A fault of a whole file.
    pub(super) fn of_file(file: &Path, problem: impl Into<String>) -> Self {
        Self {
            file: file.display().to_string(),
            line: None,
            column: None,
            key: String::new(),
            problem: problem.into(),
            expected: None,
            found: None,
            source: None,
            hint: None,
        }
    }

    /// Where it is, as `file:line:column`.
    pub fn place(&self) -> String {
        let mut place = self.file.clone();
        for number in [self.line, self.column].into_iter().flatten() {
            place.push(':');
            place.push_str(&number.to_string());
        }
        place
    }

    /// The fault for people, over several lines.
    pub fn render(&self, colour: Colour) -> String {
        let paint = Paint(colour);
        let mut text = format!("{}: ", paint.bold(&self.place()));
        if !self.key.is_empty() {
            text.push_str(&format!("{}: ", self.key));
        }
        text.push_str(&paint.red(&self.problem));
        let number = self.line.map_or_else(String::new, |line| line.to_string());
        let gutter = " ".repeat(number.len());
        if let Some(source) = &self.source {
            let carets = paint.red(&"^".repeat(source.width.max(1)));
            let indent = " ".repeat(source.indent);
            text.push_str(&format!("\n {number} | {}\n {gutter} | {indent}{carets}", source.text));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\n {gutter} = {}: {hint}", paint.bold("hint")));
        }
        text
    }
}

/// Whether to use ANSI colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// For terminals.
    Ansi,
    /// For everything else.
    Plain,
}

struct Paint(Colour);

impl Paint {
    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn red(&self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(&self, code: &str, text: &str) -> String {
        match self.0 {
            Colour::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Colour::Plain => text.to_owned(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Colour::Plain))
    }
}

/// All mistakes, by file and line; never none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Nothing where there is no fault.
    pub(super) fn collect(mut faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort_by(|a, b| {
            (&a.file, a.line, a.column, &a.key).cmp(&(&b.file, b.line, b.column, &b.key))
        });
        faults.dedup();
        Err(Self(faults))
    }

    pub(super) fn only(fault: Fault) -> Self {
        Self(vec![fault])
    }

    /// Each of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    /// All faults for people, with a blank line between two and their number at the end.
    pub fn render(&self, colour: Colour) -> String {
        let mut text: String = self.0.iter().map(|fault| fault.render(colour) + "\n\n").collect();
        let noun = if self.0.len() == 1 { "mistake" } else { "mistakes" };
        text.push_str(&format!("{} {noun} in the configuration", self.0.len()));
        text
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Colour::Plain))
    }
}

impl std::error::Error for Faults {}

/// Something to know about a configuration that is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// How loud it is to be said.
    pub weight: Weight,
    /// The key path that it is about.
    pub key: String,
    /// What there is to know.
    pub text: String,
}

/// How loud a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// A decision that deserves a second look.
    Warning,
    /// A fact.
    Information,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = match self.weight {
            Weight::Warning => "WARNING",
            Weight::Information => "note",
        };
        write!(f, "{label}: {}: {}", self.key, self.text)
    }
}
