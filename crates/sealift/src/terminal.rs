//! The only writer to the screen: results on standard output, progress and errors on standard
//! error, in the form that was asked for.

use std::io::{ErrorKind, IsTerminal as _, Write as _, stderr, stdout};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::cli::Progress;
use crate::error::{Error, Kind};
use crate::event::{Event, Listener, now};
use crate::report::failure_log::FailureLog;
use crate::report::line::{Style, escape, strip};
use crate::report::live::Live;
use crate::report::painter::{Painter, Size};
use crate::report::plain::Plain;
use crate::settings::Screen;

/// How often the live view is drawn.
const FRAME: Duration = Duration::from_millis(100);
/// The size of a terminal that does not tell its own.
const USUAL: Size = Size {
    rows: 24,
    columns: 80,
};

/// The screen of one run.
pub struct Terminal {
    view: Arc<Mutex<View>>,
    failures: Mutex<Option<FailureLog>>,
    /// Why a result could not be written.
    lost: Mutex<Option<std::io::Error>>,
    colour: bool,
}

enum View {
    Plain(Plain),
    Live(Box<Live>, Painter),
    Json,
    Quiet,
}

impl Terminal {
    /// Opens the screen.
    #[must_use]
    pub fn open(progress: Progress, verbose: u8, screen: Screen) -> Self {
        if verbose > 1 {
            log_libraries();
        }
        let terminal = stderr().is_terminal() && screen.moves;
        let colour = terminal && screen.colour;
        let view = match progress {
            Progress::Auto if terminal => {
                let live = Box::new(Live::new(verbose, Instant::now()));
                View::Live(live, Painter::new(colour))
            }
            Progress::Auto | Progress::Plain => View::Plain(Plain::new(verbose)),
            Progress::Json => View::Json,
            Progress::Quiet => View::Quiet,
        };
        let live = matches!(view, View::Live(..));
        let view = Arc::new(Mutex::new(view));
        if live {
            let view = Arc::downgrade(&view);
            let thread = std::thread::Builder::new().name("sealift-screen".to_owned());
            // Without it the view is drawn whenever a line is written.
            drop(thread.spawn(move || draw_while_there(&view)));
        }
        Self {
            view,
            failures: Mutex::default(),
            lost: Mutex::default(),
            colour,
        }
    }

    /// Logs failed attempts to this file from now on.
    pub fn log_failures_to(&self, path: &Path) {
        *lock(&self.failures) = Some(FailureLog::new(path));
    }

    /// Writes a result to standard output. A reader that went away has seen enough; another failure
    /// makes the command fail in its end.
    pub fn result(&self, text: &str) {
        lock(&self.view).clear();
        if let Err(error) = write_out(&escape(text))
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
        view.clear();
        let all = std::iter::once(error).chain(error.others());
        for error in all.filter(|_| matches!(*view, View::Json)) {
            write_json(serde_json::json!({
                "event": "error",
                "kind": error.kind().as_str(),
                "exit_code": error.kind().exit_code(),
                "message": error.message(),
                "causes": error.causes(),
                "excerpt": error.lines(),
                "hints": error.hints(),
            }));
        }
        let text = strip(&error.render());
        let coloured = text.lines().map(|line| match line.starts_with("error: ") {
            true if self.colour => Style::Error.paint(line) + "\n",
            _ => format!("{line}\n"),
        });
        write_err(&coloured.collect::<String>());
    }

    fn log_failure(&self, event: &Event) -> Option<String> {
        let Event::Attempt(attempt) = event else {
            return None;
        };
        lock(&self.failures).as_mut()?.append(attempt)
    }

    fn show(&self, event: &Event) {
        match &mut *lock(&self.view) {
            View::Plain(plain) => {
                let lines = plain.render(event).into_iter();
                let text: String = lines.map(|line| strip(&line) + "\n").collect();
                write_err(&text);
            }
            View::Live(live, painter) => {
                let now = Instant::now();
                let above = live.take(event, now);
                let size = size();
                let rows = live.rows(size, now);
                // What only changes within its row waits for the next frame.
                if !above.is_empty() || rows.len() != painter.height() {
                    write_err(&painter.paint(&above, &rows, size));
                }
            }
            View::Json => {
                if let Ok(value) = serde_json::to_value(event) {
                    write_json(value);
                }
            }
            View::Quiet => {}
        }
    }
}

impl View {
    /// Takes away what is drawn again and again, so that what is written next stands alone.
    fn clear(&mut self) {
        if let Self::Live(live, painter) = self {
            live.clear();
            write_err(&painter.paint(&[], &[], size()));
        }
    }
}

fn draw_while_there(view: &Weak<Mutex<View>>) {
    while let Some(view) = view.upgrade() {
        if let View::Live(live, painter) = &mut *lock(&view) {
            let size = size();
            write_err(&painter.paint(&[], &live.rows(size, Instant::now()), size));
        }
        drop(view);
        std::thread::sleep(FRAME);
    }
}

fn size() -> Size {
    let told = rustix::termios::tcgetwinsize(stderr());
    match told {
        Ok(told) if told.ws_row > 0 && told.ws_col > 0 => Size {
            rows: told.ws_row.into(),
            columns: told.ws_col.into(),
        },
        _ => USUAL,
    }
}

fn write_out(text: &str) -> std::io::Result<()> {
    let mut out = stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes an event with its time as a line. Telling of a build never fails it.
fn write_json(mut value: serde_json::Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.entry("time").or_insert_with(|| now().into());
    }
    drop(write_out(&escape(&format!("{value}\n"))));
}

/// Writes to standard error at once. A reader that went away ends nothing.
fn write_err(text: &str) {
    drop(stderr().write_all(text.as_bytes()));
}

/// Shows what libraries log for those who look for a fault, on standard error.
fn log_libraries() {
    let log = tracing_subscriber::fmt()
        .with_writer(stderr)
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
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
