//! A connection that stays open for further requests: for whoever sends many.

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use super::{Client, ClientFault, Options, Protocol, dial, host_of, read, to_http1};

/// An open connection, on which one request at a time is sent. Dropped, it ends.
pub struct Kept {
    sender: Sender,
    options: Options,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    /// Opens a connection to where a whole `https://` URL leads. Inside a runtime only: a task of
    /// its own drives the connection.
    ///
    /// # Errors
    /// Whatever keeps it from being there within the deadline.
    pub async fn open(&self, url: &Uri, options: &Options) -> Result<Kept, ClientFault> {
        timeout(options.deadline, self.open_at_leisure(url, options))
            .await
            .unwrap_or(Err(ClientFault::TimedOut(options.deadline)))
    }

    async fn open_at_leisure(&self, url: &Uri, options: &Options) -> Result<Kept, ClientFault> {
        let host = host_of(url)?;
        let stream = dial::connect(&host, url.port_u16().unwrap_or(443), options).await?;
        let stream = dial::secure(self.tls.clone(), &host, options.protocol, stream).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let (io, broken) = (TokioIo::new(stream), ClientFault::Exchange);
        let sender = match (http2, options.protocol) {
            (true, _) => {
                let opened = http2::handshake(TokioExecutor::new(), io).await;
                let (sender, connection) = opened.map_err(broken)?;
                drop(tokio::spawn(connection));
                Sender::Http2(sender)
            }
            (false, Protocol::Http2) => return Err(ClientFault::NoHttp2(host)),
            (false, Protocol::Any | Protocol::Http1) => {
                let (sender, connection) = http1::handshake(io).await.map_err(broken)?;
                drop(tokio::spawn(connection));
                Sender::Http1(sender)
            }
        };
        Ok(Kept { sender, options: options.clone() })
    }
}

impl Kept {
    /// Whether the server has not ended it: waits until it takes another request.
    pub async fn is_ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends a request and reads its answer, as [`Client::send`] does.
    ///
    /// # Errors
    /// Whatever keeps a whole answer from arriving.
    pub async fn send(
        &mut self,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, ClientFault> {
        let Options { deadline, answer_bytes_max, .. } = self.options;
        let answer = async {
            let sent = match &mut self.sender {
                Sender::Http1(sender) => {
                    to_http1(&mut request);
                    sender.send_request(request.map(Full::new)).await
                }
                Sender::Http2(sender) => sender.send_request(request.map(Full::new)).await,
            };
            read(sent.map_err(ClientFault::Exchange)?, answer_bytes_max).await
        };
        timeout(deadline, answer).await.unwrap_or(Err(ClientFault::TimedOut(deadline)))
    }
}
