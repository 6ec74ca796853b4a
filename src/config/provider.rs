//! Providers: what is written of the messages of payment providers that are built in. Sources name
//! one and state only what is their own.

mod builtin;
pub(super) mod call;
pub(super) mod table;

use std::borrow::Cow;
use std::path::Path;

use toml::Spanned;
use toml::de::DeValue;

use super::document::Document;
use super::node::{Mismatch, Node, nearest};
use super::reader::Table;
use super::value;
use crate::inbox::profile::Profile;

pub use builtin::{builtin, builtin_names};
use table::Places;

/// The profile that a source names, or why there is none.
pub(super) fn find(node: &Node<'_>) -> Result<&'static Profile, Mismatch> {
    let expected = "the name of a provider";
    let text = node.str(expected)?;
    builtin(text).ok_or_else(|| {
        let names: Vec<&str> = builtin_names().collect();
        let lower = text.to_ascii_lowercase();
        Mismatch::text(expected, text).hint(match nearest(&lower, &names) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "`countersign provider list` shows the built-in ones; without any, name a \
                     scheme and say what is read: see docs/webhooks.md"
                .to_owned(),
        })
    })
}

/// Every profile of a file, by name, in the order in which they stand.
fn profiles<'n>(document: &'n Document<'n>) -> Vec<(String, Profile)> {
    let mut tables: Vec<_> = document.root().iter().collect();
    tables.sort_by_key(|(key, _)| key.span().start);
    tables.into_iter().filter_map(|(key, value)| profile(document, key, value)).collect()
}

fn profile<'n>(
    document: &'n Document<'n>,
    key: &'n Spanned<Cow<'n, str>>,
    value: &'n Spanned<DeValue<'n>>,
) -> Option<(String, Profile)> {
    let node = Node { document, value };
    let name = key.get_ref().to_string();
    let expected = "a table that says what a provider's messages are";
    let profile = Table::of(&node, name.clone(), expected, |table| {
        if !value::is_name(key.get_ref()) {
            table.refuse_key(key, format!("expected {}", value::NAME));
        }
        let mut places = Places::default();
        let own = table::profile(table, &mut places);
        let inquiry = |table: &mut Table<'n>, key: &'static str, places: &mut Places<'n>| {
            let before = format!("{key}.");
            table.table(key, |table| call::inquiry(table, &before, places)).flatten()
        };
        let confirm = inquiry(table, "confirm", &mut places);
        let order = inquiry(table, "order", &mut places);
        let post_back =
            table.table("post_back", |table| call::post_back(table, "post_back.", &mut places));
        Profile { confirm, order, post_back: post_back.flatten(), ..own }
    })?;
    Some((name, profile))
}

/// The profiles of a file that is known to be right, in their order.
fn definitions(name: &str, text: &str) -> Vec<(String, Profile)> {
    let document = Document::parse(Path::new(name), text);
    profiles(&document)
}
