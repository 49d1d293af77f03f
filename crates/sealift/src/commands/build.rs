//! `sealift build`: discover, fetch, seal, build, deliver.

use super::metadata;
use super::order::Orders;
use super::registries::Registries;
use super::request::{BuildArgs, Request};
use super::result::Outcome;
use super::session::Session;
use super::steps;
use crate::build::{self, Built, Seal};
use crate::builder::Builder;
use crate::error::Result;
use crate::plan::{Plan, Triggers};
use crate::prefetch::inventory::store_failed;
use crate::prefetch::{Pins, Prefetch, complete};
use sealift_network::Network;

/// Builds.
///
/// # Errors
/// What any of the stages says; nothing that was fetched or built is lost.
pub async fn run(args: BuildArgs, session: &Session) -> Result<()> {
    let mut request = Request::read(&args, session)?;
    session.log_failures_at(&request.input.component.context);
    let store = session.store()?;
    let _lease = store.lease().map_err(store_failed)?;
    let registries = session.registries(&args.network, &request.input.component.context)?;
    let network = share(&request, &registries);
    let builder = session.builder(&args.builder, &network).await?;
    if let Some(native) = builder.platforms.first() {
        request.suit(native);
    }
    for platform in &request.input.platforms {
        builder.require(platform)?;
    }
    steps::add_network(&mut request.surroundings, &registries, &builder, session);
    let prefetch = registries.prefetch(store, args.pull);
    let (built, pins) = make(&request, &builder, &prefetch).await?;
    let outcome = Outcome {
        request: &request,
        pins: &pins,
        docker_host: registries.docker_host(),
    };
    let root = outcome.deliver(&built, &prefetch, session).await?;
    if let Some(file) = &request.metadata_file {
        let value = metadata::describe(&request.names, root.as_ref(), &built, &pins);
        metadata::write(file, &value)?;
    }
    Ok(())
}

/// Returns the builder's share of the network model. An unsealed one fetches the Dockerfile's images
/// itself; whether that can be parsed is BuildKit's to say.
fn share(request: &Request, registries: &Registries) -> Network {
    match (
        request.seal,
        Plan::make(&request.input, &Triggers::default()),
    ) {
        (Seal::Off, Ok(plan)) => registries.network_with(&plan.images),
        _ => registries.network().clone(),
    }
}

/// Brings in what the build needs and builds every unit. The pins are those of all images that the
/// results were built from, the ones that turned up only during the build included.
async fn make(
    request: &Request,
    builder: &Builder,
    prefetch: &Prefetch,
) -> Result<(Vec<Built>, Pins)> {
    let (plan, mut pins) = match request.seal {
        // BuildKit fetches what it needs; the Dockerfile is its to judge.
        Seal::Off => (None, Pins::new()),
        Seal::Images | Seal::All => {
            let (plan, pins) = complete(prefetch, &request.input).await?;
            (Some(plan), pins)
        }
    };
    let orders = Orders {
        request,
        plan: plan.as_ref(),
        pins: &pins,
    };
    let made = orders.make()?;
    let built = build::build_all(builder, made.orders, prefetch).await?;
    for unit in &built {
        pins.extend(unit.late.clone());
    }
    Ok((built, pins))
}
