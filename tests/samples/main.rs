//! The programs for merchants in `docs/signing/`: each is compiled once and run as a merchant
//! would, over real TLS against the real program. A language that is missing is an error that says
//! how to install it, never a skip.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(dead_code, reason = "the kit is that of the path tests; these tests use a part of it")]
#[path = "../path/support/mod.rs"]
mod support;

mod documents;
mod language;
mod sealing;
mod sending;

use language::Language;

#[test]
fn curl() {
    sending::all_of(&Language::curl());
}

#[test]
fn python() {
    sending::all_of(&Language::python());
}

#[test]
fn php() {
    let php = Language::php();
    sending::all_of(&php);
    sealing::all_of(&php);
}

#[test]
fn node() {
    let node = Language::node();
    sending::all_of(&node);
    sealing::all_of(&node);
}

#[test]
fn java() {
    let java = Language::java();
    sending::all_of(&java);
    sealing::all_of(&java);
}

#[test]
fn go() {
    let go = Language::go();
    sending::all_of(&go);
    sealing::all_of(&go);
}

#[test]
fn csharp() {
    let csharp = Language::csharp();
    sending::all_of(&csharp);
    sealing::all_of(&csharp);
}
