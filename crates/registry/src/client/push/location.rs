//! What the answers of an upload say: where it goes on, and how much the registry has.

use http::header::{LOCATION, RANGE};
use sealift_transport::{self as transport, Document};
use url::Url;

/// Returns where an upload goes on, which may be relative.
pub(super) fn location(document: &Document) -> std::result::Result<Url, transport::Cause> {
    let text = document
        .headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    document.onward(text.unwrap_or_default())
}

/// Reads how many bytes the registry has from `Range: 0-N`. `0-0` is how some say none.
pub(super) fn offset(document: &Document) -> Option<u64> {
    let text = document.headers.get(RANGE)?.to_str().ok()?;
    let text = text.strip_prefix("bytes=").unwrap_or(text);
    let (start, end) = text.split_once('-')?;
    let end: u64 = end.trim().parse().ok()?;
    (start.trim() == "0").then_some(if end == 0 { 0 } else { end + 1 })
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};

    use super::*;

    fn answered(from: &str, place: &str) -> Document {
        let url = Url::parse(from).unwrap();
        Document {
            status: StatusCode::ACCEPTED,
            headers: [(LOCATION, HeaderValue::from_str(place).unwrap())]
                .into_iter()
                .collect(),
            body: Vec::new().into(),
            endpoint: transport::Endpoint::from_url(&url).unwrap(),
            url,
        }
    }

    #[test]
    fn uploads_go_on_where_the_registry_says_but_never_in_the_open() {
        let from = "https://r.example/v2/a/blobs/uploads/";
        for (place, goes_on) in [
            (
                "/v2/a/blobs/uploads/1?s=x",
                Some("https://r.example/v2/a/blobs/uploads/1?s=x"),
            ),
            ("https://s.example/1", Some("https://s.example/1")),
            // What a registry says that does not know of the TLS before it.
            (
                "http://r.example/v2/a/blobs/uploads/1",
                Some("https://r.example/v2/a/blobs/uploads/1"),
            ),
            ("http://s.example/1", None),
            ("https://127.0.0.1/1", None),
            ("ftp://r.example/1", None),
        ] {
            let found = location(&answered(from, place)).ok();
            assert_eq!(found.as_ref().map(Url::as_str), goes_on, "{place}");
        }
        let plain = answered("http://r.example/v2/", "http://s.example/1");
        assert!(location(&plain).is_ok());
    }
}
