//! The merchants file: who may sign, with what, and how much.

mod answer_secret;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use ipnet::IpNet;
use toml::Spanned;

use super::envelope::Envelopes;
use super::listener;
use super::node::{Mismatch, Node};
use super::reader::Table;
use super::route;
use super::scheme::Schemes;
use super::secret_file::{SecretSources, Wiped};
use super::secret_place::{self, Wanted, literal};
use super::value;
use crate::envelope::Envelope;
use crate::gateway::route::RouteSpec;
use crate::keyring::{CredentialSpec, Environment, KeyId, MerchantSpec, Scope, State, VersionSpec};
use crate::scheme::Scheme;
use crate::secret::text::{self, TextFault};
use crate::secret::{NamedSecrets, Secret};

pub(super) const ENVIRONMENTS: [(&str, Environment); 2] =
    [("test", Environment::Test), ("live", Environment::Live)];

/// Secrets of one credential.
const VERSIONS_MAX: usize = 4;
/// Of these, retiring ones: each costs every bad request one more MAC.
const RETIRING_MAX: usize = 2;

/// A merchant and where its rate stands.
pub(super) struct PlacedMerchant {
    pub(super) spec: MerchantSpec,
    pub(super) rate_span: Range<usize>,
}

/// What is known across all merchants while they are read.
pub(super) struct Register<'e> {
    pub(super) secrets: SecretSources<'e>,
    schemes: &'e Schemes,
    envelopes: &'e Envelopes,
    /// The schemes whose answers some route signs.
    answering: Vec<&'e Scheme>,
    /// Key ids and where they stand.
    key_ids: HashMap<KeyId, String>,
}

impl<'e> Register<'e> {
    pub(super) fn new(
        secrets: SecretSources<'e>,
        schemes: &'e Schemes,
        envelopes: &'e Envelopes,
        routes: &'e [RouteSpec],
    ) -> Self {
        let answering = routes.iter().filter(|route| route.answers.sign);
        let answering = answering.map(|route| &*route.scheme).collect();
        Self { secrets, schemes, envelopes, answering, key_ids: HashMap::new() }
    }
}

/// Every merchant of the file.
pub(super) fn merchants(table: &mut Table<'_>, register: &mut Register<'_>) -> Vec<PlacedMerchant> {
    table.named("merchants", |name, table| {
        let id = table.own_name(name);
        let rate = table.required_table("rate", listener::rate);
        let addresses = table.list("addresses", value::network);
        let credentials = table
            .named("credentials", |key_id, table| credential(key_id, table, &addresses, register));
        let spec = MerchantSpec { id: id?.into(), rate: rate??, addresses, credentials };
        Some(PlacedMerchant { spec, rate_span: table.span_of("rate") })
    })
}

fn credential<'n>(
    name: &'n Spanned<Cow<'n, str>>,
    table: &mut Table<'n>,
    merchant_addresses: &[IpNet],
    register: &mut Register<'_>,
) -> Option<CredentialSpec> {
    let key_id = key_id(name, table, register);
    let environment = table.required("environment", value::choice(&ENVIRONMENTS));
    let scheme = route::scheme(table, register.schemes);
    let rate = table.table("rate", listener::rate).flatten();
    let addresses = table.list("addresses", value::network);
    let within = |own: &IpNet| {
        merchant_addresses.iter().any(|outer| outer.contains(own) || own.contains(outer))
    };
    if let Some(own) = addresses.iter().find(|own| !merchant_addresses.is_empty() && !within(own)) {
        let problem =
            format!("{own} is not within the addresses of the merchant, so nobody may call");
        table.refuse("addresses", problem, None);
    }
    let scopes = table.list("scopes", scope);
    let repeatable_reads = table.optional("repeatable_reads", value::boolean).unwrap_or(true);
    let expires = table.optional("expires", value::timestamp);
    let suspended = table.optional("suspended", value::boolean).unwrap_or(false);
    let envelope = table.optional("envelope", |node| register.envelopes.find(node)).flatten();
    let reading = Reading { environment, scheme: scheme.as_deref(), envelope: envelope.as_deref() };
    let values = named_values(table, name.get_ref(), reading, register);
    let signing = values.as_ref().map(|values| (reading, values));
    let versions = versions(table, name.get_ref(), signing, register);
    let answer_key = answer_secret::key(table, name.get_ref(), signing, register);
    if let Some(versions) = &versions {
        check_states(table, versions, suspended);
    }
    if let Some(scheme) = &scheme
        && scheme.coverage().leaves_target_open()
        && table
            .node("scopes")
            .is_none_or(|node| node.value().as_array().is_some_and(|a| a.is_empty()))
    {
        let problem =
            format!("{} does not sign method and target, so scopes are needed", scheme.name());
        let hint =
            "say what the credential may call: scopes = [\"POST /v1/orders\", \"GET /v1/*\"]";
        table.refuse("scopes", problem, Some(hint.to_owned()));
    }
    Some(CredentialSpec {
        key_id: key_id?,
        environment: environment?,
        scheme: scheme?,
        envelope,
        answer_key,
        rolling: None,
        rate,
        addresses,
        scopes,
        repeatable_reads,
        expires,
        suspended,
        versions: versions?.into_iter().flatten().collect(),
    })
}

