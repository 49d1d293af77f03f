//! The options that say how registries are reached, read into the network model.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use sealift_content::read_private;
use sealift_network::project::FILE_NAME;
use sealift_network::{self as network, Flags, Network, Places, Trust};
use sealift_transport::settings::Retry;

use super::parse_duration;
use crate::error::{Error, Kind, Result};
use crate::file;
use crate::settings::Settings;

/// How registries are reached.
#[derive(Debug, Clone, Args)]
pub struct NetworkArgs {
    /// Mirrors and proxies.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Gives up on a request that received nothing for this long: 90s, 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    pub retry_budget: Duration,
    /// Stops retrying an image this long after it began [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub image_budget: Option<Duration>,
    /// Stops all retries this long after the command began [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub run_budget: Option<Duration>,
    /// Gives up after this many retries of one request [default: the budgets alone decide]
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
}

impl NetworkArgs {
    /// Returns how long and how often is retried.
    #[must_use]
    pub fn retry(&self) -> Retry {
        Retry {
            budget: self.retry_budget,
            run: self.run_budget,
            attempts: self.retries.map(|retries| retries.saturating_add(1)),
            ..Retry::default()
        }
    }
}

/// Options that say how registries are reached.
#[derive(Debug, Clone, Default, Args)]
pub struct SourceArgs {
    /// Tries this mirror before the registry; repeatable, in order: docker.io=http://127.0.0.1:5000
    #[arg(long, global = true, value_name = "REGISTRY=URL")]
    pub mirror: Vec<String>,
    /// Uses this proxy for everything; `none` disables all proxies
    #[arg(long, global = true, value_name = "URL")]
    pub proxy: Option<String>,
    /// Reads this file instead of this machine's daemon.json
    #[arg(long, global = true, value_name = "FILE")]
    pub daemon_json: Option<PathBuf>,
    /// Lets the project's sealift.toml say how registries are reached, as `sealift trust` does
    #[arg(long, global = true)]
    pub trust_project: bool,
}

/// Reads the model. The project's file is looked for in `folder` and those above it.
///
/// # Errors
/// [`Kind::Config`] with every mistake that was found, [`Kind::Usage`] where all are in options.
pub fn read(sources: &SourceArgs, settings: &Settings, folder: &Path) -> Result<Network> {
    let folder = settings.working_directory.join(folder);
    let files = folder.ancestors().map(|folder| folder.join(FILE_NAME));
    let mut places = places(settings, files.collect())?;
    places.trust = places.trust.with_any(sources.trust_project);
    places.flags = Flags {
        mirrors: sources.mirror.clone(),
        proxy: sources.proxy.clone(),
        daemon_json: sources.daemon_json.clone(),
    };
    Network::read(&places).map_err(malformed)
}

/// Returns where this machine's configuration is looked for, without options.
///
/// # Errors
/// [`Kind::Local`] where the record of trusted projects cannot be read.
pub fn places(settings: &Settings, project_files: Vec<PathBuf>) -> Result<Places> {
    Ok(Places {
        root: PathBuf::from("/"),
        environment: settings.environment.clone(),
        working_directory: settings.working_directory.clone(),
        project_files,
        trust: trust(settings)?,
        user: file::us(),
        flags: Flags::default(),
    })
}

fn trust(settings: &Settings) -> Result<Trust> {
    let path = settings.trust();
    let read = read_private(&path).and_then(|bytes| {
        let text = bytes.unwrap_or_else(|| b"{\"tables\":{}}".to_vec());
        Ok(serde_json::from_slice::<Trust>(&text)?)
    });
    let trust = read.map_err(|error| {
        file::failed("use", &path, error).hint("remove it, and trust your projects again")
    })?;
    let folder = std::fs::canonicalize(&settings.home);
    Ok(trust.kept_in(folder.unwrap_or_else(|_| settings.home.clone())))
}

/// Makes the error of a configuration that cannot be understood.
#[must_use]
pub fn malformed(error: network::Error) -> Error {
    let of_options = match &error {
        network::Error::Malformed { problems } => problems
            .iter()
            .all(|problem| matches!(problem.at, network::Place::Flag(_))),
        _ => false,
    };
    let kind = if of_options {
        Kind::Usage
    } else {
        Kind::Config
    };
    Error::new(kind, error.to_string())
}
