//! How far the images under way have come: bytes, rate, time left, and where they come from.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::size;

/// The images under way.
#[derive(Debug)]
pub struct Transfers {
    /// Over how long a rate is measured.
    window: Duration,
    images: BTreeMap<String, Transfer>,
}

#[derive(Debug)]
struct Transfer {
    blobs: BTreeMap<String, (u64, u64)>,
    host: String,
    /// When the last line was due, and how many bytes there were.
    mark: (Instant, u64),
    rate: Option<u64>,
}

/// How far an image has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Bytes here.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes a second, once it was measured.
    pub rate: Option<u64>,
    /// The host that delivers.
    pub host: String,
}

impl Transfers {
    /// Measures rates over this time.
    #[must_use]
    pub const fn every(window: Duration) -> Self {
        Self {
            window,
            images: BTreeMap::new(),
        }
    }

    /// Takes an event. Returns the progress of the image it is about each time that a window ends.
    pub fn take(&mut self, event: &Event, now: Instant) -> Option<(String, Progress)> {
        match event {
            Event::BlobProgress {
                image,
                digest,
                done,
                total,
            } => {
                let transfer = self
                    .images
                    .entry(image.clone())
                    .or_insert_with(|| Transfer {
                        blobs: BTreeMap::new(),
                        host: String::new(),
                        mark: (now, 0),
                        rate: None,
                    });
                let known = transfer.blobs.insert(digest.clone(), (*done, *total));
                if known.is_none() {
                    // What an earlier run left did not come now.
                    transfer.mark.1 += done;
                }
                let due = transfer.measure(now, self.window);
                due.then(|| (image.clone(), transfer.progress()))
            }
            Event::Endpoint { image, host, .. } => {
                if let Some(transfer) = self.images.get_mut(image) {
                    transfer.host.clone_from(host);
                }
                None
            }
            Event::ImageFetched { image, .. } => {
                self.images.remove(image);
                None
            }
            _ => None,
        }
    }

    /// Returns the progress of an image.
    #[must_use]
    pub fn progress(&self, image: &str) -> Option<Progress> {
        self.images.get(image).map(Transfer::progress)
    }
}

impl Transfer {
    fn done(&self) -> u64 {
        self.blobs.values().map(|(done, _)| done).sum()
    }

    fn measure(&mut self, now: Instant, window: Duration) -> bool {
        let (since, before) = self.mark;
        let elapsed = now.saturating_duration_since(since);
        if elapsed < window {
            return false;
        }
        let done = self.done();
        let millis = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        self.rate = Some(done.saturating_sub(before).saturating_mul(1000) / millis);
        self.mark = (now, done);
        true
    }

    fn progress(&self) -> Progress {
        Progress {
            done: self.done(),
            total: self
                .blobs
                .values()
                .fold(0, |sum, (_, total)| sum.saturating_add(*total)),
            rate: self.rate,
            host: self.host.clone(),
        }
    }
}

impl Progress {
    /// Writes it as a line's end: `12.0 MB of 40.0 MB, 4.0 MB/s, 7.0s left, from HOST`.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a time for people")]
    pub fn text(&self) -> String {
        let mut text = format!("{} of {}", size::bytes(self.done), size::bytes(self.total));
        match self.rate {
            None => {}
            Some(0) => text += ", nothing arrives",
            Some(rate) => {
                let left = self.total.saturating_sub(self.done) as f64 / rate as f64;
                let (rate, left) = (size::bytes(rate), size::seconds(left));
                text += &format!(", {rate}/s, {left} left");
            }
        }
        if !self.host.is_empty() {
            text += &format!(", from {}", self.host);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_bytes_rate_and_time_left_once_a_window() {
        let mut transfers = Transfers::every(Duration::from_secs(5));
        let start = Instant::now();
        let mut blob = |digest: &str, done: u64, seconds: u64| {
            let (image, digest, total) = ("a".to_owned(), digest.to_owned(), 20_000_000);
            let event = Event::BlobProgress {
                image,
                digest,
                done,
                total,
            };
            transfers.take(&event, start + Duration::from_secs(seconds))
        };
        // An earlier run left 7 MB of the first one: they are no part of the rate.
        assert_eq!(blob("1", 7_000_000, 0), None);
        assert_eq!(blob("2", 0, 1), None);
        let (image, progress) = blob("1", 10_000_000, 5).unwrap();
        assert_eq!(image, "a");
        assert_eq!(
            progress.text(),
            "10.0 MB of 40.0 MB, 600.0 kB/s, 50.0s left"
        );
        assert_eq!(blob("1", 11_000_000, 6), None);
        let (_, progress) = blob("1", 11_000_000, 1000).unwrap();
        assert!(progress.text().contains("kB/s") || progress.text().contains(" B/s"));
        let (_, progress) = blob("1", 11_000_000, 2000).unwrap();
        assert_eq!(progress.text(), "11.0 MB of 40.0 MB, nothing arrives");
    }
}
