//! What a failure is, and so what to do about it: one catalogue for every part of sealift.
//!
//! [`classify`] is pure: it looks a failure's phase, text and status up in a flat table
//! ([`rows`]). Failures that this crate meets itself are typed ([`crate::Cause`]) and find their
//! class without text where they can. What BuildKit, dockerd or a build step's log says arrives
//! here as text.

use std::fmt;

use serde::Serialize;

mod machine;
mod row;
mod step;
mod table;
mod told;

pub use row::{Row, Seen};
pub use told::Told;

/// The catalogue, in the order of its look-up.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [machine::MACHINE, step::STEPS, table::TABLE]
        .into_iter()
        .flatten()
}

/// What a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Class {
    /// The network, for now.
    Net,
    /// The server wants fewer requests.
    Rate,
    /// Credentials are missing, wrong or refused.
    Auth,
    /// What was asked for does not exist.
    Absent,
    /// Wrong bytes arrived.
    Corrupt,
    /// Something is configured wrongly: TLS, proxies, names, schemes.
    Config,
    /// The disk is full or broken.
    Disk,
    /// Memory ran out.
    Oom,
    /// Emulation of a foreign processor is missing or broke.
    Qemu,
    /// The build engine was lost.
    Builder,
    /// The user's own build failed.
    User,
}

impl Class {
    /// Every class, in the order of the catalogue.
    pub const ALL: [Self; 11] = [
        Self::Net,
        Self::Rate,
        Self::Auth,
        Self::Absent,
        Self::Corrupt,
        Self::Config,
        Self::Disk,
        Self::Oom,
        Self::Qemu,
        Self::Builder,
        Self::User,
    ];

    /// Returns the class's name in logs: `NET`, `RATE`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Net => "NET",
            Self::Rate => "RATE",
            Self::Auth => "AUTH",
            Self::Absent => "ABSENT",
            Self::Corrupt => "CORRUPT",
            Self::Config => "CONFIG",
            Self::Disk => "DISK",
            Self::Oom => "OOM",
            Self::Qemu => "QEMU",
            Self::Builder => "BUILDER",
            Self::User => "USER",
        }
    }

    /// Returns the exit code of a command that ends with such a failure.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Config => 10,
            Self::Net => 11,
            Self::Rate => 12,
            Self::Auth => 13,
            Self::Absent => 14,
            Self::Corrupt => 15,
            Self::Disk => 16,
            Self::Oom => 17,
            Self::Qemu => 18,
            Self::Builder => 19,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

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

/// What can help against a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Try again after a growing delay.
    Backoff,
    /// Try again a few times; when it stays, it is a matter of configuration.
    Few,
    /// Try once more.
    Once,
    /// Try once more over IPv4.
    OnceIpv4,
    /// Wait as long as the server says, and slow down for the whole host.
    Pace,
    /// Get one new token, then stop.
    NewToken,
    /// Try once without credentials.
    Anonymous,
    /// Never ask this endpoint again for it; another one may have it right.
    Elsewhere,
    /// Final at the origin; at a mirror, ask the next endpoint.
    NextEndpoint,
    /// Try once more after making room on the disk.
    Prune,
    /// Try once more with less parallelism.
    LessParallel,
    /// Register an emulator, then try again.
    Emulator,
    /// Run the solve again: finished steps are cached.
    SolveAgain,
    /// Nothing helps but the user.
    Never,
}

impl Remedy {
    /// Returns how often one endpoint may be asked in all under this remedy; `None` leaves it to
    /// the budget of time.
    #[must_use]
    pub const fn tries(self) -> Option<u32> {
        match self {
            Self::Backoff | Self::Pace | Self::SolveAgain => None,
            Self::Few => Some(8),
            Self::Once
            | Self::OnceIpv4
            | Self::NewToken
            | Self::Anonymous
            | Self::Prune
            | Self::LessParallel
            | Self::Emulator => Some(2),
            Self::Elsewhere | Self::NextEndpoint | Self::Never => Some(1),
        }
    }
}

