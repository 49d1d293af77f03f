//! `sealift prefetch`: everything that a build needs, brought into the store ahead of it.

use super::request::{BuildArgs, Request};
use super::session::Session;
use crate::error::Result;
use crate::prefetch::complete;
use crate::prefetch::inventory::store_failed;

/// Fetches. A builder that is named is asked for its own platform, for stages that run on it; the
/// one that sealift would start runs on this machine.
///
/// # Errors
/// A Dockerfile's errors; what the registries say.
pub async fn run(args: BuildArgs, session: &Session) -> Result<()> {
    let mut request = Request::read(&args, session)?;
    session.log_failures_at(&request.input.component.context);
    let store = session.store()?;
    let _lease = store.lease().map_err(store_failed)?;
    let registries = session.registries(&args.network, &request.input.component.context)?;
    if let Some(builder) = session.named_builder(&args.builder).await?
        && let Some(native) = builder.platforms.first()
    {
        request.suit(native);
    }
    let prefetch = registries.prefetch(store, args.pull);
    complete(&prefetch, &request.input).await?;
    Ok(())
}
