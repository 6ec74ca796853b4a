//! `[sources.NAME]`: from whom webhooks come, what they are and what follows.
//!
//! A provider's profile says most of it; every key of a source stands in place of what the profile
//! states. Nothing loads that could not be verified, or that proves too little and is not
//! confirmed.

mod asking;
mod keys;
mod notes;
mod overlap;

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use super::destination::Destinations;
use super::document::{Document, Showing};
use super::listener::{BODY_BYTES_TOP, too_large};
use super::merchant::PlacedMerchant;
use super::provider::{self, table::Places};
use super::reach::Callers;
use super::reader::Table;
use super::route;
use super::scheme::Schemes;
use super::secret_file::SecretSources;
use super::value::{self, DAY};
use super::{inbox, node::Mismatch, node::Node};
use crate::gateway::route::RouteSpec;
use crate::inbox::profile::{Compiled, Profile};
use crate::inbox::source::{Source, SourceKeys};
use crate::keyring::KeyId;
use crate::limit::Window;
use crate::scheme::{Scheme, Strength};
use crate::target::PathPattern;
use asking::Asking;
pub(super) use notes::{Noted, ending, notes};
use overlap::Place;

/// How long the key of a repeated message is kept where its scheme signs a time, and where not.
const REMEMBER_TIMED: Duration = Duration::from_secs(30 * 24 * 3600);
const REMEMBER: Duration = Duration::from_secs(400 * 24 * 3600);

/// What sources refer to.
pub(super) struct Surroundings<'s, 'e> {
    pub(super) schemes: &'s Schemes,
    pub(super) destinations: &'s Destinations<'s>,
    /// Routes and where they stand.
    pub(super) routes: &'s [(RouteSpec, String)],
    /// The body limit of sources that state none.
    pub(super) body_bytes_max: NonZeroUsize,
    /// The memory of unverified bytes that bodies must fit into.
    pub(super) unverified_bytes_max: NonZeroUsize,
    pub(super) secrets: &'s mut SecretSources<'e>,
    pub(super) callers: &'s mut Callers,
}

/// A source, what is to be said of it, and where the credential stands that it names.
pub(super) struct PlacedSource {
    pub(super) source: Source,
    pub(super) noted: Noted,
    credential: Option<(String, Range<usize>)>,
}

impl PlacedSource {
    /// The credential whose secrets verify its messages, where they are not its own.
    pub(super) fn credential(&self) -> Option<&KeyId> {
        match &self.source.keys {
            SourceKeys::Credential(key_id) => Some(key_id),
            SourceKeys::Own(_) => None,
        }
    }
}

/// Every source.
pub(super) fn sources(
    table: &mut Table<'_>,
    around: &mut Surroundings<'_, '_>,
) -> Vec<PlacedSource> {
    let mut taken: Vec<Place> = Vec::new();
    table.named("sources", |name, table| {
        let own = table.own_name(name);
        let source = source(name.get_ref(), own, table, around, &mut taken)?;
        Some(source)
    })
}

/// What is known of a source before its secrets are read.
struct Head {
    hosts: Vec<String>,
    path: Option<PathPattern>,
    window: Window,
    body: Option<NonZeroUsize>,
    public_url: Option<Arc<str>>,
    remember: Duration,
}

