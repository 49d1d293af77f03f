//! What one endpoint has shown of its way to authenticate.

use std::collections::{HashMap, HashSet};

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

/// What is known about an endpoint.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Nothing before its first challenge.
    pub(super) scheme: Option<Scheme>,
    /// What is read without the stored credentials, since those were refused.
    pub(super) anonymous: HashSet<Scope>,
    /// The endpoint's own names of scopes: a proxy cache puts its project before a repository.
    names: HashMap<Scope, Scope>,
    prefix: String,
}

impl Host {
    /// Takes the scope that the endpoint asked for when `wanted` was.
    pub(super) fn learn(&mut self, wanted: &Scope, asked: Vec<Scope>) {
        let path = wanted.repository_path().unwrap_or_default();
        let prefix = |scope: &Scope| {
            let prefix = scope.repository_path()?.strip_suffix(path)?;
            (prefix.is_empty() || prefix.ends_with('/')).then(|| prefix.to_owned())
        };
        let own = asked
            .into_iter()
            .filter(|scope| scope.can_do(wanted))
            .find_map(|scope| prefix(&scope).map(|prefix| (scope, prefix)));
        let Some((own, prefix)) = own else { return };
        self.prefix = prefix;
        self.names.insert(wanted.clone(), own);
    }

    /// Names a scope as the endpoint would: as it did, else with the prefix that it used before.
    pub(super) fn translate(&self, wanted: &Scope) -> Scope {
        let known = self.names.get(wanted).cloned();
        known.unwrap_or_else(|| wanted.below(&self.prefix))
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
        // A registry can't make us ask for a token of another repository.
        host.learn(
            &pull("library/a"),
            Scope::parse_list("repository:victim/x:pull,push"),
        );
        assert_eq!(host.translate(&pull("library/a")), pull("hub/library/a"));
    }
}
