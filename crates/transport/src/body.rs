//! Reading a body with a floor under its speed, and noticing where it ends early.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use crate::connection::Body;
use crate::error::{Cause, Stage};
use crate::transport::Inner;

/// The window for servers whose usual rate is known.
const EXPECTING: Duration = Duration::from_secs(5);

/// A body being read.
pub(crate) struct Reader<'a> {
    body: &'a mut Body,
    window: Duration,
    floor: u64,
    window_end: Instant,
    in_window: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(inner: &Inner, body: &'a mut Body) -> Self {
        let timeouts = &inner.settings.timeouts;
        Self {
            body,
            window: timeouts.stall,
            floor: timeouts.stall_floor,
            window_end: Instant::now() + timeouts.stall,
            in_window: 0,
        }
    }

    /// Raises the floor where the server's usual rate is known: a fiftieth of it over a shorter
    /// window tells a stall sooner.
    pub(crate) fn expecting(mut self, rate: Option<f64>) -> Self {
        let window = self.window.min(EXPECTING);
        if let Some(rate) = rate {
            self.window = window;
            self.floor = self.floor.max((rate * window.as_secs_f64() / 50.0) as u64);
            self.restart();
        }
        self
    }

    /// Returns the next piece, `None` at the promised end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Cause> {
        loop {
            match timeout_at(self.window_end, self.body.next()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(piece))) => {
                    self.in_window += piece.len() as u64;
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
        self.window_end = Instant::now() + self.window;
        self.in_window = 0;
    }
}

/// A body that ends before its promised length is the commonest failure, and gets its own name.
fn broken(error: hyper::Error) -> Cause {
    let source = std::error::Error::source(&error);
    let source = source.and_then(|source| source.downcast_ref::<io::Error>());
    let early = source.is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof);
    if early || error.is_incomplete_message() {
        return Cause::Short;
    }
    Cause::Http(error)
}
