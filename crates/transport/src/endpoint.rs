//! A server that can be asked, and how it is spoken to.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::error::{Cause, masked};
use crate::proxy::ProxyChoice;
use crate::settings::Tls;

/// The scheme that an endpoint is spoken to with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP over TLS.
    Https,
    /// Plain HTTP.
    Http,
    /// HTTPS, and plain HTTP where no TLS is spoken: what Docker does for insecure registries.
    HttpsElseHttp,
}

/// A server that can be asked for the content of one origin: a mirror, or the origin itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Inner {
    scheme: Scheme,
    host: Arc<str>,
    port: Option<u16>,
    base: String,
    prefix: String,
    strip: String,
    query: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    tls: Option<Tls>,
    proxy: Option<ProxyChoice>,
    mirror: bool,
}

impl Endpoint {
    /// Makes an endpoint of `host`, `host:port` or `[v6]:port`.
    ///
    /// # Errors
    /// [`Cause::Url`] for anything else.
    pub fn new(scheme: Scheme, authority: &str) -> Result<Self, Cause> {
        let wrong = || Cause::Url {
            text: authority.rsplit('@').next().unwrap_or_default().to_owned(),
        };
        let url = Url::parse(&format!("https://{authority}/")).map_err(|_| wrong())?;
        if url.path() != "/" || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong());
        }
        // The parser drops https's own port, which says something to other schemes.
        let written = authority.rsplit_once(':').and_then(|(_, p)| p.parse().ok());
        let own = match scheme {
            Scheme::Https => 443,
            Scheme::Http => 80,
            // It has two, and a port that was written is meant for both.
            Scheme::HttpsElseHttp => 0,
        };
        Ok(Self::build(Inner {
            scheme,
            host: url.host_str().ok_or_else(wrong)?.into(),
            port: url
                .port()
                .or(written.filter(|port| *port == 443))
                .filter(|port| *port != own),
            base: String::new(),
            prefix: String::new(),
            strip: String::new(),
            query: None,
            headers: Vec::new(),
            tls: None,
            proxy: None,
            mirror: false,
        }))
    }

    /// Makes an endpoint of a URL's scheme, host, port and path (as its base).
    ///
    /// # Errors
    /// [`Cause::Url`] for schemes other than http and https, and for URLs without a host.
    pub fn from_url(url: &Url) -> Result<Self, Cause> {
        let wrong = || Cause::Url { text: masked(url) };
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(wrong()),
        };
        Ok(Self::build(Inner {
            scheme,
            host: url.host_str().ok_or_else(wrong)?.into(),
            port: url.port(),
            base: url.path().trim_end_matches('/').to_owned(),
            prefix: String::new(),
            strip: String::new(),
            query: None,
            headers: Vec::new(),
            tls: None,
            proxy: None,
            mirror: false,
        }))
    }

    fn build(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }

    /// Puts the API's root before every request's path: `/v2`.
    #[must_use]
    pub fn with_base(self, base: &str) -> Self {
        let base = base.trim_matches('/');
        let base = if base.is_empty() {
            String::new()
        } else {
            format!("/{base}")
        };
        self.with(|inner| inner.base = base)
    }

    /// Puts a prefix before every name, for a mirror that has the origin's names below one of its own:
    /// `hub` makes `library/busybox` `hub/library/busybox`.
    #[must_use]
    pub fn with_prefix(self, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/').to_owned();
        self.with(|inner| inner.prefix = prefix)
    }

    /// Takes a prefix of whole segments off every name, for a mirror that has a part of the
    /// origin's names under names of its own.
    #[must_use]
    pub fn with_strip(self, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/').to_owned();
        self.with(|inner| inner.strip = prefix)
    }

    /// Adds a header to every request to the endpoint itself; redirects elsewhere do not get it. Its
    /// value is treated as a secret.
    #[must_use]
    pub fn with_header(self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.with(|inner| inner.headers.push((name, value)))
    }

    /// Adds a query to every request, such as containerd's `ns=docker.io` for mirrors.
    #[must_use]
    pub fn with_query(self, query: &str) -> Self {
        self.with(|inner| inner.query = Some(query.to_owned()))
    }

    /// Gives the endpoint a TLS of its own, in place of the settings' for its host.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        self.with(|inner| inner.tls = Some(tls))
    }

    /// Gives the endpoint a proxy of its own, in place of the settings'.
    #[must_use]
    pub fn with_proxy(self, proxy: ProxyChoice) -> Self {
        self.with(|inner| inner.proxy = Some(proxy))
    }

    /// Marks the endpoint as a mirror: its 404 is never final.
    #[must_use]
    pub fn as_mirror(self) -> Self {
        self.with(|inner| inner.mirror = true)
    }

    /// How it is spoken to.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.inner.scheme
    }

    /// The host's name or address, in lower case; IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// The port, where it is not the scheme's own.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.inner.port
    }

    /// `host` or `host:port`.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.inner.port {
            Some(port) => format!("{}:{port}", self.inner.host),
            None => self.inner.host.to_string(),
        }
    }

    /// The API's root, without a slash at its end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.inner.base
    }

    /// The headers of every request to it.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.inner.headers
    }

    /// Whether it is a mirror.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.inner.mirror
    }

    /// Its own TLS, where it has one.
    #[must_use]
    pub fn tls(&self) -> Option<&Tls> {
        self.inner.tls.as_ref()
    }

    /// Its own proxy, where it has one.
    #[must_use]
    pub fn proxy(&self) -> Option<&ProxyChoice> {
        self.inner.proxy.as_ref()
    }

    /// The URL of a path at this endpoint. `path` may have a query.
    ///
    /// # Errors
    /// [`Cause::Url`] where the path leaves the endpoint's base or is no path.
    pub fn url(&self, path: &str) -> Result<Url, Cause> {
        let scheme = match self.inner.scheme {
            Scheme::Http => "http",
            Scheme::Https | Scheme::HttpsElseHttp => "https",
        };
        let path = self.name(path.trim_start_matches('/'));
        let text = format!("{scheme}://{}{}/{path}", self.authority(), self.base());
        let mut url = Url::parse(&text).map_err(|_| Cause::Url { text: text.clone() })?;
        // The root itself is what an empty path means; an endpoint with a prefix has it without a slash.
        let root = self.root();
        let inside = url.path().starts_with(&root) || url.path() == root.trim_end_matches('/');
        if !inside {
            return Err(Cause::Url { text });
        }
        if let Some(query) = &self.inner.query {
            let joined = match url.query() {
                Some(own) => format!("{own}&{query}"),
                None => query.clone(),
            };
            url.set_query(Some(&joined));
        }
        Ok(url)
    }

    /// Where all of its names are, with a slash at its end.
    fn root(&self) -> String {
        match self.inner.prefix.as_str() {
            "" => format!("{}/", self.base()),
            prefix => format!("{}/{prefix}/", self.base()),
        }
    }

    /// Returns the endpoint's own name for what the origin calls `name`: a repository, or a path that
    /// begins with one.
    #[must_use]
    pub fn name(&self, name: &str) -> String {
        let Inner { strip, prefix, .. } = &*self.inner;
        let rest = name.strip_prefix(strip).filter(|_| !strip.is_empty());
        let rest = match rest {
            Some("") => "",
            Some(rest) => rest.strip_prefix('/').unwrap_or(name),
            None => name,
        };
        match (prefix.as_str(), rest) {
            ("", rest) => rest.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, rest) => format!("{prefix}/{rest}"),
        }
    }

    /// The name under which its health is remembered: scheme, authority, base and prefix.
    #[must_use]
    pub fn key(&self) -> String {
        let scheme = match self.inner.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::HttpsElseHttp => "https-else-http",
        };
        let root = self.root();
        format!(
            "{scheme}://{}{}",
            self.authority(),
            root.trim_end_matches('/')
        )
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.key())
    }
}

