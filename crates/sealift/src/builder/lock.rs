//! The lock on a managed builder's state, and a word for who waits for it.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::file;

/// How long another command may take to start or stop a builder.
const LIMIT: Duration = Duration::from_secs(120);
/// After which time the user is told what is waited for.
const SILENCE: Duration = Duration::from_secs(5);
/// How often a lock is tried.
const PAUSE: Duration = Duration::from_millis(50);

/// Opens a file to be locked.
///
/// # Errors
/// [`Kind::Local`] if it cannot be made.
pub(super) fn open(path: &Path) -> Result<File> {
    let opened = File::options().create(true).append(true).open(path);
    opened.map_err(|error| file::failed("use", path, error))
}

/// Takes a lock and writes our process into it, for those who wait.
///
/// # Errors
/// [`Kind::Builder`] with the process that does not give it back.
pub(super) async fn take(path: &Path, events: &Events) -> Result<File> {
    take_within(path, events, LIMIT).await
}

async fn take_within(path: &Path, events: &Events, limit: Duration) -> Result<File> {
    let mut lock = open(path)?;
    let holder = || std::fs::read_to_string(path).unwrap_or_default();
    let start = Instant::now();
    let mut silence = Silence::default();
    loop {
        match lock.try_lock() {
            Ok(()) => {
                let written = lock
                    .set_len(0)
                    .and_then(|()| write!(lock, "{}", std::process::id()));
                written.map_err(|error| file::failed("write", path, error))?;
                return Ok(lock);
            }
            Err(TryLockError::WouldBlock) if start.elapsed() < limit => {
                silence.note(start, events, || {
                    let holder = holder();
                    format!("sealift (process {holder}), which starts or stops the builder")
                });
                tokio::time::sleep(PAUSE).await;
            }
            Err(TryLockError::WouldBlock) => {
                let (holder, path) = (holder(), path.display());
                let text = format!("sealift (process {holder}) does not release {path}");
                return Err(Error::new(Kind::Builder, text).hint("let it finish, or stop it"));
            }
            Err(TryLockError::Error(error)) => return Err(file::failed("use", path, error)),
        }
    }
}

/// Says once what is waited for.
#[derive(Debug, Default)]
pub(super) struct Silence {
    broken: bool,
}

impl Silence {
    /// Says it once it has taken long.
    pub(super) fn note(&mut self, start: Instant, events: &Events, what: impl FnOnce() -> String) {
        if !self.broken && start.elapsed() >= SILENCE {
            self.broken = true;
            events.note(format!("Waiting for {}", what()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Listener};
    use std::sync::Arc;

    struct Deaf;

    impl Listener for Deaf {
        fn event(&self, _event: &Event) {}
    }

    #[tokio::test]
    async fn whoever_keeps_the_lock_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let events = Events::new(Arc::new(Deaf));
        let held = take(&path, &events).await.unwrap();
        let waited = take_within(&path, &events, Duration::ZERO).await;
        assert_eq!(
            waited.unwrap_err().message(),
            format!(
                "sealift (process {}) does not release {}",
                std::process::id(),
                path.display()
            )
        );
        drop(held);
        take(&path, &events).await.unwrap();
    }
}
