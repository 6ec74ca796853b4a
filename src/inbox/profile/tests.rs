//! Profiles: what is refused, what takes the place of what, and the built-in ones on real messages.

pub(in crate::inbox) mod bed;
mod mistakes;
mod moved;
mod mutations;
mod overrides;
mod providers;
