//! Stored credentials: Docker's `config.json` and containers' `auth.json`, with their helpers.
//!
//! A lookup is made for the host that is really contacted, so a credential never crosses to
//! another one. Which files there are is the caller's to know.

mod file;
mod program;

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

pub use file::{Candidate, CredentialFile, Entry, Holder, MalformedAuth};
use file::{HUB, HUB_KEY, is_hub};
pub use program::HelperFailure;

use crate::secret::Secret;

/// How a user proves an identity to one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// User name and password (or personal access token).
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// An OAuth 2 refresh token, exchanged for access tokens at the realm.
    Identity {
        /// The user's name, where it is known.
        username: Option<String>,
        /// The refresh token.
        token: Secret,
    },
    /// A bearer token to be sent as it is.
    Bearer(Secret),
}

impl Credential {
    /// Names the account, for messages and as part of a cache key. Never the secret.
    #[must_use]
    pub fn account(&self) -> &str {
        match self {
            Self::Basic { username, .. } => username,
            Self::Identity { username, .. } => username.as_deref().unwrap_or("<token>"),
            Self::Bearer(_) => "<bearer>",
        }
    }
}

/// What a lookup came to.
#[derive(Debug, Clone, Default)]
pub struct Lookup {
    /// The credential, where there is one.
    pub found: Option<Credential>,
    /// Helpers that failed on the way: not fatal, since most images are public, but the reason to
    /// show when the registry then refuses.
    pub failures: Vec<HelperFailure>,
    /// Why an account that is there is not shown.
    pub withheld: Option<String>,
}

/// All stored credentials, in order of precedence. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    given: HashMap<String, Credential>,
    files: Vec<CredentialFile>,
    helpers: Helpers,
    /// The reason by host.
    withheld: HashMap<String, String>,
    /// By helper and server.
    answers: Mutex<HashMap<(String, String), Asked>>,
}

type Answer = Result<Option<Credential>, HelperFailure>;

/// What one helper was asked for one server.
#[derive(Debug, Default)]
struct Asked {
    /// The last answer, which may still be on its way.
    answer: Arc<OnceCell<Answer>>,
    /// How often it has failed before.
    failures: u32,
}

/// How often a helper that fails is asked: some of them need the network themselves.
const ASKS: u32 = 3;

/// How credential helpers are run.
#[derive(Debug, Clone)]
pub struct Helpers {
    /// How long one may take before it is killed.
    pub timeout: Duration,
    /// Folders that are searched for `docker-credential-*`, in the form of `PATH`; nothing for
    /// this process's own.
    pub path: Option<OsString>,
}

impl Default for Helpers {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(20),
            path: None,
        }
    }
}

impl Credentials {
    /// Takes credential files, those with precedence first.
    #[must_use]
    pub fn new(files: Vec<CredentialFile>, helpers: Helpers) -> Self {
        Self {
            inner: Arc::new(Inner {
                files,
                helpers,
                ..Inner::default()
            }),
        }
    }

    /// Adds a credential for exactly one `host[:port]`, before all files.
    #[must_use]
    pub fn with(self, host: &str, credential: Credential) -> Self {
        let inner = &self.inner;
        let mut given = inner.given.clone();
        given.insert(if is_hub(host) { HUB } else { host }.to_owned(), credential);
        Self {
            inner: Arc::new(Inner {
                given,
                files: inner.files.clone(),
                helpers: inner.helpers.clone(),
                withheld: inner.withheld.clone(),
                answers: Mutex::default(),
            }),
        }
    }

    /// Keeps stored accounts from hosts, each (`host[:port]`) with the reason.
    #[must_use]
    pub fn withhold(self, hosts: impl IntoIterator<Item = (String, String)>) -> Self {
        let withheld = hosts
            .into_iter()
            .map(|(host, reason)| (without_port(&host).to_owned(), reason));
        Self {
            inner: Arc::new(Inner {
                given: self.inner.given.clone(),
                files: self.inner.files.clone(),
                helpers: self.inner.helpers.clone(),
                withheld: withheld.collect(),
                answers: Mutex::default(),
            }),
        }
    }

