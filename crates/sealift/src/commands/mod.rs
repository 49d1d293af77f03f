//! The commands: each file holds one command's options and the function that wires its stages.

pub mod build;
pub mod builder;
pub mod completions;
pub mod images;
pub mod input;
pub mod metadata;
pub mod network;
pub mod order;
pub mod plan;
pub mod prefetch;
pub mod pull;
pub mod push;
pub mod registries;
pub mod request;
pub mod result;
pub mod session;
pub mod steps;
pub mod store;
pub mod tally;

use crate::cli::{Cli, Command};
use crate::error::Result;
use session::Session;

/// Runs a command.
///
/// # Errors
/// Whatever made it stop.
pub async fn run(cli: Cli, session: &Session) -> Result<()> {
    match cli.command {
        Command::Build(args) => build::run(*args, session).await,
        Command::Prefetch(args) => prefetch::run(*args, session).await,
        Command::Pull(args) => pull::run(args, session).await,
        Command::Push(args) => push::run(args, session).await,
        Command::Images(args) => images::run(args, session).await,
        Command::Plan(args) => plan::run(args, session).await,
        Command::Network(args) => {
            let mut out = Vec::new();
            network::run(&args, session.settings(), &mut out)?;
            session.terminal().result(&String::from_utf8_lossy(&out));
            Ok(())
        }
        Command::Store(command) => store::run(command, session).await,
        Command::Builder(command) => builder::run(command, session).await,
        Command::Version => {
            session
                .terminal()
                .result(concat!("sealift ", env!("CARGO_PKG_VERSION"), "\n"));
            Ok(())
        }
        Command::Completions(args) => {
            completions::run(&args, session.terminal());
            Ok(())
        }
    }
}
