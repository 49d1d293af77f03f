//! The catalogue itself, and how a failure is looked up in it.

mod machine;
mod network;
mod row;
mod step;

use crate::class::Class;
use crate::phase::Phase;
use crate::verdict::{Remedy, Verdict};
pub(crate) use row::contains;

use row::Row;

/// The catalogue, in the order of its look-up.
fn rows() -> impl Iterator<Item = &'static Row> {
    [machine::MACHINE, step::STEPS, network::NETWORK]
        .into_iter()
        .flatten()
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
        (Some(501 | 505..=511), _) => Verdict::new(Class::Config, Remedy::Never),
        (Some(500..=599), _) => Verdict::new(Class::Network, Remedy::Backoff),
        (Some(300..=499), _) => Verdict::new(Class::Config, Remedy::Never),
        (_, Phase::Exec) => Verdict::new(Class::Build, Remedy::Never),
        (_, Phase::Boot | Phase::Export | Phase::Merge) => {
            Verdict::new(Class::Builder, Remedy::Backoff)
        }
        _ => Verdict::new(Class::Network, Remedy::Backoff),
    }
}

/// Looks a build step's text up among the rows for the machine.
pub(crate) fn machine(text: &str) -> Option<Verdict> {
    find(machine::MACHINE, text)
}

/// Looks what download tools said in a build step up.
pub(crate) fn download(text: &str) -> Option<Verdict> {
    find(step::STEPS, text)
}

fn find(rows: &[Row], text: &str) -> Option<Verdict> {
    let text = text.to_lowercase();
    let row = rows.iter().find(|row| row.fits(Phase::Exec, &text, None));
    row.map(Row::verdict)
}

/// Looks a failure up in the catalogue; nothing where no row fits.
#[must_use]
pub(crate) fn known(phase: Phase, text: &str, status: Option<u16>) -> Option<Verdict> {
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
        assert_eq!(class(Phase::Blob, "?", Some(530)), Class::Network);
        assert_eq!(class(Phase::Blob, "?", Some(418)), Class::Config);
        assert_eq!(class(Phase::Blob, "?", Some(501)), Class::Config);
        assert_eq!(class(Phase::Blob, "something new", None), Class::Network);
        assert_eq!(
            class(Phase::Exec, "make: *** [all] Error 1", None),
            Class::Build
        );
        assert_eq!(class(Phase::Boot, "something new", None), Class::Builder);
    }
}
