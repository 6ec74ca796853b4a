//! Asking an address whether it is well, over connections of its own and from one place.

use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::{Address, SameThread, Upstream};

/// How the addresses of an upstream are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What is asked for, by GET.
    pub path: PathAndQuery,
    /// How often.
    pub every: Duration,
    /// By when the answer must be there, connecting included.
    pub within: Duration,
    /// Good answers in a row that make one well again.
    pub healthy: NonZeroU32,
    /// Other ones in a row that make one ill.
    pub unhealthy: NonZeroU32,
    /// Statuses of good answers.
    pub statuses: Vec<StatusCode>,
}

impl Upstream {
    /// Asks every address once, all at a time, and notes what they say.
    pub(super) async fn check(&self, health: &Health) {
        let addresses = self.addresses();
        let check = async |address: &Address| {
            let asked = timeout(health.within, self.ask(address, health)).await;
            let status = asked.ok().and_then(Result::ok);
            let well = status.is_some_and(|status| health.statuses.contains(&status));
            address.note_check(well, health.healthy.get(), health.unhealthy.get());
        };
        join_all(addresses.iter().map(|address| check(address))).await;
    }

    async fn ask(&self, address: &Address, health: &Health) -> io::Result<StatusCode> {
        let wire = TokioIo::new(self.dial(address).await?);
        let authority = address.url.authority(self.spec.tls.is_some());
        let request =
            Request::get(Uri::from(health.path.clone())).header(USER_AGENT, "countersign");
        let request = match self.spec.streams_max {
            None => request.header(HOST, authority),
            Some(_) => {
                let scheme = if self.spec.tls.is_some() { "https" } else { "http" };
                request.uri(format!("{scheme}://{authority}{}", health.path))
            }
        };
        let request = request.body(Empty::<Bytes>::new());
        let request = request.map_err(io::Error::other)?;
        if self.spec.streams_max.is_some() {
            let spoken = http2::handshake(SameThread, wire).await.map_err(io::Error::other)?;
            let (mut sender, connection) = spoken;
            return answered(sender.send_request(request), connection).await;
        }
        let (mut sender, connection) = http1::handshake(wire).await.map_err(io::Error::other)?;
        answered(sender.send_request(request), connection).await
    }
}

/// The status of an answer. The connection ends with its head: whatever follows is of no interest.
async fn answered(
    answer: impl Future<Output = hyper::Result<Response<Incoming>>>,
    connection: impl Future<Output = hyper::Result<()>>,
) -> io::Result<StatusCode> {
    tokio::select! {
        answer = answer => answer.map(|answer| answer.status()).map_err(io::Error::other),
        ended = connection => {
            ended.map_err(io::Error::other)?;
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}
