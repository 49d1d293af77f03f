//! What a failed solve says, as data: `grpc-status-details-bin` is a `google.rpc.Status` whose
//! details are Go structs in JSON, named by their type URL.

use std::error::Error as _;
use std::fmt;

use prost::Message as _;
use serde::Deserialize;
use tonic::Code;

use crate::excerpt::Excerpt;
use crate::proto::RpcStatus;
use crate::text::printable;

/// A solve that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: Kind,
    /// The daemon's text, causes last.
    pub message: String,
    /// The lines of the Dockerfile that it is about, innermost first.
    pub excerpts: Vec<Excerpt>,
    /// The step that failed, where one did. Such a solve fails again: only a step that was stopped
    /// by the engine's own fault is worth a repetition.
    pub step: Option<FailedStep>,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStep {
    /// Digest that identifies it in the events of the solve.
    pub digest: String,
    /// Name for people; empty where no report named it.
    pub name: String,
    /// The last lines that it wrote, without what would steer a terminal.
    pub output: String,
    /// Whether its platform is not one that the worker's processor runs by itself.
    pub emulated: bool,
}

/// The kinds of failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A source is denied by the solve's policy.
    PolicyDenied {
        /// The source: `docker-image://docker.io/library/busybox:1.36`.
        source: String,
        /// Why, where the solve's authority says so.
        reason: Option<String>,
    },
    /// A step's process ended badly.
    Exec {
        /// Its exit code: 137 where it was killed.
        exit_code: u32,
    },
    /// A step needs a secret that was not given.
    MissingSecret {
        /// Its id.
        id: String,
    },
    /// A step needs an ssh agent that was not given.
    MissingAgent {
        /// Its id.
        id: String,
    },
    /// COPY, ADD or a mount names a file that is not there.
    MissingPath {
        /// The file.
        path: String,
        /// The stage, image or named context that lacks it; the build context where none is named.
        from: Option<String>,
    },
    /// The frontend refuses its input: the Dockerfile is wrong.
    Frontend,
    /// The solve was cancelled at the daemon.
    Canceled,
    /// The engine itself failed, or lost our session: a repetition may succeed.
    Engine,
    /// A step failed otherwise: a source that could not be fetched.
    Step,
}

impl Failure {
    /// Returns the image that the policy denied, as a reference.
    #[must_use]
    pub fn denied_image(&self) -> Option<&str> {
        match &self.kind {
            Kind::PolicyDenied { source, .. } => source.strip_prefix("docker-image://"),
            _ => None,
        }
    }

    /// Returns whether a repetition may succeed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Engine)
    }

    /// Reads the answer to a failed solve.
    pub(crate) fn of_status(status: &tonic::Status) -> Self {
        let details = Details::of(status);
        details.failure(status.message(), status.code())
    }

    /// Reads the error in the report of a step.
    pub(crate) fn of_step(digest: &str, error: &str) -> Self {
        let details = Details {
            vertex: Some(digest.to_owned()),
            ..Details::default()
        };
        details.failure(error, Code::Unknown)
    }

    /// Finds out what a missing path is missing from, by the step's name.
    pub(crate) fn find_path(&mut self) {
        let Some(step) = &self.step else { return };
        if let Kind::MissingPath { path, from } = &mut self.kind {
            *from = source_of(&step.name, path);
        }
    }
}

