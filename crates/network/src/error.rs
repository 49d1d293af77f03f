//! What can be wrong with the network configuration, and what of it was left aside.

use std::fmt;

use serde::Serialize;

use super::provenance::Place;

/// A mistake in a configuration. Its text never repeats a value that may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it is.
    pub at: Place,
    /// What is wrong, and what was expected.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.reason)
    }
}

/// Something that was found and does not take effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// The thing: a key, a mirror, a file.
    pub what: String,
    /// Why it does not take effect.
    pub why: String,
    /// Where it stands.
    pub at: Place,
    /// Whether people should hear of it without asking: a file that cannot be read, not a key that
    /// is none of our business.
    pub warning: bool,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is not used: {}", self.at, self.what, self.why)
    }
}

/// Two sources that say different things. The first in the order of precedence wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// The thing that they set.
    pub what: String,
    /// What counts, masked.
    pub used: String,
    /// Where that stands.
    pub from: Place,
    /// What does not count, masked.
    pub unused: String,
    /// Where that stands.
    pub unused_from: Place,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            used,
            from,
            unused,
            unused_from,
        } = self;
        write!(
            f,
            "{what}: {used} ({from}) is used, not {unused} ({unused_from})"
        )
    }
}

/// Why there is no network configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files, variables or options that cannot be understood. All of them are named at once.
    #[error("the network configuration has {} mistake{}:{}", .problems.len(), if .problems.len() == 1 { "" } else { "s" }, list(.problems))]
    Malformed {
        /// The mistakes, in the order in which the sources are read.
        problems: Vec<Problem>,
    },
    /// A registry whose name is no host.
    #[error("{registry} is no registry's host")]
    Host {
        /// The name.
        registry: String,
    },
    /// An image that registries.conf forbids.
    #[error("{reference} is blocked by {at}")]
    Blocked {
        /// The image.
        reference: String,
        /// The entry with `blocked = true`.
        at: Place,
    },
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect()
}
