//! The command line: names, options and help, in docker's and buildx's words where they exist.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sealift_oci::Platform;

use crate::commands;

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

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// How progress is shown
    #[arg(long, global = true, value_enum, default_value_t, value_name = "KIND")]
    pub progress: Progress,
    /// Tells more: once of each retry, twice of each request
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A live view on a terminal, lines elsewhere
    #[default]
    Auto,
    /// Lines
    Plain,
    /// JSON, one object a line, on standard output
    Json,
    /// Errors alone
    Quiet,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Builds an image for its platforms, sealed off from all registries
    Build(Box<commands::request::BuildArgs>),
    /// Fetches all images that a build needs into the store
    ///
    /// Takes all of build's options, so that a build line serves as it is: those that do not decide
    /// which images are needed or how they are fetched are checked, and have no effect otherwise.
    Prefetch(Box<commands::request::BuildArgs>),
    /// Fetches images into the store
    Pull(commands::pull::PullArgs),
    /// Pushes an image from the store to registries
    Push(commands::push::PushArgs),
    /// Lists the images that a build needs
    Images(commands::images::ImagesArgs),
    /// Shows what a build would do
    Plan(commands::plan::PlanArgs),
    /// Shows how registries are reached: mirrors, TLS, proxies, accounts, and where each was found
    Network(commands::network::NetworkArgs),
    /// Looks after the store
    #[command(subcommand)]
    Store(commands::store::StoreCommand),
    /// Looks after the managed builder
    #[command(subcommand)]
    Builder(commands::builder::BuilderCommand),
    /// Prints the version
    Version,
    /// Prints a completion script for a shell
    Completions(commands::completions::CompletionsArgs),
}

/// What is to be built: the options that decide which images a build needs.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// The build context
    #[arg(default_value = ".", value_name = "PATH")]
    pub path: PathBuf,
    /// The Dockerfile [default: PATH/Dockerfile]; `-` reads it from standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Platforms, separated by commas [default: the builder's own; this machine's where no builder
    /// is asked]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', value_parser = parse_platform)]
    pub platform: Vec<Platform>,
    /// Builds this stage
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Sets a build argument; NAME alone takes it from the environment
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_arg: Vec<String>,
    /// Adds a build context, or replaces an image by one
    #[arg(long, value_name = "NAME=PATH|docker-image://IMAGE")]
    pub build_context: Vec<String>,
}

/// How registries are reached.
#[derive(Debug, Clone, Args)]
pub struct NetworkArgs {
    /// Mirrors and proxies.
    #[command(flatten)]
    pub sources: commands::network::SourceArgs,
    /// Gives up when nothing arrived for this long: 90s, 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    pub retry_budget: Duration,
    /// Retries nothing of an image any more this long after it was begun [default: no such end]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub image_budget: Option<Duration>,
    /// Retries nothing at all any more this long after the command began [default: no such end]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub run_budget: Option<Duration>,
    /// Gives up after this many retries of one request [default: the budgets alone decide]
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
}

/// Which builder is used.
#[derive(Debug, Clone, Args)]
pub struct BuilderArgs {
    /// A buildkitd's address: unix://PATH, tcp://HOST:PORT, docker-container://NAME, exec:COMMAND
    /// [default: BUILDKIT_HOST, else a local one that sealift starts]
    #[arg(long, value_name = "ADDRESS")]
    pub builder: Option<String>,
}

/// Parses a platform of a list; buildx allows blanks behind the commas.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse_platform(text: &str) -> Result<Platform, String> {
    Platform::parse(text.trim()).map_err(|error| error.to_string())
}

/// Leaves out what was given before: the same image or platform twice is one.
#[must_use]
pub fn once<T: PartialEq>(given: Vec<T>) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for one in given {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}

/// Parses a time such as `500ms`, `90s`, `10m`, `1h30m`, or seconds as a bare number.
///
/// # Errors
/// Says the form that is wanted.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let form = || format!("{text:?} is no time; write it like 90s, 10m or 1h30m");
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(form)?;
        let number: u32 = rest[..digits].parse().map_err(|_| form())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(form()),
        };
        total += unit * number;
        rest = &rest[letters..];
    }
    if text.is_empty() {
        Err(form())
    } else {
        Ok(total)
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

    #[test]
    fn times() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("7"), Ok(Duration::from_secs(7)));
        for text in ["", "x", "10x", "m", "5s3", "-1s"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }
}
