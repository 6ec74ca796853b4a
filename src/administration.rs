//! What an operator can do with merchants and their keys: one table of verbs.
//!
//! The command line and the admin API are both made from [`verbs`], so neither can do what the
//! other cannot. A verb reads and changes the store in one transaction, its audit row included.

pub mod audit;
pub mod catalogue;
pub mod credential;
pub mod disclosure;
pub mod epoch;
pub mod form;
pub mod inventory;
pub mod kek;
mod material;
pub mod merchant;
mod name;
pub mod policy;
pub mod problem;
mod repeat;
pub mod secret;
pub mod tending;
pub mod token;
pub mod upkeep;
pub mod verb;
pub mod version;

use catalogue::Catalogue;
pub use problem::{Code, Problem};
pub use verb::{Method, Outcome, Verb};

use crate::custody::MasterSource;
use crate::store::Store;

/// Where verbs find what they work on.
pub struct Office {
    /// Merchants, credentials and their secrets.
    pub store: Store,
    /// The schemes and envelopes that a credential may name, and who stands in the merchants file.
    pub catalogue: Catalogue,
    /// Where the master key is.
    pub master: MasterSource,
    /// Hears how far a long verb has come, and of how much, where that is known (otherwise 0).
    pub progress: fn(u64, u64),
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
    ];
    all.into_iter().flatten()
}

/// The verb of a name, such as `credential rotate`.
pub fn verb(name: &str) -> Option<&'static Verb> {
    verbs().find(|verb| verb.name == name)
}
