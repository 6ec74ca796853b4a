//! What is dead and must stay so when an older copy of the database comes back: a file of lines
//! beside it that only grows, in no backup, each line with a MAC over itself and the line before.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::crypto::{self, HexCase, MacKey, equal};
use crate::custody::CustodyFault;

use super::StoreFault;
use super::database::sync_folder;
use super::record::Message;
use super::row::{KillRow, VersionState};
use super::table::{Head, VersionName};

/// What a line says. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tombstone {
    /// The first line of a file: its name, so that no two files are alike, and where it goes on
    /// from, if it takes the place of one that had grown long.
    File { name: String, after: Option<Place> },
    /// A version that never verifies again.
    Version { key_id: String, kind: String, number: u32, at: u64, destroyed: bool },
    /// A chain of rolling keys.
    Chain { key_id: String, chain: [u8; 8], at: u64, until: u64 },
    /// A merchant that was closed.
    Merchant { id: String, at: u64 },
    /// A token that was revoked.
    Token { id: String, at: u64 },
}

/// A place in the order of all lines: how many there were, and the MAC of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    lines: u64,
    mac: [u8; 32],
}

/// Lines about chains that nobody can present any more are dropped when a file has so many lines,
/// and most of them are such.
const LINES_MAX: usize = 10_000;

/// Everything that a file says.
#[derive(Clone, Default)]
pub(super) struct Dead {
    inode: u64,
    offset: u64,
    /// Where the file goes on from.
    after: Option<Place>,
    /// The MAC of every line; the first belongs to the file's name.
    macs: Vec<[u8; 32]>,
    versions: HashMap<VersionName, (Timestamp, VersionState)>,
    chains: HashMap<(String, [u8; 8]), KillRow>,
    merchants: HashMap<String, Timestamp>,
    tokens: HashMap<String, Timestamp>,
    /// Why it is not to be relied on.
    broken: Option<String>,
}

/// The file.
pub(super) struct Tombstones {
    path: PathBuf,
    key: MacKey,
    dead: Mutex<Arc<Dead>>,
}

impl Dead {
    /// Since when a version is dead, and how.
    pub(super) fn version(&self, name: &VersionName) -> Option<(Timestamp, VersionState)> {
        self.versions.get(name).copied()
    }

    /// Whether any version is dead.
    pub(super) fn has_versions(&self) -> bool {
        !self.versions.is_empty()
    }

    /// Since when a merchant is closed.
    pub(super) fn merchant(&self, id: &str) -> Option<Timestamp> {
        self.merchants.get(id).copied()
    }

    /// Since when a token is revoked.
    pub(super) fn token(&self, id: &str) -> Option<Timestamp> {
        self.tokens.get(id).copied()
    }

    /// Every chain that was killed.
    pub(super) fn chains(&self) -> impl Iterator<Item = &KillRow> {
        self.chains.values()
    }

    /// Where the next line comes.
    fn end(&self) -> Place {
        let lines = u64::try_from(self.macs.len().saturating_sub(1)).unwrap_or(u64::MAX);
        let begin = self.after.map_or(0, |after| after.lines);
        let mac = self.macs.last().copied().unwrap_or_default();
        Place { lines: begin.saturating_add(lines), mac }
    }

    /// Whether most lines say nothing any more.
    fn has_grown_long(&self, now: Timestamp) -> bool {
        let ended = || self.chains.values().filter(|row| row.until < now).count();
        self.macs.len() > LINES_MAX && ended() > self.macs.len() / 2
    }

    /// Everything that is dead and could still be used, as lines.
    pub(super) fn all(&self, now: Timestamp) -> Vec<Tombstone> {
        let versions = self.versions.iter().map(|((key_id, kind, number), (at, state))| {
            let (key_id, kind) = (key_id.clone(), kind.to_string());
            let destroyed = *state == VersionState::Destroyed;
            Tombstone::Version { key_id, kind, number: *number, at: at.secs(), destroyed }
        });
        let chains = self.chains.values().filter(|row| row.until >= now);
        let chains = chains.map(|row| Tombstone::Chain {
            key_id: row.key_id.clone(),
            chain: row.chain,
            at: row.at.secs(),
            until: row.until.secs(),
        });
        let merchants = self.merchants.iter();
        let merchants =
            merchants.map(|(id, at)| Tombstone::Merchant { id: id.clone(), at: at.secs() });
        let tokens = self.tokens.iter();
        let tokens = tokens.map(|(id, at)| Tombstone::Token { id: id.clone(), at: at.secs() });
        versions.chain(chains).chain(merchants).chain(tokens).collect()
    }

