//! What a failed solve means: a class, whether it is worth another try, and the error for people.

use sealift_buildkit as buildkit;
use sealift_transport::class::{Class, Phase, classify};

use super::progress::Progress;
use crate::error::{Error, Kind};
use crate::event::Unit;

/// A solve that failed.
#[derive(Debug)]
pub struct Failure {
    /// The class.
    pub class: Class,
    /// An image that the policy denied: discovery had missed it.
    pub denied: Option<String>,
    /// The error for people.
    pub error: Error,
}

impl Failure {
    /// Tells whether the same solve may succeed when it is repeated: the engine went away, or a
    /// step's own downloads failed. Finished steps are cached.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.class, Class::Builder | Class::Net)
    }

    /// Reads a failure.
    #[must_use]
    pub fn read(error: buildkit::Error, unit: &Unit, progress: &Progress, shown: &str) -> Self {
        match error {
            buildkit::Error::Failed(failure) => Self::of_solve(*failure, unit, progress, shown),
            buildkit::Error::Canceled => Self::plain(
                Class::User,
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
                    | buildkit::Error::Output { .. } => (Class::User, Kind::Local),
                    buildkit::Error::SecretTooLarge { .. } | buildkit::Error::SshAgent { .. } => {
                        (Class::User, Kind::Usage)
                    }
                    _ => (Class::User, Kind::Builder),
                };
                Self::plain(class, Error::new(kind, failed(unit)).because(other))
            }
        }
    }

    fn plain(class: Class, error: Error) -> Self {
        Self {
            class,
            denied: None,
            error,
        }
    }

    fn of_solve(failure: buildkit::Failure, unit: &Unit, progress: &Progress, shown: &str) -> Self {
        let log = failure
            .vertex
            .as_deref()
            .map(|id| progress.log_of(id))
            .unwrap_or_default();
        let class = match &failure.kind {
            buildkit::Kind::PolicyDenied { .. } => Class::User,
            buildkit::Kind::Engine => Class::Builder,
            buildkit::Kind::Canceled | buildkit::Kind::Frontend => Class::User,
            buildkit::Kind::Exec { exit_code: 137 } => Class::Oom,
            buildkit::Kind::Exec { exit_code } => {
                let text = format!("{}\nexit code: {exit_code}\n{log}", failure.message);
                classify(Phase::Exec, &text, None).class
            }
            buildkit::Kind::Step => classify(Phase::Resolve, &failure.message, None).class,
        };
        let denied = failure.denied_image().map(str::to_owned);
        let step = failure
            .vertex
            .as_deref()
            .and_then(|id| progress.name_of(id));
        let what = match step {
            Some(step) => format!("{}: {step}", failed(unit)),
            None => failed(unit),
        };
        let mut error = Error::new(Kind::from(class), what);
        if let Some(lines) = excerpt(&failure, shown, &log) {
            error = error.excerpt(lines);
        }
        error = hinted(error, class, &failure, unit);
        Self {
            class,
            denied,
            error: error.because(failure),
        }
    }
}

fn failed(unit: &Unit) -> String {
    format!(
        "{} [{}] does not build for {}",
        unit.component, unit.target, unit.platform
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

fn hinted(error: Error, class: Class, failure: &buildkit::Failure, unit: &Unit) -> Error {
    match class {
        Class::Net => error.hint(
            "the step's own downloads failed, not sealift's; run it again: finished steps \
                   are cached",
        ),
        Class::Oom => error.hint("give the machine more memory, or build one platform at a time"),
        Class::Qemu => error.hint(format!(
            "build {} on a machine of that architecture: --builder names its buildkitd",
            unit.platform
        )),
        Class::Builder => error.hint("see the builder's log: sealift builder ls names it"),
        Class::Disk => error.hint("free space; the builder's cache: buildctl --addr ADDRESS prune, with the address that sealift builder ls shows"),
        _ => match &failure.kind {
            buildkit::Kind::PolicyDenied { source } if !source.starts_with("docker-image://") => {
                error.hint("--seal=images lets the build fetch URLs and git repositories")
            }
            _ => error,
        },
    }
}
