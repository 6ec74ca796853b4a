//! Where secrets come from: a file, a list of many, or the environment. Read once each, kept in
//! memory that is wiped, indexed so that equal secrets are found.
//!
//! Must never be done here: put bytes of a secret, or a line of a secret file, into a fault.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use zeroize::Zeroizing;

use super::fault::Fault;
use super::node::{Mismatch, Node};
use super::value;
use crate::crypto::{Bytes32, MacKey, NoRandom};
use crate::limit::MIB;

/// Bits that let others than the owner change a file, or anybody read it.
pub(super) const LOOSE_BITS: u32 = 0o027;
/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: usize = 64 * MIB;

/// Reads the environment variable of a name.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// Bytes that are wiped when they are dropped.
pub(super) type Wiped = Zeroizing<Vec<u8>>;

/// A whole file and its permission bits.
///
/// # Errors
/// When it cannot be read, is no regular file or has more than 64 MiB.
pub(super) fn read(path: &Path) -> io::Result<(Wiped, u32)> {
    // A named pipe would wait for a writer for ever: looked at before it is opened.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if length > FILE_BYTES_MAX {
        return Err(io::Error::other("longer than 64 MiB"));
    }
    // Room for all of it: a buffer that grows would leave a copy behind, unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(metadata.len()).read_to_end(&mut bytes)?;
    Ok((bytes, metadata.mode()))
}

/// Every source of secrets that the configuration names.
pub(super) struct SecretSources<'e> {
    environment: Environment<'e>,
    lists: HashMap<PathBuf, Option<Rc<List>>>,
    loose: Vec<PathBuf>,
    digests: HashMap<Bytes32, Known>,
    digest_key: MacKey,
    pub(super) watched: Vec<PathBuf>,
}

/// Where a secret was met, and whether others of its kind may have the same bytes.
struct Known {
    place: String,
    shared: bool,
}

struct List {
    bytes: Wiped,
    places: HashMap<Box<str>, Range<usize>>,
}

impl<'e> SecretSources<'e> {
    /// # Errors
    /// When the operating system gives no random bytes for the key of the index.
    pub(super) fn new(environment: Environment<'e>) -> Result<Self, NoRandom> {
        Ok(Self {
            environment,
            lists: HashMap::new(),
            loose: Vec::new(),
            digests: HashMap::new(),
            digest_key: MacKey::decoy()?,
            watched: Vec::new(),
        })
    }

    /// Remembers a secret and its place; the earlier place where the same bytes were met before.
    pub(super) fn remember(&mut self, bytes: &[u8], place: String) -> Option<String> {
        self.note(bytes, place, false)
    }

    /// The same for a secret of a source: one provider may sign for several of its addresses with
    /// one, so that of another source may have the same bytes.
    pub(super) fn remember_shared(&mut self, bytes: &[u8], place: String) -> Option<String> {
        self.note(bytes, place, true)
    }

    fn note(&mut self, bytes: &[u8], place: String, shared: bool) -> Option<String> {
        let mut mac = self.digest_key.begin();
        mac.update(bytes);
        match self.digests.entry(mac.finish()) {
            Entry::Occupied(known) if shared && known.get().shared => None,
            Entry::Occupied(known) => Some(known.get().place.clone()),
            Entry::Vacant(free) => {
                free.insert(Known { place, shared });
                None
            }
        }
    }

    /// The whole file, less one line break at its end.
    pub(super) fn file(&mut self, node: &Node<'_>) -> Result<Option<Wiped>, Mismatch> {
        let path = value::path(node)?;
        let Some(mut bytes) = self.open(node, &path)? else { return Ok(None) };
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        Ok(Some(bytes))
    }

