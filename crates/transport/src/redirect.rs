//! Which redirects are followed (RFC 9110, 15.4).

use http::header::LOCATION;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::address::{is_link_local_host, is_local_host};
use crate::error::{Cause, masked};

/// The redirects that one attempt has followed.
pub(crate) struct Redirects {
    seen: Vec<Url>,
    most: usize,
    /// Whether https may lead to http: for content whose digest is known.
    may_downgrade: bool,
}

impl Redirects {
    pub(crate) fn new(most: usize, may_downgrade: bool) -> Self {
        Self {
            seen: Vec::new(),
            most,
            may_downgrade,
        }
    }

    /// Returns where a response at `from` with this `Location` redirects to.
    pub(crate) fn follow(&mut self, from: Url, location: &str) -> Result<Url, Cause> {
        let next = from.join(location).map_err(|_| Cause::Url {
            text: "the redirect's Location".to_owned(),
        })?;
        allowed(&from, &next, self.may_downgrade)?;
        self.seen.push(from);
        if self.seen.contains(&next) {
            return Err(refused(&next, "it leads in a circle"));
        }
        if self.seen.len() > self.most {
            return Err(refused(&next, "too many redirects"));
        }
        Ok(next)
    }
}

/// Returns the `Location` of a response that is a redirect for this method.
pub(crate) fn location(method: &Method, status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let reading = matches!(*method, Method::GET | Method::HEAD);
    let follow = match status.as_u16() {
        301..=303 => reading,
        307 | 308 => true,
        _ => false,
    };
    let location = headers.get(LOCATION).filter(|_| follow)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

/// Returns where an address that a response at `from` gives leads.
pub(crate) fn onward(from: &Url, location: &str) -> Result<Url, Cause> {
    let no_address = || Cause::Url {
        text: "the response's Location".to_owned(),
    };
    let joined = Some(location).filter(|text| !text.is_empty());
    let joined = joined.and_then(|text| from.join(text).ok());
    let mut next = joined.ok_or_else(no_address)?;
    let downgraded = from.scheme() == "https" && next.scheme() == "http";
    if downgraded && from.host() == next.host() && next.set_scheme("https").is_ok() {
        let port = next.port().filter(|port| *port != 80).or(from.port());
        let _special_schemes_have_ports = next.set_port(port);
    }
    allowed(from, &next, false)?;
    Ok(next)
}

/// A redirect that must not be followed.
pub(crate) fn refused(target: &Url, reason: &'static str) -> Cause {
    Cause::Redirect {
        target: masked(target),
        reason,
    }
}

fn allowed(from: &Url, next: &Url, may_downgrade: bool) -> Result<(), Cause> {
    if !matches!(next.scheme(), "http" | "https") {
        return Err(refused(next, "it leaves HTTP"));
    }
    if from.scheme() == "https" && next.scheme() == "http" && !may_downgrade {
        return Err(refused(next, "it leads from https to http"));
    }
    let local_now = from.host_str().is_some_and(is_local_host);
    let local_next = next.host_str().is_some_and(is_local_host);
    if local_next && !local_now {
        return Err(refused(next, "it points to this machine"));
    }
    // A server on this machine's loopback may name another one there, but not what only this link has.
    let is_link_local = |url: &Url| url.host_str().is_some_and(is_link_local_host);
    if is_link_local(next) && !is_link_local(from) {
        return Err(refused(next, "it points to a link-local address"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_responses_give_are_judged_as_redirects() {
        let ways = [
            ("https://r/v2/x", "/v2/y?z", Some("https://r/v2/y?z")),
            ("https://r/v2/x", "https://cdn/y", Some("https://cdn/y")),
            ("https://r/v2/x", "http://r/v2/y", Some("https://r/v2/y")),
            ("https://r:8443/x", "http://r/y", Some("https://r:8443/y")),
            ("https://r/x", "http://r:80/y", Some("https://r/y")),
            ("https://r/x", "http://other/y", None),
            ("https://r/x", "https://127.0.0.1/y", None),
            ("https://r/x", "file:///y", None),
            ("https://r/x", "", None),
            (
                "http://127.0.0.1:1/x",
                "http://127.0.0.1:2/y",
                Some("http://127.0.0.1:2/y"),
            ),
        ];
        for (from, to, wanted) in ways {
            let found = onward(&Url::parse(from).unwrap(), to).ok();
            assert_eq!(found.as_ref().map(Url::as_str), wanted, "{from} to {to}");
        }
    }

    #[test]
    fn content_with_a_digest_may_come_over_plain_http_but_not_from_this_machine() {
        let url = |text: &str| Url::parse(text).unwrap();
        let allowed = |to| allowed(&url("https://a/x"), &url(to), true).is_ok();
        assert!(allowed("http://storage.example/y"));
        assert!(!allowed("http://127.0.0.1/y"));
        assert!(!allowed("http://169.254.169.254/y"));
        assert!(!allowed("ftp://storage.example/y"));
    }

    #[test]
    fn ways_out_and_in_are_judged() {
        let url = |text: &str| Url::parse(text).unwrap();
        let cases = [
            ("https://a/x", "https://cdn.b/y", true),
            ("http://a/x", "https://a/x", true),
            ("http://a/x", "http://b/x", true),
            ("https://a/x", "http://a/x", false),
            ("https://a/x", "ftp://a/x", false),
            ("https://a/x", "file:///etc/passwd", false),
            ("https://a/x", "https://127.0.0.1/x", false),
            ("https://a/x", "https://localhost:5000/x", false),
            ("https://a/x", "https://x.localhost/x", false),
            ("https://a/x", "https://[::1]/x", false),
            (
                "https://a/x",
                "https://169.254.169.254/latest/meta-data",
                false,
            ),
            ("https://a/x", "https://2130706433/x", false),
            ("https://a/x", "https://[::ffff:127.0.0.1]/x", false),
            ("http://127.0.0.1:5000/x", "http://127.0.0.1:5001/x", true),
            ("http://localhost/x", "https://cdn.b/y", true),
            ("http://127.0.0.1:5000/x", "http://169.254.169.254/x", false),
            ("http://127.0.0.1:5000/x", "http://0xA9FEA9FE/x", false),
            (
                "http://127.0.0.1/x",
                "http://[::ffff:169.254.169.254]/",
                false,
            ),
            ("http://169.254.1.1/x", "http://169.254.1.1/y", true),
        ];
        for (from, to, fine) in cases {
            assert_eq!(
                allowed(&url(from), &url(to), false).is_ok(),
                fine,
                "{from} to {to}"
            );
        }
    }
}