/// What was decided after one failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Decision {
    /// The same endpoint is asked again.
    RetryHere {
        /// The delay before, in milliseconds.
        after_ms: u64,
    },
    /// The next endpoint of the route is asked.
    OtherEndpoint,
    /// The failure goes to the caller, which takes up the work that the request is a part of again, as
    /// long as its budget lasts.
    GoOn,
    /// The failure goes to the caller.
    GiveUp,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RetryHere { after_ms } => {
                write!(
                    f,
                    "retry in {}.{:01} s",
                    after_ms / 1000,
                    after_ms % 1000 / 100
                )
            }
            Self::OtherEndpoint => f.write_str("other endpoint"),
            Self::GoOn => f.write_str("go on while the budget lasts"),
            Self::GiveUp => f.write_str("give up"),
        }
    }
}

/// The catalogue's answer for one failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What it is.
    pub class: Class,
    /// What can help.
    pub remedy: Remedy,
    /// What to tell the user, where there is something useful to say.
    pub hint: Option<&'static str>,
}

impl Verdict {
    /// Makes a verdict without a hint.
    #[must_use]
    pub const fn new(class: Class, remedy: Remedy) -> Self {
        Self {
            class,
            remedy,
            hint: None,
        }
    }

    /// Adds a hint.
    #[must_use]
    pub const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

/// Looks a failure up in the catalogue: the first row that fits decides.
///
/// `text` is whatever the failing part said: an error, an error's whole chain, a response's body, a
/// build step's last lines. What no row knows is judged by its status, then by its phase: unknown
/// failures of a build step are the user's, of an export or a boot the builder's, and all others
/// the network's.
#[must_use]
pub fn classify(phase: Phase, text: &str, status: Option<u16>) -> Verdict {
    if let Some(verdict) = known(phase, text, status) {
        return verdict;
    }
    match (status, phase) {
        (Some(501 | 505..=511), _) => Verdict::new(Class::Config, Remedy::NextEndpoint),
        (Some(500..=599), _) => Verdict::new(Class::Net, Remedy::Backoff),
        (Some(300..=499), _) => Verdict::new(Class::Config, Remedy::NextEndpoint),
        (_, Phase::Exec) => Verdict::new(Class::User, Remedy::Never),
        (_, Phase::Boot | Phase::Export | Phase::Merge) => {
            Verdict::new(Class::Builder, Remedy::SolveAgain)
        }
        _ => Verdict::new(Class::Net, Remedy::Backoff),
    }
}

/// Looks a failure up in the catalogue; nothing where no row fits.
#[must_use]
pub fn known(phase: Phase, text: &str, status: Option<u16>) -> Option<Verdict> {
    let text = text.to_lowercase();
    let row = rows().find(|row| row.fits(phase, &text, status));
    row.map(Row::verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_reached_by_its_own_sample() {
        for (number, row) in rows().enumerate() {
            for &(phase, text, status) in row.seen {
                let lower = text.to_lowercase();
                let found = rows().position(|row| row.fits(phase, &lower, status));
                assert_eq!(found, Some(number), "{phase} {text:?} {status:?}");
            }
            assert!(!row.seen.is_empty(), "row {number} has no sample");
        }
    }

    #[test]
    fn unknown_failures_fall_back_on_status_and_phase() {
        let class = |phase, text, status| classify(phase, text, status).class;
        assert_eq!(class(Phase::Blob, "?", Some(530)), Class::Net);
        assert_eq!(class(Phase::Blob, "?", Some(418)), Class::Config);
        assert_eq!(class(Phase::Blob, "?", Some(501)), Class::Config);
        assert_eq!(class(Phase::Blob, "something new", None), Class::Net);
        assert_eq!(
            class(Phase::Exec, "make: *** [all] Error 1", None),
            Class::User
        );
        assert_eq!(class(Phase::Boot, "something new", None), Class::Builder);
    }

    #[test]
    fn exit_codes_are_distinct() {
        let mut codes: Vec<u8> = Class::ALL.iter().map(|class| class.exit_code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Class::ALL.len());
    }
}
