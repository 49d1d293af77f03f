//! Proxies: their addresses, whose passwords print masked, and which of them a request takes.

use std::fmt;

use sealift_transport::proxy::Proxy;
use serde::{Serialize, Serializer};
use url::Url;

use sealift_config::{Reader, Sourced};

use super::host::Host;

/// The address of a proxy. Its password prints as `***`, and so does a name that stands alone: it
/// may be a token.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    url: Url,
    proxy: Proxy,
}

/// Why a text is no proxy's address. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// It is not a URL with a host.
    #[error("expected a proxy such as http://proxy.example.com:3128")]
    NotAUrl,
    /// Something follows the host.
    #[error("nothing may follow a proxy's host and port")]
    Path,
    /// Its scheme is none of those that sealift and BuildKit speak.
    #[error("a proxy's scheme must be http, https, socks5 or socks5h")]
    Scheme,
}

impl ProxyUrl {
    /// Parses an address. Without a scheme it is an HTTP proxy, as in Go and curl.
    ///
    /// # Errors
    /// [`ProxyUrlError`], which does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, ProxyUrlError> {
        let text = text.trim();
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        };
        let url = url.map_err(|_| ProxyUrlError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
            return Err(ProxyUrlError::Scheme);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(ProxyUrlError::NotAUrl);
        }
        // A slip such as `http//alice:secret@proxy` would otherwise be a path, and be shown.
        let bare = matches!(url.path(), "" | "/") && url.query().is_none();
        if !bare || url.fragment().is_some() {
            return Err(ProxyUrlError::Path);
        }
        let proxy = Proxy::parse(url.as_str()).map_err(|_| ProxyUrlError::NotAUrl)?;
        Ok(Self { url, proxy })
    }

    /// Parses the address of a key or variable, noting a mistake where it is none. Empty means none.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        name: &str,
        text: Sourced<String>,
    ) -> Option<Sourced<Self>> {
        if text.value.trim().is_empty() {
            return None;
        }
        match Self::parse(&text.value) {
            Ok(proxy) => Some(Sourced::new(proxy, text.from)),
            Err(error) => {
                reader.problem(text.from, format!("{name}: {error}"));
                None
            }
        }
    }

    /// Returns the address with its password, for the process or the socket that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        let text = self.url.as_str();
        text.strip_suffix('/').unwrap_or(text)
    }

    /// Returns the proxy as the transport dials it.
    #[must_use]
    pub const fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Returns the proxy's host and port.
    #[must_use]
    pub fn host(&self) -> Option<Host> {
        let host = self.url.host_str()?;
        Host::parse(
            &self
                .url
                .port()
                .map_or(host.to_owned(), |port| format!("{host}:{port}")),
        )
    }

    /// Returns whether it listens on this machine alone, where an isolated build step cannot go.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host().is_some_and(|host| host.is_loopback())
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.expose().split_once("://") else {
            return f.write_str("***");
        };
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        match (self.url.username(), self.url.password()) {
            ("", None) => write!(f, "{scheme}://{place}"),
            (_, None) => write!(f, "{scheme}://***@{place}"),
            (name, Some(_)) => write!(f, "{scheme}://{name}:***@{place}"),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for ProxyUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The proxies of one kind of traffic, as far as they are configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<Sourced<ProxyUrl>>,
    /// For `https://`.
    pub https: Option<Sourced<ProxyUrl>>,
    /// For `ftp://`; build steps alone use it.
    pub ftp: Option<Sourced<ProxyUrl>>,
    /// For every scheme that has none of its own.
    pub all: Option<Sourced<ProxyUrl>>,
    /// What is reached without a proxy, one entry each.
    pub no_proxy: Vec<Sourced<String>>,
    /// The variables that are set to nothing: there is no such proxy, whatever others say.
    pub off: Vec<Sourced<String>>,
}

impl Proxies {
    /// Returns whether there is any proxy at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none() && self.ftp.is_none() && self.all.is_none()
    }

    /// Returns whether a variable is set to nothing.
    #[must_use]
    pub fn is_off(&self, name: &str) -> bool {
        self.off.iter().any(|off| off.value == name)
    }

    /// Returns the proxy of a scheme, its own one or the one for all.
    #[must_use]
    pub fn of_scheme(&self, scheme: &str) -> Option<&Sourced<ProxyUrl>> {
        let (own, name) = match scheme {
            "http" => (&self.http, "HTTP_PROXY"),
            "https" => (&self.https, "HTTPS_PROXY"),
            "ftp" => (&self.ftp, "FTP_PROXY"),
            _ => (&None, ""),
        };
        let all = self.all.as_ref().filter(|_| !self.is_off(name));
        own.as_ref().or(all)
    }

    /// Returns the entries of NO_PROXY as one value.
    #[must_use]
    pub fn no_proxy_text(&self) -> String {
        let entries: Vec<_> = self
            .no_proxy
            .iter()
            .map(|entry| entry.value.as_str())
            .collect();
        entries.join(",")
    }
}

/// Splits the value of a NO_PROXY variable or key into its entries.
pub(crate) fn no_proxy_entries(text: &Sourced<String>) -> Vec<Sourced<String>> {
    let entries = text.value.split(',').map(str::trim);
    let filled = entries.filter(|entry| !entry.is_empty());
    filled
        .map(|entry| Sourced::new(entry.to_owned(), text.from.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked() {
        for (text, shown, exposed) in [
            ("proxy:3128", "http://proxy:3128", "http://proxy:3128"),
            ("http://p:3128/", "http://p:3128", "http://p:3128"),
            (
                "http://u:hunter2@p:3128",
                "http://u:***@p:3128",
                "http://u:hunter2@p:3128",
            ),
            ("u:hunter2@p", "http://u:***@p", "http://u:hunter2@p"),
            (
                "socks5h://u:hunter2@[::1]:1080",
                "socks5h://u:***@[::1]:1080",
                "socks5h://u:hunter2@[::1]:1080",
            ),
            ("https://hunter2@p", "https://***@p", "https://hunter2@p"),
            (
                "http://u:hunter2%40x@p",
                "http://u:***@p",
                "http://u:hunter2%40x@p",
            ),
            ("http://:hunter2@p", "http://:***@p", "http://:hunter2@p"),
        ] {
            let proxy = ProxyUrl::parse(text).unwrap();
            assert_eq!(
                (proxy.to_string().as_str(), proxy.expose()),
                (shown, exposed)
            );
            assert!(!format!("{proxy:?}").contains("hunter2"));
            assert!(!serde_json::to_string(&proxy).unwrap().contains("hunter2"));
        }
        for (text, error) in [
            ("", ProxyUrlError::NotAUrl),
            ("http://", ProxyUrlError::NotAUrl),
            ("http://p:99999", ProxyUrlError::NotAUrl),
            ("http://p p", ProxyUrlError::NotAUrl),
            ("http//u:hunter2@p", ProxyUrlError::Path),
            ("http://p/x", ProxyUrlError::Path),
            ("http://p?x", ProxyUrlError::Path),
            ("ftp://p", ProxyUrlError::Scheme),
            ("socks4://p", ProxyUrlError::Scheme),
        ] {
            assert_eq!(ProxyUrl::parse(text).unwrap_err(), error, "{text}");
        }
    }
}
