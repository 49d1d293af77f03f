//! What the stages tell while they work, as plain data. `report` turns it into a screen, lines or
//! JSON; the stages never print.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealift_failure::Phase;
use serde::Serialize;

use crate::error::Kind;
use crate::unit::UnitId;

/// One thing that happened. Sizes are bytes, times are seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// Something worth a line.
    Note {
        /// The line.
        text: String,
    },
    /// Something that the user should change.
    Warning {
        /// What, and what to do.
        text: String,
    },
    /// BuildKit warns of a step; each platform of a build does so.
    StepWarning {
        /// The unit.
        unit: UnitId,
        /// What, in one line.
        text: String,
        /// More lines about it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        detail: Vec<String>,
        /// Where to read on.
        #[serde(skip_serializing_if = "String::is_empty")]
        url: String,
    },
    /// The builder is there.
    Builder {
        /// Its address.
        address: String,
        /// The platforms that it can run.
        platforms: Vec<String>,
    },
    /// The images that are needed are known.
    Prefetching {
        /// How many different references.
        unique: usize,
    },
    /// An image is in the store already.
    ImageCached {
        /// The full reference.
        image: String,
        /// Its platforms.
        platforms: Vec<String>,
    },
    /// An image begins to be fetched.
    ImageFetching {
        /// The full reference.
        image: String,
        /// The platforms wanted.
        platforms: Vec<String>,
    },
    /// Bytes of a blob arrived.
    BlobProgress {
        /// The full reference.
        image: String,
        /// The blob.
        digest: String,
        /// Bytes here.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The content of an image comes from another host than before.
    Endpoint {
        /// The full reference.
        image: String,
        /// The host.
        host: String,
        /// Whether it is a mirror.
        mirror: bool,
    },
    /// A registry told how much of its limit is left.
    RateLimit {
        /// The host.
        host: String,
        /// Requests a window.
        limit: u64,
        /// Requests left.
        remaining: u64,
    },
    /// An image is in the store now.
    ImageFetched {
        /// The full reference.
        image: String,
        /// Its platforms.
        platforms: Vec<String>,
        /// Bytes that came over the network.
        bytes: u64,
        /// How long it took.
        seconds: f64,
    },
    /// A request failed.
    Attempt(Attempt),
    /// A request ended well.
    Request {
        /// token, resolve, blob, push …
        phase: Phase,
        /// What it was for.
        image: String,
        /// The host asked.
        host: String,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// Bytes that it brought.
        bytes: u64,
        /// How long it took.
        seconds: f64,
    },
    /// Nothing is sent to a host for a while.
    Waiting {
        /// The host.
        host: String,
        /// Why.
        reason: String,
        /// How long.
        seconds: f64,
    },
    /// A unit begins to be built.
    BuildStarted {
        /// The unit.
        unit: UnitId,
        /// The name of the result.
        image: String,
        /// How many images its named contexts serve from the store.
        contexts: usize,
    },
    /// A step of a build changed.
    Step {
        /// The unit.
        unit: UnitId,
        /// BuildKit's digest of the step.
        id: String,
        /// What the step does.
        name: String,
        /// What became of it.
        state: StepState,
        /// How long it took, once it ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// Part of a step progresses.
    StepProgress {
        /// The unit.
        unit: UnitId,
        /// BuildKit's digest of the step.
        id: String,
        /// What progresses.
        name: String,
        /// How far.
        done: u64,
        /// Of how much, 0 where nobody knows.
        total: u64,
    },
    /// A step printed something.
    StepLog {
        /// The unit.
        unit: UnitId,
        /// BuildKit's digest of the step.
        id: String,
        /// The text, with its line ends.
        text: String,
    },
    /// A unit is solved again.
    BuildRepeated {
        /// The unit.
        unit: UnitId,
        /// Why.
        reason: String,
    },
    /// A unit is built.
    BuildFinished {
        /// The unit.
        unit: UnitId,
        /// The digest of its manifest, where the result is an image.
        #[serde(skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        /// How long it took.
        seconds: f64,
        /// Whether all images came from the store.
        sealed: bool,
        /// How many blobs BuildKit read from our store.
        blobs_read: u64,
        /// How many tokens BuildKit asked us for: 0 in a sealed build.
        tokens_asked: u64,
    },
    /// The image is where it should be.
    Delivered {
        /// What kind of place it is.
        output: Output,
        /// The name, file or folder.
        destination: String,
        /// The digest of the index or manifest there.
        #[serde(skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    },
    /// Traffic of a host over the whole run.
    HostTotal(HostTotal),
    /// The command ended, having talked to registries.
    Finished {
        /// In which way; why it failed is told by the error that follows.
        ending: Ending,
        /// How long it took.
        seconds: f64,
        /// Bytes that came over the network.
        fetched: u64,
    },
}

/// A kind of place that results go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// The content store.
    Store,
    /// An archive.
    Archive,
    /// A Docker daemon.
    Docker,
    /// A registry.
    Registry,
    /// A folder of files.
    Folder,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It did all that was asked for.
    Done,
    /// It failed.
    Failed,
    /// The user stopped it.
    Stopped,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// It runs.
    Started,
    /// Its result was there.
    Cached,
    /// It ended well.
    Done,
    /// It was stopped, as another one failed.
    Canceled,
    /// It failed, with these words.
    Failed(String),
}

/// Returns the time of a log line: RFC 3339, in milliseconds.
#[must_use]
pub fn now() -> String {
    // Milliseconds are what a person can compare; more digits hide the rest of the line.
    format!("{:.3}", jiff::Timestamp::now())
}

/// A request, or a solve, that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// When, RFC 3339.
    pub time: String,
    /// token, resolve, blob, push …
    pub phase: Phase,
    /// What it was for.
    pub image: String,
    /// The host asked.
    pub host: String,
    /// The class of the failure.
    pub class: Kind,
    /// The failure's own words.
    pub text: String,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// What is done about it.
    pub decision: String,
}

