//! The expression language of schemes and envelopes: templates over a message, compiled when they
//! are loaded, with types checked and nothing looked up by name afterwards.
//!
//! [`Template`] says how a template is written, [`source::sources`] and [`function::all`] what
//! stands in it, [`Scope`] which names it may use, [`Evaluation`] what it gives for a message.

mod base64;
mod call;
mod compile;
pub mod evaluate;
pub mod expression;
pub mod fault;
pub mod form;
pub mod function;
pub mod json;
mod memo;
pub mod mistake;
pub mod origin;
pub mod path;
pub mod scope;
pub mod source;
pub mod stepping;
pub mod subject;
mod syntax;
pub mod template;
pub mod value;
pub mod xml;

pub use evaluate::{Evaluation, Part};
pub use expression::Expression;
pub use fault::{Fault, Place};
pub use mistake::Mistake;
pub use origin::{Origin, Origins};
pub use scope::{ByMethod, Credentials, Given, NameFault, Scope};
pub use stepping::{DigestSteps, FeedSteps};
pub use subject::Subject;
pub use template::{Piece, Template};
pub use value::{Type, Value};

#[cfg(test)]
mod tests;
