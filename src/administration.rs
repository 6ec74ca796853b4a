//! What an operator can do with merchants, their keys, and webhooks: one table of verbs.
//!
//! The command line and the admin API are both made from [`verbs`], so neither can do what the
//! other cannot. A verb reads and changes the store in one transaction, its audit row included.

pub mod audit;
pub mod catalogue;
pub mod chores;
pub mod clearable;
pub mod credential;
pub mod disclosure;
pub mod epoch;
pub mod form;
pub mod inbox;
pub mod inventory;
pub mod kek;
mod material;
pub mod merchant;
mod name;
pub mod policy;
pub mod problem;
mod repeat;
pub mod secret;
pub mod token;
pub mod upkeep;
pub mod verb;
pub mod version;

use std::path::PathBuf;
use std::sync::Arc;

use catalogue::Catalogue;
pub use problem::{Code, Problem};
pub use verb::{Method, Outcome, Verb};

use crate::clock::Clock;
use crate::custody::MasterSource;
use crate::store::Store;

/// Where verbs find what they work on.
pub struct Office {
    /// Merchants, credentials and their secrets; none: no store of keys was made yet. Verbs about
    /// webhooks do without, and then nothing is audited.
    pub keys: Option<Arc<Store>>,
    /// The schemes and envelopes that a credential may name, and who stands in the merchants file.
    pub catalogue: Arc<Catalogue>,
    /// Where the master key is.
    pub master: MasterSource,
    /// The state folder, in which the journal of webhooks is.
    pub state: PathBuf,
    /// The only folder that copies of the store may go to; none: anywhere that the user may write.
    pub copies: Option<PathBuf>,
    /// The gate's time.
    pub clock: Clock,
    /// Hears how far a long verb has come, and of how much, where that is known (otherwise 0).
    pub progress: fn(u64, u64),
}

impl Office {
    /// The store of keys.
    ///
    /// # Errors
    /// Where none was made yet.
    pub fn store(&self) -> Result<&Arc<Store>, Problem> {
        let missing = "there is no store of keys; countersign master create makes one";
        self.keys.as_ref().ok_or_else(|| Problem::new(Code::Store, missing))
    }
}

/// Every verb, by what it is about.
pub fn verbs() -> impl Iterator<Item = &'static Verb> {
    let all = [
        merchant::VERBS,
        credential::VERBS,
        secret::VERBS,
        policy::VERBS,
        audit::VERBS,
        epoch::VERBS,
        token::VERBS,
        kek::VERBS,
        upkeep::VERBS,
        inventory::VERBS,
        inbox::VERBS,
    ];
    all.into_iter().flatten()
}

/// The verb of a name, such as `credential rotate`.
pub fn verb(name: &str) -> Option<&'static Verb> {
    verbs().find(|verb| verb.name == name)
}