    /// Looks up what to show to a host (`host[:port]`, as contacted) for a repository's path.
    /// A helper is asked once in a process, and a few times where it fails; all others wait for its
    /// answer.
    pub async fn lookup(&self, host: &str, repository: &str) -> Lookup {
        let mut lookup = Lookup::default();
        let keys = if is_hub(host) { HUB } else { host };
        if let Some(credential) = self.inner.given.get(keys) {
            lookup.found = Some(credential.clone());
            return lookup;
        }
        for file in &self.inner.files {
            for candidate in file.candidates(host, repository) {
                if let Some(reason) = self.inner.withheld.get(without_port(host)) {
                    lookup.withheld = Some(reason.clone());
                    return lookup;
                }
                lookup.found = match candidate.holder {
                    Holder::Entry(credential) => Some(credential.clone()),
                    Holder::Helper(name) => self.ask_helper(name, host, &mut lookup.failures).await,
                };
                if lookup.found.is_some() {
                    return lookup;
                }
            }
        }
        lookup
    }

    /// Asks a helper for a host. Docker keeps the Hub's account under its historical address, podman
    /// under its name.
    async fn ask_helper(
        &self,
        name: &str,
        host: &str,
        failures: &mut Vec<HelperFailure>,
    ) -> Option<Credential> {
        let servers: &[&str] = if is_hub(host) {
            &[HUB_KEY, HUB]
        } else {
            &[host]
        };
        for server in servers {
            match self.ask(name, server).await {
                Ok(None) => {}
                Ok(found) => return found,
                Err(failure) => {
                    failures.push(failure);
                    return None;
                }
            }
        }
        None
    }

