//! What a failed build step means: its exit code, and the last words of the programs that it ran.
//!
//! A failed step is the user's until the evidence says otherwise. A test suite that prints
//! `connection refused` says nothing about a download, so only lines in the form of known download
//! tools count ([`MARKS`]), only near the end of the log, and not where something else had the last
//! word ([`OTHERS`]).

use crate::catalogue::{contains, download, machine};
use crate::class::Class;
use crate::phase::Phase;
use crate::text::{Classified, host_of};
use crate::verdict::{Remedy, Verdict};

/// How many lines of the log's end count.
const LAST: usize = 30;
/// How many lines may follow a download tool's own.
const AFTER: usize = 12;
/// How far from the line that says a failure another one may name its host, in lines.
const NEAR: usize = 12;
/// The exit code of a program that ended by a segmentation fault.
const SEGMENTATION_FAULT: u32 = 139;

/// How lines of download tools begin, in lower case; `…` stands for anything. Lines that are indented
/// go on with the one before.
const MARKS: &[&str] = &[
    "curl: (",
    "…curl error (",
    "wget: ",
    "connecting to …failed",
    "resolving …failed",
    "connecting to …connected",
    "http request sent, awaiting response",
    "proxy request sent, awaiting response",
    "proxy tunneling failed",
    "read error (",
    "unable to establish ssl",
    "gnutls: ",
    "openssl: ",
    "username/password authentication failed",
    "error: the certificate of",
    "error: cannot verify",
    "20…:… error …: ",
    "20…:… (…) - connection closed at byte",
    "no data received",
    "e: ",
    "w: ",
    "err:",
    "fatal: ",
    "error: rpc failed",
    "pip._vendor",
    "warning: retrying (",
    "error: could not find a version",
    "error: no matching distribution",
    "error: could not install packages",
    "error: exception:",
    "could not fetch url",
    "npm err",
    "npm warn",
    "npm http",
    "go: ",
    "error: failed to get `",
    "error: failed to download",
    "error: failed to fetch",
    "error: failed to load source",
    "error: failed to query replaced source",
    "error: unable to update",
    "error: no matching package",
    "warning: spurious network error",
    "caused by:",
    "[error] …could not transfer artifact",
    "[error] …could not be resolved",
    "error: http",
    "warning: ignoring http",
    "warning: fetching http",
    "fetch http",
    "errors during downloading",
];

/// Words of compilers and test suites, which mean that the failure is theirs.
const OTHERS: &[&str] = &[
    "fail:",
    "failed:",
    "failed (",
    " failed,",
    "failures",
    " passed",
    "panicked",
    "assert",
    "error[",
    "tests run",
    "not ok ",
];

/// Words of a connection that was not made.
const UNREACHED: &[&str] = &[
    "refused",
    "connect to",
    "connecting to",
    "econn",
    "etimedout",
    "timed out",
    "no route",
    "unreachable",
];

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
    /// The proxies that the step was given, as `host:port`.
    pub proxies: &'a [String],
}

/// Classifies a failed step. The last line of the log that has the step's class by itself, or one
/// near it, names the host; a failure of the user's own has none.
#[must_use]
pub fn classify_step(step: &Step<'_>) -> Classified {
    let lines: Vec<&str> = step
        .log
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let lines = &lines[lines.len().saturating_sub(LAST)..];
    let words = download_words(lines);
    let verdict = step.machine(lines).or_else(|| match words.is_empty() {
        true => step.silent(lines),
        false => download(&words),
    });
    let verdict = verdict.unwrap_or_else(|| Verdict::new(Class::Build, Remedy::Never));
    let found = Classified {
        phase: Some(Phase::Exec),
        host: host_in_log(lines, verdict.class),
        ..Classified::new(verdict)
    };
    match step.proxy_in(&words, verdict.class) {
        Some(proxy) => Classified {
            verdict: Verdict::new(Class::Config, Remedy::Never).hint(
                "The step's proxy does not let its downloads through: check its address and account, start it, or exempt the host (NO_PROXY).",
            ),
            proxy: Some(proxy.to_owned()),
            ..found
        },
        None => found,
    }
}

