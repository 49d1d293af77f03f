//! `sealift plan`: what a build would do.

use clap::Args;

use super::input;
use super::session::{Session, json};
use crate::cli::InputArgs;
use crate::error::Result;
use crate::plan::Plan;

/// Options of `sealift plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Prints the plan. It asks no network and no builder.
///
/// # Errors
/// A Dockerfile's errors.
pub async fn run(args: PlanArgs, session: &Session) -> Result<()> {
    let input = input::read(&args.input, session.settings())?;
    let plan = Plan::make(&input, &Default::default())?;
    if args.json {
        session.terminal().result(&json(&plan)?);
        return Ok(());
    }
    let mut text = String::new();
    for unit in &plan.units {
        let (component, target, platform) = (&unit.component, &unit.target, &unit.platform);
        text += &format!("build {component} [{target}] for {platform}\n");
    }
    for image in &plan.images {
        let (reference, platforms) = (&image.reference, image.platforms.join(", "));
        text += &format!("fetch {reference} [{platforms}], for {}\n", image.place);
    }
    session.terminal().result(&text);
    Ok(())
}