fn key_id<'n>(
    name: &'n Spanned<Cow<'n, str>>,
    table: &Table<'n>,
    register: &mut Register<'_>,
) -> Option<KeyId> {
    let Ok(key_id) = name.get_ref().parse::<KeyId>() else {
        table.refuse_key(name, crate::keyring::KeyIdFault.to_string());
        return None;
    };
    let place = table.document().place(name.span().start);
    if let Some(earlier) = register.key_ids.get(&key_id) {
        table.refuse_key(name, format!("the key id is taken by the credential at {earlier}"));
        return None;
    }
    register.key_ids.insert(key_id.clone(), place);
    Some(key_id)
}

fn scope(node: &Node<'_>) -> Result<Scope, Mismatch> {
    let expected = "a method and a path, such as \"POST /v1/orders\" or \"* /v1/*\"";
    let text = node.str(expected)?;
    text.parse().map_err(|fault: crate::keyring::ScopeFault| {
        Mismatch::text(expected, text).hint(fault.to_string())
    })
}

/// All versions, those at fault as `None`; nothing where the key itself is at fault.
fn versions(
    table: &mut Table<'_>,
    key_id: &str,
    signing: Signing<'_>,
    register: &mut Register<'_>,
) -> Option<Vec<Option<VersionSpec>>> {
    let node = table.required("secrets", |node| Ok(*node))?;
    let Some(items) = node.value().as_array() else {
        node.take::<()>(&table.path_of("secrets"), |node| Err(literal(node)));
        return None;
    };
    if !(1..=VERSIONS_MAX).contains(&items.len()) {
        let problem =
            format!("a credential has 1 to {VERSIONS_MAX} secrets; here are {}", items.len());
        table.refuse("secrets", problem, None);
        return None;
    }
    let items = table.items("secrets", "an array");
    let read = |(path, item): (String, Node<'_>)| {
        if item.value().is_table() {
            Table::of(&item, path, "a table", |table| version(table, key_id, signing, register))
                .flatten()
        } else {
            item.take(&path, |item| Err(literal(item)))
        }
    };
    Some(items.into_iter().map(read).collect())
}

/// Who reads a credential's secret and values, and for which environment. A scheme at fault is
/// none.
#[derive(Clone, Copy, Default)]
struct Reading<'s> {
    environment: Option<Environment>,
    scheme: Option<&'s Scheme>,
    envelope: Option<&'s Envelope>,
}

/// What makes keys of a secret; nothing where the values are at fault.
type Signing<'s> = Option<(Reading<'s>, &'s NamedSecrets)>;

/// The values beside the secret that scheme and envelope read.
fn named_values(
    table: &mut Table<'_>,
    key_id: &str,
    reading: Reading<'_>,
    register: &mut Register<'_>,
) -> Option<NamedSecrets> {
    let Reading { scheme, envelope, .. } = reading;
    let sealing = envelope.map_or_else(Vec::new, Envelope::value_names);
    let mut wanted: Vec<&str> = scheme.map(Scheme::value_names).into_iter().flatten().collect();
    wanted.extend(sealing.iter().map(String::as_str));
    let who = if envelope.is_some() { "scheme and envelope read" } else { "the scheme reads" };
    let wanted = Wanted { who, names: scheme.is_some().then_some(wanted), spare: Vec::new() };
    secret_place::values(table, key_id, wanted, &mut register.secrets, |bytes| {
        own_text(bytes, reading)
    })
}

