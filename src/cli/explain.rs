//! `countersign explain`: what a saved request signs, piece by piece, whether its signature is
//! good, and which mistake was made where it is not. Offline.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use clap::Args;
use countersign::doctor::{BODY_BYTES_MAX, Case, Mistake, Work, diagnose};
use countersign::recipe::Subject;
use countersign::scheme::{Claims, Part, Piece, Scheme, VerifyingKey};
use countersign::secret::NamedSecrets;
use serde_json::{Value, json};

use super::Failure;
use super::http_file::SavedRequest;
use super::scheme_source::SchemeSource;
use super::secret_source::{SecretSource, secret_in};
use super::table::{Cell, render};

/// Which request, and by what it should be signed.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// File with the request as it went over the wire: request line, headers, empty line, body
    #[arg(long, value_name = "FILE.http")]
    request: PathBuf,

    #[command(flatten)]
    scheme: SchemeSource,

    #[command(flatten)]
    secret: SecretSource,

    /// Another value of the credential, which a scheme reads as `cred:NAME`; may be repeated
    #[arg(long, value_name = "NAME=FILE", value_parser = named_file)]
    value: Vec<(String, PathBuf)>,

    /// The address under which the gate is known, for schemes that sign `url(public)`
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("expected NAME=FILE")?;
    Ok((name.to_owned(), file.into()))
}

/// Most bytes of one piece that people are shown.
const SHOWN_BYTES_MAX: usize = 2048;
/// What stands for what nobody may see.
const SECRET: &str = "‹secret›";

pub(crate) fn run(
    arguments: &Arguments,
    environment: impl FnOnce() -> Option<OsString>,
) -> Result<(), Failure> {
    let scheme = arguments.scheme.find()?;
    let request = SavedRequest::read(&arguments.request)?;
    let values = values(&arguments.value)?;
    let pieces = [request.body.clone()];
    let subject = Subject {
        method: &request.method,
        scheme: "https",
        authority: &request.authority,
        target: &request.target,
        headers: &request.headers,
        body: if request.body.is_empty() { &[] } else { &pieces },
        status: None,
        public_url: arguments.public_url.as_deref(),
        secret: None,
        values: &values,
    };
    let claims = scheme.claims(&subject).map_err(Failure::failed)?;
    let secret = arguments.secret.read(claims.key_id().unwrap_or_default(), environment)?;
    let key = scheme.key(&secret, values.clone()).map_err(Failure::failed)?;
    let parts = scheme.parts(&subject, &key).map_err(Failure::failed)?;
    let matches = scheme.verify(&[&key], &claims, subject).finish().matched.is_some();
    let explained = Explained {
        scheme: &scheme,
        request: &request,
        claims: &claims,
        parts: &parts,
        matches,
        mistake: (!matches).then(|| mistake(&scheme, subject, &claims, &key)).flatten(),
    };
    let mut out = anstream::stdout().lock();
    if arguments.json {
        writeln!(out, "{:#}", explained.to_json())?;
    } else {
        explained.print(&mut out)?;
    }
    if matches { Ok(()) } else { Err(Failure::told()) }
}

fn values(files: &[(String, PathBuf)]) -> Result<NamedSecrets, Failure> {
    let mut values = NamedSecrets::default();
    for (name, file) in files {
        values.insert(name, secret_in(Path::new(file))?);
    }
    Ok(values)
}

fn mistake(
    scheme: &Scheme,
    subject: Subject<'_>,
    claims: &Claims,
    key: &VerifyingKey,
) -> Option<Mistake> {
    let case = Case { scheme, subject, claims, keys: &[key], others: &[] };
    diagnose(case, Work::OFFLINE)
}

/// Everything that is said about a request.
struct Explained<'a> {
    scheme: &'a Scheme,
    request: &'a SavedRequest,
    claims: &'a Claims,
    parts: &'a [Part],
    matches: bool,
    mistake: Option<Mistake>,
}

impl Explained<'_> {
    fn print(&self, out: &mut impl Write) -> Result<(), Failure> {
        let (bold, good, bad) = (
            Style::new().bold(),
            AnsiColor::Green.on_default().bold(),
            AnsiColor::Red.on_default().bold(),
        );
        let SavedRequest { method, target, authority, notes, .. } = self.request;
        writeln!(out, "{bold}{method} {target}{bold:#} at {authority}, by {}", self.scheme.name())?;
        for note in notes {
            writeln!(out, "Note: {note}")?;
        }
        writeln!(out, "\n{bold}What must be signed{bold:#}, in this order:")?;
        let heading = ["", "what", "bytes", "content"].map(|text| Cell::styled(text, bold));
        let lines = self.parts.iter().enumerate().map(|(number, part)| {
            let (bytes, content) = match &part.bytes {
                Some(bytes) => (bytes.len().to_string(), visible(bytes)),
                None => (String::new(), SECRET.to_owned()),
            };
            let style = match part.piece {
                Piece::Text => Style::new().dimmed(),
                Piece::Reads(_) => AnsiColor::Cyan.on_default(),
            };
            let number = format!("{:>3}", number + 1);
            vec![
                Cell::plain(number),
                Cell::plain(what(part)),
                Cell::plain(bytes),
                Cell::styled(content, style),
            ]
        });
        let lines: Vec<Vec<Cell>> = std::iter::once(heading.to_vec()).chain(lines).collect();
        writeln!(out, "{}", render(&lines))?;
        if self.matches {
            writeln!(out, "{good}The signature is good.{good:#}")?;
            return Ok(());
        }
        writeln!(out, "{bad}The signature does not match.{bad:#}")?;
        match self.mistake {
            Some(mistake) => writeln!(out, "{bold}{}{bold:#}: {}", mistake.code(), mistake.hint())?,
            None if self.request.body.len() > BODY_BYTES_MAX => {
                writeln!(out, "The body is too long to look for the mistake: it may have 64 KiB.")?;
            }
            None => writeln!(
                out,
                "No known mistake explains it. Compare the pieces above with what your program \
                 signs, byte by byte, and see that it uses the same secret."
            )?,
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let parts = self.parts.iter().map(|part| {
            let text = part.bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes));
            json!({
                "what": what(part),
                "bytes": part.bytes.as_ref().map(Vec::len),
                "text": text.as_deref().unwrap_or(SECRET),
                "fixed": part.piece == Piece::Text,
            })
        });
        json!({
            "scheme": self.scheme.name(),
            "method": self.request.method,
            "target": self.request.target,
            "authority": self.request.authority,
            "key_id": self.claims.key_id(),
            "time": self.claims.timestamp().map(countersign::clock::Timestamp::secs),
            "parts": parts.collect::<Vec<_>>(),
            "matches": self.matches,
            "mistake": self.mistake.map(Mistake::code),
            "hint": self.mistake.map(Mistake::hint),
            "notes": self.request.notes,
        })
    }
}

/// What a piece is, in words.
fn what(part: &Part) -> String {
    match &part.piece {
        Piece::Text => "fixed".to_owned(),
        Piece::Reads(names) => names.join(" "),
    }
}

/// Bytes for people: characters as they are, what cannot be seen as an escape.
fn visible(bytes: &[u8]) -> String {
    let shown = bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes);
    let mut text = String::new();
    for chunk in shown.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                ' '..='~' if character != '\\' => text.push(character),
                _ if character.is_alphanumeric() => text.push(character),
                other => text.extend(other.escape_default()),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    match bytes.len() - shown.len() {
        0 => text,
        more => format!("{text} … and {more} bytes more"),
    }
}
