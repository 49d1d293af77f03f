//! Scopes of tokens (the distribution project's token specification, "Requesting a Token").

use std::collections::BTreeSet;
use std::fmt;

use sealift_transport::Endpoint;

/// What is done to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Action {
    /// Reading.
    Pull,
    /// Reading and writing.
    Push,
}

impl Action {
    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Pull => &["pull"],
            Self::Push => &["pull", "push"],
        }
    }
}

/// A resource and what may be done to it: `repository:library/busybox:pull`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scope {
    /// `repository:library/busybox`.
    resource: String,
    actions: BTreeSet<String>,
}

impl Scope {
    /// Makes the scope of a repository.
    pub(crate) fn repository(path: &str, action: Action) -> Self {
        Self {
            resource: format!("repository:{path}"),
            actions: action
                .words()
                .iter()
                .map(|word| (*word).to_owned())
                .collect(),
        }
    }

    /// Parses scopes separated by blanks. A word of another form (`aws`) is a scope too, without
    /// actions.
    pub(crate) fn parse_list(text: &str) -> Vec<Self> {
        let one = |word: &str| {
            let resource = word.rsplit_once(':').filter(|(name, _)| name.contains(':'));
            let (resource, actions) = resource.unwrap_or((word, ""));
            let actions = actions.split(',').filter(|action| !action.is_empty());
            Self {
                resource: resource.to_owned(),
                actions: actions.map(str::to_owned).collect(),
            }
        };
        text.split_ascii_whitespace().map(one).collect()
    }

    /// Makes a scope of a token's own claim of what it grants.
    pub(crate) fn granted(kind: &str, name: &str, actions: Vec<String>) -> Self {
        Self {
            resource: format!("{kind}:{name}"),
            actions: actions.into_iter().collect(),
        }
    }

    /// Tells whether it allows all that another one asks for.
    pub(crate) fn covers(&self, wanted: &Self) -> bool {
        self.resource == wanted.resource && self.can_do(wanted)
    }

    /// Returns the path of the repository that it is about, where it is about one.
    pub(crate) fn repository_path(&self) -> Option<&str> {
        self.resource.strip_prefix("repository:")
    }

    /// Tells whether its actions are enough for another scope's, whatever they are done to.
    pub(crate) fn can_do(&self, wanted: &Self) -> bool {
        self.actions.contains("*") || wanted.actions.is_subset(&self.actions)
    }

    /// Returns the scope under an endpoint's own name for the repository.
    pub(crate) fn at(&self, endpoint: &Endpoint) -> Self {
        self.renamed(|path| endpoint.name(path))
    }

    /// Gives the repository another path.
    pub(crate) fn renamed(&self, rename: impl FnOnce(&str) -> String) -> Self {
        Self {
            resource: match self.repository_path() {
                Some(path) => format!("repository:{}", rename(path)),
                None => self.resource.clone(),
            },
            actions: self.actions.clone(),
        }
    }

    /// Tells whether it allows to write.
    pub(crate) fn writes(&self) -> bool {
        self.actions.iter().any(|action| action != "pull")
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        for (number, action) in self.actions.iter().enumerate() {
            write!(f, "{}{action}", if number > 0 { "," } else { ":" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_and_print() {
        let scopes = Scope::parse_list(
            "repository:a/b:push,pull  repository:host:5000/c:pull aws registry:catalog:*",
        );
        let texts: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "repository:a/b:pull,push",
                "repository:host:5000/c:pull",
                "aws",
                "registry:catalog:*"
            ]
        );
        assert_eq!(Scope::repository("a/b", Action::Push), scopes[0]);
    }

    #[test]
    fn writing_covers_reading() {
        let push = Scope::repository("a", Action::Push);
        let pull = Scope::repository("a", Action::Pull);
        assert!(push.covers(&pull) && !pull.covers(&push));
        assert!(!push.covers(&Scope::repository("b", Action::Pull)));
        assert!(Scope::granted("repository", "a", vec!["*".to_owned()]).covers(&push));
        assert!(push.writes() && !pull.writes());
    }
}
