//! The live view on a terminal: a bar for each image that is being fetched, a spinner for each
//! step that runs, above them the lines that stay.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::{Event, StepState, Unit};
use crate::report::plain::Plain;
use crate::report::transfers::Transfers;

/// The live view.
#[derive(Debug)]
pub struct Live {
    screen: MultiProgress,
    plain: Plain,
    transfers: Transfers,
    images: HashMap<String, ProgressBar>,
    steps: HashMap<(Unit, String), ProgressBar>,
}

impl Live {
    /// Makes a live view on standard error.
    #[must_use]
    pub fn new(verbose: u8) -> Self {
        Self {
            screen: MultiProgress::new(),
            plain: Plain::without_transfers(verbose),
            transfers: Transfers::default(),
            images: HashMap::new(),
            steps: HashMap::new(),
        }
    }

    /// Shows an event. Returns the lines that stay, to be written [`Self::above`] the bars.
    pub fn show(&mut self, event: &Event) -> Vec<String> {
        self.transfers.take(event, Instant::now());
        match event {
            Event::ImageFetching { image, .. } => {
                self.image(image);
                Vec::new()
            }
            Event::BlobProgress { image, .. } => {
                // Of a push, this is the first that is heard.
                if !self.images.contains_key(image) {
                    self.image(image);
                }
                self.blob(image);
                Vec::new()
            }
            Event::Endpoint { image, host, .. } => {
                if let Some(bar) = self.images.get(image) {
                    bar.set_message(host.clone());
                }
                self.lines(event)
            }
            Event::ImageFetched { image, .. }
            | Event::Delivered {
                destination: image, ..
            } => {
                if let Some(bar) = self.images.remove(image) {
                    bar.finish_and_clear();
                }
                self.lines(event)
            }
            Event::Step {
                unit,
                id,
                name,
                state,
                ..
            } => {
                self.step(unit, id, (name, state));
                self.lines(event)
            }
            Event::StepLog { unit, id, text } => {
                let last = text.lines().rev().find(|line| !line.trim().is_empty());
                if let (Some(bar), Some(line)) = (self.steps.get(&(unit.clone(), id.clone())), last)
                {
                    bar.set_message(line.trim().to_owned());
                }
                self.lines(event)
            }
            // The end: what did not come to its own is shown as a line, if at all.
            Event::HostTotal(_) | Event::Finished { .. } => {
                self.clear();
                self.lines(event)
            }
            _ => self.lines(event),
        }
    }

    /// Takes all bars away, so that what is printed next stands alone.
    pub fn clear(&mut self) {
        let images = self.images.drain().map(|(_, bar)| bar);
        for bar in images.chain(self.steps.drain().map(|(_, bar)| bar)) {
            bar.finish_and_clear();
        }
    }

    /// Has something written while no bar stands. Lines that bars' owner writes itself end with
    /// blanks in place of a line's end, which a log of the terminal and a copy from it would hold.
    pub fn above(&self, write: impl FnOnce()) {
        self.screen.suspend(write);
    }

    fn lines(&mut self, event: &Event) -> Vec<String> {
        self.plain.render(event)
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
        self.images.insert(name.to_owned(), bar);
    }

    fn blob(&self, image: &str) {
        if let (Some(bar), Some(progress)) =
            (self.images.get(image), self.transfers.progress(image))
        {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        }
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
