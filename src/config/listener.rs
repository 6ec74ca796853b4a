//! `[listener]` and `[operations]`: where the gate listens and what a connection may do there.

mod acme;
mod clients;
mod front;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;

use super::reach::Callers;
use super::reader::Table;
use super::secret_file::SecretSources;
use super::value;
use crate::acme::Spec;
use crate::gateway::admission::budget::strangers_bytes_max;
use crate::limit::{
    BODY_BYTES_MAX, BodyDeadlines, ConnectionDeadlines, ConnectionLimits, HeadLimits, Http2Limits,
    KIB, MIB, MinimumPace, Rate, UNVERIFIED_BYTES_MAX,
};
use crate::peer::Bindings;
use crate::serve::{CertificateFiles, ClientCertificates, Origins, TlsSources};

/// More connections than any machine holds.
const CONNECTIONS_MAX: u64 = 10_000_000;
/// More requests a second than any machine serves.
const RATE_MAX: u32 = 100_000_000;
/// The largest body that a route may take, in bytes.
pub(super) const BODY_BYTES_TOP: usize = 1024 * MIB;

/// Where requests come in.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Address and port.
    pub address: SocketAddr,
    /// Certificates of files; the first is shown where a client names no server. Only empty where
    /// an authority issues others.
    pub certificates: Vec<CertificateFiles>,
    /// Certificates that an authority issues, if any.
    pub acme: Option<Spec>,
    /// How many connections it holds.
    pub connections: ConnectionLimits,
    /// Deadlines of a connection.
    pub deadlines: ConnectionDeadlines,
    /// Deadline and pace of a body.
    pub body: BodyDeadlines,
    /// What a head may hold.
    pub head: HeadLimits,
    /// What an HTTP/2 connection may hold.
    pub http2: Http2Limits,
    /// All received bytes that no signature vouches for yet, in bytes.
    pub unverified_bytes_max: NonZeroUsize,
    /// Failed admissions of one address (IPv6: of one /64) before it is slowed.
    pub failures: Rate,
    /// Who is believed about where connections and requests come from.
    pub origins: Origins,
    /// Whose certificates clients are asked for; none: they are asked for none.
    pub client_certificates: Option<ClientCertificates>,
    /// Which certificates credentials are bound to.
    pub bindings: Option<Bindings>,
    /// Where plain HTTP is answered with the way to HTTPS; none: nowhere.
    pub redirect: Option<SocketAddr>,
    /// Whether every request gets a span of the gate's own.
    pub trace: bool,
}

/// Where metrics, health and readiness are asked for.
#[derive(Clone, Debug)]
pub struct Operations {
    /// Address and port.
    pub address: SocketAddr,
    /// Certificates; where the file names none, the listener's.
    pub certificates: Vec<CertificateFiles>,
    /// Whether the admin API answers there.
    pub admin: bool,
}

impl Default for Operations {
    fn default() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9443));
        Self { address, certificates: Vec::new(), admin: true }
    }
}

impl Listener {
    /// Where its certificates come from, and whose it asks its clients for.
    pub fn tls_sources(&self) -> TlsSources<'_> {
        TlsSources {
            files: &self.certificates,
            clients: self.client_certificates.as_ref(),
            issued: self.acme.is_some(),
        }
    }
}

/// The listener, and the body limit of routes that state none.
pub(super) fn listener(
    table: &mut Table<'_>,
    secrets: &mut SecretSources<'_>,
    callers: &mut Callers,
) -> Option<(Listener, NonZeroUsize)> {
    let address = table.required("address", value::socket_address);
    let certificates = certificates(table);
    let ordered = table.stated("acme");
    if certificates.is_empty() && table.node("certificates").is_none() {
        if !ordered {
            table.missing("certificates");
        }
    } else if table.items("certificates", "an array").is_empty() {
        table.refuse(
            "certificates",
            "a listener needs a certificate: plain HTTP is never served",
            None,
        );
    }
    let failures = table.table("failures", rate).unwrap_or(Some(Rate::FAILURES));
    let trace = table.optional("trace", value::boolean).unwrap_or(false);
    let connections = table.table("connections", connections).unwrap_or_default();
    let (deadlines, body) = table.table("deadlines", deadlines).unwrap_or_default();
    let limits = table.table("limits", limits).unwrap_or_default();
    let http2 = table.table("http2", http2).unwrap_or_default();
    let origins = front::origins(table, deadlines.handshake);
    let clients = clients::clients(table);
    let redirect = front::redirect(table, address);
    let around = acme::Surroundings {
        demands_certificates: clients.certificates.as_ref().is_some_and(|own| own.required),
        redirects: redirect.is_some(),
    };
    let read = |table: &mut Table<'_>| acme::acme(table, around, secrets, callers);
    let acme = table.table("acme", read).flatten();
    if ordered && acme.is_none() {
        return None;
    }
    let listener = Listener {
        address: address?,
        certificates,
        acme,
        connections,
        deadlines,
        body,
        head: limits.head,
        http2,
        unverified_bytes_max: limits.unverified,
        failures: failures?,
        origins,
        client_certificates: clients.certificates,
        bindings: clients.bindings,
        redirect,
        trace,
    };
    Some((listener, limits.body))
}

pub(super) fn operations(table: &mut Table<'_>) -> Operations {
    let default = Operations::default();
    let address = table.optional("address", value::socket_address).unwrap_or(default.address);
    let admin = table.optional("admin", value::boolean).unwrap_or(default.admin);
    Operations { address, certificates: certificates(table), admin }
}

fn certificates(table: &mut Table<'_>) -> Vec<CertificateFiles> {
    table.tables("certificates", "{ chain = \"…\", key = \"…\" }", |table| {
        let chain = table.required("chain", value::path);
        let key = table.required("key", value::path);
        Some(CertificateFiles { chain: chain?, key: key? })
    })
}