fn source<'n>(
    owner: &str,
    name: Option<&str>,
    table: &mut Table<'n>,
    around: &mut Surroundings<'_, '_>,
    taken: &mut Vec<Place>,
) -> Option<PlacedSource> {
    let provider = table.optional("provider", provider::find);
    let mut places = Places::default();
    let own = provider::table::profile(table, &mut places);
    let asking = Asking::read(table, &mut places, around.callers);
    let scheme = scheme(table, provider, around.schemes);
    let head = head(table, scheme.as_deref(), around);
    if let Some(path) = &head.path {
        overlap::refuse(table, owner, (&head.hosts, path), around.routes, taken);
    }
    let destination = table.required("destination", |node| around.destinations.find(node));
    // What a misspelt provider would have said is not known: nothing is said of what is missing.
    let known = provider.is_some() || !table.stated("provider");
    let profile = known.then(|| asking.profile(provider, own, scheme.as_deref()));
    let unsigned = profile.as_ref().is_some_and(|profile| profile.unsigned.is_some());
    let compiled = profile
        .as_ref()
        .zip(scheme.as_ref())
        .and_then(|(profile, scheme)| compile(table, profile, scheme, &places, around.schemes));
    let spare = spare(provider, scheme.as_deref(), around.schemes);
    let read = (compiled.as_ref(), spare.as_slice());
    let (keys, values) = keys::keys(table, owner, scheme.as_deref(), read, around);
    let strength = scheme.as_deref().map(Scheme::strength);
    let weak = strength.is_some_and(|strength| strength < Strength::Full) || unsigned;
    let profile = profile?;
    let (methods, probes) = methods(table, &profile);
    let compiled = compiled?;
    let Compiled { reading, answers, confirm, order, post_back, .. } = compiled;
    let noted = Noted::of(&profile, &asking, &compiled.exceptions, compiled.id_is_unsigned);
    let asked = (confirm, order, post_back);
    let (confirm, post_back) = asking.callers(table, asked, weak, &profile, around.callers)?;
    let credential = match &keys {
        Some(SourceKeys::Credential(_)) => Some(table.span_of("credential")),
        _ => None,
    };
    let source = Source {
        name: Arc::from(name?),
        hosts: head.hosts,
        path: head.path?,
        methods,
        probes,
        scheme: scheme?,
        keys: keys?,
        unsigned,
        window: head.window,
        body_bytes_max: head.body?,
        public_url: head.public_url,
        reading,
        answers,
        strength: strength?,
        confirm,
        post_back,
        destination: destination??,
        pass: passed(&profile),
        remember: head.remember,
        values: values?,
    };
    let credential = credential.map(|span| (table.path_of("credential"), span));
    Some(PlacedSource { source, noted, credential })
}

/// The scheme that a source states, or that of its provider.
fn scheme(
    table: &mut Table<'_>,
    provider: Option<&Profile>,
    schemes: &Schemes,
) -> Option<Arc<Scheme>> {
    if table.stated("scheme") {
        return table.optional("scheme", |node| schemes.find(node).or_else(typed)).flatten();
    }
    match provider {
        Some(profile) => schemes.named(profile.scheme.as_deref()?),
        None => {
            if !table.stated("provider") {
                let hint = "provider = \"…\" names a built-in profile, or say it all yourself: \
                            scheme = \"…\"";
                let problem = "nothing says how its messages are signed";
                table.refuse("", problem, Some(hint.to_owned()));
            }
            None
        }
    }
}

/// A value of another type was told already, when the profile's texts were read.
fn typed(mismatch: Mismatch) -> Result<Option<Arc<Scheme>>, Mismatch> {
    if mismatch.found.starts_with('"') { Err(mismatch) } else { Ok(None) }
}

fn head(table: &mut Table<'_>, scheme: Option<&Scheme>, around: &Surroundings<'_, '_>) -> Head {
    let hosts = table.list("hosts", value::host);
    let path = table.required("path", route::path);
    let window = route::window(table, scheme);
    let stated = table.stated("body");
    let body = table.optional("body", value::size(1..=BODY_BYTES_TOP));
    let large = body.and_then(|body| too_large(body, around.unverified_bytes_max));
    if let Some((problem, hint)) = large {
        table.refuse("body", problem, Some(hint));
    }
    let public_url = table.optional("public_url", route::public_url);
    let reads = scheme.map(|scheme| (scheme.name(), scheme.reads_public_url()));
    match (reads, table.stated("public_url")) {
        (Some((name, true)), false) => {
            let problem = format!("{name} signs the address that the provider calls");
            let hint = "say which, as it stands at the provider: public_url = \"https://…\"";
            table.refuse("public_url", problem, Some(hint.to_owned()));
        }
        (Some((name, false)), true) => {
            let problem = format!("{name} does not read the public address, which is url(public)");
            table.refuse("public_url", problem, Some("remove the key".to_owned()));
        }
        _ => {}
    }
    let timed = scheme.is_some_and(|scheme| scheme.coverage().time.is_signed());
    let remember = table.optional("remember", inbox::kept);
    if let Some(short) = remember.filter(|one| timed && *one < window.span()) {
        let problem = format!(
            "a signed time is good for {} s, and after {} s a repeated message would count as new",
            window.span().as_secs(),
            short.as_secs()
        );
        table.refuse("remember", problem, None);
    }
    let default = if timed { REMEMBER_TIMED } else { REMEMBER };
    Head {
        hosts,
        path,
        window,
        body: if stated { body } else { Some(around.body_bytes_max) },
        public_url,
        remember: remember.unwrap_or(default),
    }
}

