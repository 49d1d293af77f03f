//! Requests to token servers: where a realm may be, who may be shown a password, and how the
//! question is put.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sealift_transport::{Cause, Endpoint, Scheme, is_link_local_host};
use url::{Host, Url};

use super::scope::Scope;
use crate::code::printable;
use crate::credentials::Credential;
use crate::secret::Secret;

const CLIENT: &str = "sealift";
const ADDRESS_LIMIT: usize = 2048;

/// A token server that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Realm {
    url: Url,
    /// Whether the registry's credentials may be shown to it.
    trusted: bool,
    /// Whether it is the registry itself, or both are on this machine.
    near: bool,
}

/// One question to a token server.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// The token specification's GET, with a password or without.
    Get {
        url: Url,
        authorization: Option<HeaderValue>,
    },
    /// The OAuth 2 form of a refresh token.
    Post { url: Url, form: Secret },
}

impl Realm {
    /// Checks an address that a registry at `endpoint` gave.
    ///
    /// Credentials go to the registry's own address, to HTTPS, and from loopback to loopback;
    /// nowhere else. A registry elsewhere may not send us to our own machine at all.
    ///
    /// # Errors
    /// What the registry says, and why that is no place for tokens.
    pub(crate) fn of(text: &str, endpoint: &Endpoint) -> Result<Self, String> {
        Self::checked(text, endpoint).map_err(|reason| {
            let shown = printable(text.rsplit('@').next().unwrap_or_default());
            format!("the registry names {shown:?} as its token server, which {reason}")
        })
    }

    fn checked(text: &str, endpoint: &Endpoint) -> Result<Self, &'static str> {
        if text.len() > ADDRESS_LIMIT {
            return Err("is longer than 2048 characters");
        }
        let mut url = Url::parse(text).map_err(|_| "is not a URL")?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err("is neither http nor https");
        }
        // User information in a realm would become a credential that nobody configured.
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| "is not a URL")?;
        url.set_fragment(None);
        let own = endpoint
            .url("")
            .map_err(|_| "has a registry without an address")?;
        let (local, from_local) = (is_loopback(&url), is_loopback(&own));
        if local && !from_local {
            return Err("is on this machine's loopback, but the registry is not");
        }
        let is_link_local = |url: &Url| url.host_str().is_some_and(is_link_local_host);
        if is_link_local(&url) && !is_link_local(&own) {
            return Err("is a link-local address, but the registry is not");
        }
        // Whoever marks a registry as insecure has it spoken to in plain HTTP.
        let insecure = endpoint.scheme() == Scheme::HttpsElseHttp && url.host() == own.host();
        let same = url.origin() == own.origin() || insecure;
        let near = same || (local && from_local);
        let trusted = near || url.scheme() == "https";
        Ok(Self { url, trusted, near })
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// Returns `host` or `host:port`, for messages.
    pub(crate) fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Makes the endpoint to send questions to: the registry's own ways, where it is its own realm.
    pub(crate) fn endpoint(&self, registry: &Endpoint) -> Result<Endpoint, Cause> {
        let authority = self.authority();
        if authority == registry.authority() {
            let mut endpoint = Endpoint::new(registry.scheme(), &authority)?;
            if let Some(tls) = registry.tls() {
                endpoint = endpoint.with_tls(tls.clone());
            }
            if let Some(proxy) = registry.proxy() {
                endpoint = endpoint.with_proxy(proxy.clone());
            }
            return Ok(endpoint);
        }
        let mut root = self.url.clone();
        root.set_path("/");
        root.set_query(None);
        Endpoint::from_url(&root)
    }

    pub(crate) const fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// Tells whether it is the registry itself, or both are on this machine.
    pub(crate) const fn is_near(&self) -> bool {
        self.near
    }

    /// Puts the question for a token.
    pub(crate) fn question(
        &self,
        service: &str,
        scopes: &[Scope],
        credential: Option<&Credential>,
    ) -> Question {
        match credential.filter(|_| self.trusted) {
            Some(Credential::Identity { token, .. }) => self.post(service, scopes, token),
            Some(Credential::Basic { username, password }) => {
                self.get(service, scopes, Some((username, password)))
            }
            Some(Credential::Bearer(_)) | None => self.get(service, scopes, None),
        }
    }

    /// Puts the question as GET, as some servers want it even for identity tokens.
    pub(crate) fn get(
        &self,
        service: &str,
        scopes: &[Scope],
        login: Option<(&str, &Secret)>,
    ) -> Question {
        let mut url = self.url.clone();
        {
            let mut query = url.query_pairs_mut();
            if !service.is_empty() {
                query.append_pair("service", service);
            }
            for scope in scopes {
                query.append_pair("scope", &scope.to_string());
            }
            if let Some((username, _)) = login {
                query.append_pair("account", username);
            }
        }
        if url.query() == Some("") {
            url.set_query(None);
        }
        Question::Get {
            url,
            authorization: login.map(|(username, password)| basic(username, password)),
        }
    }

    fn post(&self, service: &str, scopes: &[Scope], token: &Secret) -> Question {
        let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token")
            .append_pair("service", service)
            .append_pair("client_id", CLIENT)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("refresh_token", token.expose());
        Question::Post {
            url: self.url.clone(),
            form: Secret::new(form.finish()),
        }
    }
}

