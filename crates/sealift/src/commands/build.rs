//! `sealift build`: discover, fetch, seal, build, deliver.

use super::session::Session;
use crate::build::{self, Built, Orders, Outcome, Seal};
use crate::cli::build_line::{BuildArgs, BuildLine};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{Delivery, Destination, metadata, refuse_links};
use crate::plan::{Input, Plan, Triggers, images};
use crate::prefetch::{Pins, complete, heal};
use sealift_network::sink::client;
use sealift_network::{Host, Network};
use sealift_oci::Platform;

/// Builds.
///
/// # Errors
/// What any of the stages says; nothing that was fetched or built is lost.
pub async fn run(args: BuildArgs, session: &Session) -> Result<()> {
    let mut line = BuildLine::read(&args, &session.settings)?;
    refuse_planted_links(&line, session)?;
    session.log_failures_at(&line.root);
    for input in &line.request.inputs {
        for name in images::unused_arguments(input) {
            let file = &input.component.dockerfile.shown;
            let text = format!("--build-arg {name} has no effect: no ARG of {file} declares it");
            session.events.warn(text);
        }
    }
    let context = session.open(session.store()?, &args.network, &line.root)?;
    let _lease = context.store.lease()?;
    let network = share(&line, &context);
    let search = session.builder(&args.builder);
    let builder = search.connect(&network, &context.events).await?;
    if let Some(native) = builder.platforms.first() {
        line.suit(native);
    }
    let mut options = line.options.clone();
    options.add_network(&context, &builder, &line.request);
    let (plan, mut pins) = match options.seal {
        // BuildKit fetches what it needs; the Dockerfile is its to judge.
        Seal::Off => (Plan::without_needs(&line.request), Pins::new()),
        Seal::Images | Seal::All => complete(&context, &line.request, line.freshness).await?,
    };
    let orders = Orders::make(&line.request, &plan, &pins, &line.products(), options)?;
    let built = build::build_all(&builder, &context, &orders.orders, line.bounds).await?;
    let images = built.iter().filter_map(|unit| unit.outcome.built());
    pins.extend(images.flat_map(|image| image.late.clone()));
    let mut built = built.into_iter();
    let mut failures = Vec::new();
    for input in &line.request.inputs {
        let units: Vec<Built> = built.by_ref().take(input.platforms.len()).collect();
        let whole = units.iter().all(|unit| unit.outcome.built().is_some());
        if whole {
            deliver(&line, input, &units, &pins, &context).await?;
            continue;
        }
        for Built { unit, outcome } in units {
            match outcome {
                Outcome::Failed(error) => failures.push(error),
                Outcome::Stopped(cause) => {
                    let text = format!("{unit} was not built, because {cause} failed");
                    context.events.note(text);
                }
                Outcome::Built(_) => {
                    let text = "is kept in the store, without a name until all platforms are built";
                    context.events.note(format!("{unit} {text}"));
                }
            }
        }
    }
    Error::all(failures).map_or(Ok(()), Err)
}

/// Refuses results that a link of the repository would lead elsewhere.
fn refuse_planted_links(line: &BuildLine, session: &Session) -> Result<()> {
    let here = &session.settings.working_directory;
    for input in &line.request.inputs {
        let paths = line.destinations.iter().filter_map(Destination::path);
        let paths = paths.chain(line.metadata_file.as_deref());
        refuse_links(&input.component.context, here, paths)?;
    }
    Ok(())
}

/// Brings a component's image to where it was asked for.
async fn deliver(
    line: &BuildLine,
    input: &Input,
    units: &[Built],
    pins: &Pins,
    context: &Context,
) -> Result<()> {
    let images = units.iter().filter_map(|unit| {
        let manifest = unit.outcome.built()?.manifest.clone()?;
        Some((unit.unit.platform.clone(), manifest))
    });
    let delivery = Delivery {
        images: images.collect(),
        names: input.names.clone(),
        bases: pins
            .keys()
            .map(|(reference, _)| reference.clone())
            .collect(),
        single: match &input.platforms[..] {
            [only] => only.clone(),
            _ => Platform::host(),
        },
        docker_certificates: line.docker_certificates.clone(),
    };
    let root = match delivery.deliver(context, &line.destinations).await {
        Err(_) if heal(context, pins.keys().cloned()).await? => {
            delivery.deliver(context, &line.destinations).await?
        }
        other => other?,
    };
    if let Some(file) = &line.metadata_file {
        let seal = line.options.seal;
        let value = metadata::describe(&input.names, root.as_ref(), units, pins, seal);
        metadata::write(file, &value)?;
    }
    Ok(())
}

/// Returns the builder's share of the network model. An unsealed one fetches the Dockerfile's images
/// itself; whether that can be parsed is BuildKit's to say.
fn share(line: &BuildLine, context: &Context) -> Network {
    let network = &context.registries.network;
    match (
        line.options.seal,
        Plan::make(&line.request, &Triggers::default()),
    ) {
        (Seal::Off, Ok(plan)) => {
            let registries = plan.images.iter().map(|image| image.reference.registry());
            let hosts: Vec<Host> = registries.filter_map(Host::parse).collect();
            Network::clone(network).settle(&hosts, client::lookup)
        }
        _ => Network::clone(network),
    }
}
