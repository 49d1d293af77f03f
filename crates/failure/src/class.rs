//! The classes of failures, with their words and their exit codes.

use std::fmt;

use serde::Serialize;

/// What a failure is. The same word names it in messages, in logs, in JSON and in the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The build itself failed: a Dockerfile's error or a command's exit status.
    Build,
    /// The command line or a project file cannot be understood.
    Usage,
    /// The store or another local file could not be read or written.
    Local,
    /// A setting of this machine or network is wrong: TLS, proxy, names, schemes.
    Config,
    /// The network or a server failed, which may pass.
    Network,
    /// A server limits how often it is asked.
    Rate,
    /// Credentials are missing, wrong or refused.
    Auth,
    /// An image, a platform or a file does not exist.
    Absent,
    /// Content does not have the digest or the size that it should have.
    Corrupt,
    /// The disk is full or broken.
    Disk,
    /// Memory ran out.
    Memory,
    /// Emulation of a foreign processor is missing or crashed.
    Emulation,
    /// The build engine is not there, or went away.
    Builder,
    /// The user stopped it.
    Interrupted,
}

impl Class {
    /// Every class, in the order of the documentation.
    pub const ALL: [Self; 14] = [
        Self::Build,
        Self::Usage,
        Self::Local,
        Self::Config,
        Self::Network,
        Self::Rate,
        Self::Auth,
        Self::Absent,
        Self::Corrupt,
        Self::Disk,
        Self::Memory,
        Self::Emulation,
        Self::Builder,
        Self::Interrupted,
    ];

    /// Returns the class's word in logs and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Returns the exit code of a command that ends with such a failure. Codes are stable: a new
    /// class takes a new number.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        self.row().1
    }

    const fn row(self) -> (&'static str, u8) {
        match self {
            Self::Build => ("build", 1),
            Self::Usage => ("usage", 2),
            Self::Local => ("local", 3),
            Self::Config => ("config", 10),
            Self::Network => ("network", 11),
            Self::Rate => ("rate", 12),
            Self::Auth => ("auth", 13),
            Self::Absent => ("absent", 14),
            Self::Corrupt => ("corrupt", 15),
            Self::Disk => ("disk", 16),
            Self::Memory => ("memory", 17),
            Self::Emulation => ("emulation", 18),
            Self::Builder => ("builder", 19),
            Self::Interrupted => ("interrupted", 130),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_exit_codes_are_distinct() {
        let distinct = |mut list: Vec<String>| {
            list.sort_unstable();
            list.dedup();
            list.len()
        };
        let words = Class::ALL.iter().map(|class| class.to_string());
        assert_eq!(distinct(words.collect()), Class::ALL.len());
        let codes = Class::ALL.iter().map(|class| class.exit_code().to_string());
        assert_eq!(distinct(codes.collect()), Class::ALL.len());
    }
}