    /// The secret of an id in a list; nothing where the list is at fault, which was told before.
    pub(super) fn listed(&mut self, node: &Node<'_>, id: &str) -> Result<Option<Wiped>, Mismatch> {
        let text = node.str("a path")?;
        let path = value::path(node)?;
        let list = match self.lists.get(&path) {
            Some(list) => list.clone(),
            None => {
                self.lists.insert(path.clone(), None);
                let bytes = self.open(node, &path)?;
                let list = bytes.map(|bytes| Rc::new(List::parse(node, &path, bytes)));
                self.lists.insert(path, list.clone());
                list
            }
        };
        let Some(list) = list else { return Ok(None) };
        let found = list.places.get(id).and_then(|place| list.bytes.get(place.clone()));
        match found {
            Some(bytes) => Ok(Some(Zeroizing::new(bytes.to_vec()))),
            None => Err(Mismatch {
                found: format!("none in {text}"),
                ..Mismatch::text(format!("a line for the id {id:?}"), "")
            }
            .hint("one line a secret: the id, a space, the secret")),
        }
    }

    /// The value of an environment variable.
    pub(super) fn variable(&self, node: &Node<'_>) -> Result<Wiped, Mismatch> {
        variable(node, self.environment)
    }

    /// A file that only its owner may change and only he and his group may read; nothing where it
    /// is not so and that was told before.
    fn open(&mut self, node: &Node<'_>, path: &Path) -> Result<Option<Wiped>, Mismatch> {
        let text = node.str("a path")?;
        self.watched.push(path.to_owned());
        let (bytes, mode) = read(path).map_err(|error| {
            Mismatch::text("a file that can be read", text)
                .hint(format!("{}: {error}", path.display()))
        })?;
        if mode & LOOSE_BITS == 0 {
            return Ok(Some(bytes));
        }
        if self.loose.iter().any(|told| told == path) {
            return Ok(None);
        }
        self.loose.push(path.to_owned());
        let found = format!("\"{text}\" with mode {:04o}", mode & 0o7777);
        let expected = "a secret file that others cannot read and only its owner can write";
        let hint = format!("run: chmod g-w,o-rwx '{}'", path.display());
        Err(Mismatch { found, ..Mismatch::text(expected, "") }.hint(hint))
    }
}

/// The value of an environment variable.
pub(super) fn variable(node: &Node<'_>, environment: Environment<'_>) -> Result<Wiped, Mismatch> {
    let expected = "the name of an environment variable: upper-case letters, digits and '_'";
    let name = node.str(expected).map_err(Mismatch::hidden)?;
    let letter = |b: u8| b.is_ascii_uppercase() || b == b'_';
    let good = name.bytes().all(|b| letter(b) || b.is_ascii_digit());
    if !good || !name.bytes().next().is_some_and(letter) {
        let found = "other text".to_owned();
        return Err(Mismatch { found, ..Mismatch::text(expected, "") }.hidden());
    }
    let value = environment(name).map(|value| Zeroizing::new(value.into_vec()));
    value.ok_or_else(|| Mismatch::text("a variable that is set", name))
}

impl List {
    /// `id secret` a line; blank lines and lines that begin with `#` say nothing.
    fn parse(node: &Node<'_>, path: &Path, bytes: Wiped) -> Self {
        let mut places: HashMap<Box<str>, Range<usize>> = HashMap::new();
        let mut start = 0;
        for (n, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let begin = start;
            start += line.len() + 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() || line.starts_with(b"#") {
                continue;
            }
            let refuse = |problem: String| {
                node.document.push(Fault { line: Some(n + 1), ..Fault::of_file(path, problem) });
            };
            let Some((id, secret)) = split_line(line) else {
                refuse(
                    "a line is the id, a space, and a secret without white space at its end".into(),
                );
                continue;
            };
            let place = begin + line.len() - secret.len()..begin + line.len();
            if places.insert(id.into(), place).is_some() {
                refuse(format!("the id \"{id}\" stands in this list twice"));
            }
        }
        Self { bytes, places }
    }
}

fn split_line(line: &[u8]) -> Option<(&str, &[u8])> {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let at = line.iter().position(blank)?;
    let (id, rest) = line.split_at_checked(at)?;
    let good = (1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
    let secret = rest.trim_ascii_start();
    let ends_well = !secret.is_empty() && !secret.ends_with(b" ") && !secret.ends_with(b"\t");
    let id = std::str::from_utf8(id).ok()?;
    (good && ends_well).then_some((id, secret))
}
