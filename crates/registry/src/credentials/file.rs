//! The accounts of one credential file: Docker's `config.json` or containers' `auth.json`, which
//! share a form. Who reads the file fills it in; here is the order in which its entries count.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Credential;
use crate::secret::Secret;

/// The accounts of one file.
#[derive(Debug, Clone, Default)]
pub struct CredentialFile {
    /// By `host[:port][/path]`.
    entries: BTreeMap<String, Kept<Credential>>,
    /// Helper names by `host[:port][/path]`. An empty name switches the store off for that host.
    helpers: BTreeMap<String, Kept<String>>,
    store: Option<Kept<String>>,
}

#[derive(Debug, Clone)]
struct Kept<T> {
    value: T,
    place: String,
}

/// What a file holds for one host, as it is written.
#[derive(Debug, Default)]
pub struct Entry {
    /// base64 of `user:password`.
    pub auth: Secret,
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// An OAuth 2 refresh token.
    pub identity_token: Secret,
    /// A bearer token.
    pub registry_token: Secret,
}

/// Why an entry is no account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedAuth {
    /// `auth` is something else than base64.
    #[error("its auth is not base64")]
    Base64,
    /// `auth` does not hold text.
    #[error("its auth is not base64 of text")]
    Text,
    /// `auth` holds no colon.
    #[error("its auth is not base64 of NAME:PASSWORD")]
    Colon,
}

/// A place where a host's account may be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Who has it.
    pub holder: Holder<'a>,
    /// Where the file says so.
    pub place: &'a str,
}

