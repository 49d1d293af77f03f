//! Challenges kept between runs, so that no run has to be refused once by each host before it knows
//! where tokens come from.
//!
//! A kept challenge is a guess. It counts for the very endpoint that sent it, goes through the same
//! checks as a fresh one, and is forgotten as soon as it leads nowhere or the endpoint sends another.
//! Stored credentials are shown on its word alone only where nobody but the registry can have said it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use sealift_content::{read_private, write_private};
use sealift_oci::Digest;
use sealift_transport::{self as transport, Class, Endpoint};
use serde::{Deserialize, Serialize};

use super::Access;
use super::host::{Host, Rename, Scheme, Word};
use super::realm::{self, Realm};
use crate::credentials::Credential;

/// How long a challenge is kept after the endpoint sent it: names of hosts change hands.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A folder of challenges.
#[derive(Debug, Clone)]
pub(super) struct ChallengeCache {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    endpoint: String,
    realm: String,
    service: String,
    rename: Rename,
    /// Whether the endpoint had to prove who it is.
    verified: bool,
    received: u64,
}

impl ChallengeCache {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, endpoint: &Endpoint) -> PathBuf {
        let key = Digest::sha256(endpoint.key().as_bytes());
        self.folder.join(format!("challenge-{}.json", key.hex()))
    }

    /// Tells a host what an earlier run knew of it; `verified` says whether it has to prove who it is
    /// in this one.
    fn load(&self, endpoint: &Endpoint, host: &mut Host, verified: bool) {
        let Ok(Some(bytes)) = read_private(&self.path(endpoint)) else {
            return;
        };
        let Ok(stored) = serde_json::from_slice::<Stored>(&bytes) else {
            return;
        };
        let received = UNIX_EPOCH.checked_add(Duration::from_secs(stored.received));
        let age = received.and_then(|received| SystemTime::now().duration_since(received).ok());
        let fresh = age.is_some_and(|age| age < LIFE);
        let (true, Ok(realm)) = (
            fresh && stored.endpoint == endpoint.key(),
            Realm::of(&stored.realm, endpoint),
        ) else {
            return;
        };
        let vouched = realm.is_near() || (verified && stored.verified);
        host.word = Word::Memory { vouched };
        host.rename = stored.rename;
        host.scheme = Some(Scheme::Bearer {
            realm,
            service: stored.service,
        });
    }

    /// Keeps what a host said, or forgets it where that is no realm.
    fn store(&self, endpoint: &Endpoint, host: &Host, verified: bool) {
        let Some(Scheme::Bearer { realm, service }) = &host.scheme else {
            return self.remove(endpoint);
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let stored = Stored {
            endpoint: endpoint.key(),
            realm: realm.url().to_string(),
            service: service.clone(),
            rename: host.rename.clone(),
            verified,
            received: now.unwrap_or_default().as_secs(),
        };
        let Ok(bytes) = serde_json::to_vec(&stored) else {
            return;
        };
        let path = self.path(endpoint);
        if let Err(error) = write_private(&path, &bytes) {
            tracing::debug!(path = %path.display(), %error, "a challenge was not kept");
        }
    }

    fn remove(&self, endpoint: &Endpoint) {
        // It may never have been kept.
        let _ = std::fs::remove_file(self.path(endpoint));
    }
}

impl Access {
    /// Looks up what an earlier run knew of an endpoint, once.
    pub(super) fn load_challenge(&self, endpoint: &Endpoint) {
        let Some(cache) = &self.auth.inner.challenges else {
            return;
        };
        let verified = self.auth.inner.transport.verifies(endpoint);
        self.auth.host(endpoint, |host| {
            if host.scheme.is_none() && !std::mem::replace(&mut host.looked_up, true) {
                cache.load(endpoint, host, verified);
            }
        });
    }

    /// Keeps what the endpoint said for later runs.
    pub(super) fn keep(&self, endpoint: &Endpoint) {
        if let Some(cache) = &self.auth.inner.challenges {
            let verified = self.auth.inner.transport.verifies(endpoint);
            self.auth
                .host(endpoint, |host| cache.store(endpoint, host, verified));
        }
    }

    /// Forgets what an earlier run knew: the endpoint has to say it again.
    pub(super) fn forget(&self, endpoint: &Endpoint) {
        if let Some(cache) = &self.auth.inner.challenges {
            cache.remove(endpoint);
        }
        self.auth.host(endpoint, |host| {
            if host.word != Word::Challenge {
                host.scheme = None;
                host.word = Word::Challenge;
                host.rename = Rename::None;
            }
        });
    }

    /// Returns a token of an earlier run, without asking the realm for one.
    pub(super) fn cached_token(
        &self,
        endpoint: &Endpoint,
        credential: Option<Credential>,
    ) -> Option<HeaderValue> {
        let ask = self.ask(endpoint, credential)?;
        let kept = self.auth.inner.tokens.kept(&ask)?;
        realm::bearer(&kept.secret)
    }

