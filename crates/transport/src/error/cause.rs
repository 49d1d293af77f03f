//! What went wrong with one attempt, typed, and its place in the catalogue.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;

use super::chain;
use sealift_failure::{Class, Phase, Remedy, Verdict, classify};

/// The step of an exchange that took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Asking DNS.
    Lookup,
    /// Opening a TCP connection.
    Connect,
    /// Being let through by a proxy.
    Proxy,
    /// Shaking hands for TLS.
    Tls,
    /// Waiting for a response's head.
    FirstByte,
    /// Reading a body: fewer bytes came than the floor asks for.
    Body,
    /// Sending a body: nothing was taken.
    Send,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lookup => "DNS lookup",
            Self::Connect => "connect",
            Self::Proxy => "proxy handshake",
            Self::Tls => "TLS handshake",
            Self::FirstByte => "waiting for the response",
            Self::Body => "stalled body",
            Self::Send => "stalled upload",
        })
    }
}

/// What went wrong with one attempt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The host's name could not be resolved.
    #[error("lookup {host}")]
    Lookup {
        /// The name asked for.
        host: String,
        /// The resolver's words.
        source: io::Error,
    },
    /// No address of the host took a connection; the last one's error.
    #[error("connect to {address}")]
    Connect {
        /// The address tried last.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// A step took too long.
    #[error("i/o timeout: {stage} (after {} s)", after.as_secs_f32())]
    Timeout {
        /// The step.
        stage: Stage,
        /// The time it was given.
        after: Duration,
    },
    /// The proxy could not be reached.
    #[error("proxyconnect {proxy}")]
    ProxyUnreachable {
        /// The proxy, without its password.
        proxy: String,
        /// Why.
        source: Box<Cause>,
    },
    /// The proxy refused to open a tunnel.
    #[error("proxy {proxy} refuses: {reason}")]
    ProxyRefused {
        /// The proxy, without its password.
        proxy: String,
        /// Its words.
        reason: String,
        /// Its status, where it speaks HTTP.
        status: Option<StatusCode>,
    },
    /// The TLS handshake failed, or a record was broken.
    #[error("TLS with {host}")]
    Tls {
        /// The name that the certificate was checked for.
        host: String,
        /// The TLS library's words.
        source: io::Error,
    },
    /// The configured TLS material cannot be used.
    #[error("TLS settings for {host}: {reason}")]
    TlsSettings {
        /// The host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// The connection broke.
    #[error("connection")]
    Io(#[source] io::Error),
    /// What came was no HTTP, or broke its rules.
    #[error("HTTP")]
    Http(#[source] hyper::Error),
    /// The body ended before its end.
    #[error("unexpected EOF: the body ended early")]
    Short,
    /// The body goes on after its end.
    #[error("the body is longer than the {expected} bytes it should have")]
    Long {
        /// The right size.
        expected: u64,
    },
    /// The body comes so slowly that another endpoint is worth asking for the rest.
    #[error("it sends only {} kB/s, and another endpoint is there", rate / 1000)]
    Trickle {
        /// The host's rate, in bytes a second.
        rate: u64,
    },
    /// A document is larger than its limit.
    #[error("the document is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The server answered with a status that is no success.
    #[error("status {status}{}", summary(body))]
    Status {
        /// The status.
        status: StatusCode,
        /// The body's beginning, control characters removed.
        body: String,
    },
    /// A range response does not fit its request.
    #[error("wrong range: {reason}")]
    WrongRange {
        /// What does not fit.
        reason: String,
    },
    /// The content came compressed although identity was asked for.
    #[error("unwanted Content-Encoding {encoding:?}")]
    Encoded {
        /// The encoding.
        encoding: String,
    },
    /// The caller's check refused the content.
    #[error("{reason}")]
    Refused {
        /// What is wrong with it.
        reason: String,
        /// What that means.
        verdict: Verdict,
    },
    /// A redirect that must not be followed.
    #[error("redirect to {target}: {reason}")]
    Redirect {
        /// Where it pointed.
        target: String,
        /// Why it is not followed.
        reason: &'static str,
    },
    /// A target that is no usable URL.
    #[error("not a usable URL: {text}")]
    Url {
        /// The text, without user information.
        text: String,
    },
    /// Writing what arrived failed.
    #[error("writing")]
    Sink(#[source] io::Error),
    /// Reading what should be sent failed.
    #[error("reading the upload")]
    Source(#[source] io::Error),
    /// No endpoint is left to be asked.
    #[error("no endpoint left: {reason}")]
    Exhausted {
        /// Why the last one is out.
        reason: String,
    },
    /// A failure told to several who waited for it.
    #[error("{text}")]
    Earlier {
        /// Its words.
        text: String,
        /// Its status.
        status: Option<u16>,
    },
}

/// The first line of a failed response's body, as the tail of an error's text.
fn summary(body: &str) -> String {
    let line = body.lines().map(str::trim).find(|line| !line.is_empty());
    match line {
        Some(line) => {
            let short: String = line.chars().take(300).collect();
            format!(": {short}")
        }
        None => String::new(),
    }
}

impl Cause {
    /// The response's status, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Earlier { status, .. } => status.and_then(|s| StatusCode::from_u16(s).ok()),
            _ => None,
        }
    }

    /// Returns whether the connection was never made: nothing can have been carried out.
    pub(crate) fn is_unreachable(&self) -> bool {
        match self {
            Self::Lookup { .. }
            | Self::Connect { .. }
            | Self::ProxyUnreachable { .. }
            | Self::ProxyRefused { .. } => true,
            Self::Timeout { stage, .. } => matches!(stage, Stage::Lookup | Stage::Connect),
            _ => false,
        }
    }

    /// Returns whether a connection was refused or broke, as opposed to all that takes its time or
    /// says why.
    pub(crate) fn is_broken_connection(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Io(_) | Self::Short => true,
            Self::Tls { source, .. } => source.kind() != io::ErrorKind::InvalidData,
            Self::Http(error) => !error.is_parse() && !error.is_timeout(),
            _ => false,
        }
    }

    /// Looks the cause up in the catalogue.
    #[must_use]
    pub fn verdict(&self, phase: Phase) -> Verdict {
        match self {
            Self::Timeout { .. } | Self::Short | Self::Trickle { .. } => {
                Verdict::new(Class::Network, Remedy::Backoff)
            }
            Self::Long { .. } | Self::Encoded { .. } => Verdict::new(Class::Corrupt, Remedy::Never),
            // Once more, without ranges.
            Self::WrongRange { .. } => Verdict::new(Class::Corrupt, Remedy::Once),
            Self::TooLarge { .. } => Verdict::new(Class::Corrupt, Remedy::Never).hint(
                "No real document of this kind is that large: the server is broken or hostile.",
            ),
            Self::Refused { verdict, .. } => *verdict,
            Self::Redirect { .. } => Verdict::new(Class::Config, Remedy::Never)
                .hint("The server redirects to a place where no honest one would."),
            Self::Url { .. } | Self::TlsSettings { .. } => {
                Verdict::new(Class::Config, Remedy::Never)
            }
            Self::Exhausted { .. } => Verdict::new(Class::Corrupt, Remedy::Never),
            Self::Status { status, body } => answered(phase, body, status.as_u16()),
            Self::ProxyRefused { status, reason, .. } => proxy_verdict(*status, reason),
            Self::ProxyUnreachable { source, .. } => match source.as_ref() {
                Self::Timeout { .. } => Verdict::new(Class::Network, Remedy::Backoff)
                    .hint("The proxy does not answer in time."),
                Self::Connect { address, source } if refused(source) => {
                    let remedy = connect_verdict(*address, source).remedy;
                    Verdict::new(Class::Config, remedy).hint(
                        "Nothing listens at the proxy's address: check it, or start the proxy.",
                    )
                }
                other => other.verdict(phase),
            },
            Self::Connect { address, source } => connect_verdict(*address, source),
            Self::Sink(source) | Self::Source(source) => disk_verdict(source),
            Self::Earlier { text, status } => classify(phase, text, *status),
            Self::Http(error) if error.is_parse() => Verdict::new(Class::Network, Remedy::Few)
                .hint("What answers there does not speak HTTP: check scheme and port."),
            Self::Lookup { .. } | Self::Tls { .. } | Self::Io(_) | Self::Http(_) => {
                classify(phase, &chain(self), None)
            }
        }
    }
}

/// Judges a server's answer: what ails its machine or its programs is not what ails ours.
fn answered(phase: Phase, body: &str, status: u16) -> Verdict {
    let verdict = classify(phase, body, Some(status));
    match verdict.class {
        Class::Disk => {
            classify(phase, "", Some(status)).hint("The server's own disk is full or broken.")
        }
        Class::Memory | Class::Emulation | Class::Builder | Class::Build => {
            classify(phase, "", Some(status))
        }
        _ => verdict,
    }
}

/// Judges a proxy's refusal: where it cannot reach the server, that may pass; else it is a setting.
fn proxy_verdict(status: Option<StatusCode>, reason: &str) -> Verdict {
    let reason = reason.to_lowercase();
    let spoken = reason.contains("basic") || !reason.contains("it accepts");
    let hint = match status.map(|status| status.as_u16()) {
        Some(500..) => {
            return Verdict::new(Class::Network, Remedy::Backoff)
                .hint("The proxy does not reach the server: it, or its own way out, fails.");
        }
        Some(407) if spoken => {
            "The proxy asks for a user and a password, or refuses these: set them in its address (http://USER:PASSWORD@HOST:PORT)."
        }
        Some(407) => {
            "The proxy asks for a login that sealift does not speak (NTLM, Negotiate): point it to a local proxy that does, such as cntlm or px, or ask for Basic."
        }
        Some(_) => {
            "The proxy lets nothing through to this host: log in at the proxy, have the host allowed, or exempt the host (NO_PROXY)."
        }
        None => "The proxy does not work: check its address, its user and password, and NO_PROXY.",
    };
    Verdict::new(Class::Config, Remedy::Never).hint(hint)
}

fn refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

fn connect_verdict(address: SocketAddr, error: &io::Error) -> Verdict {
    if refused(error) && address.ip().is_loopback() {
        return Verdict::new(Class::Network, Remedy::Few).hint(
            "Nothing listens at this port of this machine, and nothing did in this run: start the service, or correct the port.",
        );
    }
    if refused(error) {
        return Verdict::new(Class::Network, Remedy::Backoff)
            .hint("Nothing listens there: check host and port, or start the service.");
    }
    match error.raw_os_error() {
        // EMFILE and ENFILE are the machine's limits, and pass when other work ends.
        Some(23 | 24) => Verdict::new(Class::Config, Remedy::Few)
            .hint("Too many open files: raise the limit (ulimit -n)."),
        _ => Verdict::new(Class::Network, Remedy::Backoff),
    }
}

fn disk_verdict(error: &io::Error) -> Verdict {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    Verdict::new(Class::Disk, Remedy::Never).hint(if full {
        "The disk is full: free some space, or move the store with SEALIFT_HOME."
    } else {
        "The disk refuses this: look at its permissions and the kernel's log."
    })
}
