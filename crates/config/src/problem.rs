//! What is wrong with a configuration, and what of it does not take effect.

use std::fmt;

use serde::Serialize;

use crate::place::Place;

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
