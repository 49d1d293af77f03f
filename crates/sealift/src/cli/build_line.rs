//! The options of a build line, which `build` and `prefetch` share, read into values.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use sealift_oci::Platform;

use super::BuilderArgs;
use super::input::{self, InputArgs};
use super::network::NetworkArgs;
use super::result::{self, ResultArgs};
use super::steps::{self, StepArgs};
use crate::build::{Bounds, OnFailure, Products, Seal, StepOptions};
use crate::error::Result;
use crate::output::Destination;
use crate::plan::{Request, images};
use crate::prefetch::Freshness;
use crate::project::argument;
use crate::settings::Settings;

/// Options of a build line.
#[derive(Debug, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    input: InputArgs,
    /// How registries are reached.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Which builder is used.
    #[command(flatten)]
    pub builder: BuilderArgs,
    #[command(flatten)]
    steps: StepArgs,
    #[command(flatten)]
    result: ResultArgs,
    /// What the build is sealed off from: `images` from all registries, `all` from every URL and
    /// RUN from the network too
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    seal: Seal,
    /// Checks registries for newer images, even of tags in the store
    #[arg(long)]
    pull: bool,
    /// Builds this many platforms in parallel
    #[arg(short, long, value_name = "N", default_value_t = 8)]
    jobs: usize,
    /// Stops everything at the first failure [default: only what depends on it]
    #[arg(long)]
    fail_fast: bool,
}

/// A build line, read and checked: all that is known before a network or a builder is asked.
pub struct BuildLine {
    /// What is to be built.
    pub request: Request,
    /// The folder whose project's settings apply, and that has its log of failures.
    pub root: PathBuf,
    /// Where the result goes, besides the store.
    pub destinations: Vec<Destination>,
    /// What steps see.
    pub options: StepOptions,
    /// Where it is told what was built, from which images.
    pub metadata_file: Option<PathBuf>,
    /// Whether tags that are in the store are asked for again.
    pub freshness: Freshness,
    /// How many units are built at once, and what a failure stops.
    pub bounds: Bounds,
    /// The folder of the certificates for docker, where it is spoken to with TLS.
    pub docker_certificates: Option<PathBuf>,
    /// Whether the platforms are the builder's to choose.
    any_platform: bool,
}

impl BuildLine {
    /// Reads a build line.
    ///
    /// # Errors
    /// [`crate::error::Kind::Usage`] for options that make no sense, and for secrets and agents
    /// that are not there; [`crate::error::Kind::Absent`] where there is no Dockerfile;
    /// [`crate::error::Kind::Build`] where it has errors, unless it is BuildKit's alone to judge.
    pub fn read(args: &BuildArgs, settings: &Settings) -> Result<Self> {
        let mut input = input::read(&args.input, settings)?;
        let destinations = args.result.destinations(settings)?;
        input.names = args.result.names(&input.component.name, &destinations)?;
        let mut options = steps::read(&args.steps, settings)?;
        options.labels = argument::pairs("--label", &args.result.label)?;
        options.pull = args.pull;
        options.seal = args.seal;
        options.state.clone_from(&settings.home);
        if args.seal != Seal::Off {
            images::check(&input.component.dockerfile)?;
        }
        let file = args.result.metadata_file.as_ref();
        Ok(Self {
            root: input.component.context.clone(),
            request: input::request(input),
            destinations,
            options,
            metadata_file: file.map(|file| settings.working_directory.join(file)),
            freshness: match args.pull {
                true => Freshness::Refresh,
                false => Freshness::Cached,
            },
            bounds: Bounds {
                parallel: args.jobs,
                on_failure: match args.fail_fast {
                    true => OnFailure::FailFast,
                    false => OnFailure::StopDependents,
                },
            },
            docker_certificates: result::docker_certificates(settings),
            any_platform: args.input.platform.is_empty(),
        })
    }

    /// Takes a builder's own platform as the one that builds and, where the line names none, as
    /// the one to build for.
    pub fn suit(&mut self, native: &Platform) {
        self.request.build_platform = native.clone();
        if self.any_platform {
            for input in &mut self.request.inputs {
                Arc::make_mut(input).platforms = vec![native.clone()];
            }
        }
    }

    /// Returns what is made of every unit: files where a folder is asked for; an image where one
    /// is, or nothing is.
    #[must_use]
    pub fn products(&self) -> Products {
        let folders = self.destinations.iter().filter_map(Destination::folder);
        let folders: Vec<PathBuf> = folders.cloned().collect();
        Products {
            image: folders.len() < self.destinations.len() || self.destinations.is_empty(),
            folders,
        }
    }
}
