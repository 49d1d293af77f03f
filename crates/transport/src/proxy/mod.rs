//! Which proxy a request takes, and why: Go's rules, since Docker's configuration is written for
//! them.

use std::fmt;

use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, LOCATION, PROXY_AUTHENTICATE};
use url::Url;

mod exempt;

pub use exempt::NoProxy;

use crate::error::{Cause, masked};

/// The protocol that a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyScheme {
    /// HTTP: absolute requests for http, CONNECT for https.
    Http,
    /// The same inside TLS.
    Https,
    /// SOCKS5; names are resolved by the proxy, always.
    Socks5,
}

/// A proxy server.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// What it speaks.
    pub scheme: ProxyScheme,
    /// Its host, IPv6 in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password.
    pub login: Option<Login>,
    /// Where it was set, for messages; empty where nobody says.
    pub set_by: String,
}

/// A user and a password. It prints masked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
    }
}

impl Proxy {
    /// Reads a proxy's URL; without a scheme it is `http`, as everywhere.
    ///
    /// # Errors
    /// [`Cause::Url`] for unknown schemes and URLs without a host.
    pub fn parse(text: &str) -> Result<Self, Cause> {
        let text = text.trim();
        let full = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let wrong = || Cause::Url {
            text: text.rsplit('@').next().unwrap_or_default().to_owned(),
        };
        let url = Url::parse(&full).map_err(|_| wrong())?;
        let (scheme, port) = match url.scheme() {
            "http" => (ProxyScheme::Http, 80),
            "https" => (ProxyScheme::Https, 443),
            "socks5" | "socks5h" | "socks" => (ProxyScheme::Socks5, 1080),
            _ => return Err(wrong()),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        Ok(Self {
            scheme,
            host: host.ok_or_else(wrong)?.to_owned(),
            port: url.port().unwrap_or(port),
            set_by: String::new(),
            login: (!url.username().is_empty() || url.password().is_some()).then(|| Login {
                user: decode(url.username()),
                password: decode(url.password().unwrap_or_default()),
            }),
        })
    }

    /// Makes the cause of an answer that is the proxy's own.
    pub(crate) fn refusal(&self, status: StatusCode, headers: &HeaderMap) -> Cause {
        let mut reason = status.to_string();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let schemes: Vec<String> = headers
            .get_all(PROXY_AUTHENTICATE)
            .iter()
            .filter_map(|value| Some(text(value).split([' ', ',']).next()?.to_owned()))
            .collect();
        if !schemes.is_empty() {
            reason.push_str(&format!("; it accepts {}", schemes.join(", ")));
        }
        if let Some(location) = headers
            .get(LOCATION)
            .and_then(|value| Url::parse(&text(value)).ok())
        {
            reason.push_str(&format!("; it leads to {}", masked(&location)));
        }
        Cause::ProxyRefused {
            proxy: self.described(),
            reason,
            status: Some(status),
        }
    }
}

impl Proxy {
    /// Says where the proxy was set, so that errors can name the place.
    #[must_use]
    pub fn set_by(self, set_by: String) -> Self {
        Self { set_by, ..self }
    }

    /// Names the proxy in an error, with the place where it was set.
    pub(crate) fn described(&self) -> String {
        match self.set_by.as_str() {
            "" => self.to_string(),
            place => format!("{self} (set by {place})"),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Https => "https",
            ProxyScheme::Socks5 => "socks5",
        };
        let login = if self.login.is_some() { "***@" } else { "" };
        write!(f, "{scheme}://{login}{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// A decision about one host's proxy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProxyChoice {
    /// No proxy.
    Direct,
    /// This proxy.
    Via(Proxy),
}

/// The proxies of all requests.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `http` URLs.
    pub http: Option<Proxy>,
    /// For `https` URLs.
    pub https: Option<Proxy>,
    /// Who is exempt.
    pub no_proxy: NoProxy,
}

impl Proxies {
    /// Returns the proxy for a URL's scheme, host and port, with the reason in words.
    #[must_use]
    pub fn choose(&self, https: bool, host: &str, port: u16) -> (Option<&Proxy>, String) {
        let (proxy, name) = if https {
            (&self.https, "https")
        } else {
            (&self.http, "http")
        };
        let Some(proxy) = proxy else {
            return (None, format!("no proxy is set for {name}"));
        };
        match self.no_proxy.exempts(host, port) {
            Some(reason) => (None, reason),
            None => (Some(proxy), format!("the proxy for {name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_in_every_form() {
        let proxy = |text| Proxy::parse(text).unwrap();
        let plain = proxy("10.0.0.1:3128");
        assert_eq!((plain.scheme, plain.port), (ProxyScheme::Http, 3128));
        assert_eq!(proxy("socks5h://s").port, 1080);
        assert_eq!(proxy("https://p").port, 443);
        assert_eq!(proxy("http://[::1]:8").host, "[::1]");
        let login = proxy("http://us%40er:p%3Aw@h:1/").login.unwrap();
        assert_eq!(
            (login.user.as_str(), login.password.as_str()),
            ("us@er", "p:w")
        );
        for bad in ["ftp://x", "http://", ""] {
            assert!(Proxy::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn passwords_are_never_shown() {
        let proxy = Proxy::parse("http://user:secret@h:1").unwrap();
        let shown = format!("{proxy} {proxy:?} {:?}", proxy.login);
        assert!(
            !shown.contains("secret") && !shown.contains("user"),
            "{shown}"
        );
        let text = Proxy::parse("gopher://user:secret@h:1")
            .unwrap_err()
            .to_string();
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn the_choice_follows_the_scheme() {
        let proxies = Proxies {
            https: Some(Proxy::parse("p:1").unwrap()),
            no_proxy: NoProxy::parse("internal"),
            ..Proxies::default()
        };
        assert!(proxies.choose(true, "example.org", 443).0.is_some());
        assert!(proxies.choose(false, "example.org", 80).0.is_none());
        assert!(proxies.choose(true, "a.internal", 443).0.is_none());
        assert!(proxies.choose(true, "127.0.0.1", 443).0.is_none());
    }
}
