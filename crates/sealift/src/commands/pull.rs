//! `sealift pull`: images into the store.

use std::path::Path;

use clap::Args;
use sealift_oci::{Platform, Reference};

use super::session::Session;
use crate::cli::{NetworkArgs, once, parse_platform};
use crate::error::Result;
use crate::prefetch::Wanted;
use crate::prefetch::inventory::store_failed;

/// Options of `sealift pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<Reference>,
    /// Platforms, separated by commas [default: this machine's]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', value_parser = parse_platform)]
    platform: Vec<Platform>,
    #[command(flatten)]
    network: NetworkArgs,
}

/// Pulls. A tag that is in the store is asked for again: that is what pulling means.
///
/// # Errors
/// What the registries say.
pub async fn run(args: PullArgs, session: &Session) -> Result<()> {
    let store = session.store()?;
    let _lease = store.lease().map_err(store_failed)?;
    let platforms = if args.platform.is_empty() {
        vec![Platform::host()]
    } else {
        once(args.platform)
    };
    let place = "the command line".to_owned();
    let wanted = once(args.images).into_iter().map(|reference| {
        let (platforms, place) = (platforms.clone(), place.clone());
        Wanted {
            reference,
            platforms,
            place,
        }
    });
    let registries = session.registries(&args.network, Path::new(""))?;
    registries
        .prefetch(store, true)
        .fetch(wanted.collect())
        .await?;
    Ok(())
}