/// Traffic of one host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostTotal {
    /// The host.
    pub host: String,
    /// Requests sent.
    pub requests: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Bytes sent: of pushes, and of what asks for tokens.
    pub sent: u64,
    /// Failures by class.
    pub failures: BTreeMap<Kind, u64>,
    /// Time lost to failures and waits.
    pub lost_seconds: f64,
}

/// Takes events.
pub trait Listener: Send + Sync {
    /// Takes one event. It must not block for long and cannot fail.
    fn event(&self, event: &Event);
}

/// A handle to whoever listens.
#[derive(Clone)]
pub struct Events(Arc<dyn Listener>);

impl Events {
    /// Makes a handle.
    #[must_use]
    pub fn new(listener: Arc<dyn Listener>) -> Self {
        Self(listener)
    }

    /// Tells an event.
    pub fn tell(&self, event: &Event) {
        self.0.event(event);
    }

    /// Tells a line.
    pub fn note(&self, text: impl Into<String>) {
        self.tell(&Event::Note { text: text.into() });
    }

    /// Tells a warning.
    pub fn warn(&self, text: impl Into<String>) {
        self.tell(&Event::Warning { text: text.into() });
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

#[cfg(test)]
mod tests {
    use super::BTreeMap;

    /// Returns the fields that stand in a block of the source, up to its closing brace.
    fn fields(block: &str, indent: &str) -> Vec<String> {
        let end = format!("\n{}}}", &indent[4..]);
        let lines = block.split(&end).next().unwrap().lines();
        let field = |line: &str| {
            let (name, _) = line.strip_prefix(indent)?.split_once(": ")?;
            let name = name.trim_start_matches("pub ");
            let plain = |c: char| c.is_ascii_lowercase() || c == '_';
            name.chars().all(plain).then(|| name.to_owned())
        };
        lines.filter_map(field).collect()
    }

    #[test]
    fn the_documentation_lists_every_event_with_its_fields() {
        let source = include_str!("event.rs");
        let start = source.find("pub enum Event {").unwrap();
        let events = source[start..].split("\n}\n").next().unwrap();
        let mut said = BTreeMap::new();
        for (at, _) in events.match_indices("\n    ") {
            let line = events[at + 5..].lines().next().unwrap();
            let Some(end) = line
                .find([' ', '('])
                .filter(|_| line.starts_with(char::is_uppercase))
            else {
                continue;
            };
            let mut name = String::new();
            for c in line[..end].chars() {
                if c.is_uppercase() && !name.is_empty() {
                    name.push('-');
                }
                name.push(c.to_ascii_lowercase());
            }
            let list = match line[end..].strip_prefix('(') {
                None => fields(&events[at + 5..], "        "),
                Some(of) => {
                    let of = format!("pub struct {} {{", of.trim_end_matches("),"));
                    fields(&source[source.find(&of).unwrap()..], "    ")
                }
            };
            said.insert(name, list);
        }
        assert!(said.len() > 20, "{said:?}");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/logs.md");
        let book = std::fs::read_to_string(path).unwrap();
        let table = book.split("| event | fields | when |").nth(1).unwrap();
        let mut listed = BTreeMap::new();
        for row in table.lines().skip(2).take_while(|row| row.starts_with('|')) {
            let mut cells = row.split(" | ");
            let name = cells
                .next()
                .unwrap()
                .trim_matches(['|', ' ', '`'])
                .to_owned();
            let list = cells.next().unwrap().split(", ");
            let bare = |field: &str| field.trim_matches(['[', ']', '`']).to_owned();
            listed.insert(name, list.map(bare).collect::<Vec<_>>());
        }
        // That one is the terminal's own.
        listed.remove("error").unwrap();
        assert_eq!(listed, said);
    }
}
