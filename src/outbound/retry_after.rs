//! How long an answer asks to wait (`Retry-After`, RFC 9110, section 10.2.3).

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use time::PrimitiveDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use crate::clock::Timestamp;

/// The longest wait that is believed.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The only form of a date that may be sent (RFC 9110, section 5.6.7).
const DATE: &[FormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// How long an answer asks to wait, at most 24 hours: seconds, or a date. None where it does not
/// say, or where it cannot be read.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds ask for longer than is believed.
        text.parse().unwrap_or(u64::MAX)
    } else {
        let date = PrimitiveDateTime::parse(text, DATE).ok()?.assume_utc().unix_timestamp();
        u64::try_from(date).ok()?.saturating_sub(now.secs())
    };
    Some(Duration::from_secs(seconds).min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, text.parse().unwrap());
        retry_after(&headers, Timestamp::from_secs(1_445_412_480)).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_read() {
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Wed, 21 Oct 2015 07:30:00 GMT"), Some(120));
        assert_eq!(read("Wed, 21 Oct 2015 07:00:00 GMT"), Some(0));
    }

    #[test]
    fn nobody_waits_longer_than_a_day() {
        assert_eq!(read("86401"), Some(86_400));
        assert_eq!(read("99999999999999999999999999"), Some(86_400));
        assert_eq!(read("Wed, 21 Oct 2026 07:30:00 GMT"), Some(86_400));
    }

    #[test]
    fn what_cannot_be_read_asks_for_nothing() {
        for text in ["", "-1", "1.5", "soon", "2015-10-21T07:28:00Z", "Wed, 21 Oct 2015 07:28:00"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::from_secs(0)), None);
    }
}