    /// Why the file cannot be what the store knows of, if so.
    pub(super) fn doubt(&self, head: &Head) -> Option<String> {
        if self.broken.is_some() {
            return self.broken.clone();
        }
        let begin = self.after.map_or(0, |after| after.lines);
        // An older copy of the database, from before the file was begun anew.
        let at = head.tombstones.checked_sub(begin)?;
        let goes_on = self.after.is_some_and(|after| equal(&after.mac, &head.tombstone_mac));
        let known = usize::try_from(at).ok().and_then(|at| self.macs.get(at));
        match known {
            Some(_) if at == 0 && goes_on => None,
            Some(mac) if equal(mac, &head.tombstone_mac) => None,
            Some(_) => Some("it is the file of another time or store".to_owned()),
            None => Some(format!("it is cut: {} lines are known", head.tombstones)),
        }
    }

    /// What a line says.
    pub(super) fn add(&mut self, line: Tombstone) {
        match line {
            Tombstone::File { after, .. } => self.after = after,
            Tombstone::Version { key_id, kind, number, at, destroyed } => {
                let Ok(kind) = kind.parse() else { return };
                let state = if destroyed { VersionState::Destroyed } else { VersionState::Revoked };
                self.versions.insert((key_id, kind, number), (Timestamp::from_secs(at), state));
            }
            Tombstone::Chain { key_id, chain, at, until } => {
                let (at, until) = (Timestamp::from_secs(at), Timestamp::from_secs(until));
                let row = KillRow { key_id: key_id.clone(), chain, at, until };
                self.chains.insert((key_id, chain), row);
            }
            Tombstone::Merchant { id, at } => {
                self.merchants.insert(id, Timestamp::from_secs(at));
            }
            Tombstone::Token { id, at } => {
                self.tokens.insert(id, Timestamp::from_secs(at));
            }
        }
    }

    /// Reads the lines that came since; a last line without its end is being written.
    fn read_on(&mut self, file: &File, key: &MacKey) -> io::Result<()> {
        let mut reader = BufReader::new(file);
        reader.seek(SeekFrom::Start(self.offset))?;
        let mut line = Vec::new();
        while self.broken.is_none() {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            let Some(text) = line.strip_suffix(b"\n") else { break };
            match self.checked(text, key) {
                Some((tombstone, mac)) => {
                    self.macs.push(mac);
                    self.add(tombstone);
                    self.offset += u64::try_from(length).unwrap_or(0);
                }
                None => self.broken = Some(format!("line {} is not right", self.macs.len() + 1)),
            }
        }
        Ok(())
    }

    fn checked(&self, line: &[u8], key: &MacKey) -> Option<(Tombstone, [u8; 32])> {
        let (text, mac) = std::str::from_utf8(line).ok()?.rsplit_once(' ')?;
        let mac = crypto::unhex(mac.as_bytes(), HexCase::Lower)?;
        let tombstone: Tombstone = serde_json::from_str(text).ok()?;
        let first = matches!(tombstone, Tombstone::File { .. });
        let good = equal(&mac, &mac_of(text, self.macs.last(), key));
        (good && first == self.macs.is_empty()).then_some((tombstone, mac))
    }
}

fn mac_of(text: &str, before: Option<&[u8; 32]>, key: &MacKey) -> [u8; 32] {
    let mut message = Message::of("tombstone").text(text);
    message.add(before.map_or(ValueRef::Null, |before| ValueRef::Blob(before)));
    message.mac(key)
}

fn count(all: &[Tombstone]) -> u64 {
    u64::try_from(all.len()).unwrap_or(u64::MAX)
}

/// Lines that follow each other, and the MAC of the last.
fn lines(
    all: &[Tombstone],
    mut before: Option<[u8; 32]>,
    key: &MacKey,
) -> Result<(String, Option<[u8; 32]>), StoreFault> {
    let mut lines = String::new();
    for line in all {
        let text = serde_json::to_string(line).map_err(|fault| StoreFault::Tombstones {
            path: "keys.tombstones".to_owned(),
            cause: fault.to_string(),
        })?;
        let mac = mac_of(&text, before.as_ref(), key);
        lines.push_str(&text);
        lines.push(' ');
        lines.push_str(&String::from_utf8_lossy(&crypto::hex(&mac)));
        lines.push('\n');
        before = Some(mac);
    }
    Ok((lines, before))
}

