//! What the catalogue says about a failure besides its class.

use serde::Serialize;

use crate::class::Class;

/// Whether asking again can help, and how often. It speaks of one endpoint or one builder: another
/// one may be asked whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Try again as long as a budget lasts.
    Backoff,
    /// Try again a few times; a failure that stays is a matter of configuration.
    Few,
    /// Try once more.
    Once,
    /// Wait as long as the server says, and slow down for the whole host.
    Pace,
    /// Do not try again: the answer will be the same.
    Never,
}

impl Remedy {
    /// Returns how often one endpoint may be asked in all under this remedy; `None` leaves it to
    /// the budget of time.
    #[must_use]
    pub const fn tries(self) -> Option<u32> {
        match self {
            Self::Backoff | Self::Pace => None,
            Self::Few => Some(8),
            Self::Once => Some(2),
            Self::Never => Some(1),
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
