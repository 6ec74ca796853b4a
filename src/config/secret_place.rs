//! The tables that say where a secret is: `{ file = "…" }`, `{ list = "…" }` or `{ env = "…" }`,
//! and `values`, the table of such tables by name.

use super::node::{Mismatch, Node, one_of};
use super::reader::Table;
use super::secret_file::{SecretSources, Wiped};
use crate::secret::NamedSecrets;
use crate::secret::text::TextFault;

const LITERAL: &str = "a literal secret is refused; name a file: \
    { file = \"…\" }, { list = \"…\" } or { env = \"…\" }";

/// What stands where a table that names a secret should, and may be the secret itself.
pub(super) fn literal(node: &Node<'_>) -> Mismatch {
    node.wrong_type("where to read the secret from").hidden().hint(LITERAL)
}

/// The bytes that a table names, for the owner of a name: its line of a list where none is stated.
pub(super) fn bytes(
    table: &mut Table<'_>,
    owner: &str,
    sources: &mut SecretSources<'_>,
) -> Option<Wiped> {
    let id = table.optional("id", |node| node.str("an id in the list"));
    let named: Vec<&str> =
        ["file", "list", "env"].into_iter().filter(|key| table.node(key).is_some()).collect();
    match named.as_slice() {
        [one] => {
            if id.is_some() && *one != "list" {
                table.refuse("id", "an id belongs to a list", None);
            }
            match *one {
                "file" => table.optional("file", |node| sources.file(node)).flatten(),
                "list" => {
                    let id = id.unwrap_or(owner);
                    table.optional("list", |node| sources.listed(node, id)).flatten()
                }
                _ => table.optional("env", |node| sources.variable(node)),
            }
        }
        [] => {
            table.refuse("", "a secret names one of file, list or env", Some(LITERAL.to_owned()));
            None
        }
        several => {
            let problem = format!("a secret names one source, here are {}", several.join(" and "));
            table.refuse("", problem, None);
            None
        }
    }
}

/// Which values are to be there.
pub(super) struct Wanted<'w> {
    /// Who reads them, with the verb: "the scheme reads".
    pub(super) who: &'w str,
    /// Their names; none where they cannot be known, because who reads them is at fault.
    pub(super) names: Option<Vec<&'w str>>,
    /// Others that may be there, though nobody reads them as things are.
    pub(super) spare: Vec<&'w str>,
}

/// The table `values`: what is read beside the secret. Nothing where one of them is at fault.
pub(super) fn values(
    table: &mut Table<'_>,
    owner: &str,
    wanted: Wanted<'_>,
    sources: &mut SecretSources<'_>,
    check: impl Fn(&[u8]) -> Result<(), TextFault>,
) -> Option<NamedSecrets> {
    let Wanted { who, names: wanted, spare } = wanted;
    let wanted = wanted.map(|mut names| {
        names.sort_unstable();
        names.dedup();
        names
    });
    let mut values = NamedSecrets::default();
    let given = table.names("values");
    let written = given.len();
    let read = table.named("values", |name, table| {
        let name = name.get_ref().as_ref();
        let strange = |wanted: &&Vec<&str>| !wanted.contains(&name) && !spare.contains(&name);
        if let Some(wanted) = wanted.as_ref().filter(strange) {
            let problem = match wanted.as_slice() {
                [] => format!("{who} no further values"),
                names => format!("{who} {}, and no such value", one_of(names)),
            };
            table.refuse("", problem, None);
        }
        let bytes = bytes(table, owner, sources).filter(|bytes| match check(bytes) {
            // A value does not sign: it may well be an id.
            Ok(()) | Err(TextFault::OtherUse(_)) => true,
            Err(fault) => {
                table.refuse("", format!("the value {name} of {owner}: {fault}"), None);
                false
            }
        });
        bytes.map(|mut bytes| values.insert(name, std::mem::take(&mut *bytes)))
    });
    let is_table = table.node("values").is_none_or(|node| node.value().is_table());
    let mut good = is_table && read.len() == written;
    let missing = wanted.iter().flatten().filter(|name| !given.contains(name));
    let missing: Vec<&str> = missing.copied().collect();
    if good && !missing.is_empty() {
        let problem = format!("{who} {} beside the secret", one_of(&missing));
        let places = missing.iter().map(|name| format!("{name} = {{ file = \"…\" }}"));
        let hint = format!("values = {{ {} }}", places.collect::<Vec<_>>().join(", "));
        table.refuse("values", problem, Some(hint));
        good = false;
    }
    good.then_some(values)
}
