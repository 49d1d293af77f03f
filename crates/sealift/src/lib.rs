//! Builds multi-architecture container images where the network is bad: finds every image that a
//! build needs, brings it into a local store, seals the build off from all registries, lets
//! BuildKit build, and delivers the results.
//!
//! The stages stand in the order in which data flows; each uses only those before it. ARCHITECTURE.md
//! has the map.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests write files that nobody else reads"
    )
)]

pub mod build;
pub mod builder;
pub mod cli;
pub mod commands;
pub mod context;
pub mod engine;
pub mod error;
pub mod event;
pub mod file;
pub mod index;
pub mod output;
pub mod plan;
pub mod prefetch;
pub mod project;
pub mod registries;
pub mod report;
pub mod settings;
pub mod size;
pub mod terminal;
pub mod unit;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use commands::Cli;
use commands::session::Session;
use error::{Error, Kind, Result};
use settings::Settings;
use terminal::Terminal;

/// How long what runs in the background may take to end once the command has.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// The stack of the thread that runs the command, in bytes: as much as a main thread has.
const STACK: usize = 8 << 20;

/// Runs the command line and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    // clap prints its own errors and ends with 2, our code for usage.
    let cli = Cli::parse();
    let settings = Settings::read();
    let screen = settings.as_ref().map(Settings::screen).unwrap_or_default();
    let terminal = Terminal::open(cli.global.progress, cli.global.verbose, screen);
    let session = match settings {
        Ok(settings) => Arc::new(Session::new(settings, terminal)),
        Err(error) => return ended(&terminal, &error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::new(Kind::Local, "cannot start threads").because(error);
            return ended(&session.terminal, &error);
        }
    };
    let outcome = runtime.block_on(until_stopped(cli, &session));
    runtime.shutdown_timeout(SHUTDOWN);
    session.finish(&outcome);
    match outcome {
        Ok(()) => match session.terminal.lost() {
            None => ExitCode::SUCCESS,
            Some(error) => ended(&session.terminal, &error),
        },
        Err(error) => ended(&session.terminal, &error),
    }
}

fn ended(terminal: &Terminal, error: &Error) -> ExitCode {
    terminal.error(error);
    ExitCode::from(error.kind().exit_code())
}

/// Lets a command run until it ends or somebody stops it. It has a thread of its own, so that one
/// which waits for a file, a pipe or a lock can be stopped, too.
async fn until_stopped(cli: Cli, session: &Arc<Session>) -> Result<()> {
    let failed = |what: &'static str| move |error| Error::new(Kind::Local, what).because(error);
    let watch = |kind| signal(kind).map_err(failed("cannot watch signals"));
    let (mut interrupt, mut terminate) = (
        watch(SignalKind::interrupt())?,
        watch(SignalKind::terminate())?,
    );
    let (stop, stopping) = oneshot::channel();
    let (tell, mut outcome) = oneshot::channel();
    let (session, runtime) = (Arc::clone(session), Handle::current());
    let command = std::thread::Builder::new()
        .name("sealift-command".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            let ended = runtime.block_on(run_until(stopping, cli, &session));
            // Nobody waits any more where it took too long to stop.
            drop(tell.send(ended));
        })
        .map_err(failed("cannot start threads"))?;
    tokio::select! {
        ended = &mut outcome => return ended.unwrap_or_else(|_| match command.join() {
            Ok(()) => Err(stopped()),
            Err(panic) => std::panic::resume_unwind(panic),
        }),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    drop(stop);
    match tokio::time::timeout(SHUTDOWN, outcome).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(_)) | Err(_) => Err(stopped()),
    }
}

/// Runs a command until `stop` is dropped. What it had done is kept: a dropped download leaves its
/// partial file, a dropped solve is cancelled.
async fn run_until(stop: oneshot::Receiver<()>, cli: Cli, session: &Session) -> Result<()> {
    tokio::select! {
        outcome = commands::run(cli, session) => outcome,
        _ = stop => Err(stopped()),
    }
}

fn stopped() -> Error {
    Error::new(Kind::Interrupted, "stopped")
        .hint("run it again: it resumes from what is in the store")
}