/// Who has an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder<'a> {
    /// A helper of this name, which may turn out to have none.
    Helper(&'a str),
    /// The file itself.
    Entry(&'a Credential),
}

impl CredentialFile {
    /// Adds the entry of a key of `auths`. One without a secret is left out.
    ///
    /// # Errors
    /// [`MalformedAuth`], which does not repeat what is written.
    pub fn add_entry(&mut self, key: &str, entry: Entry, place: &str) -> Result<(), MalformedAuth> {
        if let Some(value) = entry.credential()? {
            let place = place.to_owned();
            self.entries.insert(normalize(key), Kept { value, place });
        }
        Ok(())
    }

    /// Adds the helper of a key of `credHelpers`.
    pub fn add_helper(&mut self, key: &str, helper: &str, place: &str) {
        self.helpers.insert(normalize(key), kept(helper, place));
    }

    /// Sets the helper for all other hosts, `credsStore`.
    pub fn set_store(&mut self, helper: &str, place: &str) {
        self.store = Some(kept(helper, place)).filter(|kept| !kept.value.is_empty());
    }

    /// Returns where the account of a host (`host[:port]`, as contacted) for a repository is looked
    /// for, in this order: the host's helper, else the store; then the file's own entry.
    pub fn candidates(&self, host: &str, repository: &str) -> impl Iterator<Item = Candidate<'_>> {
        let keys = host_keys(host);
        let helper = self.helper(&keys).map(|kept| Candidate {
            holder: Holder::Helper(&kept.value),
            place: &kept.place,
        });
        let entry = self.entry(&keys, repository).map(|kept| Candidate {
            holder: Holder::Entry(&kept.value),
            place: &kept.place,
        });
        helper.into_iter().chain(entry)
    }

    fn helper(&self, keys: &[&str]) -> Option<&Kept<String>> {
        let own = keys.iter().find_map(|key| self.helpers.get(*key));
        own.or(self.store.as_ref())
            .filter(|kept| !kept.value.is_empty())
    }

    /// Returns the entry for a repository of a host: the longest path that is a prefix of it by
    /// whole segments, then the host's own.
    fn entry(&self, keys: &[&str], repository: &str) -> Option<&Kept<Credential>> {
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

fn kept(helper: &str, place: &str) -> Kept<String> {
    Kept {
        value: helper.to_owned(),
        place: place.to_owned(),
    }
}

impl Entry {
    /// Returns the user's name, where the entry tells it.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let decoded = decode(&self.auth).ok().map(|(name, _)| name);
        decoded
            .or_else(|| Some(self.username.clone()))
            .filter(|name| !name.is_empty())
    }

    fn credential(self) -> Result<Option<Credential>, MalformedAuth> {
        if !self.registry_token.is_empty() {
            return Ok(Some(Credential::Bearer(self.registry_token)));
        }
        let (username, password) = if self.auth.is_empty() {
            (self.username, self.password)
        } else {
            decode(&self.auth)?
        };
        if !self.identity_token.is_empty() {
            return Ok(Some(Credential::Identity {
                username: Some(username).filter(|name| !name.is_empty()),
                token: self.identity_token,
            }));
        }
        let complete = !username.is_empty() && !password.is_empty();
        Ok(complete.then(|| Credential::of(username, password)))
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

fn decode(auth: &Secret) -> Result<(String, Secret), MalformedAuth> {
    let bytes = STANDARD.decode(auth.expose().trim());
    let text = String::from_utf8(bytes.map_err(|_| MalformedAuth::Base64)?);
    let text = text.map_err(|_| MalformedAuth::Text)?;
    let (username, password) = text.split_once(':').ok_or(MalformedAuth::Colon)?;
    // Docker pads old entries with NUL.
    let password = Secret::new(password.trim_end_matches('\0'));
    Ok((username.to_owned(), password))
}

/// The key of Docker Hub's account in Docker's own files.
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";
/// Docker Hub's name, under which podman keeps its account.
pub(super) const HUB: &str = "docker.io";

/// The keys under which a host's entry may stand, best first. The Hub's registry, its name and
/// its historical index are one.
fn host_keys(host: &str) -> Vec<&str> {
    if is_hub(host) {
        vec![HUB, "index.docker.io", "registry-1.docker.io"]
    } else {
        vec![host]
    }
}

/// Returns whether a host is one of Docker Hub's.
pub(super) fn is_hub(host: &str) -> bool {
    matches!(host, "registry-1.docker.io" | "index.docker.io" | HUB)
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

    fn basic(username: &str, password: &str) -> Credential {
        Credential::Basic {
            username: username.to_owned(),
            password: password.into(),
        }
    }

    #[test]
    fn takes_every_form_of_entry() {
        let identity = |username: Option<&str>| Credential::Identity {
            username: username.map(str::to_owned),
            token: "t".into(),
        };
        let auth = |text: &str| Entry {
            auth: text.into(),
            ..Entry::default()
        };
        let named = |name: &str, password: &str| Entry {
            username: name.to_owned(),
            password: password.into(),
            ..Entry::default()
        };
        let cases = [
            (auth("dTpwOnc="), Ok(Some(basic("u", "p:w")))),
            (named("u", "p"), Ok(Some(basic("u", "p")))),
            (
                Entry {
                    identity_token: "t".into(),
                    ..auth("dTo=")
                },
                Ok(Some(identity(Some("u")))),
            ),
            (
                Entry {
                    identity_token: "t".into(),
                    ..Entry::default()
                },
                Ok(Some(identity(None))),
            ),
            (named("<token>", "t"), Ok(Some(identity(None)))),
            (
                Entry {
                    registry_token: "t".into(),
                    ..Entry::default()
                },
                Ok(Some(Credential::Bearer("t".into()))),
            ),
            (Entry::default(), Ok(None)),
            (auth("hunter2!"), Err(MalformedAuth::Base64)),
            (auth("/w=="), Err(MalformedAuth::Text)),
            (auth("dXA="), Err(MalformedAuth::Colon)),
        ];
        for (entry, expected) in cases {
            let text = format!("{entry:?}");
            assert_eq!(entry.credential(), expected, "{text}");
        }
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
    fn a_hosts_helper_comes_before_the_store_and_both_before_an_entry() {
        let mut file = CredentialFile::default();
        file.set_store("desktop", "f:1");
        file.add_helper("gcr.io", "gcloud", "f:2");
        file.add_helper("off.example", "", "f:3");
        for host in ["h", "off.example"] {
            let entry = Entry {
                auth: "dTpw".into(),
                ..Entry::default()
            };
            file.add_entry(host, entry, "f:4").unwrap();
        }
        let account = basic("u", "p");
        let of = |host| file.candidates(host, "r").collect::<Vec<_>>();
        let helper = |name, place| Candidate {
            holder: Holder::Helper(name),
            place,
        };
        let entry = Candidate {
            holder: Holder::Entry(&account),
            place: "f:4",
        };
        assert_eq!(of("gcr.io"), [helper("gcloud", "f:2")]);
        assert_eq!(of("h"), [helper("desktop", "f:1"), entry]);
        assert_eq!(of("off.example"), [entry]);
    }
}
