//! What one endpoint has shown of its way to authenticate.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::realm::Realm;
use super::scope::Scope;

/// How an endpoint wants to be convinced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Credentials with each request.
    Basic,
    /// A token of a realm.
    Bearer {
        /// The token server.
        realm: Realm,
        /// The endpoint's name there.
        service: String,
    },
}

/// On whose word a scheme is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Word {
    /// The endpoint's own, in this run.
    #[default]
    Challenge,
    /// That of an earlier run.
    Memory {
        /// Whether stored credentials may be shown on it.
        vouched: bool,
    },
}

/// What is known about an endpoint.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Nothing before its first challenge, in this run or an earlier one.
    pub(super) scheme: Option<Scheme>,
    pub(super) word: Word,
    /// Whether it was looked up what an earlier run knew.
    pub(super) looked_up: bool,
    /// What is read without the stored credentials, since those were refused.
    pub(super) anonymous: HashSet<Scope>,
    /// What the endpoint wants in every token besides, which is about no repository: `aws`.
    pub(super) besides: Vec<Scope>,
    /// The endpoint's own names of scopes.
    pub(super) names: HashMap<Scope, Scope>,
    pub(super) rename: Rename,
}

/// How an endpoint names repositories in scopes, next to their names in requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Rename {
    #[default]
    None,
    /// A proxy cache that serves one project at its root puts that before them.
    Add(String),
    /// One that knows its projects as places takes them off.
    Cut(String),
}

impl Host {
    /// Takes the scope that the endpoint asked for when `wanted` was. What is about another
    /// repository is not taken.
    pub(super) fn learn(&mut self, wanted: &Scope, asked: Vec<Scope>) {
        let is_other = |scope: &&Scope| scope.repository_path().is_none();
        self.besides = asked.iter().filter(is_other).cloned().collect();
        let able = asked.into_iter().filter(|scope| scope.can_do(wanted));
        let own = able
            .filter_map(|scope| Some((Rename::between(wanted, &scope)?, scope)))
            .next();
        if let Some((rename, own)) = own {
            self.rename = rename;
            self.names.insert(wanted.clone(), own);
        }
    }

    /// Names a scope as the endpoint would: as it did, else by the rule that it followed before.
    pub(super) fn translate(&self, wanted: &Scope) -> Scope {
        let known = self.names.get(wanted).cloned();
        known.unwrap_or_else(|| match &self.rename {
            Rename::None => wanted.clone(),
            Rename::Add(prefix) => wanted.renamed(|path| format!("{prefix}{path}")),
            Rename::Cut(prefix) => wanted.renamed(|path| {
                path.strip_prefix(prefix.as_str())
                    .unwrap_or(path)
                    .to_owned()
            }),
        })
    }
}

impl Rename {
    /// Finds how one repository's name becomes the other, by whole segments.
    fn between(wanted: &Scope, asked: &Scope) -> Option<Self> {
        let (wanted, asked) = (wanted.repository_path()?, asked.repository_path()?);
        if wanted == asked {
            return Some(Self::None);
        }
        let whole = |prefix: &&str| prefix.ends_with('/');
        if let Some(prefix) = asked.strip_suffix(wanted).filter(whole) {
            return Some(Self::Add(prefix.to_owned()));
        }
        let prefix = wanted.strip_suffix(asked).filter(whole)?;
        Some(Self::Cut(prefix.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::scope::Action;
    use super::*;

    #[test]
    fn a_proxy_caches_prefix_is_learnt_and_foreign_scopes_are_not() {
        let pull = |path| Scope::repository(path, Action::Pull);
        let mut host = Host::default();
        assert_eq!(host.translate(&pull("library/a")), pull("library/a"));
        host.learn(&pull("library/a"), vec![pull("hub/library/a")]);
        assert_eq!(host.translate(&pull("library/a")), pull("hub/library/a"));
        assert_eq!(host.translate(&pull("library/b")), pull("hub/library/b"));
        let mut host = Host::default();
        host.learn(&pull("hub/library/a"), vec![pull("library/a")]);
        assert_eq!(host.translate(&pull("hub/library/b")), pull("library/b"));
        assert_eq!(host.translate(&pull("other/b")), pull("other/b"));
        // A registry can't make us ask for a token of another repository.
        for foreign in [
            "repository:victim/x:pull,push",
            "repository:evilhub/library/a:pull",
        ] {
            host.learn(&pull("hub/library/a"), Scope::parse_list(foreign));
        }
        assert_eq!(host.translate(&pull("hub/library/a")), pull("library/a"));
    }
}
