//! `sealift build`: discover, fetch, seal, build, deliver.

use clap::{Args, ValueEnum};

use super::order::Orders;
use super::registries::Registries;
use super::result::{Outcome, ResultArgs};
use super::session::Session;
use super::steps::{self, StepArgs};
use super::{input, metadata};
use crate::build;
use crate::cli::{BuilderArgs, InputArgs, NetworkArgs};
use crate::error::Result;
use crate::network::Network;
use crate::plan::{Input, Plan, Triggers};
use crate::prefetch::inventory::store_failed;
use crate::prefetch::{Pins, complete};
use crate::project::argument;

/// Options of `sealift build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    builder: BuilderArgs,
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
    pull: bool,
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

/// Returns the builder's share of the network model. An unsealed one fetches the Dockerfile's images
/// itself; whether that can be parsed is BuildKit's to say.
fn share(seal: Seal, registries: &Registries, input: &Input) -> Network {
    match (seal, Plan::make(input, &Triggers::default())) {
        (Seal::Off, Ok(plan)) => registries.network_with(&plan.images),
        _ => registries.network().clone(),
    }
}

/// Builds.
///
/// # Errors
/// What any of the stages says; nothing that was fetched or built is lost.
pub async fn run(args: BuildArgs, session: &Session) -> Result<()> {
    let mut input = input::read(&args.input, session.settings())?;
    let destinations = args.result.destinations(session)?;
    let names = args.result.names(&input, &destinations)?;
    let mut surroundings = steps::read(&args.steps, session.settings())?;
    surroundings.labels = argument::pairs("--label", &args.result.label)?;
    surroundings.build_args.clone_from(&input.build_args);
    surroundings.pull = args.pull;
    session.log_failures_at(&input.component.context);
    let store = session.store()?;
    let _lease = store.lease().map_err(store_failed)?;
    let registries = session.registries(&args.network, &input.component.context)?;
    let network = share(args.seal, &registries, &input);
    let builder = session.builder(&args.builder, &network).await?;
    steps::add_network(&mut surroundings, &registries, &builder, session);
    if let Some(native) = builder.platforms.first() {
        input.build_platform = native.clone();
    }
    for platform in &input.platforms {
        builder.require(platform)?;
    }
    let prefetch = registries.prefetch(store, args.pull);
    let (plan, pins) = match args.seal {
        // BuildKit fetches what it needs; the Dockerfile is its to judge.
        Seal::Off => (None, Pins::new()),
        Seal::Images | Seal::All => {
            let (plan, pins) = complete(&prefetch, &input).await?;
            (Some(plan), pins)
        }
    };
    let orders = Orders {
        input: &input,
        plan: plan.as_ref(),
        pins: &pins,
        seal: args.seal.into(),
    };
    let made = orders.make(surroundings, &names, &destinations)?;
    let built = build::build_all(&builder, made.orders, &prefetch).await?;
    let bases: Vec<_> = pins
        .keys()
        .map(|(reference, _)| reference.clone())
        .collect();
    let outcome = Outcome {
        input: &input,
        names: &names,
        bases: &bases,
        destinations: &destinations,
        docker_host: registries.docker_host(),
    };
    let root = outcome.deliver(&built, &prefetch, session).await?;
    if let Some(file) = &args.result.metadata_file {
        let file = session.settings().working_directory.join(file);
        metadata::write(
            &file,
            &metadata::describe(&names, root.as_ref(), &built, &pins),
        )?;
    }
    Ok(())
}
