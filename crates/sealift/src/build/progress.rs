//! BuildKit's reports of a solve as our events.

use std::collections::HashSet;

use sealift_buildkit as buildkit;

use crate::event::{Event, Events, StepState};
use crate::unit::UnitId;

/// Follows one solve.
#[derive(Debug)]
pub struct Progress {
    unit: UnitId,
    events: Events,
    told: HashSet<(String, &'static str)>,
}

impl Progress {
    /// Begins to follow a unit's solve.
    #[must_use]
    pub fn new(unit: &UnitId, events: &Events) -> Self {
        Self {
            unit: unit.clone(),
            events: events.clone(),
            told: HashSet::new(),
        }
    }

    /// Takes one report.
    pub fn take(&mut self, event: buildkit::Event) {
        match event {
            buildkit::Event::Vertex(vertex) => self.vertex(&vertex),
            buildkit::Event::Progress(progress) => {
                let name = if progress.name.is_empty() {
                    progress.id
                } else {
                    progress.name
                };
                self.events.tell(&Event::StepProgress {
                    unit: self.unit.clone(),
                    id: progress.vertex,
                    name,
                    done: progress.current,
                    total: progress.total,
                });
            }
            buildkit::Event::Log(log) => {
                let text = String::from_utf8_lossy(&log.bytes).into_owned();
                let (unit, id) = (self.unit.clone(), log.vertex);
                self.events.tell(&Event::StepLog { unit, id, text });
            }
            buildkit::Event::Warning(warning) => self.events.tell(&Event::StepWarning {
                unit: self.unit.clone(),
                text: warning.short,
                detail: warning.detail,
                url: warning.url,
            }),
            buildkit::Event::Unresponsive { silence, process } => {
                let process = process
                    .map(|id| format!(" (process {id})"))
                    .unwrap_or_default();
                let seconds = silence.as_secs();
                self.events.warn(format!(
                    "the builder{process} has not answered for {seconds} s; waiting for it"
                ));
            }
        }
    }

    fn vertex(&mut self, vertex: &buildkit::Vertex) {
        let failed = || outcome(vertex.error.as_deref().unwrap_or_default()).to_owned();
        let (key, state) = match vertex.state() {
            buildkit::State::Waiting => return,
            buildkit::State::Running => ("started", StepState::Started),
            buildkit::State::Cached => ("ended", StepState::Cached),
            buildkit::State::Done => ("ended", StepState::Done),
            buildkit::State::Canceled => ("ended", StepState::Canceled),
            buildkit::State::Failed => ("ended", StepState::Failed(failed())),
        };
        // BuildKit may report the begin of a step behind its end, where two jobs share it; whoever
        // heard of it then would wait for an end that does not come.
        let late = key == "started" && self.told.contains(&(vertex.digest.clone(), "ended"));
        if late || !self.told.insert((vertex.digest.clone(), key)) {
            return;
        }
        self.events.tell(&Event::Step {
            unit: self.unit.clone(),
            id: vertex.digest.clone(),
            name: vertex.name.clone(),
            state,
            seconds: vertex.duration().map(|duration| duration.as_secs_f64()),
        });
    }
}

/// Returns how a step's process ended, without its command: that stands above it and in the
/// Dockerfile's lines.
pub(super) fn outcome(error: &str) -> &str {
    let ended = "did not complete successfully: ";
    match error.rsplit_once(ended) {
        Some((command, outcome)) if command.starts_with("process \"") => outcome,
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Listener;
    use std::sync::Arc;

    fn unit() -> UnitId {
        UnitId {
            component: "a".to_owned(),
            target: None,
            platform: sealift_oci::Platform::host(),
        }
    }

    struct Ear(Arc<std::sync::Mutex<Vec<StepState>>>);

    impl Listener for Ear {
        fn event(&self, event: &Event) {
            if let Event::Step { state, .. } = event {
                self.0.lock().unwrap().push(state.clone());
            }
        }
    }

    #[test]
    fn the_outcome_of_a_step_is_told_without_its_command() {
        for (error, told) in [
            (
                "process \"/bin/sh -c exit 3\" did not complete successfully: exit code: 3",
                "exit code: 3",
            ),
            ("\"/a\": not found", "\"/a\": not found"),
        ] {
            assert_eq!(outcome(error), told);
        }
    }

    #[test]
    fn a_step_that_ended_does_not_begin_again() {
        let unit = unit();
        let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
        let ear = Arc::clone(&heard);
        let mut progress = Progress::new(&unit, &Events::new(Arc::new(Ear(ear))));
        let now = std::time::SystemTime::now();
        let vertex = |ended: bool| buildkit::Vertex {
            digest: "sha256:1".into(),
            name: "[internal] load .dockerignore".into(),
            started: Some(now),
            completed: ended.then_some(now),
            cached: false,
            error: None,
        };
        progress.vertex(&vertex(true));
        progress.vertex(&vertex(false));
        assert_eq!(*heard.lock().unwrap(), [StepState::Done]);
    }
}
