//! A service that speaks HTTP/2, with TLS or without, and misbehaves as told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::support::certificates::authority;
use crate::support::tls;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) version: Version,
    pub(crate) uri: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    /// Requests at a time, now and at most.
    at_a_time: AtomicUsize,
    most: AtomicUsize,
}

/// It answers every request with its path, `/v2/many/hang` not at all, and `/v2/many/slow` late.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    over: CancellationToken,
    ended: CancellationToken,
}

impl Service {
    /// Behind TLS that offers these protocols, or in clear; it closes each connection in order
    /// after so many requests.
    pub(crate) fn start(alpn: Option<&[&str]>, streams_max: u32) -> Self {
        let tls = alpn.map(|names| {
            let mut config = (*tls::server(&authority().api)).clone();
            config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
            TlsAcceptor::from(Arc::new(config))
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (over, ended) = (CancellationToken::new(), CancellationToken::new());
        let own = (Arc::clone(&shared), over.clone(), ended.clone());
        std::thread::spawn(move || {
            let (shared, over, ended) = own;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let stream = tokio::select! {
                        accepted = listener.accept() => accepted.unwrap().0,
                        () = over.cancelled() => return,
                    };
                    let ended = ended.clone();
                    tokio::spawn(serve(
                        stream,
                        tls.clone(),
                        Arc::clone(&shared),
                        ended,
                        streams_max,
                    ));
                }
            });
        });
        Self { address, shared, over, ended }
    }

    /// Ends every connection in order, after what is under way (GOAWAY).
    pub(crate) fn go_away(&mut self) {
        // Those that come later end at once; a test starts another service for more.
        self.ended.cancel();
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The most requests that it had at a time.
    pub(crate) fn most(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    pub(crate) fn at_a_time(&self) -> usize {
        self.shared.at_a_time.load(Ordering::SeqCst)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    ended: CancellationToken,
    streams_max: u32,
) {
    shared.connections.fetch_add(1, Ordering::SeqCst);
    let own = Arc::clone(&shared);
    let answer = service_fn(move |request| answer(request, Arc::clone(&own)));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(streams_max);
    match tls {
        None => {
            let connection = builder.serve_connection(TokioIo::new(stream), answer);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => return,
                () = ended.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        }
        Some(tls) => {
            let Ok(stream) = tls.accept(stream).await else { return };
            let connection = builder.serve_connection(TokioIo::new(stream), answer);
            let _ = connection.await;
        }
    }
}

/// One request, for as long as it is under way.
struct Under(Arc<Shared>);

impl Under {
    fn way(shared: Arc<Shared>) -> Self {
        let now = shared.at_a_time.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most.fetch_max(now, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        self.0.at_a_time.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    let path = head.uri.path().to_owned();
    let (version, uri, headers) = (head.version, head.uri.to_string(), head.headers);
    shared.seen.lock().unwrap().push(Seen { version, uri, headers, body });
    let _under = Under::way(Arc::clone(&shared));
    match path.as_str() {
        "/v2/many/hang" => std::future::pending::<()>().await,
        "/v2/many/slow" => tokio::time::sleep(Duration::from_millis(100)).await,
        "/v2/many/long" => {
            let body = Full::new(Bytes::from(vec![b'x'; 3_000_000]));
            return Ok(Response::new(body));
        }
        _ => {}
    }
    Ok(Response::new(Full::new(Bytes::from(path))))
}
