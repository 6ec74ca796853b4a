//! From a connection that was let in to a task that serves it.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use super::cap::Slot;
use super::drain::Ticket;
use super::driver::{Driver, Ended};
use super::exchange::Exchange;
use super::origin::proxy_header::{self, HeaderFault};
use super::pulse::Pulse;
use super::stream::{Below, ClientStream, Metered};
use super::{CertNames, Door, Handler, Line, Peer, Settings, clients, handshake};
use crate::limit::KIB;
use crate::peer::{ClientCertificate, as_header};
use crate::relay::Relay;
use crate::telemetry::connections::{
    ConnectionMetrics, HandshakeFault, Origin, Protocol, TlsVersion,
};

/// A connection that was let in.
pub(super) struct Arrival<H> {
    pub(super) door: Rc<Door<H>>,
    pub(super) settings: Arc<Settings>,
    pub(super) address: SocketAddr,
    pub(super) ip: IpAddr,
    /// The other end of the socket, whoever the client is.
    pub(super) socket: IpAddr,
    /// When it was accepted.
    pub(super) begun: Instant,
    pub(super) slot: Slot,
    pub(super) ticket: Ticket,
}

impl<H: Handler> Arrival<H> {
    /// Has a balancer say whose the connection is. From then on it is like any other of that
    /// client.
    pub(super) async fn be_named(mut self, mut tcp: TcpStream, deadline: Duration, line: Line) {
        let until = self.begun + deadline.min(self.settings.deadlines.handshake);
        let read = tokio::time::timeout_at(until, proxy_header::read(&mut tcp));
        let named = tokio::select! {
            named = read => named.unwrap_or(Err(HeaderFault::Broken)),
            () = self.ticket.cut() => return,
        };
        let metrics = &self.door.metrics;
        match named {
            Ok(None) => {}
            Ok(Some(client)) => {
                self.address = client;
                self.ip = client.ip().to_canonical();
            }
            Err(fault) => {
                let fault = match fault {
                    HeaderFault::Closed => HandshakeFault::Closed,
                    HeaderFault::Broken => HandshakeFault::ProxyHeader,
                };
                return metrics.handshake_failed(fault, self.origin());
            }
        }
        if let Err(reason) = self.slot.count_under(self.ip) {
            return metrics.refused(reason, self.origin());
        }
        match line {
            Line::Tls => self.shake_hands(tcp).await,
            Line::Plain => self.serve_plain(tcp),
        }
    }

    fn origin(&self) -> Origin {
        Origin { peer: self.ip, via: (self.socket != self.ip).then_some(self.socket) }
    }

    /// Does the handshake and leaves the connection to a task of its own, so that nothing of the
    /// handshake stays in memory.
    pub(super) async fn shake_hands(self, tcp: TcpStream) {
        let loaded = self.door.tls.current();
        let pulse = Rc::new(Pulse::default());
        let metrics = &self.door.metrics;
        let (config, proofs) = (Arc::clone(&loaded.config), self.door.tls.proofs());
        let opened = handshake::open(tcp, config, proofs, Rc::clone(&pulse));
        let until = self.begun + self.settings.deadlines.handshake;
        let opened = tokio::select! {
            opened = tokio::time::timeout_at(until, opened) => {
                opened.unwrap_or(Err(HandshakeFault::Timeout))
            }
            () = self.ticket.cut() => return,
        };
        match opened {
            Ok(None) => {}
            Ok(Some(tls)) => {
                pulse.handshake_done();
                let version = match tls.get_ref().1.protocol_version() {
                    Some(rustls::ProtocolVersion::TLSv1_2) => TlsVersion::V12,
                    _ => TlsVersion::V13,
                };
                metrics.handshake_done(version, self.begun.elapsed());
                let server_name = tls.get_ref().1.server_name().map(Box::from);
                let certificate = clients::shown(tls.get_ref().1.peer_certificates());
                if let Some(names) = loaded.names(server_name.as_deref()) {
                    self.serve(tls, pulse, server_name, names, certificate);
                }
            }
            Err(reason) => metrics.handshake_failed(reason, self.origin()),
        }
    }

    /// Serves without TLS.
    pub(super) fn serve_plain(self, tcp: TcpStream) {
        let pulse = Rc::new(Pulse::default());
        let names = self.door.tls.current().all_names();
        let line = Metered::new(tcp, Rc::clone(&pulse));
        let connected = self.connected(pulse, Protocol::Http1, None, names, None);
        connected.serve_http1(line);
    }

