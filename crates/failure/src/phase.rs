//! The parts of the work in which failures happen.

use std::fmt;

use serde::Serialize;

/// The part of the work in which a failure happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Starting the build engine.
    Boot,
    /// Fetching a token.
    Token,
    /// Resolving a name to a manifest.
    Resolve,
    /// Moving a blob.
    Blob,
    /// Running a build step.
    Exec,
    /// Exporting a result.
    Export,
    /// Pushing to a registry.
    Push,
    /// Importing or exporting a build cache.
    Cache,
    /// Merging platforms into an index.
    Merge,
}

impl Phase {
    /// Returns the phase's name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Token => "token",
            Self::Resolve => "resolve",
            Self::Blob => "blob",
            Self::Exec => "exec",
            Self::Export => "export",
            Self::Push => "push",
            Self::Cache => "cache",
            Self::Merge => "merge",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
