//! The rows of the store, as the rest of the program sees them: without secrets, without MACs.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde_json::Value;

use crate::clock::Timestamp;
use crate::limit::Rate;

/// A merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerchantRow {
    /// Its id: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Whether its credentials may be used.
    pub status: MerchantStatus,
    /// What all its credentials may do together.
    pub rate: Rate,
    /// Networks that its credentials may call from; empty: any.
    pub addresses: Vec<IpNet>,
    /// Whom to write to before something ends.
    pub contacts: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Rises with each change; 0 for one that is not stored yet.
    pub revision: u64,
}

/// Whether a merchant's credentials may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MerchantStatus {
    /// They may.
    Active,
    /// Not for now.
    Suspended,
    /// Never again: its data key is destroyed, and all its secrets with it.
    Closed,
}

/// A credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRow {
    /// Its public key id.
    pub key_id: String,
    /// Whose it is.
    pub merchant: String,
    /// `test` or `live`; never changes.
    pub live: bool,
    /// Its name for people.
    pub name: String,
    /// The name of the scheme that its secrets sign by.
    pub scheme: String,
    /// The name of the envelope that its bodies are sealed in.
    pub envelope: Option<String>,
    /// What it may do by itself.
    pub rate: Option<Rate>,
    /// Networks that it may call from; empty: as its merchant.
    pub addresses: Vec<IpNet>,
    /// What it may call, such as `POST /v1/orders`.
    pub scopes: Vec<String>,
    /// See `repeatable_reads` in docs/configuration.md.
    pub repeatable_reads: bool,
    /// The last second in which it is good.
    pub expires_at: Option<Timestamp>,
    /// Out of use for now.
    pub suspended: bool,
    /// The policy by which its secrets are rotated.
    pub policy: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Rises with each change; 0 for one that is not stored yet.
    pub revision: u64,
}

/// What a secret is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Signs and verifies requests, by the credential's scheme.
    Signing,
    /// Signs answers, where the scheme signs them with a secret of their own.
    Answer,
    /// The long-lived key set of `roll.v1`: 160 bytes.
    Anchor,
    /// What rolling keys are derived from: 32 bytes that never leave the gate.
    Root,
    /// A value that scheme or envelope read beside the secret, by name.
    Value(String),
}

/// The states of a version. `keyring::State` says what each allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VersionState {
    /// Made, not yet in use.
    Pending,
    /// Verifies and signs.
    Active,
    /// Verifies until `retire_at`.
    Retiring,
    /// Out of use for now.
    Suspended,
    /// Out of use for good.
    Revoked,
    /// Gone: only what was known about it is left.
    Destroyed,
}

/// Where a secret came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretOrigin {
    /// Made here.
    Generated,
    /// Brought by the partner.
    Imported,
}

/// A version of a secret of a credential. Numbers rise from 1 for each kind and are never used
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRow {
    /// Whose it is.
    pub key_id: String,
    /// What it is for.
    pub kind: Kind,
    /// Which one.
    pub number: u32,
    /// Its state.
    pub state: VersionState,
    /// Its state before it was suspended.
    pub suspended_from: Option<VersionState>,
    /// Pending: verifies already, and its first use makes it the active one.
    pub on_first_use: bool,
    /// The first 6 hexadecimal digits of HMAC-SHA256(secret, `kcv`), for two people to compare.
    pub check_value: String,
    /// Where it came from.
    pub origin: SecretOrigin,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Pending: when it becomes the active one by itself.
    pub activate_at: Option<Timestamp>,
    /// When it became the active one.
    pub activated_at: Option<Timestamp>,
    /// How long the version before it stays, once this one is active, in seconds.
    pub overlap_secs: u64,
    /// Retiring: the last second in which it verifies. Never after `expires_at`.
    pub retire_at: Option<Timestamp>,
    /// The last second in which it may verify in any state.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Since when somebody else may have had it.
    pub compromised_since: Option<Timestamp>,
    /// Why it was suspended, revoked or destroyed.
    pub reason: Option<String>,
    /// When its secret was overwritten.
    pub destroyed_at: Option<Timestamp>,
    /// Whether its secret was handed out; it is shown once.
    pub shown: bool,
    /// Rises with each change; 0 for one that is not stored yet.
    pub revision: u64,
}

