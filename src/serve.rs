//! Serves HTTP over TLS for any handler: sockets, TLS, deadlines and drain.
//!
//! Promises that no client holds a connection longer than the deadlines allow, that the accept loop
//! outlives every error, and that a drain loses no request. Refuses to know what a request means:
//! policy is the handler's. Must never do work per request that could be done per connection.

mod accept;
mod arrival;
mod arriving;
mod cap;
mod certificate;
mod clients;
mod drain;
mod driver;
mod exchange;
mod handshake;
mod issued;
mod origin;
mod pulse;
mod socket;
mod stream;
mod subject;
#[cfg(test)]
mod tests;
mod tls;

use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::Response;
use http::request::Parts;

pub use arriving::Arriving;
pub use cap::Connections;
pub use clients::ClientCertificates;
pub use drain::Drain;
pub use issued::{Issued, Proofs};
pub use origin::{Origins, ProxyProtocol, proxy_header};
pub use socket::{Listening, bind, share};
pub use tls::{CertificateFiles, Expiry, Tls, TlsFault, TlsFaults, TlsSources};

use accept::Front;

use crate::limit::{ConnectionDeadlines, HeadLimits, Http2Limits, MinimumPace};
use crate::peer::{CertNames, Peer};
use crate::telemetry::connections::ConnectionMetrics;

/// What requests are given to.
pub trait Handler: 'static {
    /// The body of an answer.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + 'static;

    /// Answers one request. Never fails: a fault is an answer as well. The head is boxed, so that
    /// it is passed on by a pointer.
    ///
    /// `Connection: close` on an HTTP/1 answer ends the connection after it; the unread body of the
    /// request does not keep the answer from arriving.
    fn handle(
        &self,
        head: Box<Parts>,
        body: Arriving,
        peer: &Rc<Peer>,
    ) -> impl Future<Output = Response<Self::Body>>;
}

/// What connections are held to; those that are open keep what they began with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Deadlines of a connection.
    pub deadlines: ConnectionDeadlines,
    /// The slowest client that an answer is still sent to.
    pub pace: MinimumPace,
    /// What a request's head may hold.
    pub head: HeadLimits,
    /// What an HTTP/2 connection may hold.
    pub http2: Http2Limits,
    /// Requests after which a connection is told to close.
    pub requests_max: NonZeroUsize,
    /// Who is believed about where connections and requests come from.
    pub origins: Origins,
}

/// All that the accept loop of one core needs.
pub struct Door<H> {
    /// Certificates, shared by the cores.
    pub tls: Arc<Tls>,
    /// Open connections, shared by the cores.
    pub connections: Arc<Connections>,
    /// Read at each accept.
    pub settings: Arc<ArcSwap<Settings>>,
    /// Where connections are counted.
    pub metrics: Arc<ConnectionMetrics>,
    /// Who answers.
    pub handler: Rc<H>,
    /// When to stop.
    pub drain: Drain,
}

/// Accepts and serves until the drain is over. Gives the number of connections that were cut.
///
/// Runs on a `LocalRuntime`: each connection is a local task.
///
/// # Errors
/// When the socket cannot be used at all. Errors of `accept` never end the loop.
pub async fn run<H: Handler>(listening: impl Into<Listening>, door: Door<H>) -> io::Result<usize> {
    Front::new(door, Line::Tls).run(listening.into()).await
}

/// The same over plain HTTP/1, for what may be said in clear. The peer of a request is given the
/// names of all certificates; the handshake deadline is that of a PROXY header only.
///
/// # Errors
/// As above.
pub async fn run_plain<H: Handler>(
    listening: impl Into<Listening>,
    door: Door<H>,
) -> io::Result<usize> {
    Front::new(door, Line::Plain).run(listening.into()).await
}

/// What HTTP is spoken over.
#[derive(Clone, Copy, Debug)]
enum Line {
    Tls,
    Plain,
}
