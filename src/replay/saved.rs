//! The memory across restarts: saved at a clean stop, and what a start knows of the past.
//!
//! Promises a whole memory or none: a file with one wrong byte is not used. A file is used once.

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;

use super::fingerprint::{self, Fingerprint, FingerprintKey};
use super::mark::Settled;
use super::stripe::Stripe;
use super::{Memory, StateFolder, bucket};

/// The file starts with this and the number of its form.
const LABEL: &[u8; 12] = b"CSREPLAY\x01\0\0\0";
/// A mark further ahead of the clock than this means that one of them is wrong.
const MARK_AHEAD_MAX: Duration = Duration::from_secs(3600);

/// What a start found.
#[derive(Debug)]
pub struct Opening {
    /// What is known of the past.
    pub past: Past,
    /// What an operator must be told.
    pub notes: Vec<OpeningNote>,
}

/// What is known of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// Everything: the last stop was clean.
    Whole {
        /// Entries loaded.
        entries: usize,
    },
    /// What was accepted has stamps up to this one; all of these are refused.
    UpTo(Timestamp),
    /// Nothing was accepted before.
    None,
    /// Nothing is known; not ready until this time is past.
    Unknown {
        /// The last stamp that is refused for it.
        until: Timestamp,
    },
}

/// What an operator must be told of a start.
#[derive(Debug, thiserror::Error)]
pub enum OpeningNote {
    /// The saved memory could not be used, so the start went on as after a crash.
    #[error("the saved replay memory is not usable ({why}) and was moved to {}; the start goes \
             on as after a crash", .aside.display())]
    SavedUnusable {
        /// What is wrong with it.
        why: &'static str,
        /// Where it is now.
        aside: PathBuf,
    },
    /// The mark could not be read, so nothing is known of the past.
    #[error("the mark in state folder {} is damaged; nothing is known of what was accepted",
            .0.display())]
    MarkDamaged(PathBuf),
}

/// Why the memory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// The mark and the clock differ by more than an hour.
    #[error(
        "the mark says messages were accepted up to {mark} (Unix seconds), but the clock says \
             {now}: more than an hour earlier; set the clock right"
    )]
    MarkAhead {
        /// The mark.
        mark: Timestamp,
        /// The gate's time.
        now: Timestamp,
    },
    /// The operating system refused.
    #[error("state folder {}: {source}", .path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl Memory {
    /// Opens the memory of a state folder, at most `bytes` large. `ahead` is the longest time that
    /// any route lets a stamp be ahead. A saved memory is used up by it: before this returns, the
    /// file is gone. Claims pass once a [`Marker`](super::Marker) runs.
    ///
    /// # Errors
    /// When the mark is more than an hour ahead of `now`, or the folder cannot be read or changed.
    pub fn open(
        folder: &StateFolder,
        bytes: NonZeroUsize,
        now: Timestamp,
        ahead: Duration,
    ) -> Result<(Self, Opening), OpenFault> {
        let io = |source| OpenFault::Io { path: folder.path().into(), source };
        let mut notes = Vec::new();
        let (mark, mark_damaged) = match folder.mark() {
            Ok(mark) => (mark, false),
            Err(fault) if fault.kind() == io::ErrorKind::InvalidData => {
                notes.push(OpeningNote::MarkDamaged(folder.path().into()));
                (None, true)
            }
            Err(fault) => return Err(io(fault)),
        };
        if let Some(mark) = mark.filter(|mark| *mark > now.saturating_add(MARK_AHEAD_MAX).secs()) {
            return Err(OpenFault::MarkAhead { mark: Timestamp::from_secs(mark), now });
        }
        let durable = mark.unwrap_or(0);
        match load(folder, bytes, durable) {
            Ok(Some(memory)) => {
                folder.remove_saved().map_err(io)?;
                let past = Past::Whole { entries: memory.usage().entries };
                return Ok((memory, Opening { past, notes }));
            }
            Ok(None) => {}
            Err(LoadFault::Unusable(why)) => {
                let aside = folder.set_saved_aside().map_err(io)?;
                notes.push(OpeningNote::SavedUnusable { why, aside });
            }
            Err(LoadFault::Io(source)) => return Err(io(source)),
        }
        let key = FingerprintKey::random().map_err(io)?;
        let mut memory = Self::new(key, bytes, Settled::up_to(durable));
        let past = match mark {
            Some(mark) => Past::UpTo(Timestamp::from_secs(mark)),
            None if !mark_damaged && folder.has_no_past().map_err(io)? => Past::None,
            None => Past::Unknown { until: now.saturating_add(ahead) },
        };
        if let Past::UpTo(refused) | Past::Unknown { until: refused } = past {
            memory.raise_forgotten(refused);
            memory.known_after = refused.secs().saturating_add(1);
        }
        Ok((memory, Opening { past, notes }))
    }

    /// Saves the memory for the next start, and closes it: no claim passes from here on. To be
    /// called when admission is over and the [`Marker`](super::Marker) has stopped.
    ///
    /// # Errors
    /// When it cannot be written; the next start then goes on as after a crash.
    pub fn save(&self, folder: &StateFolder) -> io::Result<()> {
        self.closed.store(true, Ordering::SeqCst);
        let mark = folder.mark()?.unwrap_or(0);
        folder.write_saved(|file| {
            let mut to = Summed { inner: &mut *file, sum: Sha256::new() };
            self.write_to(&mut to, mark)?;
            let sum = to.sum.finalize();
            file.write_all(&sum)
        })
    }

    fn write_to(&self, to: &mut impl Write, mark: u64) -> io::Result<()> {
        to.write_all(LABEL)?;
        put_u64(to, bucket::SECONDS)?;
        to.write_all(self.key.bytes())?;
        put_u64(to, mark)?;
        put_u64(to, self.forgotten.load(Ordering::SeqCst))?;
        put_u64(to, self.known_after)?;
        let shares = self.shares.to_save();
        put_len(to, shares.len())?;
        for (name, by_bucket) in shares {
            // Tests have no name; a merchant's is never empty.
            let name = name.unwrap_or_default();
            put_len(to, name.len())?;
            to.write_all(name.as_bytes())?;
            put_len(to, by_bucket.len())?;
            for (number, entries) in by_bucket {
                put_u64(to, number.into())?;
                put_u64(to, entries.into())?;
            }
        }
        let buckets = self.buckets.all();
        put_len(to, buckets.len())?;
        for bucket in buckets {
            let mut entries = Vec::new();
            bucket.for_each(|entry| entries.extend_from_slice(entry.bytes()));
            put_u64(to, bucket.number().into())?;
            put_u64(to, bucket.has_reads().into())?;
            put_len(to, entries.len() / fingerprint::BYTES)?;
            to.write_all(&entries)?;
        }
        Ok(())
    }
}

