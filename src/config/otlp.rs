//! `[otlp]`: where the spans of requests are exported to.

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    TRANSFER_ENCODING, USER_AGENT,
};
use http::{Uri, uri};

use super::destination;
use super::fault::{Note, Weight};
use super::listener;
use super::node::{Mismatch, Node};
use super::reach::{self, Callers};
use super::reader::Table;
use super::secret_file::SecretSources;
use super::secret_place;
use super::value;
use crate::limit::Rate;
use crate::otlp::{Collector, Export};
use crate::secret::Secret;
use crate::telemetry::SpanRules;

/// Where collectors take spans, unless a URL says otherwise (OTLP over HTTP).
const PATH: &str = "/v1/traces";
const SERVICE: &str = "countersign";
/// A hundredth, in millionths.
const SAMPLE: u32 = 10_000;
const UNVERIFIED: Rate = Rate {
    per_second: NonZeroU32::MIN.saturating_add(9),
    burst: NonZeroU32::MIN.saturating_add(99),
};
const QUEUE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8191);
const QUEUE_MAX: u64 = 1_000_000;
const BATCH: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
const BATCH_MAX: u64 = 10_000;
const INTERVAL: Duration = Duration::from_secs(5);
const INTERVAL_BOUNDS: RangeInclusive<Duration> = Duration::from_millis(10)..=MINUTE;
const DEADLINE: Duration = Duration::from_secs(10);
const DEADLINE_BOUNDS: RangeInclusive<Duration> = Duration::from_millis(100)..=MINUTE;
const RETRY_FOR: Duration = MINUTE;
const RETRY_FOR_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=HOUR;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// The most header fields, and the longest value of one, in bytes.
const HEADERS_MAX: usize = 16;
const VALUE_BYTES_MAX: usize = 8192;

/// Fields that belong to the call itself.
const OWN_FIELDS: [HeaderName; 7] = [
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    TRANSFER_ENCODING,
    USER_AGENT,
];

/// What is exported. Where anything is, all routes trace: a service must get the very span that is
/// exported.
pub(super) fn otlp(
    table: &mut Table<'_>,
    secrets: &mut SecretSources<'_>,
    watched: &mut Vec<PathBuf>,
) -> Option<Export> {
    // Nobody shares its connections: they end with the thread that makes them.
    let mut callers = Callers::default();
    let export = export(table, secrets, &mut callers);
    watched.append(&mut callers.watched);
    export
}

fn export(
    table: &mut Table<'_>,
    secrets: &mut SecretSources<'_>,
    callers: &mut Callers,
) -> Option<Export> {
    let endpoint = table.required("endpoint", endpoint);
    let reach = callers.reach(table);
    let headers = headers(table, secrets);
    let service = table.optional("service", value::name).unwrap_or(SERVICE);
    let sample = table.optional("sample", |node| value::share(node, 0)).unwrap_or(SAMPLE);
    let unverified = table.table("unverified", listener::rate).unwrap_or(Some(UNVERIFIED));
    let queue = table.optional("queue", value::count(QUEUE_MAX)).unwrap_or(QUEUE);
    let batch = table.optional("batch", value::count(BATCH_MAX)).unwrap_or(BATCH.min(queue));
    let times = [
        ("interval", INTERVAL_BOUNDS, INTERVAL),
        ("deadline", DEADLINE_BOUNDS, DEADLINE),
        ("retry_for", RETRY_FOR_BOUNDS, RETRY_FOR),
    ];
    let [interval, deadline, retry_for] = times.map(|(key, bounds, default)| {
        table.optional(key, |node| duration(node, &bounds)).unwrap_or(default)
    });
    if batch > queue {
        let problem =
            format!("no {batch} requests' spans can wait where there is room for {queue}");
        table.refuse("batch", problem, None);
    }
    let (endpoint, reach) = (endpoint?, reach?);
    let https = endpoint.scheme_str() == Some("https");
    if let Err(fault) = reach::check(https, endpoint.host().unwrap_or_default(), &reach) {
        table.refuse("endpoint", fault.problem, Some(fault.hint));
        return None;
    }
    if !https && table.stated("ca") {
        table.refuse("ca", "a plain http collector shows no certificate to check", None);
        return None;
    }
    let rules = SpanRules { per_million: sample, unverified: unverified?, batch };
    let caller = callers.caller(table, &reach)?;
    let (headers, service) = (headers?, service.into());
    let collector = Collector { endpoint, headers, caller, service, interval, deadline, retry_for };
    Some(Export { queue, rules, collector })
}

