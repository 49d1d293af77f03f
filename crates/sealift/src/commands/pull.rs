//! `sealift pull`: images into the store.

use std::path::Path;

use clap::Args;
use sealift_oci::{Platform, Reference};

use super::session::Session;
use crate::cli::network::NetworkArgs;
use crate::cli::{once, parse_platform};
use crate::error::Result;
use crate::prefetch::{Freshness, Wanted, fetch};
use crate::project::Place;

/// Options of `sealift pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<Reference>,
    /// Platforms, separated by commas [default: this machine's]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', value_parser = parse_platform)]
    platform: Vec<Platform>,
    /// Fetches each image whole: all platforms and attestations
    #[arg(long, conflicts_with = "platform")]
    all_platforms: bool,
    #[command(flatten)]
    network: NetworkArgs,
}

/// Pulls. A tag that is in the store is asked for again: that is what pulling means.
///
/// # Errors
/// What the registries say.
pub async fn run(args: PullArgs, session: &Session) -> Result<()> {
    let context = session.open(session.store()?, &args.network, Path::new(""))?;
    let _lease = context.store.lease()?;
    let platforms = match args.platform.is_empty() {
        true if args.all_platforms => Vec::new(),
        true => vec![Platform::host()],
        false => once(args.platform),
    };
    let place = Place {
        file: "the command line".into(),
        line: 0,
    };
    let wanted = once(args.images).into_iter().map(|reference| Wanted {
        reference,
        platforms: platforms.clone(),
        meant: None,
        place: place.clone(),
    });
    fetch(&context, wanted.collect(), Freshness::Refresh).await?;
    Ok(())
}
