//! One credential file: Docker's `config.json` or containers' `auth.json`, which share a form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Credential;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// A parsed credential file.
#[derive(Debug, Clone)]
pub struct CredentialFile {
    path: PathBuf,
    /// By `host[:port][/path]`.
    entries: BTreeMap<String, Credential>,
    /// Helper names by `host[:port][/path]`.
    helpers: BTreeMap<String, String>,
    store: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    auths: Option<BTreeMap<String, Option<Entry>>>,
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

impl CredentialFile {
    /// Reads a file; nothing where it does not exist.
    ///
    /// # Errors
    /// [`Error::Credentials`] where it cannot be read or is malformed.
    pub fn read(path: impl Into<PathBuf>) -> Result<Option<Self>> {
        let path = path.into();
        match std::fs::read(&path) {
            Ok(bytes) => Self::parse(path, &bytes).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Credentials {
                path,
                reason: error.to_string(),
            }),
        }
    }

    /// Parses a file's text.
    ///
    /// # Errors
    /// [`Error::Credentials`] where it is no JSON of that form. The message holds a place, never
    /// the text.
    pub fn parse(path: impl Into<PathBuf>, bytes: &[u8]) -> Result<Self> {
        let path = path.into();
        if bytes.trim_ascii().is_empty() {
            // Docker creates its file empty before it first writes it.
            return Ok(Self {
                path,
                entries: BTreeMap::new(),
                helpers: BTreeMap::new(),
                store: None,
            });
        }
        let document: Document = match serde_json::from_slice(bytes) {
            Ok(document) => document,
            Err(error) => {
                // serde_json's own words may quote a value, which may be a password.
                let reason = format!(
                    "not valid JSON of that form, line {} column {}",
                    error.line(),
                    error.column()
                );
                return Err(Error::Credentials { path, reason });
            }
        };
        let mut entries = BTreeMap::new();
        for (key, entry) in document.auths.unwrap_or_default() {
            let Some(entry) = entry else { continue };
            let credential = entry.credential().map_err(|reason| Error::Credentials {
                path: path.clone(),
                reason: format!("{reason} of {key:?}"),
            })?;
            if let Some(credential) = credential {
                entries.insert(normalize(&key), credential);
            }
        }
        let helpers = document.cred_helpers.unwrap_or_default();
        let helpers = helpers
            .into_iter()
            .map(|(key, name)| (normalize(&key), name));
        Ok(Self {
            path,
            entries,
            helpers: helpers.collect(),
            store: document.creds_store.filter(|name| !name.is_empty()),
        })
    }

    /// Returns where it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the credentials that the file holds itself, by key.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Credential)> {
        self.entries
            .iter()
            .map(|(key, credential)| (key.as_str(), credential))
    }

    /// Returns the helpers named for a host, by key, and the store for all others.
    pub fn helpers(&self) -> impl Iterator<Item = (&str, &str)> {
        let store = self.store.as_deref().map(|name| ("*", name));
        let named = self
            .helpers
            .iter()
            .map(|(key, name)| (key.as_str(), name.as_str()));
        named.chain(store)
    }

    /// Returns the helper to ask for a host: its own, else the store.
    pub(super) fn helper(&self, keys: &[&str]) -> Option<&str> {
        let own = keys.iter().find_map(|key| self.helpers.get(*key));
        // An empty name switches the store off for that host.
        own.or(self.store.as_ref())
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }

    /// Returns the entry for a repository of a host: the longest path that is a prefix of it by
    /// whole segments, then the host's own.
    pub(super) fn entry(&self, keys: &[&str], repository: &str) -> Option<&Credential> {
        keys.iter().find_map(|host| {
            let mut path = repository;
            loop {
                if let Some(credential) = self.entries.get(&format!("{host}/{path}")) {
                    return Some(credential);
                }
                match path.rsplit_once('/') {
                    Some((parent, _)) => path = parent,
                    None => return self.entries.get(*host),
                }
            }
        })
    }
}

