//! The body of a call: JSON, at most 64 KiB, in time.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::administration::Method;
use crate::limit::{BodyDeadlines, KIB};

use super::refusal::{Code, Refusal};

/// The longest body, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 64 * KIB;

/// Reads the body; nothing where it is empty. A secret may be in it.
pub(super) async fn read<B: Body<Data = Bytes> + Unpin>(
    headers: &HeaderMap,
    method: Method,
    body: &mut B,
) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    if body.is_end_stream() {
        return Ok(None);
    }
    let promised = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if promised > BODY_BYTES_MAX {
        return Err(too_large());
    }
    let has_json = takes_body(method) && is_json(headers);
    // Room for all of it: a buffer that grows would leave a copy behind, unwiped.
    let room = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
    let room = room.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX);
    let mut whole = Zeroizing::new(Vec::with_capacity(room));
    let (started, deadlines) = (Instant::now(), BodyDeadlines::default());
    loop {
        let patience = deadlines.total.min(deadlines.pace.allows(whole.len()));
        let frame = timeout_at(started + patience, body.frame()).await;
        let slow = |_| Refusal::Plain(Code::BodyTooSlow, "send it at 1 KiB/s or more".to_owned());
        let Some(frame) = frame.map_err(slow)? else { break };
        let frame = frame.map_err(|_| Refusal::input("the body breaks off"))?;
        let Ok(piece) = frame.into_data() else { continue };
        if !has_json && !piece.is_empty() {
            return Err(wrong_kind(method));
        }
        if whole.len() + piece.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        whole.extend_from_slice(&piece);
    }
    Ok(Some(whole).filter(|whole| !whole.is_empty()))
}

/// Whether the input of a verb comes in a body; otherwise it comes in the query.
pub(super) fn takes_body(method: Method) -> bool {
    matches!(method, Method::Post | Method::Patch)
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return false };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let plain = headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding == "identity");
    plain && kind.trim().eq_ignore_ascii_case("application/json")
}

fn wrong_kind(method: Method) -> Refusal {
    match takes_body(method) {
        true => {
            let detail = "send JSON, not compressed, with \"Content-Type: application/json\"";
            Refusal::Plain(Code::UnsupportedMediaType, detail.to_owned())
        }
        false => Refusal::input(format!("{} takes no body", method.as_str())),
    }
}

fn too_large() -> Refusal {
    let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
    Refusal::Plain(Code::BodyTooLarge, detail)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use http_body_util::Full;

    use super::*;

    fn of(kind: &str, method: Method, body: &[u8]) -> Result<Option<Vec<u8>>, u16> {
        let mut headers = HeaderMap::new();
        if !kind.is_empty() {
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        }
        let mut body = Full::new(Bytes::copy_from_slice(body));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let read = read(&headers, method, &mut body).now_or_never().unwrap();
        read.map(|body| body.map(|body| body.to_vec())).map_err(|refusal| refusal.face().1)
    }

    #[test]
    fn json_of_64_kib_is_read_and_nothing_else() {
        let json = "application/json";
        assert_eq!(of(json, Method::Post, b"{}"), Ok(Some(b"{}".to_vec())));
        assert!(of("Application/JSON; charset=utf-8", Method::Patch, b"{}").is_ok());
        assert_eq!(of("", Method::Post, b""), Ok(None), "an empty one needs no type");
        assert_eq!(of("", Method::Post, b"{}"), Err(415));
        assert_eq!(of("text/json", Method::Post, b"{}"), Err(415));
        assert_eq!(of(json, Method::Get, b"{}"), Err(400));
        let long = vec![b' '; BODY_BYTES_MAX + 1];
        assert_eq!(of(json, Method::Post, &long), Err(413));
        assert!(of(json, Method::Post, &long[1..]).is_ok());
    }
}
