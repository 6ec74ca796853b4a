//! Asking an address whether it is well, over connections of its own and from one place.

use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::{Address, Upstream};

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
        let request = Request::get(Uri::from(health.path.clone()))
            .header(HOST, authority)
            .header(USER_AGENT, "countersign")
            .body(Empty::<Bytes>::new());
        let request = request.map_err(io::Error::other)?;
        let (mut sender, connection) = http1::handshake(wire).await.map_err(io::Error::other)?;
        let answer = sender.send_request(request);
        // The connection ends with the head of the answer: whatever follows is of no interest.
        let answer = tokio::select! {
            answer = answer => answer,
            ended = connection => return Err(ended.map_or_else(io::Error::other, |()| {
                io::ErrorKind::UnexpectedEof.into()
            })),
        };
        Ok(answer.map_err(io::Error::other)?.status())
    }
}
