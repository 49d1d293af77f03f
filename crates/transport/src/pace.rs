//! What servers say about how often they want to be asked: `Retry-After` (RFC 9110, 10.2.3) and
//! Docker Hub's `ratelimit-*` headers.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

/// A server's word on how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryAfter {
    /// What it asked for.
    pub(crate) asked: Duration,
}

/// Reads `Retry-After`, in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<RetryAfter> {
    let text = headers
        .get(http::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        // A number too large for its type is still a number: as long as can be.
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => Duration::MAX,
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?;
            date.duration_since(now).unwrap_or_default()
        }
    };
    Some(RetryAfter { asked })
}

/// What is left of a server's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimit {
    /// Requests a window.
    pub(crate) limit: u64,
    /// Requests left.
    pub(crate) remaining: u64,
    /// The window, in seconds; 0 where it is not said.
    pub(crate) window: u64,
}

/// Reads `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 76;w=21600`.
pub(crate) fn rate_limit(headers: &HeaderMap) -> Option<RateLimit> {
    let (limit, window) = amount(headers, "ratelimit-limit")?;
    let (remaining, other) = amount(headers, "ratelimit-remaining")?;
    Some(RateLimit {
        limit,
        remaining,
        window: window.or(other).unwrap_or(0),
    })
}

fn amount(headers: &HeaderMap, name: &str) -> Option<(u64, Option<u64>)> {
    let text = headers.get(name)?.to_str().ok()?;
    let mut parts = text.split(';').map(str::trim);
    let amount = parts.next()?.parse().ok()?;
    let window = parts.find_map(|part| part.strip_prefix("w=")?.parse().ok());
    Some((amount, window))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn seconds_and_dates_are_read() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let read = |text| retry_after(&headers(&[("retry-after", text)]), now).map(|r| r.asked);
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read(" 0 "), Some(Duration::ZERO));
        assert_eq!(
            read("Sun, 06 Nov 1994 08:50:37 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(
            read("Sun, 06 Nov 1994 08:40:00 GMT"),
            Some(Duration::ZERO),
            "in the past"
        );
        assert_eq!(read("99999999999999999999999"), Some(Duration::MAX));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }

    #[test]
    fn the_hubs_headers_are_read() {
        let both = headers(&[
            ("ratelimit-limit", "100;w=21600"),
            ("ratelimit-remaining", "76;w=21600"),
        ]);
        let read = rate_limit(&both).unwrap();
        assert_eq!((read.limit, read.remaining, read.window), (100, 76, 21600));
        assert_eq!(rate_limit(&headers(&[("ratelimit-limit", "100")])), None);
        let plain = headers(&[("ratelimit-limit", "5"), ("ratelimit-remaining", "0")]);
        assert_eq!(rate_limit(&plain).unwrap().window, 0);
    }
}
