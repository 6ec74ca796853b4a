//! The expression language of schemes and envelopes: templates over a message.
//!
//! A template is text with `{pipeline}` holes (`{{` and `}}` are braces); a pipeline is
//! `source | function(argument, …) | …`. Templates are compiled, with types checked, when they are
//! loaded; nothing is looked up by name when a message is looked at.

pub mod fault;
pub mod form;
pub mod function;
pub mod json;
pub mod origin;
pub mod path;
pub mod value;
pub mod xml;

pub use fault::{Fault, Place};
pub use origin::{Origin, Origins};
pub use value::{Type, Value};