impl Tombstones {
    pub(super) fn new(database: &Path, key: MacKey) -> Self {
        let path = database.with_extension("tombstones");
        Self { path, key, dead: Mutex::default() }
    }

    fn fault(&self, cause: impl ToString) -> StoreFault {
        let path = self.path.display().to_string();
        StoreFault::Tombstones { path, cause: cause.to_string() }
    }

    /// The file's name.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What the file says now.
    ///
    /// # Errors
    /// The operating system, other than that there is no file.
    pub(super) fn look(&self) -> Result<Arc<Dead>, StoreFault> {
        let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                let broken = Some("there is no such file".to_owned());
                *dead = Arc::new(Dead { broken, ..Dead::default() });
                return Ok(Arc::clone(&dead));
            }
            Err(fault) => return Err(self.fault(fault)),
        };
        let about = file.metadata().map_err(|fault| self.fault(fault))?;
        let same = dead.inode == about.ino() && dead.offset <= about.len();
        if same && dead.offset == about.len() && !dead.macs.is_empty() {
            return Ok(Arc::clone(&dead));
        }
        let read_on = |state: &mut Dead| state.read_on(&file, &self.key);
        if same {
            read_on(Arc::make_mut(&mut dead)).map_err(|fault| self.fault(fault))?;
        }
        // What does not go on from what was read may be another file.
        if !same || dead.broken.is_some() {
            let mut state = Dead { inode: about.ino(), ..Dead::default() };
            read_on(&mut state).map_err(|fault| self.fault(fault))?;
            if state.macs.is_empty() && state.broken.is_none() {
                state.broken = Some("it is empty".to_owned());
            }
            *dead = Arc::new(state);
        }
        Ok(Arc::clone(&dead))
    }

    /// Makes a file that holds these lines, in the place of any, durable, and says so in the head.
    /// To be called within a transaction that writes the head.
    ///
    /// # Errors
    /// The operating system.
    pub(super) fn make(&self, all: &[Tombstone], head: &mut Head) -> Result<(), StoreFault> {
        self.make_after(None, all, head)
    }

    fn make_after(
        &self,
        after: Option<Place>,
        all: &[Tombstone],
        head: &mut Head,
    ) -> Result<(), StoreFault> {
        let name: [u8; 32] = crypto::random().map_err(CustodyFault::NoRandom)?;
        let name = String::from_utf8_lossy(&crypto::hex(&name)).into_owned();
        let mut whole = vec![Tombstone::File { name, after }];
        whole.extend_from_slice(all);
        let (text, mac) = lines(&whole, None, &self.key)?;
        let new = self.path.with_extension("tombstones.new");
        let write = || {
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)?;
            sync_folder(&self.path)
        };
        write().map_err(|fault| self.fault(fault))?;
        head.tombstones = after.map_or(0, |after| after.lines).saturating_add(count(all));
        head.tombstone_mac = mac.unwrap_or_default();
        Ok(())
    }

    /// Adds lines, durable, and says so in the head. To be called at the end of a transaction, so
    /// that no other process adds any meanwhile. A file in doubt is left as it is: everything is
    /// suspended then, and what is dead gets its lines when an operator confirms the store.
    ///
    /// # Errors
    /// The operating system.
    pub(super) fn append(
        &self,
        all: &[Tombstone],
        head: &mut Head,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        if all.is_empty() {
            return Ok(());
        }
        let dead = self.look()?;
        if dead.doubt(head).is_some() {
            return Ok(());
        }
        if dead.has_grown_long(now) {
            let whole = [dead.all(now), all.to_vec()].concat();
            return self.make_after(Some(dead.end()), &whole, head);
        }
        let (text, mac) = lines(all, dead.macs.last().copied(), &self.key)?;
        let write = || {
            let mut file = OpenOptions::new().write(true).open(&self.path)?;
            // A line whose writer died in the middle is none.
            file.set_len(dead.offset)?;
            file.seek(SeekFrom::End(0))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|fault| self.fault(fault))?;
        head.tombstones = dead.end().lines.saturating_add(count(all));
        head.tombstone_mac = mac.unwrap_or_default();
        Ok(())
    }

    /// Keeps a copy of the file before another takes its place.
    pub(super) fn set_aside(&self) -> Result<(), StoreFault> {
        let aside = self.path.with_extension("tombstones.aside");
        match std::fs::copy(&self.path, &aside) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(self.fault(fault)),
            _ => Ok(()),
        }
    }
}