impl Entry {
    fn credential(self) -> std::result::Result<Option<Credential>, &'static str> {
        let given = |secret: &Secret| !secret.is_empty();
        if let Some(token) = self.registrytoken.filter(given) {
            return Ok(Some(Credential::Bearer(token)));
        }
        let decoded = self
            .auth
            .filter(given)
            .map(|auth| decode(&auth))
            .transpose()?;
        let (username, password) = match decoded {
            Some((username, password)) => (Some(username), Some(password)),
            None => (self.username, self.password),
        };
        let username = username.filter(|name| !name.is_empty());
        if let Some(token) = self.identitytoken.filter(given) {
            return Ok(Some(Credential::Identity { username, token }));
        }
        Ok(match (username, password) {
            (Some(username), Some(password)) => Some(Credential::of(username, password)),
            _ => None,
        })
    }
}

impl Credential {
    /// Takes what helpers and files hold; `<token>` as a name marks an identity token.
    pub(super) fn of(username: String, password: Secret) -> Self {
        if username == "<token>" {
            return Self::Identity {
                username: None,
                token: password,
            };
        }
        Self::Basic { username, password }
    }
}

/// `auth` is base64 of `user:password`.
fn decode(auth: &Secret) -> std::result::Result<(String, Secret), &'static str> {
    let bytes = STANDARD
        .decode(auth.expose().trim())
        .map_err(|_| "\"auth\" is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "\"auth\" is not text")?;
    let (username, password) = text.split_once(':').ok_or("\"auth\" has no colon")?;
    // Docker pads old entries with NUL.
    Ok((
        username.to_owned(),
        Secret::new(password.trim_end_matches('\0')),
    ))
}

/// Brings keys to `host[:port][/path]`: old ones are addresses (`https://host/v1/`).
fn normalize(key: &str) -> String {
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"));
    let (rest, is_address) = bare.map_or((key, false), |rest| (rest, true));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    if is_address || matches!(path, "" | "v1" | "v2") {
        return host.to_owned();
    }
    format!("{host}/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Result<Option<Credential>> {
        let text = format!(r#"{{"auths":{{"h":{text}}}}}"#);
        let file = CredentialFile::parse("f", text.as_bytes())?;
        Ok(file.entry(&["h"], "r").cloned())
    }

    fn basic(username: &str, password: &str) -> Credential {
        Credential::Basic {
            username: username.to_owned(),
            password: password.into(),
        }
    }

    #[test]
    fn reads_every_form_of_entry() {
        let identity = |username: Option<&str>| Credential::Identity {
            username: username.map(str::to_owned),
            token: "t".into(),
        };
        let cases = [
            (r#"{"auth":"dTpwOnc="}"#, Some(basic("u", "p:w"))),
            (r#"{"username":"u","password":"p"}"#, Some(basic("u", "p"))),
            (
                r#"{"auth":"dTo=","identitytoken":"t"}"#,
                Some(identity(Some("u"))),
            ),
            (r#"{"identitytoken":"t"}"#, Some(identity(None))),
            (
                r#"{"username":"<token>","password":"t"}"#,
                Some(identity(None)),
            ),
            (
                r#"{"registrytoken":"t"}"#,
                Some(Credential::Bearer("t".into())),
            ),
            ("{}", None),
            ("null", None),
            (r#"{"email":"x@y"}"#, None),
        ];
        for (text, expected) in cases {
            assert_eq!(entry(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn errors_name_the_file_and_never_the_secret() {
        for text in [
            r#"{"auth":"hunter2!"}"#,
            r#"{"password":["hunter2"]}"#,
            r#""hunter2""#,
        ] {
            let message = entry(text).unwrap_err().to_string();
            assert!(
                message.starts_with("f: ") && !message.contains("hunter2"),
                "{message}"
            );
        }
        assert!(CredentialFile::parse("f", b"").unwrap().entries.is_empty());
    }

    #[test]
    fn keys_are_hosts_or_paths() {
        for (key, expected) in [
            ("https://index.docker.io/v1/", "index.docker.io"),
            ("http://h:5000", "h:5000"),
            ("h:5000/v2/", "h:5000"),
            ("quay.io/a/b", "quay.io/a/b"),
            ("quay.io/", "quay.io"),
        ] {
            assert_eq!(normalize(key), expected);
        }
    }

    #[test]
    fn a_hosts_helper_comes_before_the_store() {
        let text =
            br#"{"credsStore":"desktop","credHelpers":{"gcr.io":"gcloud","off.example":""}}"#;
        let file = CredentialFile::parse("f", text).unwrap();
        assert_eq!(file.helper(&["gcr.io"]), Some("gcloud"));
        assert_eq!(file.helper(&["h"]), Some("desktop"));
        assert_eq!(file.helper(&["off.example"]), None);
    }
}
