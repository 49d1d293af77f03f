//! Progress as lines: what a log of a CI job holds. Pure: events in, lines out.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::event::{Event, StepState};
use crate::report::transfers::Transfers;
use crate::report::wording;
use crate::size;
use crate::unit::UnitId;

/// How often a transfer gets a line.
const TRANSFERS: Duration = Duration::from_secs(5);

/// Turns events into lines.
#[derive(Debug, Default)]
pub struct Plain {
    verbose: u8,
    steps: HashMap<(UnitId, String), Step>,
    transfers: Option<Transfers>,
    limited: HashSet<String>,
    warned: HashSet<String>,
}

#[derive(Debug)]
struct Step {
    number: usize,
    named: bool,
    pending: String,
}

impl Step {
    /// Returns the line that names the step, the first time.
    fn announce(&mut self, unit: &UnitId, name: &str) -> Option<String> {
        let first = !std::mem::replace(&mut self.named, true);
        first.then(|| format!("#{} {} {name}", self.number, unit.platform))
    }

    /// Returns what is left of the step's log, and how it stands.
    fn enter(&mut self, state: &StepState, seconds: Option<f64>) -> Vec<String> {
        let number = self.number;
        let mut lines = Vec::new();
        if !self.pending.is_empty() && *state != StepState::Started {
            lines.push(format!("#{number} {}", std::mem::take(&mut self.pending)));
        }
        let time = seconds
            .map(|value| format!(" {}", size::seconds(value)))
            .unwrap_or_default();
        match state {
            StepState::Started => {}
            StepState::Cached => lines.push(format!("#{number} CACHED")),
            StepState::Done => lines.push(format!("#{number} DONE{time}")),
            StepState::Canceled => lines.push(format!("#{number} CANCELED{time}")),
            StepState::Failed(text) => lines.push(format!("#{number} ERROR{time} {text}")),
        }
        lines
    }
}

impl Plain {
    /// Makes a renderer; `verbose` 1 and more tells each failed attempt.
    #[must_use]
    pub fn new(verbose: u8) -> Self {
        let transfers = Some(Transfers::every(TRANSFERS));
        Self {
            verbose,
            transfers,
            ..Self::default()
        }
    }

    /// Makes a renderer for a screen that shows transfers otherwise.
    #[must_use]
    pub fn without_transfers(verbose: u8) -> Self {
        Self {
            verbose,
            ..Self::default()
        }
    }

    /// Renders one event as no, one or several lines, without line ends.
    pub fn render(&mut self, event: &Event) -> Vec<String> {
        match event {
            Event::Step {
                unit,
                id,
                name,
                state,
                seconds,
            } => {
                let step = self.step_of(unit, id);
                let mut lines = Vec::from_iter(step.announce(unit, name));
                lines.extend(step.enter(state, *seconds));
                lines
            }
            Event::StepLog { unit, id, text } => self.log(unit, id, text),
            // Each platform says the same.
            Event::Warning { text } | Event::StepWarning { text, .. }
                if !self.warned.insert(text.clone()) =>
            {
                Vec::new()
            }
            Event::BuildFinished { unit, .. } => {
                let mut lines = self.flush(unit);
                lines.extend(wording::of(event, self.verbose));
                lines
            }
            Event::RateLimit {
                host,
                limit,
                remaining,
            } => {
                let low = remaining.saturating_mul(10) < *limit;
                let text = format!(
                    "{host} allows {remaining} more of {limit} pulls; log in or name a mirror"
                );
                let first = low && self.limited.insert(host.clone());
                first
                    .then(|| format!("warning: {text}"))
                    .into_iter()
                    .collect()
            }
            _ => {
                let mut lines: Vec<String> = self.transfer(event).into_iter().collect();
                lines.extend(wording::of(event, self.verbose));
                lines
            }
        }
    }

    fn transfer(&mut self, event: &Event) -> Option<String> {
        let (image, progress) = self.transfers.as_mut()?.take(event, Instant::now())?;
        Some(format!("  {image}: {}", progress.text()))
    }

    /// Logs come in pieces that need not end at a line's end.
    fn log(&mut self, unit: &UnitId, id: &str, text: &str) -> Vec<String> {
        let step = self.step_of(unit, id);
        step.pending.push_str(text);
        let mut lines = Vec::new();
        while let Some(end) = step.pending.find('\n') {
            let rest = step.pending.split_off(end + 1);
            let line = std::mem::replace(&mut step.pending, rest);
            // A carriage return rewrites the line on a terminal; what stood last counts.
            let line = line.trim_end_matches(['\n', '\r']);
            let line = line.rsplit('\r').next().unwrap_or(line);
            lines.push(format!("#{} {line}", step.number));
        }
        lines
    }

    /// Finds a step; new ones are numbered in the order in which they turn up.
    fn step_of(&mut self, unit: &UnitId, id: &str) -> &mut Step {
        let number = self.steps.len() + 1;
        let entry = self.steps.entry((unit.clone(), id.to_owned()));
        entry.or_insert(Step {
            number,
            named: false,
            pending: String::new(),
        })
    }

    fn flush(&mut self, unit: &UnitId) -> Vec<String> {
        let steps = self
            .steps
            .iter_mut()
            .filter(|((of, _), step)| of == unit && !step.pending.is_empty());
        let mut rest: Vec<_> = steps
            .map(|(_, step)| (step.number, std::mem::take(&mut step.pending)))
            .collect();
        rest.sort();
        rest.into_iter()
            .map(|(number, text)| format!("#{number} {text}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> UnitId {
        UnitId {
            component: "gitea".to_owned(),
            target: None,
            platform: sealift_oci::Platform::parse("linux/arm64").unwrap(),
        }
    }

    #[test]
    fn says_the_lines_that_people_look_for() {
        let mut plain = Plain::new(0);
        let mut line = |event: Event| plain.render(&event).join("|");
        assert_eq!(
            line(Event::Prefetching { unique: 3 }),
            "Prefetching 3 unique base images"
        );
        let image = "docker.io/library/redis:7".to_owned();
        let platforms = vec!["linux/arm64".to_owned()];
        assert_eq!(
            line(Event::ImageCached { image, platforms }),
            "✓ docker.io/library/redis:7 (cached) [linux/arm64]"
        );
        let image = "ai-infra-gitea:v0.3.8-arm64".to_owned();
        assert_eq!(
            line(Event::BuildStarted {
                unit: unit(),
                image,
                contexts: 2
            }),
            "Building: gitea [default] -> ai-infra-gitea:v0.3.8-arm64 (linux/arm64, 2 images from \
             the store)"
        );
    }

    #[test]
    fn logs_are_cut_into_lines_and_nothing_is_lost() {
        let mut plain = Plain::new(0);
        let (unit, id) = (unit(), "sha256:1".to_owned());
        let step = |state, seconds| Event::Step {
            unit: unit.clone(),
            id: id.clone(),
            name: "[2/2] RUN uname -m".to_owned(),
            state,
            seconds,
        };
        let log = |text: &str| Event::StepLog {
            unit: unit.clone(),
            id: id.clone(),
            text: text.to_owned(),
        };
        let mut lines = Vec::new();
        for event in [
            step(StepState::Started, None),
            log("aar"),
            log("ch64\n10%\r100%\nno end"),
            step(StepState::Done, Some(0.44)),
        ] {
            lines.extend(plain.render(&event));
        }
        assert_eq!(
            lines,
            [
                "#1 linux/arm64 [2/2] RUN uname -m",
                "#1 aarch64",
                "#1 100%",
                "#1 no end",
                "#1 DONE 0.4s"
            ]
        );
    }
}
