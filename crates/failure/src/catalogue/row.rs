//! One row of the catalogue, and how it is found.
//!
//! A text is a list of alternatives in lower case; `…` inside one stands for anything. A row
//! without phases holds in every phase but [`Phase::Exec`], whose texts are logs of foreign
//! programs and only match rows that name it.

use crate::class::Class;
use crate::phase::Phase;
use crate::verdict::{Remedy, Verdict};

/// A failure as it was seen: phase, text, status.
pub(super) type Seen = (Phase, &'static str, Option<u16>);

/// One row of the catalogue.
#[derive(Debug)]
pub(super) struct Row {
    /// Alternatives of text; none asks for no text.
    pub(super) texts: &'static [&'static str],
    /// Statuses; none asks for no status.
    pub(super) statuses: &'static [u16],
    /// Phases; none stands for all but exec.
    pub(super) phases: &'static [Phase],
    /// What it is.
    pub(super) class: Class,
    /// What can help.
    pub(super) remedy: Remedy,
    /// What to tell the user; empty where there is nothing to add.
    pub(super) hint: &'static str,
    /// Real samples, which the tests look up.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "samples are data for the tests")
    )]
    pub(super) seen: &'static [Seen],
}

impl Row {
    /// Returns whether a failure is this row's. `text` is in lower case.
    pub(super) fn fits(&self, phase: Phase, text: &str, status: Option<u16>) -> bool {
        let phase = if self.phases.is_empty() {
            phase != Phase::Exec
        } else {
            self.phases.contains(&phase)
        };
        phase
            && (self.statuses.is_empty() || status.is_some_and(|s| self.statuses.contains(&s)))
            && (self.texts.is_empty() || self.texts.iter().any(|pattern| contains(text, pattern)))
    }

    pub(super) const fn verdict(&self) -> Verdict {
        Verdict {
            class: self.class,
            remedy: self.remedy,
            hint: if self.hint.is_empty() {
                None
            } else {
                Some(self.hint)
            },
        }
    }
}

/// Returns whether `text` has the parts of `pattern`, split at `…`, in their order.
pub(crate) fn contains(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    pattern.split('…').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// Every phase.
pub(super) const ANY: &[Phase] = &[
    Phase::Boot,
    Phase::Token,
    Phase::Resolve,
    Phase::Blob,
    Phase::Exec,
    Phase::Export,
    Phase::Push,
    Phase::Cache,
    Phase::Merge,
];

pub(super) const NO_TEXT: &[&str] = &[];
pub(super) const NO_STATUS: &[u16] = &[];
pub(super) const ALL_BUT_EXEC: &[Phase] = &[];

/// Writes rows in the shape that the tables are read in: texts, statuses, phases; class, remedy,
/// hint; samples.
macro_rules! rows {
    ($( { $texts:expr, $statuses:expr, $phases:expr } => $class:ident $remedy:ident $hint:literal; $($seen:expr),+ $(,)? ;)*) => {
        &[$(Row {
            texts: $texts, statuses: $statuses, phases: $phases, class: Class::$class,
            remedy: Remedy::$remedy, hint: $hint, seen: &[$($seen),+],
        }),*]
    };
}

pub(super) use rows;