/// The URL of a collector; one without a path gets that of the protocol.
fn endpoint(node: &Node<'_>) -> Result<Uri, Mismatch> {
    let expected = "a URL such as \"https://collector.internal:4318\"";
    let url = destination::url(node, expected)?;
    let bare = url.path_and_query().is_none_or(|path| path.as_str() == "/");
    if !bare {
        return Ok(url);
    }
    let mut parts = url.into_parts();
    parts.path_and_query = Some(uri::PathAndQuery::from_static(PATH));
    Uri::from_parts(parts).map_err(|_| node.wrong_type(expected))
}

/// Header fields with their values, which may be secret and so stand elsewhere. Nothing where one
/// is at fault.
fn headers(
    table: &mut Table<'_>,
    secrets: &mut SecretSources<'_>,
) -> Option<Vec<(HeaderName, Secret)>> {
    let stated = table.names("headers").len();
    let mut all: Vec<(HeaderName, Secret)> = Vec::new();
    table.named("headers", |name, table| {
        let text = name.get_ref().as_ref();
        let value = header_value(table, text, secrets);
        let Some(name) = field(text) else {
            let problem = format!("{text:?} is no header field that can be set here");
            table.refuse("", problem, None);
            return None;
        };
        if all.iter().any(|(own, _)| *own == name) {
            table.refuse("", format!("{name} stands here twice"), None);
            return None;
        }
        all.push((name, value?));
        Some(())
    });
    if stated > HEADERS_MAX {
        table.refuse("headers", format!("more than {HEADERS_MAX} fields"), None);
        return None;
    }
    (all.len() == stated).then_some(all)
}

fn field(text: &str) -> Option<HeaderName> {
    text.parse().ok().filter(|name| !OWN_FIELDS.contains(name))
}

fn header_value(
    table: &mut Table<'_>,
    owner: &str,
    secrets: &mut SecretSources<'_>,
) -> Option<Secret> {
    let mut bytes = secret_place::bytes(table, owner, secrets)?;
    let fits = (1..=VALUE_BYTES_MAX).contains(&bytes.len());
    let visible = bytes.iter().all(|b| matches!(b, b' '..=b'~'));
    let trimmed = bytes.trim_ascii().len() == bytes.len();
    if !(fits && visible && trimmed) || HeaderValue::from_bytes(&bytes).is_err() {
        let problem =
            format!("the value of {owner} is not visible ASCII in one line, 1 B to 8 KiB");
        let hint = "it is the whole value of the field, such as: Bearer and the token";
        table.refuse("", problem, Some(hint.to_owned()));
        return None;
    }
    let place = format!("the header {owner} ({})", table.document().place(table.span().start));
    if let Some(earlier) = secrets.remember_shared(&bytes, place) {
        let problem = format!("the value of {owner} has the same bytes as the secret of {earlier}");
        table.refuse("", problem, None);
        return None;
    }
    Some(Secret::of_any_length(std::mem::take(&mut *bytes)))
}

fn duration(node: &Node<'_>, bounds: &RangeInclusive<Duration>) -> Result<Duration, Mismatch> {
    let duration = value::duration(node)?;
    if bounds.contains(&duration) {
        return Ok(duration);
    }
    let expected = format!("a duration from {:?} to {:?}", bounds.start(), bounds.end());
    Err(Mismatch::text(expected, node.str("a duration")?))
}

/// Where spans go, and of which requests.
pub(super) fn notes(export: &Export) -> Vec<Note> {
    let url = &export.collector.endpoint;
    let host = url.authority().map_or("", |authority| authority.as_str());
    let percent = f64::from(export.rules.per_million) / 10_000.0;
    let text = format!(
        "spans go to {host}: of requests in traces that their callers sample, and of {percent} % \
         of the others"
    );
    let mut notes =
        vec![Note { weight: Weight::Information, key: "otlp.endpoint".to_owned(), text }];
    let local = url.host().is_some_and(is_loopback);
    if url.scheme_str() != Some("https") && !local {
        let text = "PLAIN HTTP: whoever is on the way reads every span, and the headers with them";
        let key = "otlp.endpoint".to_owned();
        notes.push(Note { weight: Weight::Warning, key, text: text.to_owned() });
    }
    notes
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
