//! Rolling keys, `roll.v1`: a new set of keys and IVs in every answer, used for the next messages.
//!
//! Key sets are derived and never stored, so issuing one costs no state; a set is superseded by the
//! use of a newer one. It knows no HTTP and no configuration. Must never be done here: decrypting
//! before the tag is checked, or telling why a message does not open.

pub mod chains;
pub mod epoch;
pub mod exchange;
pub mod keys;
pub mod kid;
pub mod next;
pub mod policy;
pub mod sealing;
pub mod session;

pub use chains::{Chains, Kill};
pub use epoch::{EpochSpec, Epochs};
pub use exchange::{Event, Message, Party, Refusal, Reply, Roll};
pub use keys::{AnchorSpec, KEY_SET_BYTES, KeySet, Material, ROOT_BYTES, Root};
pub use kid::{ChainId, Kid, Label};
pub use policy::{Policy, Preset};
pub use sealing::CannotOpen;
