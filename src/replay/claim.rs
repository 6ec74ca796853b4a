//! Claims: the one decision whether a signed message passes, and that it never does again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::Timestamp;

use super::bucket::{self, Handle};
use super::fingerprint::{Fingerprint, Whole};
use super::stripe::Stripe;
use super::{Memory, Share};

/// What a verified message says of itself.
#[derive(Clone, Copy)]
pub struct Stamped<'a> {
    /// The key id.
    pub credential: &'a str,
    /// The signed time.
    pub stamp: Timestamp,
    /// The decoded signature, or the signed nonce where the scheme has one: never header text.
    pub proof: &'a [u8],
    /// What may share the proof.
    pub kind: Kind<'a>,
}

/// What may be sent under one proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// One message and no other.
    Once,
    /// A read without a body under a scheme that signs neither method nor target: one message for
    /// each target. It excludes [`Kind::Once`] under the same proof, whichever comes first.
    Read {
        /// The method as received.
        method: &'a str,
        /// The target as received.
        target: &'a [u8],
    },
}

/// Why a claim is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was claimed before.
    #[error("claimed before")]
    Seen,
    /// Whether it was claimed before is no longer known, or not known since an unclean restart.
    #[error("possibly claimed before")]
    Stale,
    /// The memory, or the share of the merchant or of all tests, is full of live entries.
    #[error("the replay memory is full")]
    Full,
    /// The mark in the state folder cannot be written, or admission is closed.
    #[error("the replay memory is not available")]
    Busy,
}

/// A message that nobody claimed before. Until [`keep`](Claim::keep) it must not be forwarded.
///
/// Dropped without an answer it stays claimed: a message whose sender went away never passes again.
#[must_use = "a claim is kept or withdrawn; dropped, it stays claimed"]
pub struct Claim<'a> {
    memory: &'a Memory,
    shares: Arc<[Share]>,
    bucket: Handle,
    /// The piece of all counts in which it is counted.
    stripe: Stripe,
    whole: Whole,
    own: Fingerprint,
    reads: bool,
}

// Why nothing passes twice
//
// Every insertion and every look into a table happens under that table's lock. So if A inserts x
// and then looks for y, while B inserts y and then looks for x, at least one finds the other's: had
// A's look come before B's insertion, then A's insertion happened before B's, hence before B's
// look.
//
// 1. Same entry. Only one insertion of an entry finds it absent. A withdrawn entry was its owner's
//    alone, and its owner was refused.
// 2. Against the sweep, which raises `forgotten`, then takes the bucket off the list. A claim
//    inserts and then looks at `forgotten`. Let A and B be the same message, both inserted as new:
//    then they used two buckets of one number. The second was opened after the first left the list,
//    which was after `forgotten` covered the stamp; whoever used the second sees that and is
//    refused. What comes later is refused at its first look. `forgotten` never goes down, whatever
//    is reloaded.
// 3. Once against read. Once: insert `once`, look for `reads`. Read: insert own, look for `once`;
//    when granted, insert `reads`, then look for `once` again. By the rule above a Once that finds
//    no `reads` was there before that last look, and the read is refused; both refused is allowed.
//    Only a kept read writes `reads`, and nobody removes it, so no read relies on a mark that goes
//    away. A Once may be withdrawn: then it did not pass. `has_reads` follows the same rule: stored
//    before `reads` goes in, loaded after `once` went in.
// 4. Against saving, which sets `closed` and then reads every table. A claim inserts and then looks
//    at `closed`: what passes is in the file.
// 5. Against a crash. Only stamps up to the durable mark pass; the next start refuses all of these.

