//! The options of a build line, which `build` and `prefetch` share, read into values.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sealift_oci::{Platform, Reference};

use super::input;
use super::result::ResultArgs;
use super::session::Session;
use super::steps::{self, StepArgs};
use crate::build::{self, Surroundings};
use crate::cli::{BuilderArgs, InputArgs, NetworkArgs};
use crate::error::Result;
use crate::output::Destination;
use crate::plan::{Input, images};
use crate::project::argument;

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
    /// Asks registries for newer images of the tags that are in the store
    #[arg(long)]
    pub pull: bool,
}

/// What a build is sealed off from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Seal {
    /// All registries
    #[default]
    Images,
    /// All registries and URLs; RUN has no network
    All,
    /// Nothing: BuildKit fetches images itself
    Off,
}

impl From<Seal> for build::Seal {
    fn from(seal: Seal) -> Self {
        match seal {
            Seal::Images => Self::Images,
            Seal::All => Self::All,
            Seal::Off => Self::Off,
        }
    }
}

/// A build line, read and checked: all that is known before a network or a builder is asked.
pub struct Request {
    /// What is to be built.
    pub input: Input,
    /// The result's names.
    pub names: Vec<Reference>,
    /// Where the result goes, besides the store.
    pub destinations: Vec<Destination>,
    /// What steps see.
    pub surroundings: Surroundings,
    /// Where it is told what was built, from which images.
    pub metadata_file: Option<PathBuf>,
    /// What the build is sealed off from.
    pub seal: build::Seal,
    /// Whether the platforms are the builder's to choose.
    any_platform: bool,
}

impl Request {
    /// Reads a build line.
    ///
    /// # Errors
    /// [`crate::error::Kind::Usage`] for options that make no sense, and for secrets and agents
    /// that are not there; [`crate::error::Kind::Absent`] where there is no Dockerfile;
    /// [`crate::error::Kind::Build`] where it has errors, unless it is BuildKit's alone to judge.
    pub fn read(args: &BuildArgs, session: &Session) -> Result<Self> {
        let settings = session.settings();
        let input = input::read(&args.input, settings)?;
        let destinations = args.result.destinations(session)?;
        let names = args.result.names(&input, &destinations)?;
        let mut surroundings = steps::read(&args.steps, settings)?;
        surroundings.labels = argument::pairs("--label", &args.result.label)?;
        surroundings.build_args.clone_from(&input.build_args);
        surroundings.pull = args.pull;
        if args.seal != Seal::Off {
            images::check(&input.component.dockerfile)?;
        }
        let file = args.result.metadata_file.as_ref();
        Ok(Self {
            input,
            names,
            destinations,
            surroundings,
            metadata_file: file.map(|file| settings.working_directory.join(file)),
            seal: args.seal.into(),
            any_platform: args.input.platform.is_empty(),
        })
    }

    /// Takes a builder's own platform as the one that builds and, where the line names none, as
    /// the one to build for.
    pub fn suit(&mut self, native: &Platform) {
        self.input.build_platform = native.clone();
        if self.any_platform {
            self.input.platforms = vec![native.clone()];
        }
    }
}
