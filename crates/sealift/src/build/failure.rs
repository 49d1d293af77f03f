//! What a failed solve means: a class, whether it is worth another try, and the error for people.

use sealift_buildkit as buildkit;
use sealift_failure::{
    Class, Classified, Phase, Remedy, Step, Verdict, classify_step, classify_text,
};

use super::progress::outcome;
use crate::error::{Error, Kind};
use crate::unit::UnitId;

/// A solve that failed.
#[derive(Debug)]
pub struct Failure {
    /// The part of the work that failed.
    pub phase: Phase,
    /// The host that was asked, where the failure tells one.
    pub host: Option<String>,
    /// What it is and what can help.
    pub verdict: Verdict,
    /// An image that the policy denied: discovery had missed it.
    pub denied: Option<String>,
    /// The error for people.
    pub error: Error,
}

impl Failure {
    /// Returns how often the same solve may be repeated, of at most `most` times: often where the
    /// engine went away or the network failed, once where the catalogue says once. Finished steps
    /// are cached.
    #[must_use]
    pub const fn repeats(&self, most: u32) -> u32 {
        match self.verdict.remedy {
            Remedy::Backoff | Remedy::Few => most,
            Remedy::Once if most > 0 => 1,
            _ => 0,
        }
    }

    /// Says that it has stayed over all repetitions: where nothing listens all the time, that is a
    /// matter of configuration.
    #[must_use]
    pub fn stayed(mut self) -> Self {
        if self.verdict.remedy == Remedy::Few {
            self.verdict.class = Class::Config;
            self.error = self.error.of_kind(Kind::Config);
        }
        self
    }

    /// Reads a failure.
    #[must_use]
    pub fn read(error: buildkit::Error, unit: &UnitId, shown: &str) -> Self {
        match error {
            buildkit::Error::Failed(failure) => Self::of_solve(*failure, unit, shown),
            buildkit::Error::Canceled => Self::plain(
                Class::Build,
                Error::new(
                    Kind::Interrupted,
                    format!("the build for {} was stopped", unit.platform),
                ),
            ),
            other => {
                let (class, kind) = match &other {
                    buildkit::Error::Store(sealift_content::Error::DiskFull { .. }) => {
                        (Class::Disk, Kind::Disk)
                    }
                    // Also a result's blob that came in wrong: it was dropped, and comes again.
                    error if error.is_transient() => (Class::Builder, Kind::Builder),
                    buildkit::Error::Store(_)
                    | buildkit::Error::Source { .. }
                    | buildkit::Error::Output { .. } => (Class::Build, Kind::Local),
                    buildkit::Error::SecretTooLarge { .. } | buildkit::Error::SshAgent { .. } => {
                        (Class::Build, Kind::Usage)
                    }
                    _ => (Class::Build, Kind::Builder),
                };
                Self::plain(class, Error::new(kind, failed(unit)).because(other))
            }
        }
    }

    fn plain(class: Class, error: Error) -> Self {
        let remedy = match class {
            Class::Builder => Remedy::Backoff,
            _ => Remedy::Never,
        };
        Self {
            phase: Phase::Exec,
            host: None,
            verdict: Verdict::new(class, remedy),
            denied: None,
            error,
        }
    }

    fn of_solve(failure: buildkit::Failure, unit: &UnitId, shown: &str) -> Self {
        let step = failure.step.as_ref();
        let log = step.map(|step| step.output.clone()).unwrap_or_default();
        let emulated = step.is_some_and(|step| step.emulated);
        let found = classified(&failure, &log, emulated);
        let class = found.verdict.class;
        let denied = failure.denied_image().map(str::to_owned);
        let what = match step.filter(|step| !step.name.is_empty()) {
            // The Dockerfile's lines show the command.
            Some(step) if !failure.excerpts.is_empty() => {
                let (label, _) = step.name.split_once(']').unwrap_or((&step.name, ""));
                format!("{}: step {label}] failed", failed(unit))
            }
            Some(step) => format!("{}: {}", failed(unit), step.name),
            None => failed(unit),
        };
        let mut error = Error::new(class, what);
        if let Some(lines) = excerpt(&failure, shown, &log) {
            error = error.excerpt(lines);
        }
        error = hinted(error, found.verdict, &failure, unit);
        Self {
            phase: found.phase.unwrap_or(Phase::Exec),
            host: found.host,
            verdict: found.verdict,
            denied,
            error: error.because(outcome(&failure.message).to_owned()),
        }
    }
}

