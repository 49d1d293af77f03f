//! What a solve reports while it runs, from the daemon's Status stream.

use std::time::{Duration, SystemTime};

use crate::excerpt::Excerpt;
use crate::proto::{Timestamp, control};
use crate::text::printable;

/// One report of a running solve.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A step is known, or its state changed.
    Vertex(Vertex),
    /// A part of a step advanced: a transfer, an extraction, an export.
    Progress(Progress),
    /// A step's process wrote output.
    Log(Log),
    /// A warning of the frontend or of a step.
    Warning(Warning),
    /// The daemon answers nothing; the solve waits for it, but not for ever.
    Unresponsive {
        /// For how long.
        silence: Duration,
        /// The process that listens at the daemon's socket, where it is one of this machine.
        process: Option<i32>,
    },
}

/// A step of the build graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vertex {
    /// Digest that identifies the step in all events of one solve.
    pub digest: String,
    /// Name for people: `[build 2/4] RUN make`.
    pub name: String,
    /// Its result came from the daemon's cache.
    pub cached: bool,
    /// When it began.
    pub started: Option<SystemTime>,
    /// When it ended, well or not.
    pub completed: Option<SystemTime>,
    /// Why it failed; `context canceled` where another step's failure or the user stopped it.
    pub error: Option<String>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Known, not begun.
    Waiting,
    /// Begun.
    Running,
    /// Ended with a result from the cache.
    Cached,
    /// Ended well.
    Done,
    /// Ended because something else stopped it.
    Canceled,
    /// Ended badly.
    Failed,
}

impl Vertex {
    /// Returns where the step stands.
    #[must_use]
    pub fn state(&self) -> State {
        match (&self.error, self.completed, self.started) {
            (Some(error), ..) if error.ends_with("context canceled") => State::Canceled,
            (Some(_), ..) => State::Failed,
            (None, Some(_), _) if self.cached => State::Cached,
            (None, Some(_), _) => State::Done,
            (None, None, Some(_)) => State::Running,
            (None, None, None) => State::Waiting,
        }
    }

    /// Returns how long it has run, once it ended.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.completed?.duration_since(self.started?).ok()
    }
}

/// How far a part of a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Digest of the step.
    pub vertex: String,
    /// Identifies the part within the step.
    pub id: String,
    /// Name of the part, where it has one.
    pub name: String,
    /// Bytes (or items) so far.
    pub current: u64,
    /// Bytes (or items) in all; 0 where nobody knows.
    pub total: u64,
    /// When it began.
    pub started: Option<SystemTime>,
    /// When it ended.
    pub completed: Option<SystemTime>,
}

/// Output of a step's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Digest of the step.
    pub vertex: String,
    /// The stream that it was written to.
    pub stream: Stream,
    /// The bytes, cut anywhere: not always whole lines, not always UTF-8.
    pub bytes: Vec<u8>,
    /// When.
    pub time: Option<SystemTime>,
}

/// A process's output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A warning of the frontend or of a step, or of ours about what is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Warning {
    /// Digest of the step that it is about; empty where it is about none.
    pub vertex: String,
    /// Severity; 1 is usual.
    pub level: i64,
    /// The warning in one line.
    pub short: String,
    /// The explanation, in several lines.
    pub detail: Vec<String>,
    /// Address of its documentation; empty where it has none.
    pub url: String,
    /// The lines that it is about.
    pub excerpt: Option<Excerpt>,
}

impl Warning {
    /// Returns whether another one says the same of the same lines: solves for several platforms
    /// warn alike, of vertices with different digests.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let vertex = other.vertex.clone();
        *other
            == (Self {
                vertex,
                ..self.clone()
            })
    }
}

/// Turns one message of the Status stream into events, steps before what happens in them.
pub(crate) fn from_status(status: control::StatusResponse) -> impl Iterator<Item = Event> {
    let vertexes = status.vertexes.into_iter().map(vertex).map(Event::Vertex);
    let progress = status.statuses.into_iter().map(progress);
    let logs = status.logs.into_iter().map(log).map(Event::Log);
    let warnings = status.warnings.into_iter().map(warning);
    vertexes
        .chain(progress.map(Event::Progress))
        .chain(logs)
        .chain(warnings.map(Event::Warning))
}

fn vertex(vertex: control::Vertex) -> Vertex {
    Vertex {
        digest: vertex.digest,
        name: printable(&vertex.name),
        cached: vertex.cached,
        started: time(vertex.started),
        completed: time(vertex.completed),
        error: (!vertex.error.is_empty()).then(|| printable(&vertex.error)),
    }
}

fn progress(status: control::VertexStatus) -> Progress {
    Progress {
        vertex: status.vertex,
        id: status.id,
        name: status.name,
        current: status.current.max(0).unsigned_abs(),
        total: status.total.max(0).unsigned_abs(),
        started: time(status.started),
        completed: time(status.completed),
    }
}

fn log(log: control::VertexLog) -> Log {
    Log {
        vertex: log.vertex,
        stream: if log.stream == 2 {
            Stream::Stderr
        } else {
            Stream::Stdout
        },
        bytes: log.msg,
        time: time(log.timestamp),
    }
}

fn warning(warning: control::VertexWarning) -> Warning {
    let text = |bytes: Vec<u8>| printable(&String::from_utf8_lossy(&bytes));
    Warning {
        vertex: warning.vertex,
        level: warning.level,
        short: text(warning.short),
        detail: warning.detail.into_iter().map(text).collect(),
        url: printable(&warning.url),
        excerpt: warning
            .info
            .map(|info| Excerpt::from_proto(info, warning.ranges)),
    }
}

pub(crate) fn time(timestamp: Option<Timestamp>) -> Option<SystemTime> {
    let timestamp = timestamp?;
    let seconds = u64::try_from(timestamp.seconds).ok()?;
    let nanoseconds = u32::try_from(timestamp.nanos).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Vertex {
        vertex(control::Vertex {
            name: name.to_owned(),
            ..control::Vertex::default()
        })
    }

    #[test]
    fn a_step_has_a_state() {
        let now = Some(SystemTime::now());
        let mut vertex = named("[1/2] FROM x");
        assert_eq!(vertex.state(), State::Waiting);
        vertex.started = now;
        assert_eq!(vertex.state(), State::Running);
        vertex.completed = now;
        assert_eq!(vertex.state(), State::Done);
        vertex.cached = true;
        assert_eq!(vertex.state(), State::Cached);
        vertex.error = Some("exit code: 1".to_owned());
        assert_eq!(vertex.state(), State::Failed);
        vertex.error = Some("failed: context canceled".to_owned());
        assert_eq!(vertex.state(), State::Canceled);
    }
}
