//! What is left of a body that nobody wants: a little of it is read and thrown away before the
//! answer, so that no refusal breaks the connection under the client. For every door.

use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http::header::EXPECT;
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

/// Unread body that is thrown away before a refusal, in bytes.
const DRAIN_BYTES_MAX: usize = 64 * 1024;
/// How long that may take.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// What of the request matters for its answer.
#[derive(Clone, Copy)]
pub struct Asked {
    /// Over HTTP/1: the connection can be told to close.
    pub http1: bool,
    /// The client waits with the body until it is asked for (RFC 9110, section 10.1.1).
    pub expects_continue: bool,
}

impl Asked {
    /// What a head says of it.
    pub fn of(head: &Parts) -> Self {
        let http1 = head.version != Version::HTTP_2;
        Self { http1, expects_continue: head.headers.contains_key(EXPECT) }
    }

    /// Whether a body is at its end, now or after a little of it was thrown away. One that came too
    /// slowly is not waited for.
    pub async fn finishes<B: Body<Data = Bytes> + Unpin>(self, unread: &mut B, slow: bool) -> bool {
        // Boxed, because most bodies are at their end.
        unread.is_end_stream() || (!self.expects_continue && !slow && Box::pin(drain(unread)).await)
    }
}

/// Throws a little of a body away and says whether that was all of it.
async fn drain<B: Body<Data = Bytes> + Unpin>(unread: &mut B) -> bool {
    let mut left = DRAIN_BYTES_MAX;
    let draining = async {
        while let Some(frame) = unread.frame().await {
            let Ok(frame) = frame else { return false };
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(bytes) else { return false };
            left = rest;
        }
        true
    };
    timeout(DRAIN_TIME_MAX, draining).await.unwrap_or(false)
}
