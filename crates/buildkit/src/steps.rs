//! What the reports of one solve say of its steps: their names, the ends of their outputs and the
//! first failure. The error of a failed solve is completed, or replaced, by it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sealift_oci::Platform;

use crate::event::{Event, State};
use crate::failure::Failure;
use crate::text::printable;

/// How many lines of a step's output are kept.
const LINES: usize = 30;
/// How much of a step's output is kept, in bytes.
const BYTES: usize = 16 << 10;

/// The steps of a solve; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    names: HashMap<String, String>,
    outputs: HashMap<String, Vec<u8>>,
    /// Digest and error of the step that failed first.
    failed: Option<(String, String)>,
}

impl Steps {
    /// Takes a report.
    pub(crate) fn take(&self, event: &Event) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Vertex(vertex) => {
                let (digest, name) = (vertex.digest.clone(), vertex.name.clone());
                if vertex.state() == State::Failed && known.failed.is_none() {
                    let error = vertex.error.clone().unwrap_or_default();
                    known.failed = Some((digest.clone(), error));
                }
                known.names.insert(digest, name);
            }
            Event::Log(log) => {
                let output = known.outputs.entry(log.vertex.clone()).or_default();
                output.extend_from_slice(&log.bytes);
                let excess = output.len().saturating_sub(2 * BYTES);
                if excess > 0 {
                    output.drain(..excess + BYTES);
                }
            }
            Event::Progress(_) | Event::Warning(_) | Event::Unresponsive { .. } => {}
        }
    }

    /// Returns the failure of the step that failed first, as its report says it.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (digest, error) = known.failed.as_ref()?;
        Some(Failure::of_step(digest, error))
    }

    /// Adds what is known of the failed step. `machine` is the platform that the worker runs
    /// without an emulator, `target` the one that is built for.
    pub(crate) fn describe(
        &self,
        failure: &mut Failure,
        machine: Option<&Platform>,
        target: Option<&Platform>,
    ) {
        let Some(step) = &mut failure.step else {
            return;
        };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        step.name = known.names.get(&step.digest).cloned().unwrap_or_default();
        if let Some(output) = known.outputs.get(&step.digest) {
            step.output = end(output);
        }
        let written = failure.excerpts.first().and_then(|e| e.stage_platform());
        let platform = match written {
            Some(text) if text.contains("BUILDPLATFORM") => None,
            Some(text) => Platform::parse(text).ok().or_else(|| target.cloned()),
            None => target.cloned(),
        };
        step.emulated = machine
            .zip(platform)
            .is_some_and(|(machine, platform)| machine.rank(&platform).is_none());
        failure.find_path();
    }
}

/// Returns the last lines of an output; of what was overwritten on a terminal, the last text.
fn end(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.rsplit('\r').next().unwrap_or(line))
        .collect();
    printable(&lines[lines.len().saturating_sub(LINES)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Log, Stream};

    #[test]
    fn the_end_of_an_output_is_kept() {
        let steps = Steps::default();
        let log = |text: &str| {
            steps.take(&Event::Log(Log {
                vertex: "v".to_owned(),
                stream: Stream::Stdout,
                bytes: text.as_bytes().to_vec(),
                time: None,
            }));
        };
        for number in 0..100_000 {
            log(&format!("line {number}\n"));
        }
        log("10%\r100%\nlast \x1b[2J");
        assert!(steps.0.lock().unwrap().outputs["v"].len() <= 2 * BYTES);
        let mut failure = Failure::of_step("v", "exit code: 1");
        steps.describe(&mut failure, None, None);
        let output = failure.step.unwrap().output;
        assert_eq!(output.lines().count(), LINES);
        assert!(output.ends_with("line 99999\n100%\nlast ␛[2J"), "{output}");
    }
}
