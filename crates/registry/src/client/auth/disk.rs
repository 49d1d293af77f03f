//! Tokens kept on disk between runs, readable by their user only. Losing or not being able to
//! write them costs a request, so nothing here fails.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealift_content::{read_private, write_private};
use sealift_oci::Digest;
use serde::{Deserialize, Serialize};

use super::scope::Scope;
use super::token::Token;
use crate::secret::Secret;

/// A folder of tokens.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    folder: PathBuf,
}

/// What a token belongs to. Two users' tokens, two realms' and two registries' never meet: a registry
/// that names another one's realm gets no token of that one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// The endpoint that it is shown to, by [`Endpoint::key`].
    ///
    /// [`Endpoint::key`]: sealift_transport::Endpoint::key
    pub(crate) endpoint: String,
    pub(crate) realm: String,
    pub(crate) service: String,
    /// Nothing for an anonymous token.
    pub(crate) account: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    owner: Owner,
    scopes: String,
    token: String,
    received: u64,
    life: u64,
}

impl Disk {
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, owner: &Owner, scope: &Scope) -> PathBuf {
        // Texts are quoted in it, so no two owners can be written the same.
        let key = format!("{owner:?} {scope}");
        self.folder
            .join(format!("{}.json", Digest::sha256(key.as_bytes()).hex()))
    }

    /// Reads a fresh token for a scope. A file of another user or readable by others is not taken.
    pub(crate) fn load(&self, owner: &Owner, scope: &Scope, now: SystemTime) -> Option<Token> {
        let bytes = read_private(&self.path(owner, scope)).ok()??;
        let stored: Stored = serde_json::from_slice(&bytes).ok()?;
        let received = UNIX_EPOCH.checked_add(Duration::from_secs(stored.received))?;
        let token = Token::restored(
            Secret::new(stored.token),
            Scope::parse_list(&stored.scopes),
            received,
            Duration::from_secs(stored.life),
        );
        let useful = stored.owner == *owner
            && token.scopes.iter().any(|own| own.covers(scope))
            && token.is_fresh(now);
        useful.then_some(token)
    }

    /// Keeps a token under each scope that it covers. Tokens that allow to write are not kept.
    pub(crate) fn store(&self, owner: &Owner, token: &Token) {
        if token.scopes.iter().any(Scope::writes) {
            return;
        }
        let scopes: Vec<String> = token.scopes.iter().map(ToString::to_string).collect();
        let received = token
            .received
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let stored = Stored {
            owner: owner.clone(),
            scopes: scopes.join(" "),
            token: token.secret.expose().to_owned(),
            received: received.as_secs(),
            life: token.life.as_secs(),
        };
        let Ok(bytes) = serde_json::to_vec(&stored) else {
            return;
        };
        let single = token.scopes.len() == 1;
        for scope in token
            .scopes
            .iter()
            .filter(|scope| single || token.covers(scope))
        {
            let path = self.path(owner, scope);
            if let Err(error) = write_private(&path, &bytes) {
                tracing::debug!(path = %path.display(), %error, "a token was not kept");
                return;
            }
        }
    }

    /// Forgets the token of a scope, which a registry refused.
    pub(crate) fn remove(&self, owner: &Owner, scope: &Scope) {
        // It may never have been kept.
        let _ = std::fs::remove_file(self.path(owner, scope));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;

    use super::super::scope::Action;
    use super::*;

    fn owner(account: Option<&str>) -> Owner {
        Owner {
            endpoint: "https://registry.example/v2".to_owned(),
            realm: "https://auth.example/token".to_owned(),
            service: "registry.example".to_owned(),
            account: account.map(str::to_owned),
        }
    }

    fn token(scopes: Vec<Scope>) -> Token {
        let body = br#"{"token":"planted-secret","expires_in":300}"#;
        Token::parse(body, scopes, SystemTime::now()).unwrap()
    }

    fn pull(path: &str) -> Scope {
        Scope::repository(path, Action::Pull)
    }

    #[test]
    fn tokens_come_back_for_the_same_owner_and_scope_only() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path().join("tokens"));
        let stored = token(vec![pull("a"), pull("b")]);
        disk.store(&owner(Some("u")), &stored);
        let now = SystemTime::now();
        for path in ["a", "b"] {
            let loaded = disk.load(&owner(Some("u")), &pull(path), now).unwrap();
            assert_eq!(
                (loaded.secret, loaded.life),
                (stored.secret.clone(), stored.life)
            );
        }
        assert_eq!(disk.load(&owner(None), &pull("a"), now), None);
        assert_eq!(disk.load(&owner(Some("u")), &pull("c"), now), None);
        assert_eq!(
            disk.load(
                &owner(Some("u")),
                &pull("a"),
                now + Duration::from_secs(300)
            ),
            None
        );
        disk.remove(&owner(Some("u")), &pull("a"));
        assert_eq!(disk.load(&owner(Some("u")), &pull("a"), now), None);
    }

    #[test]
    fn files_are_the_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path().join("tokens"));
        disk.store(&owner(None), &token(vec![pull("a")]));
        let path = disk.path(&owner(None), &pull("a"));
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(disk.load(&owner(None), &pull("a"), SystemTime::now()), None);
    }

    #[test]
    fn tokens_to_write_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path().join("tokens"));
        disk.store(
            &owner(None),
            &token(vec![Scope::repository("a", Action::Push)]),
        );
        assert!(!folder.path().join("tokens").exists());
    }
}
