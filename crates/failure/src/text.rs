//! What another program's error text says besides its class: the part of the work, the host that
//! was asked, the status that it gave.
//!
//! BuildKit puts the whole way of a failure into one line: `failed to resolve source metadata for
//! r.example/x:1: failed to do request: Head "https://r.example/v2/x/manifests/1": dial tcp …`.
//! Two flat tables find the parts of it.

use crate::catalogue::{classify, known};
use crate::class::Class;
use crate::phase::Phase;
use crate::verdict::{Remedy, Verdict};

/// What a text says of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// What it is and what can help.
    pub verdict: Verdict,
    /// The part of the work, where the text says it.
    pub phase: Option<Phase>,
    /// The host that was asked, with its port where there is one.
    pub host: Option<String>,
    /// The status that came.
    pub status: Option<u16>,
    /// The proxy of a step that let nothing through, as the step was given it.
    pub proxy: Option<String>,
}

impl Classified {
    /// Makes one of a verdict alone.
    #[must_use]
    pub const fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            phase: None,
            host: None,
            status: None,
            proxy: None,
        }
    }
}

/// Texts of the engine, and the part of the work that they belong to. The first one found decides:
/// a token is fetched in the middle of all others.
const PHASES: &[(&str, Phase)] = &[
    ("failed to fetch anonymous token", Phase::Token),
    ("failed to fetch oauth token", Phase::Token),
    ("failed to authorize", Phase::Token),
    ("token response", Phase::Token),
    ("failed to push", Phase::Push),
    ("error writing layer blob", Phase::Cache),
    ("error writing manifest blob", Phase::Cache),
    ("error writing config blob", Phase::Cache),
    ("cache manifest", Phase::Cache),
    ("failed to resolve source metadata", Phase::Resolve),
    ("failed to copy", Phase::Blob),
    ("failed commit on ref", Phase::Blob),
    ("httpreadseeker", Phase::Blob),
    ("short read: expected", Phase::Blob),
    ("/blobs/sha256:", Phase::Blob),
    ("failed size validation", Phase::Blob),
    ("unexpected commit digest", Phase::Blob),
    ("/manifests/", Phase::Resolve),
    ("failed to load cache key: get \"", Phase::Blob),
    ("failed to load cache key: head \"", Phase::Blob),
    ("invalid response status", Phase::Blob),
    ("digest mismatch sha256:", Phase::Blob),
    ("did not complete successfully", Phase::Exec),
    ("failed to export", Phase::Export),
];

/// What stands before a status: somewhere before it in the same line.
const STATUSES: &[&str] = &[
    "unexpected status",
    "invalid response status",
    "unexpected http status",
    "unexpected response status",
];

/// What stands right before a status in our own texts.
const OUR_STATUS: &str = ": status ";

/// What stands before a host, and what ends it.
const HOSTS: &[(&str, &[char])] = &[
    ("http://", &['/', '"', '\'', ' ', '?', '`', ')']),
    ("https://", &['/', '"', '\'', ' ', '?', '`', ')']),
    ("could not resolve host: ", &[' ', '\n', ')']),
    ("temporary failure resolving '", &['\'']),
    ("could not resolve '", &['\'']),
    ("unable to resolve host address '", &['\'']),
    ("wget: bad address '", &['\'']),
    ("unable to resolve host address ‘", &['’']),
    ("oauth token from ", &[' ', ',']),
    ("lookup ", &[' ', ':']),
    ("source metadata for ", &['/']),
];

/// Reads another program's error text and looks it up in the catalogue. A text that names no part of
/// the work that needs a network, and has no row, is the user's own: a missing file, a bad path.
#[must_use]
pub fn classify_text(text: &str) -> Classified {
    // Each replacement is of the same length, so places hold for both.
    let lower = text.to_ascii_lowercase();
    let found = PHASES.iter().find(|(words, _)| lower.contains(words));
    let phase = found.map(|(_, phase)| *phase);
    let status = status_in(&lower);
    let verdict = match phase {
        Some(phase) => classify(phase, text, status),
        None => known(Phase::Resolve, text, status)
            .unwrap_or_else(|| Verdict::new(Class::Build, Remedy::Never)),
    };
    Classified {
        verdict,
        phase,
        host: host_in(text, &lower),
        status,
        proxy: None,
    }
}

/// Finds the host that a text says was asked. `lower` is the text in lower case.
fn host_in(text: &str, lower: &str) -> Option<String> {
    HOSTS.iter().find_map(|(before, ends)| {
        let at = lower.find(before)? + before.len();
        host(text[at..].split(*ends).next()?)
    })
}

/// Finds the host that a line says was asked.
pub(crate) fn host_of(line: &str) -> Option<String> {
    host_in(line, &line.to_ascii_lowercase())
}

/// Reads a host, without what stands before an `@`: it may be a password.
fn host(text: &str) -> Option<String> {
    let text = text.rsplit('@').next()?.trim_end_matches(':');
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    (!text.is_empty() && text.len() <= 255 && text.chars().all(plain)).then(|| text.to_owned())
}

fn status_in(text: &str) -> Option<u16> {
    let after = |before: &str| {
        let at = text.find(before)? + before.len();
        text[at..].lines().next()
    };
    let ours = || status(after(OUR_STATUS)?.split(' ').next()?);
    let theirs = |before: &&str| after(before)?.split([' ', ':']).find_map(status);
    STATUSES.iter().find_map(theirs).or_else(ours)
}

fn status(word: &str) -> Option<u16> {
    let digits = word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit());
    let number = word.parse().ok()?;
    (digits && (100..=599).contains(&number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text, and the phase, host and status that it tells.
    type Case = (
        &'static str,
        Option<Phase>,
        Option<&'static str>,
        Option<u16>,
    );

    const CASES: &[Case] = &[
        (
            "failed to resolve source metadata for r.example:5000/x:1: unexpected status from HEAD request to https://r.example:5000/v2/x/manifests/1: 503 Service Unavailable",
            Some(Phase::Resolve),
            Some("r.example:5000"),
            Some(503),
        ),
        (
            "failed to authorize: failed to fetch oauth token: Post \"https://auth.example/token\": dial tcp 192.0.2.1:443: i/o timeout",
            Some(Phase::Token),
            Some("auth.example"),
            None,
        ),
        (
            "failed to load cache key: invalid response status 404",
            Some(Phase::Blob),
            None,
            Some(404),
        ),
        (
            "failed to fetch oauth token from auth.example: status 503 Service Unavailable: x",
            Some(Phase::Token),
            Some("auth.example"),
            Some(503),
        ),
        (
            "failed to push r.example/y:1: denied",
            Some(Phase::Push),
            None,
            None,
        ),
        (
            "failed to do request: Head \"https://[2001:db8::1]:5000/v2/\"",
            None,
            Some("[2001:db8::1]:5000"),
            None,
        ),
        (
            "fatal: unable to access 'http://user:secret@git.example/x.git/': x",
            None,
            Some("git.example"),
            None,
        ),
        (
            "curl: (6) Could not resolve host: a.example",
            None,
            Some("a.example"),
            None,
        ),
        (
            "r.example/x:1: failed to resolve source metadata for r.example/x:1: no match for platform in manifest: not found",
            Some(Phase::Resolve),
            Some("r.example"),
            None,
        ),
        ("http:// é \"404\"", None, None, None),
    ];

    #[test]
    fn the_parts_of_a_text_are_found() {
        for &(text, phase, host, status) in CASES {
            let found = classify_text(text);
            let found = (found.phase, found.host.as_deref(), found.status);
            assert_eq!(found, (phase, host, status), "{text}");
        }
    }
}