/// Makes a Basic `Authorization` header (RFC 7617), marked as sensitive.
pub(crate) fn basic(username: &str, password: &Secret) -> HeaderValue {
    let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
    sensitive(&format!("Basic {pair}")).expect("base64 has only characters that headers may hold")
}

/// Makes a Bearer `Authorization` header (RFC 6750), marked as sensitive; nothing where the token
/// can't stand in a header.
pub(crate) fn bearer(token: &Secret) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {}", token.expose()))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Tells whether an address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => {
            let mapped = address.to_ipv4_mapped();
            address.is_loopback()
                || address.is_unspecified()
                || mapped.is_some_and(|mapped| mapped.is_loopback())
        }
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scope::Action;
    use super::*;

    fn realm(text: &str, endpoint: &str) -> Result<Realm, String> {
        Realm::of(
            text,
            &Endpoint::from_url(&Url::parse(endpoint).unwrap()).unwrap(),
        )
    }

    #[test]
    fn passwords_go_to_the_registry_itself_to_https_and_on_loopback() {
        let cases = [
            ("https://auth.example/token", "https://r.example", true),
            ("http://auth.example/token", "https://r.example", false),
            ("http://r.example/token", "https://r.example", false),
            ("http://r.example:5000/t", "http://r.example:5000", true),
            ("http://r.example:5001/t", "http://r.example:5000", false),
            ("http://127.0.0.1:1/t", "http://127.0.0.1:2", true),
            ("http://localhost:1/t", "http://[::1]:2", true),
        ];
        for (text, endpoint, trusted) in cases {
            assert_eq!(
                realm(text, endpoint).unwrap().is_trusted(),
                trusted,
                "{text} {endpoint}"
            );
        }
    }

    #[test]
    fn a_realm_elsewhere_may_not_point_at_this_machine_or_at_another_scheme() {
        for text in [
            "http://127.0.0.1:80/t",
            "https://localhost/t",
            "https://x.localhost./t",
            "http://[::ffff:127.0.0.1]/t",
            "http://0.0.0.0/",
            "http://0x7f.1/",
            "file:///etc/passwd",
            "ftp://x/",
            "unix:/x",
            "data:x",
            "/token",
            "",
        ] {
            assert!(realm(text, "https://r.example").is_err(), "{text}");
        }
        for text in [
            "http://169.254.169.254/t",
            "http://2852039166/t",
            "https://[fe80::1]/t",
        ] {
            assert!(realm(text, "http://127.0.0.1:5000").is_err(), "{text}");
        }
        assert_eq!(
            realm("/to\u{8}ken", "https://r.example").unwrap_err(),
            "the registry names \"/to ken\" as its token server, which is not a URL"
        );
        let long = format!("https://x/{}", "y".repeat(5000));
        assert!(realm(&long, "https://r.example").is_err());
    }

    #[test]
    fn questions_carry_what_the_specification_says() {
        let realm = realm("https://u:p@auth.example/token?x=1#f", "https://r.example").unwrap();
        let scopes = [
            Scope::repository("a", Action::Pull),
            Scope::repository("b", Action::Push),
        ];
        let Question::Get {
            url,
            authorization: None,
        } = realm.question("s s", &scopes, None)
        else {
            panic!("not an anonymous GET");
        };
        assert_eq!(
            url.as_str(),
            "https://auth.example/token?x=1&service=s+s&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull%2Cpush"
        );
        let login = Credential::Basic {
            username: "u".to_owned(),
            password: "p".into(),
        };
        let Question::Get { url, authorization } = realm.question("s", &scopes[..1], Some(&login))
        else {
            panic!("not a GET");
        };
        assert!(url.as_str().ends_with("&account=u"), "{url}");
        assert_eq!(authorization.unwrap(), "Basic dTpw");
        let identity = Credential::Identity {
            username: None,
            token: "t&".into(),
        };
        let Question::Post { form, .. } = realm.question("s", &scopes, Some(&identity)) else {
            panic!("not a POST");
        };
        assert_eq!(
            form.expose(),
            "grant_type=refresh_token&service=s&client_id=sealift&scope=repository%3Aa%3Apull+repository%3Ab%3Apull%2Cpush&refresh_token=t%26"
        );
    }

    #[test]
    fn no_password_goes_to_a_realm_that_is_not_trusted() {
        let realm = realm("http://auth.example/token", "https://r.example").unwrap();
        let secret = Secret::new("planted");
        for credential in [
            Credential::Basic {
                username: "u".to_owned(),
                password: secret.clone(),
            },
            Credential::Identity {
                username: None,
                token: secret.clone(),
            },
            Credential::Bearer(secret),
        ] {
            let question = realm.question("s", &[], Some(&credential));
            let Question::Get {
                url,
                authorization: None,
            } = question
            else {
                panic!("{question:?}");
            };
            assert_eq!(url.as_str(), "http://auth.example/token?service=s");
        }
    }
}