fn version(
    table: &mut Table<'_>,
    key_id: &str,
    signing: Signing<'_>,
    register: &mut Register<'_>,
) -> Option<VersionSpec> {
    let state = table.optional("state", value::choice(&State::NAMES));
    let stated = table.node("state").is_some();
    let until = table.optional("until", value::timestamp);
    let fitted = table.optional("fitted", value::boolean).unwrap_or(false);
    let bytes = secret_place::bytes(table, key_id, &mut register.secrets);
    let retiring = state == Some(State::Retiring);
    if retiring && table.node("until").is_none() {
        table.refuse("until", "a retiring secret needs the end of its time: until = \"…\"", None);
        return None;
    }
    let reading = signing.map(|(reading, _)| reading).unwrap_or_default();
    let secret = match usable_secret(bytes?, reading) {
        Ok(secret) => secret,
        Err(fault) => {
            table.refuse("", format!("the secret of {key_id} cannot be used: {fault}"), None);
            return None;
        }
    };
    let place = format!("{key_id} ({})", table.document().place(table.span().start));
    if let Some(earlier) = register.secrets.remember(secret.expose(), place) {
        let problem = format!("this secret of {key_id} has the same bytes as one of {earlier}");
        let hint = "make a secret of its own for every credential and version";
        table.refuse("", problem, Some(hint.to_owned()));
        return None;
    }
    let state = if stated { state? } else { State::Active };
    let (Reading { scheme, envelope, .. }, values) = signing?;
    if let Some(envelope) = envelope {
        check_sealing(table, key_id, (&secret, fitted), values, envelope);
    }
    let scheme = scheme?;
    match scheme.key(&secret, values.clone()) {
        Ok(key) => Some(VersionSpec { key, number: 0, state, on_first_use: false, until }),
        Err(fault) => {
            let problem = format!("{} cannot use the secret of {key_id}: {fault}", scheme.name());
            table.refuse("", problem, None);
            None
        }
    }
}

/// The bytes as a secret, or why they cannot be one.
fn usable_secret(mut bytes: Wiped, reading: Reading<'_>) -> Result<Secret, String> {
    own_text(&bytes, reading).map_err(|fault| fault.to_string())?;
    Secret::new(std::mem::take(&mut *bytes)).map_err(|fault| fault.to_string())
}

/// Refuses a text of our own that cannot be a secret of this credential.
fn own_text(bytes: &[u8], reading: Reading<'_>) -> Result<(), TextFault> {
    let live = reading.environment.map(|environment| environment == Environment::Live);
    text::check_secret(bytes, live)
}

/// Tells where secret and values are no keys for the envelope. Keys that take long to derive are
/// left to the first message.
fn check_sealing(
    table: &mut Table<'_>,
    key_id: &str,
    (secret, fitted): (&Secret, bool),
    values: &NamedSecrets,
    envelope: &Envelope,
) {
    if envelope.derives() {
        return;
    }
    let name = envelope.name();
    match envelope.prepare(Some(secret.expose()), values) {
        Ok(prepared) if prepared.was_fitted() && !fitted => {
            let problem = format!(
                "the secret of {key_id} has not the length of the key of {name}, so it would be \
                 filled with zero bytes or cut"
            );
            let hint = "make one of the right length; for one that is in use already, write in \
                        its table: fitted = true";
            table.refuse("", problem, Some(hint.to_owned()));
        }
        Ok(_) => {}
        Err(_) => {
            let problem = format!("{name} cannot use the secret and values of {key_id} as keys");
            let hint = format!("`countersign envelope explain {name}` says what it needs");
            table.refuse("", problem, Some(hint));
        }
    }
}

/// How many versions may be in which state.
fn check_states(table: &Table<'_>, versions: &[Option<VersionSpec>], suspended: bool) {
    let count = |state| versions.iter().flatten().filter(|version| version.state == state).count();
    let active = count(State::Active);
    // Versions at fault may have been the active one: nothing is said of what is not known.
    let all_known = versions.iter().all(Option::is_some);
    if active > 1 {
        let problem = format!("one secret is active at a time; here are {active}");
        let hint = "state = \"pending\" for the next one, \"retiring\" with until for the last one";
        table.refuse("secrets", problem, Some(hint.to_owned()));
    } else if active == 0 && !suspended && all_known {
        let hint = "or suspend the credential: suspended = true";
        table.refuse("secrets", "no secret is active", Some(hint.to_owned()));
    }
    let retiring = count(State::Retiring);
    if retiring > RETIRING_MAX {
        let problem =
            format!("at most {RETIRING_MAX} secrets retire at a time; here are {retiring}");
        table.refuse("secrets", problem, None);
    }
}
