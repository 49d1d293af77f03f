//! Whether a response fits the ranges that were asked for (RFC 9110, 14.4 and 15.3.7).

use std::ops::Range;

use http::header::CONTENT_RANGE;
use http::{HeaderMap, StatusCode};

use crate::attempt::{Reply, is_html};
use crate::document::identity;
use crate::error::Cause;
use crate::request::Refusal;

/// What a response will bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The bytes that the body holds; the end is `u64::MAX` where it is not said.
    pub(super) holds: Range<u64>,
    /// The size of the whole, where it is said.
    pub(super) size: Option<u64>,
    /// Whether ranges are served.
    pub(super) partial: bool,
}

impl Answer {
    /// Reads a response to a request for `asked` (`None`: the whole) of content of a `known` size. Where
    /// the content is `verified`, its digest decides whether a coding was applied to it.
    pub(super) fn read(
        reply: &Reply,
        asked: Option<&Range<u64>>,
        known: Option<u64>,
        verified: bool,
    ) -> Result<Self, Cause> {
        if !verified {
            identity(&reply.headers)?;
        }
        let answer = Self::of(reply.status, &reply.headers, asked)?;
        let length = reply.body.promised().exact();
        let judged = answer.judged(&reply.headers, length, known);
        judged.map_err(|cause| reply.page_of_proxy().unwrap_or(cause))
    }

    pub(super) fn of(
        status: StatusCode,
        headers: &HeaderMap,
        asked: Option<&Range<u64>>,
    ) -> Result<Self, Cause> {
        match (status, asked) {
            (StatusCode::OK, _) => Ok(Self {
                holds: 0..u64::MAX,
                size: None,
                partial: false,
            }),
            (StatusCode::PARTIAL_CONTENT, Some(asked)) => partial(headers, asked),
            (StatusCode::PARTIAL_CONTENT, None) => Err(wrong("206 without a request for a range")),
            _ => Err(Cause::Status {
                status,
                body: "no status for content".to_owned(),
            }),
        }
    }

    /// Compares the promised length and size with what is known.
    pub(super) fn judged(
        mut self,
        headers: &HeaderMap,
        length: Option<u64>,
        known: Option<u64>,
    ) -> Result<Self, Cause> {
        if let Some(length) = length {
            let end = self.holds.start.saturating_add(length);
            if self.partial && end != self.holds.end {
                return Err(wrong("Content-Length does not fit Content-Range"));
            }
            if !self.partial {
                self.holds.end = end;
                self.size = Some(length);
            }
        }
        match (self.size, known) {
            (Some(size), Some(known)) if size != known && is_html(headers) => {
                Err(refused(Refusal::foreign("HTML instead of content")))
            }
            (Some(size), Some(known)) if size != known && self.partial => {
                Err(wrong(&format!("the whole is {size} bytes, not {known}")))
            }
            (Some(size), Some(known)) if size > known => Err(Cause::Long { expected: known }),
            (Some(size), Some(known)) if size < known => Err(refused(Refusal::corrupt(format!(
                "the body has {size} bytes instead of {known}"
            )))),
            _ => {
                self.size = self.size.or(known);
                Ok(self)
            }
        }
    }
}

fn refused(refusal: Refusal) -> Cause {
    Cause::Refused {
        reason: refusal.reason,
        verdict: refusal.verdict,
    }
}

fn wrong(reason: &str) -> Cause {
    Cause::WrongRange {
        reason: reason.to_owned(),
    }
}

/// Reads a 206, which may hold less than was asked for, but must begin there.
fn partial(headers: &HeaderMap, asked: &Range<u64>) -> Result<Answer, Cause> {
    let text = headers
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    let text = text.ok_or_else(|| wrong("206 without Content-Range"))?;
    let (first, last, size) =
        content_range(text).ok_or_else(|| wrong(&format!("Content-Range {text:?}")))?;
    let end = last.saturating_add(1);
    if first != asked.start || end > asked.end || end <= first {
        let (start, end) = (asked.start, asked.end);
        return Err(wrong(&format!("{text:?} for bytes {start} to {end}")));
    }
    if size.is_some_and(|size| end > size) {
        return Err(wrong(&format!("{text:?} ends after its own size")));
    }
    Ok(Answer {
        holds: first..end,
        size,
        partial: true,
    })
}

/// Reads `bytes 0-9/100` and `bytes 0-9/*`.
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, size) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let size = match size.trim() {
        "*" => None,
        size => Some(size.parse().ok()?),
    };
    Some((first.parse().ok()?, last.parse().ok()?, size))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(range: &str, length: Option<u64>, known: Option<u64>) -> Result<Answer, Cause> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_RANGE, HeaderValue::from_str(range).unwrap());
        let answer = Answer::of(StatusCode::PARTIAL_CONTENT, &headers, Some(&(10..20)))?;
        answer.judged(&headers, length, known)
    }

    #[test]
    fn honest_ranges_are_taken() {
        let full = read("bytes 10-19/100", Some(10), Some(100)).unwrap();
        assert_eq!((full.holds, full.size), (10..20, Some(100)));
        let less = read("bytes 10-14/100", None, None).unwrap();
        assert_eq!((less.holds, less.size), (10..15, Some(100)));
        let open = read("bytes 10-19/*", Some(10), Some(100)).unwrap();
        assert_eq!(open.size, Some(100));
    }

    #[test]
    fn lies_are_told_apart() {
        let lies = [
            ("bytes 0-9/100", None, Some(100)),
            ("bytes 11-19/100", None, Some(100)),
            ("bytes 10-20/100", None, Some(100)),
            ("bytes 10-9/100", None, Some(100)),
            ("bytes 10-19/99", None, Some(100)),
            ("bytes 10-19/15", None, None),
            ("bytes 10-19/100", Some(9), Some(100)),
            ("items 10-19/100", None, None),
            ("bytes 10-99999999999999999999999/*", None, None),
            ("bytes */100", None, None),
            ("", None, None),
        ];
        for (range, length, known) in lies {
            let found = read(range, length, known);
            assert!(
                matches!(found, Err(Cause::WrongRange { .. })),
                "{range}: {found:?}"
            );
        }
    }
}