/// Looks a failed solve up in the catalogue.
fn classified(failure: &buildkit::Failure, log: &str, emulated: bool) -> Classified {
    let plain = |class, remedy| Classified::new(Verdict::new(class, remedy));
    match &failure.kind {
        buildkit::Kind::PolicyDenied { .. }
        | buildkit::Kind::Canceled
        | buildkit::Kind::MissingSecret { .. }
        | buildkit::Kind::MissingAgent { .. }
        | buildkit::Kind::MissingPath { .. }
        | buildkit::Kind::Frontend => plain(Class::Build, Remedy::Never),
        buildkit::Kind::Engine => plain(Class::Builder, Remedy::Backoff),
        buildkit::Kind::Exec { exit_code } => classify_step(&Step {
            message: &failure.message,
            exit_code: *exit_code,
            log,
            emulated,
            proxies: &[],
        }),
        // What git says goes to the log of the step that fetches.
        buildkit::Kind::Step => classify_text(&format!("{}\n{log}", failure.message)),
    }
}

fn failed(unit: &UnitId) -> String {
    format!(
        "{} [{}] does not build for {}",
        unit.component,
        unit.target(),
        unit.platform
    )
}

/// The end of the step's log, then the Dockerfile's lines.
fn excerpt(failure: &buildkit::Failure, shown: &str, log: &str) -> Option<String> {
    let mut text = String::new();
    if !log.is_empty() {
        text.push_str("the step's last lines:\n");
        for line in log.lines() {
            text.push_str(&format!("  | {line}\n"));
        }
    }
    if let Some(excerpt) = failure.excerpts.first() {
        if !text.is_empty() {
            text.push('\n');
        }
        if let Some(lines) = excerpt.lines() {
            text.push_str(&format!("{shown}:{}\n", lines.start()));
        }
        for (number, line, marked) in excerpt.window(2) {
            let mark = if marked { ">" } else { " " };
            text.push_str(&format!("{mark} {number:>4} | {line}\n"));
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Adds what can be done: what only we know of it, else what the catalogue says.
fn hinted(error: Error, verdict: Verdict, failure: &buildkit::Failure, unit: &UnitId) -> Error {
    let error = match (verdict.hint, verdict.class) {
        (_, Class::Memory) => {
            error.hint("give the machine more memory, or build one platform at a time")
        }
        (_, Class::Disk) => error.hint("free space; the builder's cache: buildctl --addr ADDRESS prune, with the address that sealift builder ls shows"),
        (_, Class::Builder) => error.hint("see the builder's log: sealift builder ls names it"),
        (Some(hint), _) => error.hint(hint),
        (None, _) => error,
    };
    match (verdict.class, &failure.kind) {
        (Class::Network, buildkit::Kind::Exec { .. }) => error.hint(
            "the step's own downloads failed, not sealift's; run it again: finished steps \
                   are cached",
        ),
        (Class::Network, _) => error.hint("run it again: what the builder has fetched is kept"),
        (Class::Emulation, _) => error.hint(format!(
            "build {} on a machine of that architecture: --builder names its buildkitd",
            unit.platform
        )),
        (_, buildkit::Kind::MissingSecret { id }) => error.hint(format!(
            "give it: --secret id={id},src=FILE or --secret id={id},env=VARIABLE"
        )),
        (_, buildkit::Kind::MissingAgent { id }) => error.hint(format!("give it: --ssh {id}")),
        (_, buildkit::Kind::MissingPath { path, from: None }) => error.hint(format!(
            "{path} is not in the build context; .dockerignore may exclude it"
        )),
        (
            _,
            buildkit::Kind::MissingPath {
                path,
                from: Some(from),
            },
        ) => error.hint(format!(
            "{from} has no {path}: see which step should make it there, and for {} too",
            unit.platform
        )),
        (_, buildkit::Kind::PolicyDenied { source }) if !source.starts_with("docker-image://") => {
            error.hint("--seal=images lets the build fetch URLs and git repositories")
        }
        _ => error,
    }
}