impl Step<'_> {
    /// What the machine did to the step: its disk, its memory, its emulator.
    fn machine(&self, lines: &[&str]) -> Option<Verdict> {
        let within = "error exit status 139";
        let crashed =
            self.exit_code == SEGMENTATION_FAULT || lines.iter().any(|line| line.contains(within));
        if self.emulated && crashed {
            let hint =
                "The emulator crashed: a native node for this platform does not have this problem.";
            return Some(Verdict::new(Class::Emulation, Remedy::Once).hint(hint));
        }
        // The message has the command in it, whose words say nothing.
        let message = match self.exit_code {
            126 | 127 => self.message,
            _ => "",
        };
        let log = lines.join("\n");
        machine(&format!("{message}\nexit code: {}\n{log}", self.exit_code))
    }

    /// What a download tool says by its exit code alone.
    fn silent(&self, lines: &[&str]) -> Option<Verdict> {
        let last = &lines[lines.len().saturating_sub(AFTER)..];
        let others = last.iter().any(|line| is_others(line));
        let text = format!("{}\nexit code: {}\n", self.message, self.exit_code);
        if others { None } else { download(&text) }
    }

    /// Returns the proxy that a download failed at.
    fn proxy_in(&self, words: &str, class: Class) -> Option<&str> {
        let words = words.to_lowercase();
        let unreached = UNREACHED.iter().any(|text| words.contains(text));
        let named = |proxy: &&String| {
            let Some((host, port)) = proxy.rsplit_once(':') else {
                return false;
            };
            let host = host.trim_matches(['[', ']']).to_lowercase();
            let local = host == "localhost" || host == "::1" || host.starts_with("127.");
            words.contains(&proxy.to_lowercase())
                || words.contains(&format!("{host} port {port}"))
                || (local && words.contains(&format!("({host})")))
        };
        let proxies = || self.proxies.iter();
        let at_proxy = match class {
            Class::Network if unreached => proxies().find(named),
            Class::Config if words.contains("proxy") || words.contains("407") => {
                proxies().find(named).or(proxies().next())
            }
            _ => None,
        };
        at_proxy.map(String::as_str)
    }
}

fn is_others(line: &str) -> bool {
    let line = line.to_lowercase();
    OTHERS.iter().any(|word| line.contains(word))
}

/// Returns a line without the escape sequences that color it.
fn without_colors(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.split_once('m').map_or("", |(_, rest)| rest)
    })
}

fn is_marked(line: &str) -> bool {
    let line = without_colors(line).trim_start().to_lowercase();
    MARKS.iter().any(|mark| {
        let start = mark.split('…').next().unwrap_or_default();
        line.starts_with(start) && contains(&line, mark)
    })
}

/// Returns the lines of download tools, where they are the last to say what went wrong.
fn download_words(lines: &[&str]) -> String {
    let mut words = Vec::new();
    let mut last = 0;
    for (number, line) in lines.iter().enumerate() {
        let goes_on = line.starts_with([' ', '\t']) && last == number && number > 0;
        if is_marked(line) || goes_on {
            words.push(*line);
            last = number + 1;
        }
    }
    let after = &lines[last..];
    match after.len() > AFTER || after.iter().any(|line| is_others(line)) {
        true => String::new(),
        false => words.join("\n"),
    }
}

