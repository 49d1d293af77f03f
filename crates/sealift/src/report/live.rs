//! The live view on a terminal: a bar for each image that is being fetched, a spinner for each
//! step that runs, above them the lines that stay.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::{Event, StepState, Unit};
use crate::report::plain::Plain;

/// The live view.
#[derive(Debug)]
pub struct Live {
    screen: MultiProgress,
    plain: Plain,
    images: HashMap<String, Image>,
    steps: HashMap<(Unit, String), ProgressBar>,
}

#[derive(Debug)]
struct Image {
    bar: ProgressBar,
    blobs: BTreeMap<String, (u64, u64)>,
}

impl Live {
    /// Makes a live view on standard error.
    #[must_use]
    pub fn new(verbose: u8) -> Self {
        Self {
            screen: MultiProgress::new(),
            plain: Plain::without_transfers(verbose),
            images: HashMap::new(),
            steps: HashMap::new(),
        }
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::ImageFetching { image, .. } => self.image(image),
            Event::BlobProgress {
                image,
                digest,
                done,
                total,
            } => {
                self.blob(image, digest, (*done, *total));
            }
            Event::Endpoint { image, host, .. } => {
                if let Some(image) = self.images.get(image) {
                    image.bar.set_message(host.clone());
                }
                self.lines(event);
            }
            Event::ImageFetched { image, .. } => {
                if let Some(image) = self.images.remove(image) {
                    image.bar.finish_and_clear();
                }
                self.lines(event);
            }
            Event::Step {
                unit,
                id,
                name,
                state,
                ..
            } => {
                self.step(unit, id, (name, state));
                self.lines(event);
            }
            Event::StepLog { unit, id, text } => {
                let last = text.lines().rev().find(|line| !line.trim().is_empty());
                if let (Some(bar), Some(line)) = (self.steps.get(&(unit.clone(), id.clone())), last)
                {
                    bar.set_message(line.trim().to_owned());
                }
                self.lines(event);
            }
            _ => self.lines(event),
        }
    }

    /// Takes all bars away, so that what is printed next stands alone.
    pub fn clear(&mut self) {
        for (_, image) in self.images.drain() {
            image.bar.finish_and_clear();
        }
        for (_, bar) in self.steps.drain() {
            bar.finish_and_clear();
        }
    }

    fn lines(&mut self, event: &Event) {
        for line in self.plain.render(event) {
            // A terminal that went away must not fail the build.
            drop(self.screen.println(line));
        }
    }

    fn image(&mut self, name: &str) {
        let style = ProgressStyle::with_template(
            "{spinner} {prefix} {bar:24} {decimal_bytes}/{decimal_total_bytes} \
             {decimal_bytes_per_sec} {eta} {msg:.dim}",
        );
        let bar = self.screen.add(ProgressBar::new(0));
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        self.images.insert(
            name.to_owned(),
            Image {
                bar,
                blobs: BTreeMap::new(),
            },
        );
    }

    fn blob(&mut self, name: &str, digest: &str, state: (u64, u64)) {
        let Some(image) = self.images.get_mut(name) else {
            return;
        };
        image.blobs.insert(digest.to_owned(), state);
        let sum = |pick: fn(&(u64, u64)) -> u64| image.blobs.values().map(pick).sum();
        image.bar.set_length(sum(|(_, total)| *total));
        image.bar.set_position(sum(|(done, _)| *done));
    }

    fn step(&mut self, unit: &Unit, id: &str, (name, state): (&str, &StepState)) {
        let key = (unit.clone(), id.to_owned());
        if *state == StepState::Started {
            let bar = self.screen.add(ProgressBar::new_spinner());
            let style =
                ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg:.dim}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.set_prefix(format!("{} {name}", unit.platform));
            bar.enable_steady_tick(Duration::from_millis(200));
            self.steps.insert(key, bar);
        } else if let Some(bar) = self.steps.remove(&key) {
            bar.finish_and_clear();
        }
    }
}