    fn serve(
        self,
        tls: TlsStream<Metered>,
        pulse: Rc<Pulse>,
        server_name: Option<Box<str>>,
        names: CertNames,
        certificate: Option<Arc<ClientCertificate>>,
    ) {
        let protocol = match tls.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let connected = self.connected(pulse, protocol, server_name, names, certificate);
        match protocol {
            Protocol::Http1 => connected.serve_http1(tls),
            Protocol::Http2 => connected.serve_http2(tls),
        }
    }

    fn connected(
        self,
        pulse: Rc<Pulse>,
        protocol: Protocol,
        server_name: Option<Box<str>>,
        names: CertNames,
        certificate: Option<Arc<ClientCertificate>>,
    ) -> Connected<H> {
        let Self { door, settings, address, ip, socket, slot, ticket, .. } = self;
        let forwarded_for = as_header(ip);
        let unclear = false;
        let peer =
            Peer { address, ip, socket, unclear, server_name, names, certificate, forwarded_for };
        let relay = (protocol == Protocol::Http1).then(Relay::new);
        let speaks_for_others = settings.origins.speaks_for_others(ip);
        let exchange = Rc::new(Exchange {
            handler: Rc::clone(&door.handler),
            peer: Rc::new(peer),
            proxied: speaks_for_others.then(|| Arc::clone(&settings)),
            pulse: Rc::clone(&pulse),
            relay: relay.clone(),
            roster: Rc::clone(ticket.roster()),
            protocol,
            requests_max: settings.requests_max.get(),
        });
        let metrics = Arc::clone(&door.metrics);
        Connected { exchange, pulse, relay, settings, ticket, slot, metrics }
    }
}

/// A connection over which HTTP can be spoken.
struct Connected<H> {
    exchange: Rc<Exchange<H>>,
    pulse: Rc<Pulse>,
    relay: Option<Rc<Relay>>,
    settings: Arc<Settings>,
    ticket: Ticket,
    slot: Slot,
    metrics: Arc<ConnectionMetrics>,
}

impl<H: Handler> Connected<H> {
    fn serve_http1<S: Below + 'static>(self, line: S) {
        let Self { exchange, pulse, relay, settings, ticket, slot, metrics } = self;
        let io = TokioIo::new(ClientStream::new(line, Rc::clone(&pulse)));
        let service = service_fn(move |request| exchange.answer(request));
        let connection = http1_builder(&settings).serve_connection(io, service);
        let driver = Driver::new(
            connection,
            |connection| connection.graceful_shutdown(),
            Protocol::Http1,
            pulse,
            relay,
            settings,
            ticket,
        );
        spawn(driver, metrics, Protocol::Http1, slot);
    }

    fn serve_http2(self, tls: TlsStream<Metered>) {
        let Self { exchange, pulse, relay, settings, ticket, slot, metrics } = self;
        let io = TokioIo::new(ClientStream::new(tls, Rc::clone(&pulse)));
        let service = service_fn(move |request| exchange.answer(request));
        let connection = http2_builder(&settings).serve_connection(io, service);
        let driver = Driver::new(
            connection,
            |connection| connection.graceful_shutdown(),
            Protocol::Http2,
            pulse,
            relay,
            settings,
            ticket,
        );
        spawn(driver, metrics, Protocol::Http2, slot);
    }
}

fn spawn(
    driver: impl Future<Output = Ended> + 'static,
    metrics: Arc<ConnectionMetrics>,
    protocol: Protocol,
    slot: Slot,
) {
    drop(tokio::task::spawn_local(async move {
        let _slot = slot;
        let _open = metrics.opened(protocol);
        if let Ended::By(deadline) = driver.await {
            metrics.closed_by(deadline);
        }
    }));
}

/// hyper's own timers stay off: the driver keeps all deadlines.
fn http1_builder(settings: &Settings) -> http1::Builder {
    /// hyper's default. Naming any number, this one too, costs an allocation per request.
    const FIELDS_BY_DEFAULT: usize = 100;
    let mut builder = http1::Builder::new();
    builder
        .half_close(false)
        .header_read_timeout(None)
        .max_buf_size((64 * KIB).max(settings.head.total_bytes.saturating_mul(2)));
    if settings.head.fields != FIELDS_BY_DEFAULT {
        builder.max_headers(settings.head.fields);
    }
    builder
}

fn http2_builder(settings: &Settings) -> http2::Builder<Local> {
    let limits = &settings.http2;
    let mut builder = http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_header_list_size(limits.header_list_bytes)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1024)
        .max_send_buf_size(64 * KIB)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// Runs the streams of an HTTP/2 connection on its own core.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future<Output: 'static> + 'static,
{
    fn execute(&self, stream: F) {
        drop(tokio::task::spawn_local(stream));
    }
}