/// Finds the `from` of the flag by which a step names a path.
fn source_of(step: &str, path: &str) -> Option<String> {
    let flags = step
        .split_whitespace()
        .filter(|word| word.starts_with("--"));
    flags.into_iter().find_map(|flag| {
        if let Some(from) = flag.strip_prefix("--from=") {
            return Some(from.to_owned());
        }
        let options = || {
            flag.strip_prefix("--mount=")
                .into_iter()
                .flat_map(|o| o.split(','))
        };
        let sources = ["source=", "src="];
        let source = options().find_map(|o| sources.iter().find_map(|key| o.strip_prefix(key)));
        let named = source.is_some_and(|s| s.trim_matches('/') == path.trim_matches('/'));
        let from = options().find_map(|option| option.strip_prefix("from="));
        from.filter(|_| named).map(str::to_owned)
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[derive(Default)]
struct Details {
    excerpts: Vec<Excerpt>,
    vertex: Option<String>,
    frontend: bool,
    exit_code: Option<u32>,
    denial: Option<String>,
}

#[derive(Deserialize)]
struct DenialDetail {
    #[serde(rename = "denyMessages", default)]
    messages: Vec<DenialMessage>,
}

#[derive(Deserialize)]
struct DenialMessage {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct VertexDetail {
    digest: String,
}

#[derive(Deserialize)]
struct ExitDetail {
    #[serde(rename = "Code", default)]
    code: u32,
}

impl Details {
    fn of(status: &tonic::Status) -> Self {
        let mut all = Self::default();
        let Ok(decoded) = RpcStatus::decode(status.details()) else {
            return all;
        };
        for detail in decoded.details {
            let name = detail.type_url.rsplit('/').next().unwrap_or_default();
            let json = detail.value.as_slice();
            match name {
                "errdefs.Source+json" => all.excerpts.extend(Excerpt::from_json(json)),
                "errdefs.Vertex+json" => {
                    let vertex = serde_json::from_slice::<VertexDetail>(json).ok();
                    all.vertex = vertex.map(|vertex| vertex.digest).or(all.vertex);
                }
                "errdefs.Frontend+json" => all.frontend = true,
                "gatewayapi.ExitMessage+json" => {
                    let exit = serde_json::from_slice::<ExitDetail>(json).ok();
                    all.exit_code = exit.map(|exit| exit.code).or(all.exit_code);
                }
                "policysession.DecisionResponse+json" => {
                    let denial = serde_json::from_slice::<DenialDetail>(json).ok();
                    let message = denial.and_then(|denial| denial.messages.into_iter().next());
                    all.denial = message.map(|message| message.message).or(all.denial);
                }
                _ => {}
            }
        }
        all
    }

    fn failure(self, message: &str, code: Code) -> Failure {
        Failure {
            kind: self.kind(message, code),
            message: printable(message),
            excerpts: self.excerpts,
            step: self.vertex.map(|digest| FailedStep {
                digest,
                name: String::new(),
                output: String::new(),
                emulated: false,
            }),
        }
    }

    fn kind(&self, message: &str, code: Code) -> Kind {
        if let Some(source) = denied_source(message) {
            let reason = self.denial.clone();
            return Kind::PolicyDenied { source, reason };
        }
        let exit_code = self.exit_code.or_else(|| exit_code(message));
        if let Some(exit_code) = exit_code {
            return Kind::Exec { exit_code };
        }
        if code == Code::Cancelled || message.ends_with("context canceled") {
            return Kind::Canceled;
        }
        if let Some(kind) = missing(message).filter(|_| self.vertex.is_some()) {
            return kind;
        }
        if ENGINE.iter().any(|text| message.contains(text)) {
            return Kind::Engine;
        }
        let fetching = FETCHING.iter().any(|text| message.contains(text));
        if !fetching && self.vertex.is_none() && (self.frontend || !self.excerpts.is_empty()) {
            return Kind::Frontend;
        }
        match code {
            Code::Internal | Code::Unavailable | Code::DataLoss if self.vertex.is_none() => {
                Kind::Engine
            }
            _ => Kind::Step,
        }
    }
}

/// Texts of failures that are the engine's, not the build's.
const ENGINE: [&str; 9] = [
    "no active session for",
    "error reading from server: EOF",
    "graceful_stop",
    "error reading server preface",
    "inconsistent graph state",
    "failed to get edge",
    "session healthcheck failed",
    "transport is closing",
    "locked for",
];

/// Texts of failures that the network or a registry has caused, even where the daemon reports them
/// as the frontend's: it resolves names and fetches tokens on the frontend's behalf.
const FETCHING: [&str; 7] = [
    "failed to resolve source metadata",
    "failed to fetch anonymous token",
    "failed to fetch oauth token",
    "failed to authorize",
    "failed to do request",
    "failed to copy",
    "unexpected status from",
];

/// Recognises what a step needs and did not get.
fn missing(message: &str) -> Option<Kind> {
    let last = message.rsplit(": ").next().unwrap_or(message);
    if let Some(rest) = last.strip_prefix("no SSH key \"") {
        let id = rest.split('"').next().filter(|id| !id.is_empty());
        let id = id.unwrap_or("default").to_owned();
        return Some(Kind::MissingAgent { id });
    }
    let absent = message
        .strip_suffix(": not found")
        .or_else(|| message.strip_suffix(": no such file or directory"))?;
    let last = absent.rsplit(": ").next().unwrap_or(absent);
    if let Some(id) = last.strip_prefix("secret ") {
        return Some(Kind::MissingSecret { id: id.to_owned() });
    }
    let path = last
        .strip_prefix("lstat ")
        .or_else(|| last.strip_prefix("open "))
        .or_else(|| last.strip_prefix('"')?.strip_suffix('"'))
        .filter(|path| path.starts_with('/'))?;
    Some(Kind::MissingPath {
        path: path.to_owned(),
        from: None,
    })
}

/// Finds the source in `source "…" denied by policy`, or `… not allowed by policy` where we were
/// asked.
fn denied_source(message: &str) -> Option<String> {
    let (before, _) = message
        .split_once("\" denied by policy")
        .or_else(|| message.split_once("\" not allowed by policy"))?;
    let (_, source) = before.rsplit_once("source \"")?;
    Some(source.to_owned())
}

/// Finds the code in `did not complete successfully: exit code: N`, which older daemons give
/// without a typed detail.
fn exit_code(message: &str) -> Option<u32> {
    let (_, after) = message.rsplit_once("did not complete successfully: exit code: ")?;
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Returns whether the connection, and not the daemon, ended a call.
pub(crate) fn is_lost(status: &tonic::Status) -> bool {
    let from_transport = status.source().is_some();
    let code = status.code();
    (from_transport && matches!(code, Code::Unknown | Code::Unavailable | Code::Internal))
        || (code == Code::Unavailable && status.details().is_empty())
        || (code == Code::Unknown && status.message().contains("transport error"))
}

/// Joins the text of a status with the texts of its causes.
pub(crate) fn whole_text(status: &tonic::Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard_buildkit_proto::google::protobuf::Any;

    fn failure(code: Code, message: &str, details: &[(&str, &str)]) -> Failure {
        let details = details.iter().map(|(name, json)| Any {
            type_url: format!("github.com/moby/buildkit/{name}"),
            value: json.as_bytes().to_vec(),
        });
        let proto = RpcStatus {
            code: code as i32,
            message: message.to_owned(),
            details: details.collect(),
        };
        let bytes = proto.encode_to_vec().into();
        Failure::of_status(&tonic::Status::with_details(code, message, bytes))
    }

    #[test]
    fn names_the_denied_source() {
        let message = "failed to solve: busybox:1.36: failed to resolve source metadata for \
            docker.io/library/busybox:1.36: error evaluating the source policy: source \
            \"docker-image://docker.io/library/busybox:1.36\" denied by policy: source denied by policy";
        let failure = failure(Code::Unknown, message, &[]);
        assert_eq!(
            failure.denied_image(),
            Some("docker.io/library/busybox:1.36")
        );
    }

    #[test]
    fn reads_the_details_of_a_failed_step() {
        let source = r#"{"info":{"filename":"Dockerfile","data":"RlJPTSBhClJVTiBiCg=="},"ranges":[{"start":{"line":2},"end":{"line":2}}]}"#;
        let failure = failure(
            Code::Unknown,
            "process \"/bin/sh -c false\" did not complete successfully: exit code: 3",
            &[
                ("stack.Stack+json", "{}"),
                ("errdefs.Vertex+json", r#"{"digest":"sha256:aa"}"#),
                ("errdefs.Source+json", source),
                ("gatewayapi.ExitMessage+json", r#"{"Code":3}"#),
            ],
        );
        assert_eq!(failure.kind, Kind::Exec { exit_code: 3 });
        assert_eq!(failure.step.unwrap().digest, "sha256:aa");
        assert_eq!(failure.excerpts[0].lines(), Some(2..=2));
    }

    #[test]
    fn distinguishes_kinds() {
        let kind = |code, message, details: &[(&str, &str)]| failure(code, message, details).kind;
        let frontend = [("errdefs.Frontend+json", r#"{"name":"dockerfile.v0"}"#)];
        assert_eq!(
            kind(Code::Unknown, "unknown instruction: FORM", &frontend),
            Kind::Frontend
        );
        assert_eq!(
            kind(Code::Cancelled, "context canceled", &frontend),
            Kind::Canceled
        );
        assert_eq!(
            kind(Code::Unknown, "no active session for abc", &[]),
            Kind::Engine
        );
        assert_eq!(
            kind(Code::Internal, "inconsistent graph state in edge x", &[]),
            Kind::Engine
        );
        // Which a Dockerfile's error can quote, but does not begin with.
        let token = "failed to fetch anonymous token: Get \"http://r.example/token\": EOF";
        assert_eq!(kind(Code::Unknown, token, &frontend), Kind::Step);
        let exec = "process \"x\" did not complete successfully: exit code: 137: context canceled";
        assert_eq!(
            kind(Code::Unknown, exec, &[]),
            Kind::Exec { exit_code: 137 }
        );
        assert_eq!(kind(Code::Unknown, "\"/x\": not found", &[]), Kind::Step);
        // A step that failed is no fault of the engine, whatever the code says.
        let vertex = [("errdefs.Vertex+json", r#"{"digest":"sha256:aa"}"#)];
        assert_eq!(kind(Code::Internal, "no idea", &vertex), Kind::Step);
        assert_eq!(kind(Code::Internal, "no idea", &[]), Kind::Engine);
    }

    #[test]
    fn finds_what_a_step_lacks() {
        for (message, name, kind) in [
            (
                "failed to solve: secret a:b c: not found",
                "RUN x",
                Kind::MissingSecret {
                    id: "a:b c".to_owned(),
                },
            ),
            (
                "no SSH key \"\" forwarded from the client",
                "RUN x",
                Kind::MissingAgent {
                    id: "default".to_owned(),
                },
            ),
            (
                "failed to calculate checksum of ref a::b: \"/x\": not found",
                "[1/2] COPY x /from=y",
                Kind::MissingPath {
                    path: "/x".to_owned(),
                    from: None,
                },
            ),
            (
                "lstat /x: no such file or directory",
                "[a 1/2] COPY --chown=1 --from=one /x /",
                Kind::MissingPath {
                    path: "/x".to_owned(),
                    from: Some("one".to_owned()),
                },
            ),
            (
                "process \"true\" did not complete successfully: open /a b: no such file or directory",
                "[a 1/2] RUN --mount=from=one,src=z --mount=type=bind,from=two,source=a true",
                Kind::MissingPath {
                    path: "/a b".to_owned(),
                    from: None,
                },
            ),
            (
                "open /a: no such file or directory",
                "[a 1/2] RUN --mount=from=one,src=z --mount=type=bind,from=two,source=a true",
                Kind::MissingPath {
                    path: "/a".to_owned(),
                    from: Some("two".to_owned()),
                },
            ),
        ] {
            let mut failure = Failure::of_step("v", message);
            failure.step.as_mut().unwrap().name = name.to_owned();
            failure.find_path();
            assert_eq!(failure.kind, kind, "{message}");
        }
    }
}
