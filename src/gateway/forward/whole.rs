//! An upstream's answer that is awaited whole, because it is to be sealed or signed: nothing of it
//! leaves before its last byte has come.

use bytes::Bytes;
use http::Response;
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use super::UpstreamFault;
use super::response::{Stopped, UpstreamBody};

/// Reads an answer whole, within the time that the upstream has for one.
///
/// # Errors
/// When it is longer than `bytes_max`, does not come in time, or breaks off.
pub(super) async fn whole(
    answer: Response<Box<UpstreamBody>>,
    bytes_max: usize,
) -> Result<Response<Bytes>, UpstreamFault> {
    let (head, body) = answer.into_parts();
    if body.size_hint().lower() > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(UpstreamFault::AnswerTooLarge);
    }
    let patience = body.patience();
    let read = timeout(patience, Limited::new(body, bytes_max).collect()).await;
    let read = read.map_err(|_| UpstreamFault::TimedOut)?;
    let read = read.map_err(|error| match error {
        error if error.is::<LengthLimitError>() => UpstreamFault::AnswerTooLarge,
        error if error.is::<Stopped>() => UpstreamFault::TimedOut,
        _ => UpstreamFault::Broke,
    })?;
    Ok(Response::from_parts(head, read.to_bytes()))
}