enum LoadFault {
    /// The file is there and not to be used.
    Unusable(&'static str),
    Io(io::Error),
}

impl From<io::Error> for LoadFault {
    fn from(fault: io::Error) -> Self {
        match fault.kind() {
            io::ErrorKind::UnexpectedEof => Self::Unusable("it is cut short"),
            _ => Self::Io(fault),
        }
    }
}

/// Reads the saved memory, if there is one. Nothing of it is used before its sum is right.
fn load(
    folder: &StateFolder,
    bytes: NonZeroUsize,
    durable: u64,
) -> Result<Option<Memory>, LoadFault> {
    let Some(file) = folder.saved()? else { return Ok(None) };
    // Checked first, so that what is read below is what was written.
    check_sum(&file)?;
    let mut from = BufReader::new(folder.saved()?.ok_or(LoadFault::Unusable("it went away"))?);
    if take::<{ LABEL.len() }>(&mut from)? != *LABEL || take_u64(&mut from)? != bucket::SECONDS {
        return Err(LoadFault::Unusable("it is of another form"));
    }
    let key = FingerprintKey::from_bytes(take(&mut from)?);
    if take_u64(&mut from)? != durable {
        // An old copy put back: what was accepted since is not in it.
        return Err(LoadFault::Unusable("it does not belong to the mark in this folder"));
    }
    let mut memory = Memory::new(key, bytes, Settled::up_to(durable));
    memory.forgotten.store(take_u64(&mut from)?, Ordering::SeqCst);
    memory.known_after = take_u64(&mut from)?;
    for _ in 0..take_u64(&mut from)? {
        let mut name = vec![0; take_len(&mut from)?];
        from.read_exact(&mut name)?;
        let name = String::from_utf8(name).map_err(|_| LoadFault::Unusable("a name is damaged"))?;
        let name = Some(name.as_str()).filter(|name| !name.is_empty());
        for _ in 0..take_u64(&mut from)? {
            let number = take_u32(&mut from)?;
            memory.shares.restore(name, number, take_u32(&mut from)?);
        }
    }
    for _ in 0..take_u64(&mut from)? {
        let bucket = memory.buckets.find_or_open(take_u32(&mut from)?, Stripe::default());
        bucket.restore_has_reads(take_u64(&mut from)? != 0);
        for _ in 0..take_u64(&mut from)? {
            if bucket.restore(Fingerprint::from_bytes(take(&mut from)?)) {
                memory.room.restore();
            }
        }
    }
    Ok(Some(memory))
}

/// Whether the file ends with the sum of what is before.
fn check_sum(file: &std::fs::File) -> Result<(), LoadFault> {
    let length = file.metadata()?.len();
    let summed = length.checked_sub(32).ok_or(LoadFault::Unusable("it is cut short"))?;
    let mut from = BufReader::with_capacity(1 << 16, file);
    let mut to = Summed { inner: io::sink(), sum: Sha256::new() };
    if io::copy(&mut from.by_ref().take(summed), &mut to)? != summed {
        return Err(LoadFault::Unusable("it is cut short"));
    }
    let sum: [u8; 32] = to.sum.finalize().into();
    if take::<32>(&mut from)? != sum {
        return Err(LoadFault::Unusable("its sum is wrong"));
    }
    Ok(())
}

/// Passes bytes on and sums them up.
struct Summed<W> {
    inner: W,
    sum: Sha256,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write_all(bytes)?;
        self.sum.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn put_u64(to: &mut impl Write, value: u64) -> io::Result<()> {
    to.write_all(&value.to_le_bytes())
}

fn put_len(to: &mut impl Write, value: usize) -> io::Result<()> {
    put_u64(to, u64::try_from(value).unwrap_or(u64::MAX))
}

fn take<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn take_u64(from: &mut impl Read) -> io::Result<u64> {
    take(from).map(u64::from_le_bytes)
}

fn take_u32(from: &mut impl Read) -> Result<u32, LoadFault> {
    u32::try_from(take_u64(from)?).map_err(|_| LoadFault::Unusable("a number is damaged"))
}

fn take_len(from: &mut impl Read) -> Result<usize, LoadFault> {
    let length = take_u64(from)?;
    // Names only; the sum is right, so this merely bounds what a forged file can ask for.
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= 1 << 16)
        .ok_or(LoadFault::Unusable("a length is damaged"))
}

impl fmt::Debug for LoadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(why) => f.write_str(why),
            Self::Io(fault) => fault.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