/// `{ per_second = …, burst = … }`.
pub(super) fn rate(table: &mut Table<'_>) -> Option<Rate> {
    let per_second = table.required("per_second", value::count_u32(RATE_MAX));
    let burst = table.required("burst", value::count_u32(RATE_MAX));
    Some(Rate { per_second: per_second?, burst: burst? })
}

fn connections(table: &mut Table<'_>) -> ConnectionLimits {
    let default = ConnectionLimits::default();
    let count = value::count(CONNECTIONS_MAX);
    let total = table.optional("total", &count).unwrap_or(default.total);
    let per_address = table.optional("per_address", &count).unwrap_or(default.per_address);
    let requests = table.optional("requests", value::count(u64::from(u32::MAX)));
    let per_network =
        table.tables("networks", "{ network = \"…\", connections = … }", |table| {
            let network = table.required("network", value::network);
            let connections = table.required("connections", &count);
            Some((network?, connections?))
        });
    for (n, (network, _)) in per_network.iter().enumerate() {
        if per_network.iter().take(n).any(|(earlier, _)| earlier == network) {
            table.refuse("networks", format!("the network {network} stands here twice"), None);
        }
    }
    if per_address > total {
        let problem = format!("{per_address} connections per address are more than {total} in all");
        table.refuse("per_address", problem, None);
    }
    ConnectionLimits {
        total,
        per_address,
        per_network,
        requests: requests.unwrap_or(default.requests),
    }
}

fn deadlines(table: &mut Table<'_>) -> (ConnectionDeadlines, BodyDeadlines) {
    let default = ConnectionDeadlines::default();
    let mut deadline = |key, default| table.optional(key, value::duration).unwrap_or(default);
    let connection = ConnectionDeadlines {
        handshake: deadline("handshake", default.handshake),
        head: deadline("head", default.head),
        idle: deadline("idle", default.idle),
        stall: deadline("stall", default.stall),
        drain: deadline("drain", default.drain),
    };
    let total = deadline("body", BodyDeadlines::default().total);
    let pace = table.table("body_pace", pace).unwrap_or_default();
    (connection, BodyDeadlines { total, pace })
}

fn pace(table: &mut Table<'_>) -> MinimumPace {
    let default = MinimumPace::default();
    let pace = table.optional("bytes_per_second", value::count_u32(u32::MAX));
    let grace = table.optional("grace", value::duration);
    MinimumPace {
        bytes_per_second: pace.unwrap_or(default.bytes_per_second),
        grace: grace.unwrap_or(default.grace),
    }
}

struct Limits {
    body: NonZeroUsize,
    unverified: NonZeroUsize,
    head: HeadLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: BODY_BYTES_MAX, unverified: UNVERIFIED_BYTES_MAX, head: HeadLimits::default() }
    }
}

fn limits(table: &mut Table<'_>) -> Limits {
    let default = Limits::default();
    let mut size = |key, bounds, default: NonZeroUsize| {
        table.optional(key, value::size(bounds)).unwrap_or(default)
    };
    let body = size("body", 1..=BODY_BYTES_TOP, default.body);
    let unverified = size("unverified", MIB..=1024 * 1024 * MIB, default.unverified);
    let mut head_size = |key, bounds, default: usize| {
        table.optional(key, value::size(bounds)).map_or(default, NonZeroUsize::get)
    };
    let head = HeadLimits {
        method_bytes: head_size("method", 3..=64, default.head.method_bytes),
        value_bytes: head_size("value", 256..=64 * KIB, default.head.value_bytes),
        total_bytes: head_size("head", KIB..=256 * KIB, default.head.total_bytes),
        fields: table
            .optional("fields", value::count(1000))
            .map_or(default.head.fields, Into::into),
    };
    if let Some((problem, hint)) = too_large(body, unverified) {
        table.refuse("body", problem, Some(hint));
    }
    if head.value_bytes > head.total_bytes {
        table.refuse("value", "one header value may not be longer than the whole head", None);
    }
    Limits { body, unverified, head }
}

/// Why a body limit is too large for the memory of unverified bytes, if it is, and what to do: of
/// that memory half is for addresses that are not known yet.
pub(super) fn too_large(body: NonZeroUsize, unverified: NonZeroUsize) -> Option<(String, String)> {
    let half = strangers_bytes_max(unverified.get());
    (body.get() > half).then(|| {
        let problem = format!(
            "one body of {} does not fit into {}, half of the memory for unverified bytes",
            value::bytes_text(body.get()),
            value::bytes_text(half)
        );
        (problem, "raise `listener.limits.unverified` or lower `body`".to_owned())
    })
}

fn http2(table: &mut Table<'_>) -> Http2Limits {
    let default = Http2Limits::default();
    // RFC 9113, section 6.9.2: windows hold at least 65,535 bytes to begin with.
    let window = 65_535..=16 * MIB;
    let mut size = |key, bounds, default: u32| {
        let bytes = table.optional(key, value::size(bounds));
        bytes.and_then(|bytes| u32::try_from(bytes.get()).ok()).unwrap_or(default)
    };
    let stream_window_bytes = size("stream_window", window.clone(), default.stream_window_bytes);
    let connection_window_bytes =
        size("connection_window", window, default.connection_window_bytes);
    let header_list_bytes = size("header_list", KIB..=256 * KIB, default.header_list_bytes);
    let streams = table.optional("streams", value::count_u32(10_000));
    Http2Limits {
        streams: streams.map_or(default.streams, Into::into),
        stream_window_bytes,
        connection_window_bytes,
        header_list_bytes,
    }
}