    async fn ask(&self, helper: &str, server: &str) -> Answer {
        let key = (helper.to_owned(), server.to_owned());
        let cell = Arc::clone(&self.answers().entry(key.clone()).or_default().answer);
        let get = || program::get(helper, server, &self.inner.helpers);
        let answer = cell.get_or_init(get).await.clone();
        if answer.is_err()
            && let Some(asked) = self.answers().get_mut(&key)
            && Arc::ptr_eq(&asked.answer, &cell)
            && asked.failures + 1 < ASKS
        {
            asked.failures += 1;
            asked.answer = Arc::default();
        }
        answer
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<(String, String), Asked>> {
        let answers = &self.inner.answers;
        answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes off the ports that schemes imply: a host is withheld with and without them.
fn without_port(host: &str) -> &str {
    let bare = host.strip_suffix(":443");
    bare.or_else(|| host.strip_suffix(":80")).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(username: &str) -> Credential {
        Credential::Basic {
            username: username.to_owned(),
            password: "p".into(),
        }
    }

    fn file(accounts: &[(&str, &str)]) -> CredentialFile {
        let mut file = CredentialFile::default();
        for (key, name) in accounts {
            let entry = Entry {
                username: (*name).to_owned(),
                password: "p".into(),
                ..Entry::default()
            };
            file.add_entry(key, entry, "config.json:1").unwrap();
        }
        file
    }

    fn files(files: &[&[(&str, &str)]]) -> Credentials {
        let files = files.iter().map(|accounts| file(accounts));
        Credentials::new(files.collect(), Helpers::default())
    }

    fn store() -> CredentialFile {
        let mut file = file(&[("x", "x")]);
        file.set_store("test", "config.json:1");
        file
    }

    async fn account(credentials: &Credentials, host: &str, repository: &str) -> Option<String> {
        let found = credentials.lookup(host, repository).await.found?;
        Some(found.account().to_owned())
    }

    #[tokio::test]
    async fn the_hub_is_found_under_all_its_names_and_no_other_host_is() {
        for key in [
            "https://index.docker.io/v1/",
            "docker.io",
            "registry-1.docker.io",
            "index.docker.io",
        ] {
            let credentials = files(&[&[(key, "u")]]);
            assert_eq!(
                account(&credentials, "registry-1.docker.io", "library/x")
                    .await
                    .unwrap(),
                "u",
                "{key}"
            );
            for other in [
                "auth.docker.io",
                "docker.io.evil.example",
                "mirror.example:5000",
            ] {
                assert_eq!(
                    account(&credentials, other, "library/x").await,
                    None,
                    "{key} {other}"
                );
            }
        }
    }

    #[tokio::test]
    async fn ports_are_part_of_a_host() {
        let credentials = files(&[&[("h:5000", "u")]]);
        assert_eq!(account(&credentials, "h:5000", "a").await.unwrap(), "u");
        assert_eq!(account(&credentials, "h", "a").await, None);
        assert_eq!(account(&credentials, "h:443", "a").await, None);
    }

    #[tokio::test]
    async fn the_longest_path_wins_by_whole_segments() {
        let credentials = files(&[&[
            ("quay.io", "host"),
            ("quay.io/a", "a"),
            ("quay.io/a/b", "ab"),
        ]]);
        for (repository, expected) in [
            ("a/b/c", "ab"),
            ("a/b", "ab"),
            ("a/bc", "a"),
            ("ab", "host"),
        ] {
            assert_eq!(
                account(&credentials, "quay.io", repository).await.unwrap(),
                expected,
                "{repository}"
            );
        }
    }

    #[tokio::test]
    async fn given_credentials_and_earlier_files_come_first() {
        let credentials = files(&[&[("a", "first")], &[("a", "second"), ("b", "b")]]);
        assert_eq!(account(&credentials, "a", "x").await.unwrap(), "first");
        assert_eq!(account(&credentials, "b", "x").await.unwrap(), "b");
        let credentials = credentials.with("a", basic("given"));
        assert_eq!(account(&credentials, "a", "x").await.unwrap(), "given");
    }

    #[tokio::test]
    async fn accounts_are_withheld_from_a_host_and_the_reason_is_told_where_there_is_one() {
        let credentials = files(&[&[("h", "u"), ("other", "u")]]);
        let hosts = ["h:443", "none"].map(|host| (host.to_owned(), "because".to_owned()));
        let credentials = credentials.withhold(hosts);
        let lookup = credentials.lookup("h", "a").await;
        assert_eq!(
            (lookup.found, lookup.withheld.as_deref()),
            (None, Some("because"))
        );
        assert_eq!(credentials.lookup("none", "a").await.withheld, None);
        assert_eq!(account(&credentials, "other", "a").await.unwrap(), "u");
    }

    #[tokio::test]
    async fn a_helper_is_asked_once_and_for_the_hub_by_both_of_its_names() {
        let script = "#!/bin/sh\nread server\necho \"$server\" >> \"$0.log\"\ncase $server in docker.io|h) echo '{\"Username\":\"u\",\"Secret\":\"s\"}' ;; *) echo 'credentials not found in native keychain'; exit 1 ;; esac\n";
        let scripts = program::tests::Scripts::new(script);
        let helpers = scripts.helpers(Duration::from_secs(60));
        let credentials = Credentials::new(vec![store()], helpers);
        for repository in ["library/a", "library/b"] {
            for (host, expected) in [("registry-1.docker.io", "u"), ("h", "u"), ("x", "x")] {
                assert_eq!(
                    account(&credentials, host, repository).await.unwrap(),
                    expected,
                    "{host}"
                );
            }
        }
        assert_eq!(
            scripts.log(),
            "https://index.docker.io/v1/\ndocker.io\nh\nx\n"
        );
    }

    #[tokio::test]
    async fn a_helper_that_fails_is_asked_again_but_not_for_ever() {
        for (bad, asks) in [(1, 2), (9, 3)] {
            let script = format!(
                "#!/bin/sh\nread server\necho \"$server\" >> \"$0.log\"\nif [ $(wc -l < \"$0.log\") -le {bad} ]; then echo 'dial tcp: i/o timeout' >&2; exit 1; fi\necho '{{\"Username\":\"u\",\"Secret\":\"s\"}}'\n"
            );
            let scripts = program::tests::Scripts::new(&script);
            let helpers = scripts.helpers(Duration::from_secs(60));
            let credentials = Credentials::new(vec![store()], helpers);
            let first = credentials.lookup("h", "a").await;
            assert!(first.found.is_none() && first.failures[0].reason.contains("i/o timeout"));
            let second = account(&credentials, "h", "a").await;
            assert_eq!(second.is_some(), bad == 1);
            for _ in 0..5 {
                assert_eq!(account(&credentials, "h", "a").await, second);
            }
            assert_eq!(scripts.log().lines().count(), asks);
        }
    }
}
