//! A small HTTPS client for those who call a gate: one request, one connection, one answer, unless
//! a connection is opened to be kept.
//!
//! It follows no redirect, sends nothing twice, and believes no certificate
//! that its trust does not cover. The gate itself uses none of it.

mod dial;
mod kept;
pub mod roll;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::limit::MIB;

pub use dial::{Trust, TrustFault};
pub use kept::Kept;

/// How long the end of a connection may take once its answer is here.
const FAREWELL: Duration = Duration::from_millis(200);

/// Sends requests over HTTPS.
#[derive(Clone, Debug)]
pub struct Client {
    tls: ClientConfig,
}

/// Which version of HTTP is offered in the TLS handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2 or HTTP/1.1, as the server prefers.
    #[default]
    Any,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// How one request is sent.
#[derive(Clone, Debug)]
pub struct Options {
    /// The version of HTTP.
    pub protocol: Protocol,
    /// Where to connect to; none: where the URL says.
    pub connect: Option<SocketAddr>,
    /// The address to connect from; none: as the operating system chooses.
    pub local: Option<IpAddr>,
    /// From here to the end of the answer.
    pub deadline: Duration,
    /// The longest body of an answer, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            protocol: Protocol::Any,
            connect: None,
            local: None,
            deadline: Duration::from_secs(30),
            answer_bytes_max: 16 * MIB,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// The URL is not one to send to.
    #[error("{0} is not an https:// URL with a host")]
    Url(Uri),
    /// The host has no address, or none of the family to connect from.
    #[error("{host} has no address to connect to")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        source: Option<io::Error>,
    },
    /// Nobody answers there.
    #[error("cannot connect to {address}")]
    Connect {
        /// The address that was tried last.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// No TLS connection.
    #[error("TLS with {host} failed")]
    Tls {
        /// The host.
        host: String,
        /// What was wrong.
        source: io::Error,
    },
    /// HTTP/2 was asked for and not agreed on.
    #[error("{0} does not speak HTTP/2")]
    NoHttp2(String),
    /// The exchange broke off.
    #[error("the exchange broke off")]
    Exchange(#[source] hyper::Error),
    /// The body of the answer broke off or is too long.
    #[error("the answer cannot be read")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no whole answer within {0:?}")]
    TimedOut(Duration),
}

impl Client {
    /// A client that believes what `trust` covers.
    ///
    /// # Errors
    /// When the certificates cannot be read or hold none.
    pub fn new(trust: &Trust) -> Result<Self, TrustFault> {
        Ok(Self { tls: dial::client_config(trust)? })
    }

    /// A client that believes the certificate authorities in one PEM file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate.
    pub fn trusting(authorities: &Path) -> Result<Self, TrustFault> {
        Self::new(&Trust::File(PathBuf::from(authorities)))
    }

    /// Sends a request, whose URI is a whole `https://` URL, and reads its answer.
    ///
    /// `Host` is made from the URL unless the request has one; in HTTP/2 a `Host` is sent as it is,
    /// beside `:authority`. The answer has no trailers.
    ///
    /// # Errors
    /// Whatever keeps a whole answer from arriving; any status is an answer.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        options: &Options,
    ) -> Result<Response<Bytes>, ClientFault> {
        tokio::time::timeout(options.deadline, self.exchange(request, options))
            .await
            .unwrap_or(Err(ClientFault::TimedOut(options.deadline)))
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        options: &Options,
    ) -> Result<Response<Bytes>, ClientFault> {
        let url = request.uri();
        let host = host_of(url)?;
        let stream = dial::connect(&host, url.port_u16().unwrap_or(443), options).await?;
        let stream = dial::secure(self.tls.clone(), &host, options.protocol, stream).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let request = request.map(Full::new);
        let limit = options.answer_bytes_max;
        match (http2, options.protocol) {
            (true, _) => over_http2(stream, request, limit).await,
            (false, Protocol::Http2) => Err(ClientFault::NoHttp2(host)),
            (false, Protocol::Any | Protocol::Http1) => over_http1(stream, request, limit).await,
        }
    }
}

/// The host of a URL that can be sent to, as names are resolved.
fn host_of(url: &Uri) -> Result<String, ClientFault> {
    let host = url.host().filter(|_| url.scheme_str() == Some("https"));
    let host = host.map(|host| host.trim_matches(['[', ']']).to_owned());
    host.ok_or_else(|| ClientFault::Url(url.clone()))
}

/// In HTTP/1.1 the request line has path and query only, and the host goes into a header.
fn to_http1<B>(request: &mut Request<B>) {
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    if let Some(Ok(host)) = authority.as_deref().map(HeaderValue::from_str) {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    let target = request.uri().path_and_query().cloned();
    *request.uri_mut() = target.map(Uri::from).unwrap_or_default();
}

async fn over_http1(
    stream: TlsStream<TcpStream>,
    mut request: Request<Full<Bytes>>,
    limit: usize,
) -> Result<Response<Bytes>, ClientFault> {
    to_http1(&mut request);
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(ClientFault::Exchange)?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(ClientFault::Exchange)?;
        read(response, limit).await
    };
    until_answered(connection, answer).await
}

async fn over_http2(
    stream: TlsStream<TcpStream>,
    request: Request<Full<Bytes>>,
    limit: usize,
) -> Result<Response<Bytes>, ClientFault> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(ClientFault::Exchange)?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(ClientFault::Exchange)?;
        read(response, limit).await
    };
    until_answered(connection, answer).await
}

/// Drives the connection while the answer is awaited, and ends it properly afterwards.
async fn until_answered(
    connection: impl Future<Output = hyper::Result<()>>,
    answer: impl Future<Output = Result<Response<Bytes>, ClientFault>>,
) -> Result<Response<Bytes>, ClientFault> {
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => {
            // The sender is gone with `answer`: the connection now says good-bye and ends. Whether
            // the server waits for that changes nothing of the answer.
            let _ = tokio::time::timeout(FAREWELL, connection).await;
            answer
        }
        // The answer holds the reason, or all of the answer, by now.
        _ = &mut connection => answer.await,
    }
}

async fn read(response: Response<Incoming>, limit: usize) -> Result<Response<Bytes>, ClientFault> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, limit).collect().await.map_err(ClientFault::Answer)?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

#[cfg(test)]
mod tests;
