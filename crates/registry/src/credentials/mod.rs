//! Stored credentials: Docker's `config.json` and containers' `auth.json`, with their helpers.
//!
//! A lookup is made for the host that is really contacted, so a credential never crosses to
//! another one. Which files there are is the caller's to know.

mod file;
mod program;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

pub use file::CredentialFile;
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

/// A credential and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The credential.
    pub credential: Credential,
    /// The file or the helper that it came from.
    pub source: String,
}

/// What a lookup came to.
#[derive(Debug, Clone, Default)]
pub struct Lookup {
    /// The credential, where there is one.
    pub found: Option<Found>,
    /// Helpers that failed on the way: not fatal, since most images are public, but the reason to
    /// show when the registry then refuses.
    pub failures: Vec<HelperFailure>,
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
        given.insert(host.to_owned(), credential);
        Self {
            inner: Arc::new(Inner {
                given,
                files: inner.files.clone(),
                helpers: inner.helpers.clone(),
                answers: Mutex::default(),
            }),
        }
    }

    /// Returns the files that are asked.
    #[must_use]
    pub fn files(&self) -> &[CredentialFile] {
        &self.inner.files
    }

    /// Looks up what to show to a host (`host[:port]`, as contacted) for a repository's path.
    /// A helper is asked once in a process, and a few times where it fails; all others wait for its
    /// answer.
    pub async fn lookup(&self, host: &str, repository: &str) -> Lookup {
        let keys = host_keys(host);
        let given = keys.iter().find_map(|key| self.inner.given.get(*key));
        if let Some(credential) = given {
            return Lookup {
                found: Some(Found {
                    credential: credential.clone(),
                    source: "given".to_owned(),
                }),
                failures: Vec::new(),
            };
        }
        let mut failures = Vec::new();
        for file in &self.inner.files {
            if let Some(name) = file.helper(&keys) {
                // Docker keeps the Hub's entry under its historical address, podman under its name.
                let hub = keys.contains(&HUB);
                let servers = if hub {
                    &[HUB_KEY, HUB][..]
                } else {
                    &[host][..]
                };
                for server in servers {
                    match self.ask(name, server).await {
                        Ok(Some(credential)) => {
                            let source =
                                format!("docker-credential-{name} ({})", file.path().display());
                            let found = Some(Found { credential, source });
                            return Lookup { found, failures };
                        }
                        Ok(None) => {}
                        Err(failure) => {
                            failures.push(failure);
                            break;
                        }
                    }
                }
            }
            if let Some(credential) = file.entry(&keys, repository) {
                let found = Some(Found {
                    credential: credential.clone(),
                    source: file.path().display().to_string(),
                });
                return Lookup { found, failures };
            }
        }
        Lookup {
            found: None,
            failures,
        }
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

    /// Lists the account that each file has for each key, for people: path, key, account.
    #[must_use]
    pub fn accounts(&self) -> Vec<(PathBuf, String, String)> {
        let of_file = |file: &CredentialFile| {
            let entries = file.entries().map(|(key, credential)| {
                let account = credential.account().to_owned();
                (file.path().to_owned(), key.to_owned(), account)
            });
            entries.collect::<Vec<_>>()
        };
        self.inner.files.iter().flat_map(of_file).collect()
    }
}

const HUB: &str = "docker.io";
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// The keys under which a host's entry may stand, best first. The Hub's registry, its name and
/// its historical index are one.
fn host_keys(host: &str) -> Vec<&str> {
    match host {
        "registry-1.docker.io" | "index.docker.io" | HUB => {
            vec![HUB, "index.docker.io", "registry-1.docker.io"]
        }
        _ => vec![host],
    }
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

    fn files(texts: &[&str]) -> Credentials {
        let parse = |text: &&str| CredentialFile::parse("config.json", text.as_bytes()).unwrap();
        Credentials::new(texts.iter().map(parse).collect(), Helpers::default())
    }

    async fn account(credentials: &Credentials, host: &str, repository: &str) -> Option<String> {
        let found = credentials.lookup(host, repository).await.found?;
        Some(found.credential.account().to_owned())
    }

    #[tokio::test]
    async fn the_hub_is_found_under_all_its_names_and_no_other_host_is() {
        for key in [
            "https://index.docker.io/v1/",
            "docker.io",
            "registry-1.docker.io",
            "index.docker.io",
        ] {
            let text = format!(r#"{{"auths":{{"{key}":{{"username":"u","password":"p"}}}}}}"#);
            let credentials = files(&[&text]);
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
        let credentials = files(&[r#"{"auths":{"h:5000":{"username":"u","password":"p"}}}"#]);
        assert_eq!(account(&credentials, "h:5000", "a").await.unwrap(), "u");
        assert_eq!(account(&credentials, "h", "a").await, None);
        assert_eq!(account(&credentials, "h:443", "a").await, None);
    }

    #[tokio::test]
    async fn the_longest_path_wins_by_whole_segments() {
        let credentials = files(&[r#"{"auths":{
            "quay.io":{"username":"host","password":"p"},
            "quay.io/a":{"username":"a","password":"p"},
            "quay.io/a/b":{"username":"ab","password":"p"}}}"#]);
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
        let credentials = files(&[
            r#"{"auths":{"a":{"username":"first","password":"p"}}}"#,
            r#"{"auths":{"a":{"username":"second","password":"p"},"b":{"username":"b","password":"p"}}}"#,
        ]);
        assert_eq!(account(&credentials, "a", "x").await.unwrap(), "first");
        assert_eq!(account(&credentials, "b", "x").await.unwrap(), "b");
        let credentials = credentials.with("a", basic("given"));
        assert_eq!(account(&credentials, "a", "x").await.unwrap(), "given");
    }

    #[tokio::test]
    async fn a_helper_is_asked_once_and_for_the_hub_by_both_of_its_names() {
        let script = "#!/bin/sh\nread server\necho \"$server\" >> \"$0.log\"\ncase $server in docker.io|h) echo '{\"Username\":\"u\",\"Secret\":\"s\"}' ;; *) echo 'credentials not found in native keychain'; exit 1 ;; esac\n";
        let scripts = program::tests::Scripts::new(script);
        let text = br#"{"credsStore":"test","auths":{"https://index.docker.io/v1/":{},"x":{"username":"x","password":"p"}}}"#;
        let file = CredentialFile::parse("config.json", text).unwrap();
        let credentials = Credentials::new(vec![file], scripts.helpers(Duration::from_secs(60)));
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
            let file = CredentialFile::parse("config.json", br#"{"credsStore":"test"}"#).unwrap();
            let helpers = scripts.helpers(Duration::from_secs(60));
            let credentials = Credentials::new(vec![file], helpers);
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
