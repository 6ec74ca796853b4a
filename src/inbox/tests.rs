//! The path of a message, over a real journal in memory: what is kept, what is refused, and what is
//! answered.

mod body;
mod kit;
mod lookup;
mod path;
mod unsigned;