/// When a new version takes the place of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cutover {
    /// At once.
    Now,
    /// When somebody signs with it.
    OnFirstUse,
    /// At a time after it was made, in seconds.
    After(u64),
}

/// By which rules secrets are rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRow {
    /// Its name: as a merchant's id.
    pub name: String,
    /// The oldest that an active version may become, in seconds.
    pub max_age_secs: Option<u64>,
    /// The most messages that it may sign.
    pub max_messages: Option<u64>,
    /// The date at which it is replaced.
    pub rotate_at: Option<Timestamp>,
    /// How long the version before stays, in seconds.
    pub overlap_secs: u64,
    /// When the new one takes its place.
    pub cutover: Cutover,
    /// Whether the gate rotates by itself; otherwise it reminds.
    pub automatic: bool,
    /// How many days before the end it reminds.
    pub remind_days: Vec<u16>,
    /// Rises with each change; 0 for one that is not stored yet.
    pub revision: u64,
}

/// A day of rolling keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochRow {
    /// Which one: rises by one.
    pub number: u32,
    /// The first second in which new keys are derived from it.
    pub not_before: Timestamp,
    /// The last one.
    pub not_after: Timestamp,
    /// When its secret is overwritten, and nobody can derive its keys any more.
    pub destroy_at: Timestamp,
    /// When that was done.
    pub destroyed_at: Option<Timestamp>,
}

/// A version of the key that wraps merchants' data keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KekRow {
    /// Which one.
    pub version: u32,
    /// Whether it is the one that wraps.
    pub current: bool,
    /// The master key that wraps it.
    pub master: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many data keys it wraps.
    pub wraps: u64,
}

/// What a token of the admin API may do; each may what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read everything that is no secret.
    Auditor,
    /// Also suspend and revoke.
    Security,
    /// Also make and change merchants, credentials, secrets and policies.
    Admin,
    /// Also keys that keep keys, and tokens.
    Owner,
}

/// A token of the admin API. Its text is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id, `tok_…`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The one merchant that it is for; none: all.
    pub merchant: Option<String>,
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// The last second in which it is good.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Rises with each change; 0 for one that is not stored yet.
    pub revision: u64,
}

/// A chain of rolling keys that was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillRow {
    /// Whose it was.
    pub key_id: String,
    /// Its name in the key ids of `roll.v1`.
    pub chain: [u8; 8],
    /// Since when it is dead.
    pub at: Timestamp,
    /// When nobody can present it any more.
    pub until: Timestamp,
}

/// The use of one version in one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// Whose version.
    pub key_id: String,
    /// Of which kind.
    pub kind: Kind,
    /// Which one.
    pub number: u32,
    /// The first second of the hour.
    pub hour: Timestamp,
    /// Requests that it verified.
    pub requests: u64,
    /// The last of them.
    pub last_at: Timestamp,
    /// Where that came from.
    pub last_address: IpAddr,
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// Its place.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// `cli`, `api` or `system`.
    pub actor_kind: String,
    /// Who.
    pub actor: String,
    /// From where.
    pub address: Option<IpAddr>,
    /// By which request.
    pub request_id: Option<String>,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: String,
    /// How.
    pub detail: Value,
    /// Why.
    pub reason: Option<String>,
    /// The digest of this row and of the one before.
    pub digest: [u8; 32],
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signing => f.write_str("signing"),
            Self::Answer => f.write_str("answer"),
            Self::Anchor => f.write_str("anchor"),
            Self::Root => f.write_str("root"),
            Self::Value(name) => write!(f, "value:{name}"),
        }
    }
}

/// Text that names no kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a kind is signing, answer, anchor, root or value:NAME")]
pub struct NoKind;

impl FromStr for Kind {
    type Err = NoKind;

    fn from_str(text: &str) -> Result<Self, NoKind> {
        match text {
            "signing" => Ok(Self::Signing),
            "answer" => Ok(Self::Answer),
            "anchor" => Ok(Self::Anchor),
            "root" => Ok(Self::Root),
            other => match other.strip_prefix("value:") {
                Some(name) if !name.is_empty() => Ok(Self::Value(name.to_owned())),
                _ => Err(NoKind),
            },
        }
    }
}
