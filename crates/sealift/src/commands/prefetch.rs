//! `sealift prefetch`: everything that a build needs, brought into the store ahead of it.

use clap::Args;

use super::input;
use super::session::Session;
use crate::cli::{InputArgs, NetworkArgs};
use crate::error::Result;
use crate::prefetch::complete;
use crate::prefetch::inventory::store_failed;

/// Options of `sealift prefetch`.
#[derive(Debug, Args)]
pub struct PrefetchArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    network: NetworkArgs,
    /// Asks registries for newer images of the tags that are in the store
    #[arg(long)]
    pull: bool,
}

/// Fetches.
///
/// # Errors
/// A Dockerfile's errors; what the registries say.
pub async fn run(args: PrefetchArgs, session: &Session) -> Result<()> {
    let input = input::read(&args.input, session.settings())?;
    session.log_failures_at(&input.component.context);
    let store = session.store()?;
    let _lease = store.lease().map_err(store_failed)?;
    let registries = session.registries(&args.network, &input.component.context)?;
    complete(&registries.prefetch(store, args.pull), &input).await?;
    Ok(())
}
