//! Who may sign: an immutable snapshot of merchants, credentials and secret versions.
//!
//! Built whole or not at all, and read without locks. It knows no file and no HTTP. It never says
//! whether a key exists: [`Keyring::verifying_keys`] answers for every key id with as many keys.

mod lifecycle;
mod merchant;

pub use lifecycle::State;
pub use merchant::{
    CredentialSpec, Environment, KeyId, KeyIdFault, MerchantSpec, Scope, ScopeFault, VersionSpec,
};
