//! What a failed solve means: a class, whether it is worth another try, and the error for people.

use std::time::Duration;

use sealift_buildkit as buildkit;
use sealift_failure::{
    Class, Classified, Phase, Remedy, Step, Verdict, classify_step, classify_text,
};

use super::order::{Order, StepProxy};
use super::progress::outcome;
use crate::builder::Builder;
use crate::error::{Error, Kind};
use crate::unit::UnitId;

/// How often a solve is repeated whose engine went away, or whose failure may pass.
const REPEATS: u32 = 4;
/// How often a solve is repeated whose step could not download something.
const STEP_REPEATS: u32 = 2;

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
    /// Whether a step of the build failed, while the builder answered.
    pub in_step: bool,
    /// The error for people.
    pub error: Error,
}

impl Failure {
    /// Returns how often the same solve may be repeated: often where the engine went away, twice
    /// where a step's own download failed, once where the catalogue says once. Finished steps are
    /// cached.
    #[must_use]
    pub const fn repeats(&self) -> u32 {
        match self.verdict.remedy {
            Remedy::Backoff | Remedy::Few if self.in_step => STEP_REPEATS,
            Remedy::Backoff | Remedy::Few => REPEATS,
            Remedy::Once => 1,
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
    pub fn read(error: buildkit::Error, order: &Order, builder: &Builder) -> Self {
        let unit = &order.unit;
        match error {
            buildkit::Error::Failed(failure) => Self::of_solve(*failure, order, builder),
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
            in_step: false,
            error,
        }
    }

    /// Words a step that was stopped because it wrote nothing for as long as `--step-timeout` says.
    #[must_use]
    pub fn stalled(order: &Order, step: &str, limit: Duration) -> Self {
        let limit = crate::size::seconds(limit.as_secs_f64());
        let text = format!(
            "{}: {step} printed nothing for {limit}",
            failed(&order.unit)
        );
        let error = Error::new(Kind::Build, text).hint("give it more time: --step-timeout TIME");
        Self::plain(Class::Build, error)
    }

    /// Words a solve that the builder says ended well, without a word of what it made.
    #[must_use]
    pub fn no_result(order: &Order) -> Self {
        let text = format!(
            "{}: the builder names no image that it made",
            failed(&order.unit)
        );
        let error = Error::new(Kind::Builder, text)
            .hint("see the builder's log: sealift builder ls names it");
        Self::plain(Class::Build, error)
    }

    fn of_solve(failure: buildkit::Failure, order: &Order, builder: &Builder) -> Self {
        let (unit, shown) = (&order.unit, &order.input.component.dockerfile.shown);
        let step = failure.step.as_ref();
        let log = step.map(|step| step.output.clone()).unwrap_or_default();
        let emulated = step.is_some_and(|step| step.emulated);
        let mut found = classified(&failure, &log, emulated);
        let proxy = refusing_proxy(&order.options.proxies, &log);
        let proxy = proxy.filter(|_| found.verdict.class != Class::Build);
        if proxy.is_some() {
            found.verdict = Verdict::new(Class::Config, Remedy::Never);
        }
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
        error = match proxy {
            Some(proxy) => error.hint(format!(
                "steps use the proxy {} ({}), which refuses connections: start it, or take it out \
                 there",
                proxy.url, proxy.from
            )),
            None => hinted(error, found.verdict, &failure, unit),
        };
        if class == Class::Emulation && !builder.runs(&unit.platform) {
            error = error.hint(
                "register an emulator on the builder's machine: apt-get install qemu-user-static; \
                 where binfmt_misc is not mounted: mount -t binfmt_misc binfmt_misc \
                 /proc/sys/fs/binfmt_misc, then systemctl restart systemd-binfmt",
            );
        }
        Self {
            phase: found.phase.unwrap_or(Phase::Exec),
            host: found.host,
            verdict: found.verdict,
            denied,
            in_step: failure.step.is_some(),
            error: error.because(outcome(&failure.message).to_owned()),
        }
    }
}

/// Finds the proxy that a step's programs say refused them. Some name its port, some do not.
fn refusing_proxy<'a>(proxies: &'a [StepProxy], log: &str) -> Option<&'a StepProxy> {
    let lines = log
        .lines()
        .filter(|line| line.to_ascii_lowercase().contains("refused"));
    proxies.iter().find(|StepProxy { host, port, .. }| {
        let mut lines = lines.clone().filter(|line| line.contains(host));
        lines.any(|line| {
            let names_port = line.contains(" port ") || line.contains(&format!("{host}:"));
            port.is_none_or(|port| !names_port || line.contains(&port.to_string()))
        })
    })
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
        (_, buildkit::Kind::PolicyDenied { source, .. })
            if !source.starts_with("docker-image://") =>
        {
            error.hint("--seal=images lets the build fetch URLs and git repositories")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_name_the_proxy_that_refused_them_in_their_own_ways() {
        let proxy = StepProxy {
            url: "http://127.0.0.1:7890".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: Some(7890),
            from: "HTTPS_PROXY".to_owned(),
        };
        let proxies = [proxy];
        for (log, refused) in [
            (
                "wget: can't connect to remote host (127.0.0.1): Connection refused",
                true,
            ),
            (
                "Connecting to 127.0.0.1:7890... failed: Connection refused.",
                true,
            ),
            (
                "Could not connect to 127.0.0.1:7890 (127.0.0.1). - connect (111: Connection refused)",
                true,
            ),
            (
                "curl: (7) Failed to connect to 127.0.0.1 port 7890 after 0 ms: Connection refused",
                true,
            ),
            ("npm error connect ECONNREFUSED 127.0.0.1:7890", true),
            (
                "connect to 127.0.0.1:5432 failed: Connection refused",
                false,
            ),
            (
                "curl: (7) Failed to connect to 10.0.0.9 port 7890: Connection refused",
                false,
            ),
            (
                "curl: (56) Recv failure: Connection reset by peer 127.0.0.1:7890",
                false,
            ),
        ] {
            assert_eq!(refusing_proxy(&proxies, log).is_some(), refused, "{log}");
        }
    }
}
