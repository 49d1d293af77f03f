//! `sealift network`: how registries are reached, and why. Also `sealift builder config`, and the
//! model for all other commands.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use sealift_oci::Reference;

use super::session::json;
use crate::error::{Error, Kind, Result};
use crate::settings::Settings;
use sealift_network::sink::buildkitd::{self, Files};
use sealift_network::sink::{Caveat, Sight, client, environment};
use sealift_network::{self as network, Flags, Host, Network, Places};

/// Options that say how registries are reached.
#[derive(Debug, Clone, Default, Args)]
pub struct SourceArgs {
    /// Asks this mirror before a registry, in the order given: docker.io=http://127.0.0.1:5000
    #[arg(long, value_name = "REGISTRY=URL")]
    pub mirror: Vec<String>,
    /// Takes this proxy for everything, `none` for no proxy at all
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// Reads this file in place of the daemon.json of this machine
    #[arg(long, value_name = "FILE")]
    pub daemon_json: Option<PathBuf>,
}

/// Options of `sealift network`.
#[derive(Debug, Args)]
pub struct NetworkArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Prints JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<NetworkCommand>,
}

/// What `sealift network` can show besides the whole model.
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Shows the requests that a pull of an image would make, in their order
    Explain {
        /// The image
        image: Reference,
    },
}

/// Options of `sealift builder config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Registries that builds use, to which networks of insecure registries are applied
    #[arg(long, value_name = "HOST")]
    registry: Vec<String>,
    /// The network that the builder is on
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    network: BuilderNetwork,
}

/// The network of a builder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum BuilderNetwork {
    /// This machine's own
    #[default]
    Host,
    /// One of its own
    Isolated,
}

/// Reads the model. The project's file is looked for in `folder` and those above it.
///
/// # Errors
/// [`Kind::Config`] with every mistake that was found, [`Kind::Usage`] where all are in options.
pub fn read(sources: &SourceArgs, settings: &Settings, folder: &Path) -> Result<Network> {
    let folder = settings.working_directory.join(folder);
    let project = folder.ancestors().map(|folder| folder.join("sealift.toml"));
    let places = Places {
        root: PathBuf::from("/"),
        environment: settings.environment.clone(),
        working_directory: settings.working_directory.clone(),
        project_file: project.into_iter().find(|file| file.is_file()),
        flags: Flags {
            mirrors: sources.mirror.clone(),
            proxy: sources.proxy.clone(),
            daemon_json: sources.daemon_json.clone(),
        },
    };
    Network::read(&places).map_err(malformed)
}

fn malformed(error: network::Error) -> Error {
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

/// Runs `sealift network`.
///
/// # Errors
/// As [`read`]; [`Kind::Config`] for an image that registries.conf forbids; [`Kind::Local`] where
/// `out` cannot be written.
pub fn run(args: &NetworkArgs, settings: &Settings, out: &mut impl Write) -> Result<()> {
    let network = read(&args.sources, settings, Path::new(""))?;
    let Some(NetworkCommand::Explain { image }) = &args.command else {
        let network = network.settle(&[], client::lookup);
        let overview = network.overview();
        return if args.json {
            write!(out, "{}", json(&overview)?).map_err(unwritten)
        } else {
            overview.write(out).map_err(unwritten)
        };
    };
    let host = Host::parse(image.registry());
    let network = network.settle(host.as_slice(), client::lookup);
    let explanation = network
        .explain(image)
        .map_err(|error| Error::new(Kind::Config, error.to_string()))?;
    if args.json {
        write!(out, "{}", json(&explanation)?).map_err(unwritten)
    } else {
        explanation.write(out).map_err(unwritten)
    }
}

/// Runs `sealift builder config`: the text of a buildkitd.toml, with the environment as comments.
///
/// # Errors
/// As [`read`]; [`Kind::Usage`] for a registry that is no host.
pub fn configuration(args: &ConfigArgs, settings: &Settings, out: &mut impl Write) -> Result<()> {
    let mut hosts = Vec::new();
    for text in &args.registry {
        let wrong = || Error::new(Kind::Usage, format!("--registry {text}: that is no host"));
        hosts.push(Host::parse(text).ok_or_else(wrong)?);
    }
    let network = read(&args.sources, settings, Path::new(""))?.settle(&hosts, client::lookup);
    let sight = match args.network {
        BuilderNetwork::Host => Sight::Host,
        BuilderNetwork::Isolated => Sight::Isolated,
    };
    let file = buildkitd::of(&network, &Files::InPlace, sight);
    let environment = environment::of(&network, sight);
    let mut text = file.text;
    if !environment.variables.is_empty() {
        text.push_str("\n# The environment of buildkitd; passwords are masked here.\n");
    }
    for variable in &environment.variables {
        let from: Vec<_> = variable.from.iter().map(ToString::to_string).collect();
        let from = from.join("; ");
        text.push_str(&format!(
            "#   {}={}  ({from})\n",
            variable.name, variable.value
        ));
    }
    let caveats: Vec<&Caveat> = file.caveats.iter().chain(&environment.caveats).collect();
    if !caveats.is_empty() {
        text.push_str("\n# Left out:\n");
    }
    for caveat in caveats {
        text.push_str(&format!("#   {caveat}\n"));
    }
    out.write_all(text.as_bytes()).map_err(unwritten)
}

fn unwritten(error: std::io::Error) -> Error {
    Error::new(Kind::Local, "cannot write the result").because(error)
}