impl Memory {
    /// Claims a message, waiting for the durable mark where its stamp is ahead of it. The
    /// credential's shares (its merchant's, and the one of tests where it is one) are charged.
    ///
    /// # Errors
    /// See [`Refusal`]. Nothing refused leaves an entry behind, but for what was there before.
    pub async fn claim<'a>(
        &'a self,
        stamped: Stamped<'_>,
        shares: &Arc<[Share]>,
    ) -> Result<Claim<'a>, Refusal> {
        if !self.settled.reaches(stamped.stamp) {
            // What cannot pass anyway must not cause a write.
            if self.has_forgotten(stamped.stamp) || bucket::number_of(stamped.stamp).is_none() {
                return Err(Refusal::Stale);
            }
            self.settled.wait(stamped.stamp).await?;
        }
        self.claim_settled(stamped, shares)
    }

    fn claim_settled<'a>(
        &'a self,
        stamped: Stamped<'_>,
        shares: &Arc<[Share]>,
    ) -> Result<Claim<'a>, Refusal> {
        if self.has_forgotten(stamped.stamp) {
            return Err(Refusal::Stale);
        }
        let number = bucket::number_of(stamped.stamp).ok_or(Refusal::Stale)?;
        let whole = self.key.whole(&stamped);
        let (own, reads) = match stamped.kind {
            Kind::Once => (whole.once(), false),
            Kind::Read { method, target } => (self.key.read(whole, method, target), true),
        };
        let stripe = Stripe::of_thread();
        let bucket = self.buckets.find_or_open(number, stripe);
        let shares = Arc::clone(shares);
        let claim = Claim { memory: self, shares, bucket, stripe, whole, own, reads };
        claim.take_room()?;
        if !claim.bucket.insert(claim.own) {
            claim.give_back(claim.room());
            return Err(Refusal::Seen);
        }
        if self.has_forgotten(stamped.stamp) {
            return claim.refuse(Refusal::Stale);
        }
        if self.closed.load(Ordering::SeqCst) {
            return claim.refuse(Refusal::Busy);
        }
        if claim.finds_other_kind() {
            return claim.refuse(Refusal::Seen);
        }
        Ok(claim)
    }
}

impl Claim<'_> {
    /// Keeps the claim: from here the message may be forwarded, and never again.
    ///
    /// # Errors
    /// [`Refusal::Seen`] when the same proof passed as the other kind meanwhile, [`Refusal::Busy`]
    /// when admission was closed meanwhile.
    pub fn keep(self) -> Result<(), Refusal> {
        if !self.reads {
            return Ok(());
        }
        if !self.bucket.insert_reads(self.whole.reads()) {
            self.give_back(1);
        }
        // Only its own entry and room go: the mark of reads stays, and its room with it.
        let refusal = if self.finds_other_kind() {
            Refusal::Seen
        } else if self.memory.closed.load(Ordering::SeqCst) {
            Refusal::Busy
        } else {
            return Ok(());
        };
        self.bucket.remove(&self.own);
        self.give_back(1);
        Err(refusal)
    }

    /// Takes the claim back, because the message was refused for another reason: the same bytes may
    /// be sent again while they are fresh.
    pub fn withdraw(self) {
        self.bucket.remove(&self.own);
        self.give_back(self.room());
    }

    fn refuse<T>(self, refusal: Refusal) -> Result<T, Refusal> {
        self.withdraw();
        Err(refusal)
    }

    fn finds_other_kind(&self) -> bool {
        if self.reads {
            self.bucket.contains(&self.whole.once())
        } else {
            self.bucket.contains_reads(&self.whole.reads())
        }
    }

    /// Entries that the claim may need: a read also needs the mark of reads, perhaps the first.
    fn room(&self) -> u32 {
        if self.reads { 2 } else { 1 }
    }

    /// Takes room in the shares, the memory and the bucket, or none at all.
    fn take_room(&self) -> Result<(), Refusal> {
        let room = self.room();
        let number = self.bucket.number();
        for (before, share) in self.shares.iter().enumerate() {
            if !share.take(number, room) {
                self.give_back_shares(before, room);
                return Err(self.full());
            }
        }
        let entries = usize::try_from(room).unwrap_or(0);
        let refusal = if !self.memory.room.take(self.stripe, entries) {
            self.full()
        } else if !self.bucket.count(self.stripe, entries) {
            self.memory.room.give_back(self.stripe, entries);
            // The sweep took the bucket, so it has forgotten the stamp.
            Refusal::Stale
        } else {
            return Ok(());
        };
        self.give_back_shares(self.shares.len(), room);
        Err(refusal)
    }

    /// A replay is told to be one even when there is no room.
    fn full(&self) -> Refusal {
        let seen = self.bucket.contains(&self.own) || self.finds_other_kind();
        if seen { Refusal::Seen } else { Refusal::Full }
    }

    fn give_back(&self, room: u32) {
        let entries = usize::try_from(room).unwrap_or(0);
        if self.bucket.discount(self.stripe, entries) {
            self.memory.room.give_back(self.stripe, entries);
        }
        self.give_back_shares(self.shares.len(), room);
    }

    fn give_back_shares(&self, first: usize, room: u32) {
        for share in self.shares.iter().take(first) {
            share.give_back(self.bucket.number(), room);
        }
    }
}

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").finish_non_exhaustive()
    }
}

impl fmt::Debug for Stamped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stamped").field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
