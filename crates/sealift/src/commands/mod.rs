//! The command line: each file holds one command's options and the function that wires its stages.
//! Names are docker's and buildx's where they exist.

pub mod build;
pub mod builder;
pub mod completions;
pub mod images;
pub mod network;
pub mod plan;
pub mod prefetch;
pub mod pull;
pub mod push;
pub mod session;
pub mod store;
pub mod trust;

use clap::{Parser, Subcommand};

use crate::cli::Global;
use crate::cli::build_line::BuildArgs;
use crate::error::Result;
use session::Session;

/// Builds multi-architecture container images where the network is bad.
#[derive(Debug, Parser)]
#[command(name = "sealift", version, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Builds an image for its platforms, sealed off from all registries
    Build(Box<BuildArgs>),
    /// Fetches all images that a build needs into the store
    ///
    /// Takes all options of `build`, so that a build line works unchanged: options that do not affect
    /// which images are needed or how they are fetched are checked and otherwise ignored.
    Prefetch(Box<BuildArgs>),
    /// Fetches images into the store
    Pull(pull::PullArgs),
    /// Pushes an image from the store to registries
    Push(push::PushArgs),
    /// Lists the images that a build needs
    Images(images::ImagesArgs),
    /// Shows what a build would do
    Plan(plan::PlanArgs),
    /// Shows how registries are reached: mirrors, TLS, proxies, accounts, and where each was found
    Network(network::NetworkArgs),
    /// Trusts a project's sealift.toml to say how registries are reached
    Trust(trust::TrustArgs),
    /// Manages the store
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Manages the builder that sealift starts
    #[command(subcommand)]
    Builder(builder::BuilderCommand),
    /// Prints the version
    Version,
    /// Prints a completion script for a shell
    Completions(completions::CompletionsArgs),
}

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
        Command::Images(args) => images::run(args, session),
        Command::Plan(args) => plan::run(args, session),
        Command::Network(args) => network::run(&args, session),
        Command::Trust(args) => trust::run(&args, session),
        Command::Store(command) => store::run(command, session).await,
        Command::Builder(command) => builder::run(command, session).await,
        Command::Version => {
            let version = concat!("sealift ", env!("CARGO_PKG_VERSION"), "\n");
            session.terminal.result(version);
            Ok(())
        }
        Command::Completions(args) => {
            completions::run(&args, &session.terminal);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
