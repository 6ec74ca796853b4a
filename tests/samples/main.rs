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

mod answers;
mod documents;
mod language;
mod sealing;
mod sending;

use language::Language;

#[test]
fn curl() {
    let curl = Language::curl();
    sending::all_of(&curl);
    answers::all_of(&curl, answers::TYPE);
}

#[test]
fn python() {
    let python = Language::python();
    sending::all_of(&python);
    answers::all_of(&python, answers::TYPE);
}

#[test]
fn php() {
    let php = Language::php();
    sending::all_of(&php);
    answers::all_of(&php, answers::TYPE);
    sealing::all_of(&php);
}

#[test]
fn node() {
    let node = Language::node();
    sending::all_of(&node);
    answers::all_of(&node, answers::TYPE);
    sealing::all_of(&node);
}

#[test]
fn java() {
    let java = Language::java();
    sending::all_of(&java);
    answers::all_of(&java, answers::TYPE);
    sealing::all_of(&java);
}

#[test]
fn go() {
    let go = Language::go();
    sending::all_of(&go);
    answers::all_of(&go, answers::TYPE);
    sealing::all_of(&go);
}

#[test]
fn csharp() {
    let csharp = Language::csharp();
    sending::all_of(&csharp);
    answers::all_of(&csharp, answers::TYPE_OF_MONO);
    sealing::all_of(&csharp);
}
