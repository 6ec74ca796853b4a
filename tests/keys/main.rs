//! Merchants and their keys as people keep them: the commands of the program over a real store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod life;
mod mistakes;
mod once;
mod support;
mod together;