fn host_in_log(lines: &[&str], class: Class) -> Option<String> {
    let own = class == Class::Build;
    let speaks = |line: &&str| !own && download(line).is_some_and(|found| found.class == class);
    let last = lines.iter().rposition(speaks)?;
    // Some programs print the address on a line of its own, before the causes or after.
    let above = lines[last.saturating_sub(NEAR)..=last].iter().rev();
    let below = lines.iter().skip(last + 1).take(NEAR);
    above.chain(below).find_map(|line| host_of(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: &str = "127.0.0.1:7890";

    fn found(exit_code: u32, log: &str, emulated: bool) -> Classified {
        classify_step(&Step {
            message: "process \"/bin/sh -c x\" did not complete successfully: exit code: 1",
            exit_code,
            log,
            emulated,
            proxies: &[DEAD.to_owned()],
        })
    }

    fn class(exit_code: u32, log: &str) -> Class {
        found(exit_code, log, false).verdict.class
    }

    #[test]
    fn the_line_that_failed_names_the_host() {
        let log = "Get:1 http://good.example/x\ncurl: (6) Could not resolve host: bad.example\n\
                   see https://help.example/ for more";
        let found = found(6, log, false);
        assert_eq!(found.verdict.class, Class::Network);
        assert_eq!(found.host.as_deref(), Some("bad.example"));
    }

    #[test]
    fn a_segmentation_fault_is_the_emulators_only_where_there_is_one() {
        let class = |code, log, emulated| found(code, log, emulated).verdict.class;
        assert_eq!(class(139, "", true), Class::Emulation);
        assert_eq!(class(139, "", false), Class::Build);
        let inner = "dpkg: error: sub-process returned error exit status 139";
        assert_eq!(class(1, inner, true), Class::Emulation);
        assert_eq!(class(1, inner, false), Class::Build);
    }

    #[test]
    fn what_test_suites_and_compilers_say_of_networks_is_the_users() {
        let logs = [
            "FAIL: test_reconnect: connection refused (ECONNREFUSED)",
            "1 failed: Read timed out, Temporary failure resolving is what we expected",
            "rpc error: code = Unavailable desc = transport is closing",
            "--- FAIL: TestDial (0.00s)\n    dial_test.go:9: dial tcp 127.0.0.1:1: connect: connection refused",
            "thread 'main' panicked at src/main.rs:3:\nConnection reset by peer",
            "curl: (7) Failed to connect to localhost port 80\nFAILED (failures=1)",
            "ECONNRESET\nError: socket hang up\n    at connResetException (node:internal/errors:787:14)",
            "expected: i/o timeout\nerror[E0308]: mismatched types",
            "no active session for x",
        ];
        for log in logs {
            assert_eq!(class(1, log), Class::Build, "{log}");
        }
        let long = format!("curl: (56) Recv failure\n{}", "compiling\n".repeat(20));
        assert_eq!(class(1, &long), Class::Build, "long ago");
    }

    #[test]
    fn what_download_tools_say_last_is_told_apart() {
        let logs = [
            (
                "curl: (56) Recv failure: Connection reset by peer\nmake: *** [all] Error 56",
                Class::Network,
            ),
            (
                "Err:1 http://a.example InRelease\n  Connection timed out\nReading package lists...",
                Class::Network,
            ),
            (
                "fatal: unable to access 'http://a.example/x.git/': Empty reply from server",
                Class::Network,
            ),
            (
                "WARNING: fetching http://a.example/APKINDEX.tar.gz: temporary error (try again later): connection reset",
                Class::Network,
            ),
            (
                "Errors during downloading metadata for repository 'baseos':\n  - Curl error (28): Timeout was reached for http://a.example",
                Class::Network,
            ),
            (
                "curl: (22) The requested URL returned error: 429",
                Class::Rate,
            ),
            (
                "curl: (60) SSL certificate problem: self-signed certificate",
                Class::Config,
            ),
        ];
        for (log, wanted) in logs {
            assert_eq!(class(1, log), wanted, "{log}");
        }
    }

    #[test]
    fn a_dead_proxy_is_a_setting_and_named() {
        let logs = [
            "curl: (7) Failed to connect to 127.0.0.1 port 7890 after 0 ms: Couldn't connect to server",
            "Connecting to 127.0.0.1:7890... failed: Connection refused.",
            "wget: can't connect to remote host (127.0.0.1): Connection refused",
            "Err:1 http://deb.example bookworm InRelease\n  Could not connect to 127.0.0.1:7890 (127.0.0.1). - connect (111: Connection refused)",
            "npm error FetchError: request to http://a.example/x failed, reason: connect ECONNREFUSED 127.0.0.1:7890",
            "fatal: unable to access 'http://a.example/x.git/': Failed to connect to 127.0.0.1 port 7890 after 0 ms: Couldn't connect to server",
            "curl: (56) CONNECT tunnel failed, response 407",
            "go: x@v1: Get \"https://a.example/x\": proxyconnect tcp: dial tcp 127.0.0.1:7890: connect: connection refused",
        ];
        for log in logs {
            let found = found(1, log, false);
            assert_eq!(found.verdict.class, Class::Config, "{log}");
            assert_eq!(found.verdict.remedy, Remedy::Never, "{log}");
            assert_eq!(found.proxy.as_deref(), Some(DEAD), "{log}");
        }
        let other = found(
            1,
            "curl: (7) Failed to connect to a.example port 80 after 0 ms",
            false,
        );
        assert_eq!((other.verdict.class, other.proxy), (Class::Network, None));
    }
}
