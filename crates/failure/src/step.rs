//! What a failed build step means: its exit code, and the words of the programs that it ran.

use crate::catalogue::classify;
use crate::class::Class;
use crate::phase::Phase;
use crate::text::{Classified, host_of};
use crate::verdict::{Remedy, Verdict};

/// How far from the line that says a failure another one may name its host, in lines.
const NEAR: usize = 12;

/// The exit code of a program that ended by a segmentation fault.
const SEGMENTATION_FAULT: u32 = 139;

/// A failed step, as the engine describes it.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The engine's message, which has the command in it.
    pub message: &'a str,
    /// The exit code of the step's process.
    pub exit_code: u32,
    /// The end of the step's log.
    pub log: &'a str,
    /// Whether the step's programs ran under an emulator.
    pub emulated: bool,
}

impl Step<'_> {
    /// Returns whether a program that is emulated crashed: the emulator's fault as a rule.
    fn crashed_emulated(&self) -> bool {
        let within = "error exit status 139";
        self.emulated && (self.exit_code == SEGMENTATION_FAULT || self.log.contains(within))
    }
}

/// Classifies a failed step. The last line of the log that has the step's class by itself, or one
/// near it, names the host; a failure of the user's own has none.
#[must_use]
pub fn classify_step(step: &Step<'_>) -> Classified {
    let Step {
        message,
        exit_code,
        log,
        ..
    } = *step;
    let verdict = if step.crashed_emulated() {
        Verdict::new(Class::Emulation, Remedy::Once).hint(
            "The emulator crashed: a native node for this platform does not have this problem.",
        )
    } else {
        let text = format!("{message}\nexit code: {exit_code}\n{log}");
        classify(Phase::Exec, &text, None)
    };
    Classified {
        verdict,
        phase: Some(Phase::Exec),
        host: host_in_log(log, verdict.class),
        status: None,
    }
}

fn host_in_log(log: &str, class: Class) -> Option<String> {
    let lines: Vec<&str> = log.lines().collect();
    let own = class == Class::Build;
    let speaks = |line: &&str| !own && classify(Phase::Exec, line, None).class == class;
    let last = lines.iter().rposition(speaks)?;
    // Some programs print the address on a line of its own, before the causes or after.
    let above = lines[last.saturating_sub(NEAR)..=last].iter().rev();
    let below = lines.iter().skip(last + 1).take(NEAR);
    above.chain(below).find_map(|line| host_of(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step<'a>(exit_code: u32, log: &'a str, emulated: bool) -> Step<'a> {
        Step {
            message: "process \"/bin/sh -c x\" did not complete successfully",
            exit_code,
            log,
            emulated,
        }
    }

    #[test]
    fn the_line_that_failed_names_the_host() {
        let log = "Get:1 http://good.example/x\ncurl: (6) Could not resolve host: bad.example\n\
                   see https://help.example/ for more";
        let found = classify_step(&step(6, log, false));
        assert_eq!(found.verdict.class, Class::Network);
        assert_eq!(found.host.as_deref(), Some("bad.example"));
    }

    #[test]
    fn a_segmentation_fault_is_the_emulators_only_where_there_is_one() {
        let class = |code, log, emulated| classify_step(&step(code, log, emulated)).verdict.class;
        assert_eq!(class(139, "", true), Class::Emulation);
        assert_eq!(class(139, "", false), Class::Build);
        let inner = "dpkg: error: sub-process returned error exit status 139";
        assert_eq!(class(1, inner, true), Class::Emulation);
        assert_eq!(class(1, inner, false), Class::Build);
    }
}
