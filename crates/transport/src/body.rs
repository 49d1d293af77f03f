//! Reading a body with a floor under its speed, and noticing where it ends early.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use crate::connection::Body;
use crate::error::{Cause, Stage};
use crate::transport::Inner;

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
    if error.is_incomplete_message() {
        return Cause::Short;
    }
    Cause::Http(error)
}
