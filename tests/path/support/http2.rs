//! A well-behaved HTTP/2 client that can ask many things at once on one connection.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::runtime::Runtime;

use super::answer::Answer;
use super::request::{HOST, Request};
use super::tls;

/// One connection. Blocking outside, asynchronous inside.
pub(crate) struct Http2 {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
}

impl Http2 {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_as(address, HOST)
    }

    pub(crate) fn connect_as(address: SocketAddr, name: &str) -> Self {
        Self::over(TcpStream::connect(address).expect("connection"), name)
    }

    /// Over a connection of the test's own.
    pub(crate) fn over(socket: TcpStream, name: &str) -> Self {
        Self::over_with(socket, name, tls::client(&["h2"], rustls::ALL_VERSIONS))
    }

    /// The same with settings of the test's own.
    pub(crate) fn over_with(socket: TcpStream, name: &str, config: Arc<ClientConfig>) -> Self {
        socket.set_nodelay(true).expect("option");
        socket.set_nonblocking(true).expect("option");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("runtime");
        let name = ServerName::try_from(name.to_owned()).expect("name");
        let sender = runtime.block_on(async {
            let socket = tokio::net::TcpStream::from_std(socket).expect("connection");
            let connector = tokio_rustls::TlsConnector::from(config);
            let stream = connector.connect(name, socket).await.expect("handshake");
            let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
            assert_eq!(alpn.as_deref(), Some(&b"h2"[..]));
            let (sender, connection) =
                hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(1 << 20)
                    .initial_connection_window_size(1 << 24)
                    .handshake(TokioIo::new(stream))
                    .await
                    .expect("preface");
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender }
    }

    /// Sends a request and waits for its whole answer.
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        self.ask_all(std::slice::from_ref(request)).remove(0).expect("an answer")
    }

    /// Sends requests at once, each on a stream of its own, and waits for all answers.
    pub(crate) fn ask_all(&self, requests: &[Request]) -> Vec<Result<Answer, hyper::Error>> {
        let asked = requests.iter().map(|request| {
            let mut sender = self.sender.clone();
            let request = wire(request);
            async move {
                sender.ready().await?;
                let answer = sender.send_request(request).await?;
                let (head, body) = answer.into_parts();
                let body = body.collect().await?.to_bytes().to_vec();
                let text = |value: &http::HeaderValue| {
                    String::from_utf8_lossy(value.as_bytes()).into_owned()
                };
                let headers =
                    head.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
                Ok(Answer {
                    status: head.status.as_u16(),
                    headers: headers.collect(),
                    body,
                    interim: Vec::new(),
                })
            }
        });
        self.runtime.block_on(join_all(asked))
    }
}

fn wire(request: &Request) -> http::Request<Full<Bytes>> {
    let uri = format!("https://{}{}", request.authority, request.target);
    let mut wire = http::Request::builder().method(request.method.as_str()).uri(uri);
    for (name, value) in &request.headers {
        wire = wire.header(name.as_str(), value.as_slice());
    }
    wire.body(Full::new(Bytes::from(request.body.clone()))).expect("a request")
}
