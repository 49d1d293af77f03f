//! The only writer to the screen: results on standard output, progress and errors on standard
//! error, in the form that was asked for.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::cli::Progress;
use crate::error::{Error, Kind};
use crate::event::{Event, Listener};
use crate::report::failure_log::FailureLog;
use crate::report::live::Live;
use crate::report::plain::Plain;

/// The screen of one run.
pub struct Terminal {
    view: Mutex<View>,
    failures: Mutex<Option<FailureLog>>,
    /// Why a result could not be written.
    lost: Mutex<Option<std::io::Error>>,
}

enum View {
    Plain(Plain),
    Live(Box<Live>),
    Json,
    Quiet,
}

impl Terminal {
    /// Opens the screen.
    #[must_use]
    pub fn open(progress: Progress, verbose: u8) -> Self {
        if verbose > 1 {
            log_libraries();
        }
        let view = match progress {
            Progress::Auto if std::io::stderr().is_terminal() => {
                View::Live(Box::new(Live::new(verbose)))
            }
            Progress::Auto | Progress::Plain => View::Plain(Plain::new(verbose)),
            Progress::Json => View::Json,
            Progress::Quiet => View::Quiet,
        };
        Self {
            view: Mutex::new(view),
            failures: Mutex::new(None),
            lost: Mutex::new(None),
        }
    }

    /// Logs failed attempts to this file from now on.
    pub fn log_failures_to(&self, path: &Path) {
        *lock(&self.failures) = Some(FailureLog::new(path));
    }

    /// Writes a result to standard output. A reader that went away has seen enough; another failure
    /// makes the command fail in its end.
    pub fn result(&self, text: &str) {
        if let Err(error) = write_out(text)
            && error.kind() != ErrorKind::BrokenPipe
        {
            lock(&self.lost).get_or_insert(error);
        }
    }

    /// Takes the failure of a result that could not be written.
    pub fn lost(&self) -> Option<Error> {
        let error = lock(&self.lost).take()?;
        let full = matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded
        );
        let kind = if full { Kind::Disk } else { Kind::Local };
        Some(Error::new(kind, "cannot write to standard output").because(error))
    }

    /// Shows the error that ended the command.
    pub fn error(&self, error: &Error) {
        let mut view = lock(&self.view);
        if let View::Live(live) = &mut *view {
            live.clear();
        }
        if matches!(*view, View::Json) {
            let value = serde_json::json!({
                "event": "error",
                "kind": error.kind().as_str(),
                "exit_code": error.kind().exit_code(),
                "message": error.message(),
                "causes": error.causes(),
                "excerpt": error.lines(),
                "hints": error.hints(),
            });
            drop(write_out(&format!("{value}\n")));
        }
        drop(anstream::stderr().write_all(error.render().as_bytes()));
    }

    fn log_failure(&self, event: &Event) -> Option<String> {
        let Event::Attempt(attempt) = event else {
            return None;
        };
        lock(&self.failures).as_mut()?.append(attempt)
    }

    fn show(&self, event: &Event) {
        match &mut *lock(&self.view) {
            View::Plain(plain) => write_lines(&plain.render(event)),
            View::Live(live) => {
                let lines = live.show(event);
                if !lines.is_empty() {
                    live.above(|| write_lines(&lines));
                }
            }
            View::Json => {
                if let Ok(line) = serde_json::to_string(event) {
                    // Telling of a build never fails it.
                    drop(write_out(&format!("{line}\n")));
                }
            }
            View::Quiet => {}
        }
    }
}

fn write_out(text: &str) -> std::io::Result<()> {
    let mut out = anstream::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes lines to standard error. A reader that went away ends nothing.
fn write_lines(lines: &[String]) {
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    drop(anstream::stderr().write_all(text.as_bytes()));
}

/// Shows what libraries log for those who look for a fault, on standard error.
fn log_libraries() {
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_ansi(false)
        .finish();
    // It fails where a log is set already: then that one is what its owner wanted.
    drop(tracing_subscriber::util::SubscriberInitExt::try_init(log));
}

impl Listener for Terminal {
    fn event(&self, event: &Event) {
        let warning = self.log_failure(event);
        self.show(event);
        if let Some(text) = warning {
            self.show(&Event::Warning { text });
        }
    }
}

/// A panic elsewhere must not take the screen away from the error that it leads to.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
