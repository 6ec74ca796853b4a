//! The service behind the gate of the demo: it answers with what it was sent, and counts.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use countersign::crypto::{DigestInProgress, hex};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What the gate says of whom it let through.
const IDENTITY: &str = "x-countersign-";

/// A running echo service on a loopback port; it ends when it is dropped.
pub(super) struct Echo {
    address: SocketAddr,
    received: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Starts it on a free port, on a thread of its own.
    pub(super) fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let received = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let counter = Arc::clone(&received);
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    result = accept(listener, counter) => report(&result),
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("echo".to_owned()).spawn(serve)?;
        Ok(Self { address, received, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests have reached it.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nobody to tell.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn report(result: &io::Result<Infallible>) {
    if let Err(error) = result {
        eprintln!("countersign: the echo service has ended: {error}");
    }
}

async fn accept(
    listener: std::net::TcpListener,
    received: Arc<AtomicU64>,
) -> io::Result<Infallible> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let received = Arc::clone(&received);
        tokio::spawn(async move {
            let service = service_fn(|request| echo(request, &received));
            // A connection that breaks off is the gate's to notice.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn echo(
    request: Request<Incoming>,
    received: &AtomicU64,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    received.fetch_add(1, Ordering::SeqCst);
    let (head, mut body) = request.into_parts();
    let mut digest = DigestInProgress::default();
    let mut length = 0;
    while let Some(frame) = body.frame().await.transpose()? {
        if let Some(bytes) = frame.data_ref() {
            digest.update(bytes);
            length += bytes.len();
        }
    }
    let digest = String::from_utf8_lossy(&hex(&digest.finish())).into_owned();
    let mut response = Response::new(Full::from(format!("{:#}\n", seen(&head, length, &digest))));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// What came through: who the gate says it is, and which other headers it let pass.
fn seen(head: &Parts, length: usize, digest: &str) -> Value {
    let mut identity = BTreeMap::new();
    let mut others = Vec::new();
    for (name, value) in &head.headers {
        if name.as_str().starts_with(IDENTITY) {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            identity.insert(name.as_str(), value);
        } else {
            others.push(name.as_str());
        }
    }
    json!({
        "service": "echo",
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "identity": identity,
        "other_headers": others,
        "body_bytes": length,
        "body_sha256": digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    #[test]
    fn it_answers_with_what_it_was_sent() {
        let echo = Echo::start().unwrap();
        let mut stream = TcpStream::connect(echo.address()).unwrap();
        stream
            .write_all(
                b"POST /v1/a?b HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\
                  X-Countersign-Merchant: acme\r\n\r\nabc",
            )
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let json: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(json["target"], "/v1/a?b");
        assert_eq!(json["identity"]["x-countersign-merchant"], "acme");
        assert_eq!(json["other_headers"], json!(["host", "connection", "content-length"]));
        assert_eq!(json["body_bytes"], 3);
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(json["body_sha256"], digest);
        assert_eq!(echo.received(), 1);
    }
}
