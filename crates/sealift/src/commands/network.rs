//! `sealift network`: how registries are reached, and why. Also `sealift builder config`.

use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use sealift_oci::Reference;

use super::session::Session;
use crate::cli::network::{SourceArgs, read};
use crate::error::{Error, Kind, Result};
use crate::settings::Settings;
use sealift_network::Host;
use sealift_network::sink::buildkitd::{self, Files};
use sealift_network::sink::{Caveat, NetworkView, client, environment};

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
    /// A registry that builds use, to check against insecure networks; repeatable
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

/// Runs `sealift network`.
///
/// # Errors
/// As [`read`]; [`Kind::Config`] for an image that registries.conf forbids.
pub fn run(args: &NetworkArgs, session: &Session) -> Result<()> {
    let network = read(&args.sources, &session.settings, Path::new(""))?;
    let mut out = Vec::new();
    let written = if let Some(NetworkCommand::Explain { image }) = &args.command {
        let host = Host::parse(image.registry());
        let network = network.settle(host.as_slice(), client::lookup);
        let explanation = network
            .explain(image)
            .map_err(|error| Error::new(Kind::Config, error.to_string()))?;
        if args.json {
            return session.json(&explanation);
        }
        explanation.write(&mut out)
    } else {
        let network = network.settle(&[], client::lookup);
        let overview = network.overview();
        if args.json {
            return session.json(&overview);
        }
        overview.write(&mut out)
    };
    written.map_err(|error| Error::new(Kind::Local, "cannot write the result").because(error))?;
    session.terminal.result(&String::from_utf8_lossy(&out));
    Ok(())
}

/// Runs `sealift builder config`: the text of a buildkitd.toml, with the environment as comments.
///
/// # Errors
/// As [`read`]; [`Kind::Usage`] for a registry that is not a host.
pub fn configuration(args: &ConfigArgs, settings: &Settings) -> Result<String> {
    let mut hosts = Vec::new();
    for text in &args.registry {
        let wrong = || {
            Error::new(
                Kind::Usage,
                format!("--registry {text}: that is not a host"),
            )
        };
        hosts.push(Host::parse(text).ok_or_else(wrong)?);
    }
    let network = read(&args.sources, settings, Path::new(""))?.settle(&hosts, client::lookup);
    let view = match args.network {
        BuilderNetwork::Host => NetworkView::Host,
        BuilderNetwork::Isolated => NetworkView::Isolated,
    };
    let file = buildkitd::of(&network, &Files::InPlace, view);
    let environment = environment::of(&network, view);
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
    Ok(text)
}
