//! How long the steps of a solve have written nothing: an emulated program may hang without a word.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sealift_buildkit::{Event, State};

/// After how much silence a step is mentioned, once.
const MENTIONED: Duration = Duration::from_secs(180);

/// Watches the RUN steps of one solve.
#[derive(Debug)]
pub struct Silence {
    running: HashMap<String, Step>,
    limit: Option<Duration>,
}

#[derive(Debug)]
struct Step {
    name: String,
    heard: Instant,
    mentioned: bool,
}

/// What has become of a silence.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// This step is worth a line.
    Mention(String),
    /// This step is over the limit.
    Stalled(String),
}

impl Silence {
    /// Watches for steps that are silent for longer than a limit, where there is one.
    #[must_use]
    pub fn new(limit: Option<Duration>) -> Self {
        let running = HashMap::new();
        Self { running, limit }
    }

    /// Takes one report of the solve.
    pub fn take(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Vertex(vertex) if vertex.state() != State::Running => {
                self.running.remove(&vertex.digest);
            }
            Event::Vertex(vertex) if vertex.name.contains("] RUN ") => {
                let step = Step {
                    name: vertex.name.clone(),
                    heard: now,
                    mentioned: false,
                };
                self.running.entry(vertex.digest.clone()).or_insert(step);
            }
            Event::Log(log) => {
                if let Some(step) = self.running.get_mut(&log.vertex) {
                    step.heard = now;
                    step.mentioned = false;
                }
            }
            _ => {}
        }
    }

    /// Looks at the steps that run; each silence is mentioned once.
    pub fn look(&mut self, now: Instant) -> Option<Finding> {
        let limit = self.limit;
        self.running.values_mut().find_map(|step| {
            let silent = now.saturating_duration_since(step.heard);
            if limit.is_some_and(|limit| silent >= limit) {
                return Some(Finding::Stalled(step.name.clone()));
            }
            if silent < MENTIONED || std::mem::replace(&mut step.mentioned, true) {
                return None;
            }
            Some(Finding::Mention(step.name.clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealift_buildkit::{Log, Stream, Vertex};

    fn vertex(name: &str, ended: bool) -> Event {
        let now = std::time::SystemTime::now();
        Event::Vertex(Vertex {
            digest: name.to_owned(),
            name: name.to_owned(),
            started: Some(now),
            completed: ended.then_some(now),
            cached: false,
            error: None,
        })
    }

    #[test]
    fn a_silent_step_is_mentioned_once_and_ends_at_the_limit() {
        let (step, load) = ("[2/2] RUN x", "[internal] load build context");
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(Some(Duration::from_secs(600)));
        silence.take(&vertex(step, false), at(0));
        silence.take(&vertex(load, false), at(0));
        assert_eq!(silence.look(at(179)), None);
        let mention = Some(Finding::Mention(step.to_owned()));
        assert_eq!(silence.look(at(180)), mention);
        assert_eq!(silence.look(at(181)), None);
        let log = Log {
            vertex: step.to_owned(),
            stream: Stream::Stdout,
            bytes: b"x".to_vec(),
            time: None,
        };
        silence.take(&Event::Log(log), at(200));
        assert_eq!(silence.look(at(379)), None);
        assert_eq!(silence.look(at(380)), mention);
        let stalled = Some(Finding::Stalled(step.to_owned()));
        assert_eq!(silence.look(at(800)), stalled);
        silence.take(&vertex(step, true), at(801));
        assert_eq!(silence.look(at(2000)), None);
    }
}
