//! `sealift builder`: the managed buildkitd, seen and stopped.

use clap::{Args, Subcommand};
use sealift_buildkit::Client;
use serde::Serialize;

use super::network::{self, ConfigArgs};
use super::session::Session;
use crate::error::Result;
use crate::size::columns;

/// The commands of `sealift builder`.
#[derive(Debug, Subcommand)]
pub enum BuilderCommand {
    /// Shows the managed builder, and the one that BUILDKIT_HOST names
    Ls(LsArgs),
    /// Stops the managed builder; its cache stays
    Stop,
    /// Prints the buildkitd.toml and environment that builders get, each entry with its source
    Config(ConfigArgs),
}

/// Options of `sealift builder ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// One builder, as `ls --json` prints it.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    address: String,
    state: String,
    platforms: Vec<String>,
    log: Option<String>,
}

/// Runs one of them.
///
/// # Errors
/// [`crate::error::Kind::Builder`] where the builder can't be stopped,
/// [`crate::error::Kind::Config`] where a configuration file is malformed.
pub async fn run(command: BuilderCommand, session: &Session) -> Result<()> {
    match command {
        BuilderCommand::Config(args) => {
            let text = network::configuration(&args, &session.settings)?;
            session.terminal.result(&text);
            Ok(())
        }
        BuilderCommand::Ls(args) => list(&args, session).await,
        BuilderCommand::Stop => {
            let stopped = session.managed_builder().stop(&session.events).await?;
            let text = if stopped {
                "stopped\n"
            } else {
                "it is not running\n"
            };
            session.terminal.result(text);
            Ok(())
        }
    }
}

async fn list(args: &LsArgs, session: &Session) -> Result<()> {
    let process = session.managed_builder();
    let address = process.address();
    let log = Some(process.log().display().to_string()).filter(|_| process.log().exists());
    let mut rows = vec![match process.running() {
        Some(pid) => {
            let state = format!("running (process {pid})");
            Row {
                log,
                ..ask("managed", &address.to_string(), state).await
            }
        }
        None => Row {
            name: "managed",
            address: address.to_string(),
            state: "stopped".to_owned(),
            platforms: Vec::new(),
            log,
        },
    }];
    if let Some(named) = session.settings.variable("BUILDKIT_HOST") {
        rows.push(ask("BUILDKIT_HOST", named, "running".to_owned()).await);
    }
    if args.json {
        return session.json(&rows);
    }
    let mut table = vec![["NAME", "STATE", "PLATFORMS", "ADDRESS", "LOG"].map(str::to_owned)];
    table.extend(rows.into_iter().map(|row| {
        let log = row.log.unwrap_or_default();
        [
            row.name.to_owned(),
            row.state,
            row.platforms.join(","),
            row.address,
            log,
        ]
    }));
    session.terminal.result(&columns(&table));
    Ok(())
}

/// Asks a builder for its platforms; a builder that does not answer is a state, not an error.
async fn ask(name: &'static str, address: &str, state: String) -> Row {
    let row = |state, platforms| {
        let address = address.to_owned();
        Row {
            name,
            address,
            state,
            platforms,
            log: None,
        }
    };
    let workers = async {
        let client = Client::connect(&address.parse()?).await?;
        client.workers().await
    };
    match workers.await {
        Ok(workers) => {
            let platforms = workers.iter().flat_map(|worker| &worker.platforms);
            row(state, platforms.map(ToString::to_string).collect())
        }
        Err(error) => row(format!("does not answer: {error}"), Vec::new()),
    }
}
