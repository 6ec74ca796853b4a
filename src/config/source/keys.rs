//! Whose secrets verify a source's messages: its own, each with its time, or those of a credential;
//! and the values beside them.

use crate::clock::Timestamp;
use crate::config::destination::decoded;
use crate::config::node::Node;
use crate::config::reader::Table;
use crate::config::route;
use crate::config::secret_place::{self, Wanted, literal};
use crate::config::value;
use crate::inbox::profile::Compiled;
use crate::inbox::source::{SourceKey, SourceKeys};
use crate::keyring::LIVE_VERSIONS_MAX;
use crate::scheme::Scheme;
use crate::secret::text;
use crate::secret::{NamedSecrets, Secret};

use super::Surroundings;

/// What makes keys of secrets; nothing where it is at fault.
type Signing<'s> = Option<(&'s Scheme, &'s NamedSecrets)>;

/// The keys of a source, and the values that its calls read.
pub(super) fn keys(
    table: &mut Table<'_>,
    owner: &str,
    scheme: Option<&Scheme>,
    (compiled, spare): (Option<&Compiled>, &[String]),
    around: &mut Surroundings<'_, '_>,
) -> (Option<SourceKeys>, Option<NamedSecrets>) {
    let credential = table.optional("credential", route::credential);
    let values = values(table, owner, scheme, (compiled, spare), around);
    let signing = scheme.zip(values.as_ref());
    let own = own_secrets(table, owner, signing, around);
    let keys = match (table.stated("secrets"), table.stated("credential")) {
        (true, true) => {
            let problem = "its messages are verified by its own secrets or by those of a \
                           credential, and here are both";
            table.refuse("credential", problem, None);
            None
        }
        (false, false) => {
            let hint = "secrets = [{ file = \"…\" }], or credential = \"…\" for those of a key id";
            let problem = "without a secret nothing can be verified";
            table.refuse("", problem, Some(hint.to_owned()));
            None
        }
        (true, false) => own.map(SourceKeys::Own),
        (false, true) => credential.map(SourceKeys::Credential),
    };
    (keys, values)
}

/// The values that scheme and profile read. Those of the scheme come with a credential's secrets.
fn values(
    table: &mut Table<'_>,
    owner: &str,
    scheme: Option<&Scheme>,
    (compiled, spare): (Option<&Compiled>, &[String]),
    around: &mut Surroundings<'_, '_>,
) -> Option<NamedSecrets> {
    let by_scheme = scheme.filter(|_| !table.stated("credential"));
    let names = compiled.map(|compiled| {
        let mut names: Vec<&str> = compiled.value_names.iter().map(String::as_str).collect();
        names.extend(by_scheme.into_iter().flat_map(Scheme::value_names));
        names
    });
    let spare = spare.iter().map(String::as_str).collect();
    let wanted = Wanted { who: "scheme and profile read", names, spare };
    secret_place::values(table, owner, wanted, around.secrets, |bytes| {
        text::check_secret(bytes, None)
    })
}

fn own_secrets(
    table: &mut Table<'_>,
    owner: &str,
    signing: Signing<'_>,
    around: &mut Surroundings<'_, '_>,
) -> Option<Vec<SourceKey>> {
    let node = table.node("secrets")?;
    let Some(items) = node.value().as_array() else {
        node.take::<()>(&table.path_of("secrets"), |node| Err(literal(node)));
        return None;
    };
    if !(1..=LIVE_VERSIONS_MAX).contains(&items.len()) {
        let problem =
            format!("a source has 1 to {LIVE_VERSIONS_MAX} secrets; here are {}", items.len());
        table.refuse("secrets", problem, None);
        return None;
    }
    let mut met: Vec<Secret> = Vec::new();
    let mut number = 0;
    let read = |(path, item): (String, Node<'_>)| {
        number += 1;
        if item.value().is_table() {
            let read =
                |table: &mut Table<'_>| secret(table, owner, number, &mut met, signing, around);
            Table::of(&item, path, "a table", read).flatten()
        } else {
            item.take(&path, |item| Err(literal(item)))
        }
    };
    let all: Vec<Option<SourceKey>> =
        table.items("secrets", "an array").into_iter().map(read).collect();
    all.into_iter().collect()
}

fn secret(
    table: &mut Table<'_>,
    owner: &str,
    number: u32,
    met: &mut Vec<Secret>,
    signing: Signing<'_>,
    around: &mut Surroundings<'_, '_>,
) -> Option<SourceKey> {
    let from = table.optional("from", value::timestamp);
    let until = table.optional("until", value::timestamp);
    if let Some((from, until)) = from.zip(until)
        && from > until
    {
        table.refuse("until", "its time ends before it begins", None);
    }
    let bytes = secret_place::bytes(table, owner, around.secrets)?;
    let refuse = |problem: String, hint: Option<&str>| {
        table.refuse("", problem, hint.map(str::to_owned));
    };
    if let Err(fault) = text::check_secret(&bytes, None) {
        refuse(format!("the secret of {owner} cannot be used: {fault}"), None);
        return None;
    }
    let secret = Secret::new(bytes.to_vec())
        .map_err(|fault| {
            refuse(format!("the secret of {owner} cannot be used: {fault}"), None);
        })
        .ok()?;
    let place = format!("the source {owner} ({})", table.document().place(table.span().start));
    let decoded = decoded(&bytes);
    let forms = [Some(secret.expose()), decoded.as_ref().map(|bytes| bytes.as_slice())];
    let forms = forms.into_iter().flatten();
    let earlier = forms.map(|form| around.secrets.remember_shared(form, place.clone()));
    if let Some(earlier) = earlier.flatten().next() {
        let hint = "what a provider signs by must open nothing else: make another there";
        let problem = format!("this secret of {owner} has the same bytes as one of {earlier}");
        refuse(problem, Some(hint));
        return None;
    }
    if met.iter().any(|known| known.equals(&secret)) {
        refuse(format!("this secret of {owner} stands here twice"), None);
        return None;
    }
    met.push(secret.clone());
    let (scheme, values) = signing?;
    match scheme.key(&secret, values.clone()) {
        Ok(key) => Some(SourceKey {
            key,
            number,
            from: from.unwrap_or(Timestamp::from_secs(0)),
            until: until.unwrap_or(Timestamp::MAX),
        }),
        Err(fault) => {
            let problem = format!("{} cannot use the secret of {owner}: {fault}", scheme.name());
            refuse(problem, None);
            None
        }
    }
}
