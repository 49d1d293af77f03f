//! How far the images under way have come: bytes, rate, time left, and where they come from.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::size;

/// Over how long the rate is measured.
const WINDOW: Duration = Duration::from_secs(5);

/// The images under way.
#[derive(Debug, Default)]
pub struct Transfers {
    images: BTreeMap<String, Transfer>,
}

#[derive(Debug)]
struct Transfer {
    blobs: BTreeMap<String, (u64, u64)>,
    host: String,
    /// When the last line was due, and how many bytes there were.
    mark: (Instant, u64),
    rate: u64,
}

/// How far an image has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Bytes here.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes a second.
    pub rate: u64,
    /// The host that delivers.
    pub host: String,
}

impl Transfers {
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
                        // What an earlier run left did not come now.
                        mark: (now, *done),
                        rate: 0,
                    });
                transfer.blobs.insert(digest.clone(), (*done, *total));
                let due = transfer.measure(now);
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

    fn measure(&mut self, now: Instant) -> bool {
        let (since, before) = self.mark;
        let elapsed = now.saturating_duration_since(since);
        if elapsed < WINDOW {
            return false;
        }
        let done = self.done();
        let millis = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        self.rate = done.saturating_sub(before).saturating_mul(1000) / millis;
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
    /// Returns the time left in seconds, where bytes arrive.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a time for people")]
    pub fn seconds_left(&self) -> Option<f64> {
        let left = self.total.saturating_sub(self.done);
        (self.rate > 0).then(|| left as f64 / self.rate as f64)
    }

    /// Writes it as a line's end: `12.0 MB of 40.0 MB, 4.0 MB/s, 7.0s left, from HOST`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{} of {}", size::bytes(self.done), size::bytes(self.total));
        match self.seconds_left() {
            Some(left) => {
                text += &format!(
                    ", {}/s, {} left",
                    size::bytes(self.rate),
                    size::seconds(left)
                );
            }
            None => text += ", nothing arrives",
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
        let mut transfers = Transfers::default();
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
        assert_eq!(blob("1", 0, 0), None);
        assert_eq!(blob("2", 0, 1), None);
        let (image, progress) = blob("1", 10_000_000, 5).unwrap();
        assert_eq!(image, "a");
        assert_eq!(progress.text(), "10.0 MB of 40.0 MB, 2.0 MB/s, 15.0s left");
        assert_eq!(blob("1", 11_000_000, 6), None);
        let (_, progress) = blob("1", 11_000_000, 1000).unwrap();
        assert!(progress.text().contains("kB/s") || progress.text().contains(" B/s"));
        let (_, progress) = blob("1", 11_000_000, 2000).unwrap();
        assert_eq!(progress.text(), "11.0 MB of 40.0 MB, nothing arrives");
    }
}
