//! `sealift plan`: what a build would do.

use clap::Args;

use super::session::Session;
use crate::cli::input::{self, InputArgs};
use crate::error::Result;
use crate::plan::{Plan, Triggers};

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
pub fn run(args: PlanArgs, session: &Session) -> Result<()> {
    let request = input::request(input::read(&args.input, &session.settings)?);
    let plan = Plan::make(&request, &Triggers::new())?;
    if args.json {
        return session.json(&plan);
    }
    let mut text = String::new();
    for unit in &plan.units {
        text += &format!("build {}\n", unit.id);
    }
    for image in &plan.images {
        let platforms: Vec<String> = image.platforms.iter().map(ToString::to_string).collect();
        let (reference, platforms) = (&image.reference, platforms.join(", "));
        text += &format!("fetch {reference} [{platforms}], for {}\n", image.place);
    }
    session.terminal.result(&text);
    Ok(())
}
