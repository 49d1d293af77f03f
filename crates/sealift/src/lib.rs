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
pub mod error;
pub mod event;
pub mod index;
pub mod network;
pub mod output;
pub mod plan;
pub mod prefetch;
pub mod project;
pub mod report;
pub mod settings;
pub mod size;
pub mod terminal;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use cli::Cli;
use commands::session::Session;
use error::{Error, Kind, Result};
use settings::Settings;
use terminal::Terminal;

/// How long what runs in the background may take to end once the command has.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Runs the command line and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    // clap prints its own errors and ends with 2, our code for usage.
    let cli = Cli::parse();
    let terminal = Terminal::open(cli.global.progress, cli.global.verbose);
    let session = match Settings::read() {
        Ok(settings) => Session::new(settings, terminal),
        Err(error) => return ended(&terminal, &error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::new(Kind::Local, "cannot start threads").because(error);
            return ended(session.terminal(), &error);
        }
    };
    let outcome = runtime.block_on(until_stopped(commands::run(cli, &session)));
    runtime.shutdown_timeout(SHUTDOWN);
    session.finish(&outcome);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ended(session.terminal(), &error),
    }
}

fn ended(terminal: &Terminal, error: &Error) -> ExitCode {
    terminal.error(error);
    ExitCode::from(error.kind().exit_code())
}

/// Lets a command run until it ends or somebody stops it. What it had done is kept: a dropped
/// download leaves its partial file, a dropped solve is cancelled.
async fn until_stopped(command: impl Future<Output = Result<()>>) -> Result<()> {
    let watch = |kind| {
        signal(kind).map_err(|error| Error::new(Kind::Local, "cannot watch signals").because(error))
    };
    let (mut interrupt, mut terminate) = (
        watch(SignalKind::interrupt())?,
        watch(SignalKind::terminate())?,
    );
    let stopped = || {
        Error::new(Kind::Interrupted, "stopped")
            .hint("run it again: it goes on from what is in the store")
    };
    tokio::select! {
        outcome = command => outcome,
        _ = interrupt.recv() => Err(stopped()),
        _ = terminate.recv() => Err(stopped()),
    }
}