    /// Gets a token on the word of an earlier run. Nothing sends the request without one, so that the
    /// endpoint says what is true now.
    pub(super) async fn remembered(
        &self,
        endpoint: &Endpoint,
        credential: Option<Credential>,
    ) -> transport::Result<Option<HeaderValue>> {
        let tokens = &self.auth.inner.tokens;
        let Some(ask) = self.ask(endpoint, credential) else {
            return Ok(None);
        };
        match tokens.get(&ask).await {
            Ok(token) => Ok(realm::bearer(&token.secret)),
            Err(error) => {
                self.forget(endpoint);
                match error.class() {
                    // The realm may well be right: this counts, and is told, as a failure of it.
                    Class::Network | Class::Rate => Err(error),
                    _ => Ok(None),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use url::Url;

    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::from_url(&Url::parse(url).unwrap()).unwrap()
    }

    fn host(realm: &str, endpoint: &Endpoint) -> Host {
        Host {
            scheme: Some(Scheme::Bearer {
                realm: Realm::of(realm, endpoint).unwrap(),
                service: "s".to_owned(),
            }),
            rename: Rename::Add("hub/".to_owned()),
            ..Host::default()
        }
    }

    fn loaded(cache: &ChallengeCache, endpoint: &Endpoint, verified: bool) -> Option<(Host, bool)> {
        let mut host = Host::default();
        cache.load(endpoint, &mut host, verified);
        match (&host.scheme, host.word) {
            (Some(_), Word::Memory { vouched }) => Some((host, vouched)),
            _ => None,
        }
    }

    #[test]
    fn a_challenge_comes_back_for_its_own_endpoint_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ChallengeCache::new(folder.path().join("tokens"));
        let own = endpoint("https://r.example/v2");
        let said = host("https://auth.example/token", &own);
        cache.store(&own, &said, true);
        let (found, _) = loaded(&cache, &own, true).unwrap();
        assert_eq!((&found.scheme, &found.rename), (&said.scheme, &said.rename));
        for other in [
            "https://r.example/v2/hub",
            "https://r.example:444/v2",
            "http://r.example/v2",
            "https://other.example/v2",
        ] {
            assert!(loaded(&cache, &endpoint(other), true).is_none(), "{other}");
        }
        // Nor does a file that is copied to another endpoint's place.
        let other = endpoint("https://other.example/v2");
        std::fs::copy(cache.path(&own), cache.path(&other)).unwrap();
        assert!(loaded(&cache, &other, true).is_none());
        cache.remove(&own);
        assert!(loaded(&cache, &own, true).is_none());
    }

    #[test]
    fn credentials_are_shown_only_where_nobody_else_can_have_said_it() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ChallengeCache::new(folder.path().join("tokens"));
        let far = "https://auth.example/token";
        let cases = [
            // Registry, realm, verified then, verified now; whether credentials may be shown.
            ("https://r.example/v2", far, true, true, true),
            ("https://r.example/v2", far, false, true, false),
            ("https://r.example/v2", far, true, false, false),
            ("http://r.example/v2", far, false, false, false),
            (
                "http://r.example/v2",
                "http://r.example/token",
                false,
                false,
                true,
            ),
            (
                "http://127.0.0.1:1/v2",
                "http://127.0.0.1:2/token",
                false,
                false,
                true,
            ),
        ];
        for (registry, realm, then, now, shown) in cases {
            let own = endpoint(registry);
            cache.store(&own, &host(realm, &own), then);
            let (_, vouched) = loaded(&cache, &own, now).unwrap();
            assert_eq!(vouched, shown, "{registry} {realm} {then} {now}");
        }
    }

    #[test]
    fn what_is_old_or_open_to_others_or_not_allowed_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ChallengeCache::new(folder.path().join("tokens"));
        let own = endpoint("https://r.example/v2");
        let said = host("https://auth.example/token", &own);
        let change = |name: &str, value: serde_json::Value| {
            cache.store(&own, &said, true);
            let path = cache.path(&own);
            let text = std::fs::read(&path).unwrap();
            let mut stored: serde_json::Value = serde_json::from_slice(&text).unwrap();
            stored[name] = value;
            let bytes = stored.to_string().into_bytes();
            write_private(&path, &bytes).unwrap();
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        for (name, value, taken) in [
            ("received", (now - 6 * 24 * 3600).into(), true),
            ("received", (now - 8 * 24 * 3600).into(), false),
            ("received", (now + 3600).into(), false),
            ("realm", "http://127.0.0.1/token".into(), false),
            ("realm", "file:///etc/passwd".into(), false),
        ] {
            change(name, value);
            assert_eq!(loaded(&cache, &own, true).is_some(), taken, "{name}");
        }
        cache.store(&own, &said, true);
        let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(cache.path(&own)), 0o600);
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(cache.path(&own), open).unwrap();
        assert!(loaded(&cache, &own, true).is_none());
        // What is said in place of it makes it go.
        let basic = Host {
            scheme: Some(Scheme::Basic),
            ..Host::default()
        };
        cache.store(&own, &basic, true);
        assert!(!cache.path(&own).exists());
    }
}
