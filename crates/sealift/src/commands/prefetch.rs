//! `sealift prefetch`: everything that a build needs, brought into the store ahead of it.

use super::session::Session;
use crate::cli::build_line::{BuildArgs, BuildLine};
use crate::error::Result;
use crate::prefetch::complete;

/// Fetches. A builder that is named is asked for its own platform, for stages that run on it; the
/// one that sealift would start runs on this machine.
///
/// # Errors
/// A Dockerfile's errors; what the registries say.
pub async fn run(args: BuildArgs, session: &Session) -> Result<()> {
    let mut line = BuildLine::read(&args, &session.settings)?;
    session.log_failures_at(&line.root);
    let context = session.open(session.store()?, &args.network, &line.root)?;
    let _lease = context.store.lease()?;
    let builder = session
        .builder(&args.builder)
        .named(&context.events)
        .await?;
    if let Some(native) = builder
        .as_ref()
        .and_then(|builder| builder.platforms.first())
    {
        line.suit(native);
    }
    complete(&context, &line.request, line.freshness).await?;
    Ok(())
}