fn compile(
    table: &Table<'_>,
    profile: &Profile,
    scheme: &Scheme,
    places: &Places<'_>,
    schemes: &Schemes,
) -> Option<Compiled> {
    match profile.compile(scheme, &|name| schemes.named(name)) {
        Ok(compiled) => Some(compiled),
        Err(mistakes) => {
            let key = if table.stated("scheme") { "scheme" } else { "provider" };
            mistakes.iter().for_each(|mistake| places.report(table, mistake, key));
            None
        }
    }
}

/// The values that a provider's whole profile reads: of those for calls that this source does not
/// make it may keep what it has.
fn spare(provider: Option<&Profile>, scheme: Option<&Scheme>, schemes: &Schemes) -> Vec<String> {
    let compiled = provider
        .zip(scheme)
        .and_then(|(profile, scheme)| profile.compile(scheme, &|name| schemes.named(name)).ok());
    compiled.map(|compiled| compiled.value_names).unwrap_or_default()
}

/// The methods that bring messages, and those that are answered and not looked at.
fn methods(table: &Table<'_>, profile: &Profile) -> (Vec<Method>, Vec<Method>) {
    let read = |all: &Option<Vec<String>>| -> Option<Vec<Method>> {
        Some(all.as_ref()?.iter().filter_map(|name| name.parse().ok()).collect())
    };
    let methods = read(&profile.methods).unwrap_or_else(|| vec![Method::POST]);
    let probes = read(&profile.probes).unwrap_or_default();
    if let Some(both) = methods.iter().find(|method| probes.contains(method)) {
        let problem = format!("{both} brings messages here, and what is a probe is not looked at");
        let key = if table.stated("probes") { "probes" } else { "methods" };
        table.refuse(key, problem, None);
    }
    (methods, probes)
}

fn passed(profile: &Profile) -> Vec<HeaderName> {
    let names = profile.pass.iter().flatten();
    names.filter_map(|name| name.parse().ok()).collect()
}

/// Tells of credentials in the merchants file that do not sign by their source's scheme. Gives the
/// key ids that are not there: they may be in the store.
pub(super) fn check_credentials(
    placed: &[PlacedSource],
    merchants: &[PlacedMerchant],
    document: &Document<'_>,
) -> Vec<(Arc<str>, KeyId)> {
    let mut absent = Vec::new();
    for PlacedSource { source, credential, .. } in placed {
        let (SourceKeys::Credential(key_id), Some((key, span))) = (&source.keys, credential) else {
            continue;
        };
        let all = merchants.iter().flat_map(|merchant| &merchant.spec.credentials);
        match all.into_iter().find(|one| one.key_id == *key_id) {
            None => absent.push((Arc::clone(&source.name), key_id.clone())),
            Some(found) if found.scheme == source.scheme => {}
            Some(found) => {
                let mut fault = document.fault(key.clone(), span.clone(), Showing::Value);
                fault.problem = format!(
                    "{key_id} signs by {}, and messages here are signed by {}",
                    found.scheme.name(),
                    source.scheme.name()
                );
                document.push(fault);
            }
        }
    }
    absent
}

/// For how long a transaction may be pending.
fn pending_for(node: &Node<'_>) -> Result<Duration, Mismatch> {
    let expected = "a duration of whole seconds from 1s to 90d, such as \"3d\"";
    value::duration_within(node, expected, Duration::from_secs(1)..=DAY * 90)
}