/// `host` or `host:port` of a URL.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_joined_under_the_base() {
        let endpoint = Endpoint::new(Scheme::Https, "M.example:8443")
            .unwrap()
            .with_base("/v2/")
            .with_prefix("hub");
        assert_eq!(
            endpoint
                .url("library/busybox/tags/list?n=1")
                .unwrap()
                .as_str(),
            "https://m.example:8443/v2/hub/library/busybox/tags/list?n=1"
        );
        let query = endpoint.clone().with_query("ns=docker.io");
        assert_eq!(query.url("a").unwrap().query(), Some("ns=docker.io"));
        assert_eq!(
            query.url("a?b=c").unwrap().query(),
            Some("b=c&ns=docker.io")
        );
        assert!(endpoint.url("../../secret").is_err(), "leaves the base");
        assert!(
            endpoint.url("%2e%2e/%2e%2e/secret").is_err(),
            "leaves the base, encoded"
        );
    }

    #[test]
    fn an_endpoint_with_a_prefix_has_an_address_of_its_own() {
        let endpoint = Endpoint::new(Scheme::Http, "127.0.0.1:5000").unwrap();
        let endpoint = endpoint.with_base("/v2").with_prefix("hub");
        let url = |path: &str| endpoint.url(path).map(|url| url.to_string()).ok();
        assert_eq!(url("").unwrap(), "http://127.0.0.1:5000/v2/hub");
        assert_eq!(url("../other"), None);
    }

    #[test]
    fn names_are_stripped_by_whole_segments() {
        let endpoint = Endpoint::new(Scheme::Https, "m")
            .unwrap()
            .with_base("/v2")
            .with_prefix("hub");
        let endpoint = endpoint.with_strip("library");
        let url = |path| endpoint.url(path).unwrap().to_string();
        assert_eq!(
            url("library/busybox/manifests/1"),
            "https://m/v2/hub/busybox/manifests/1"
        );
        assert_eq!(
            url("librarybusybox/manifests/1"),
            "https://m/v2/hub/librarybusybox/manifests/1"
        );
        // A rule for one repository leaves the mirror's own name alone, in scopes of tokens too.
        let one = endpoint.with_strip("library/busybox");
        assert_eq!(one.name("library/busybox"), "hub");
        assert_eq!(one.name("library/busybox/manifests/1"), "hub/manifests/1");
    }

    #[test]
    fn authorities_are_checked() {
        for bad in ["", "a/b", "user:pw@host", "host:99999", "https://x", "a b"] {
            assert!(Endpoint::new(Scheme::Https, bad).is_err(), "{bad:?}");
        }
        let v6 = Endpoint::new(Scheme::Http, "[::1]:5000").unwrap();
        assert_eq!((v6.host(), v6.port()), ("[::1]", Some(5000)));
        let own = Endpoint::new(Scheme::Http, "h:443").unwrap();
        assert_eq!(own.url("").unwrap().as_str(), "http://h:443/");
        for (scheme, text, authority) in [
            (Scheme::Https, "h:443", "h"),
            (Scheme::Http, "h:80", "h"),
            (Scheme::Https, "h:80", "h:80"),
            (Scheme::HttpsElseHttp, "h:443", "h:443"),
        ] {
            assert_eq!(Endpoint::new(scheme, text).unwrap().authority(), authority);
        }
    }
}
