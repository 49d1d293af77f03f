//! Reading a body with a floor under its speed, and noticing where it ends early.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use crate::connection::Body;
use crate::error::{Cause, Stage};
use crate::settings::Timeouts;

/// The window once it is known how fast a body can come.
const EXPECTING: Duration = Duration::from_secs(5);
/// How much of the usual rate must still come in a window, as a divisor.
const FRACTION: f64 = 50.0;
/// How many bytes tell how fast a body comes.
const TELLING: u64 = 256 << 10;

/// A body being read.
pub(crate) struct Reader<'a> {
    body: &'a mut Body,
    window: Duration,
    floor: u64,
    window_end: Instant,
    in_window: u64,
    start: Instant,
    total: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(timeouts: &Timeouts, body: &'a mut Body) -> Self {
        let now = Instant::now();
        Self {
            body,
            window: timeouts.stall,
            floor: timeouts.stall_floor,
            window_end: now + timeouts.stall,
            in_window: 0,
            start: now,
            total: 0,
        }
    }

    /// Raises the floor where the server's usual rate is known: a fiftieth of it over a shorter
    /// window tells a stall sooner. A body that came fast itself raises it too.
    pub(crate) fn expecting(mut self, rate: Option<f64>) -> Self {
        if let Some(rate) = rate {
            self.expect(rate);
            self.window_end = Instant::now() + self.window;
        }
        self
    }

    fn expect(&mut self, rate: f64) {
        self.window = self.window.min(EXPECTING);
        let floor = (rate * self.window.as_secs_f64() / FRACTION) as u64;
        self.floor = self.floor.max(floor);
    }

    /// Returns the next piece, `None` at the promised end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Cause> {
        loop {
            match timeout_at(self.window_end, self.body.next()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(piece))) => {
                    self.in_window += piece.len() as u64;
                    self.total += piece.len() as u64;
                    // A reader that is fast enough never waits for the window's end, so it is
                    // moved here too.
                    if self.in_window >= self.floor {
                        self.restart();
                    }
                    return Ok(Some(piece));
                }
                Ok(Some(Err(error))) => return Err(broken(error)),
                Err(_) if self.in_window >= self.floor => self.restart(),
                Err(_) => {
                    return Err(Cause::Timeout {
                        stage: Stage::Body,
                        after: self.window,
                    });
                }
            }
        }
    }

    fn restart(&mut self) {
        let now = Instant::now();
        if self.total >= TELLING {
            // The first pieces may have waited in a buffer, so no rate counts over less than this.
            let passed = (now - self.start).max(Duration::from_millis(500));
            self.expect(self.total as f64 / passed.as_secs_f64());
        }
        self.window_end = now + self.window;
        self.in_window = 0;
    }
}

/// A body that ends before its promised length is the commonest failure, and gets its own name.
pub(crate) fn broken(error: hyper::Error) -> Cause {
    let source = std::error::Error::source(&error);
    let source = source.and_then(|source| source.downcast_ref::<io::Error>());
    let early = source.is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof);
    if early || error.is_incomplete_message() {
        return Cause::Short;
    }
    Cause::Http(error)
}
