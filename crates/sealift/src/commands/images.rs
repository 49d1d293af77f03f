//! `sealift images`: the images that a build needs.

use clap::Args;

use super::session::Session;
use crate::cli::input::{self, InputArgs};
use crate::error::Result;
use crate::plan::{Plan, Triggers};
use crate::prefetch::plan_from_store;
use crate::size::columns;

/// Options of `sealift images`.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Lists them. What ONBUILD triggers ask for is known for base images that are in the store.
///
/// # Errors
/// A Dockerfile's errors.
pub fn run(args: ImagesArgs, session: &Session) -> Result<()> {
    let request = input::request(input::read(&args.input, &session.settings)?);
    let plan = if session.settings.store().exists() {
        plan_from_store(&session.store()?, &request)?
    } else {
        Plan::make(&request, &Triggers::new())?
    };
    if args.json {
        return session.json(&plan.units);
    }
    let mut table = vec![["IMAGE", "PLATFORM", "VIA", "LINE", "FOR"].map(str::to_owned)];
    for unit in plan.units {
        table.extend(unit.needs.into_iter().map(|need| {
            let line = match need.place.line {
                0 => String::new(),
                line => line.to_string(),
            };
            [
                need.reference.to_string(),
                need.platform.to_string(),
                need.via.to_string(),
                line,
                unit.id.platform.to_string(),
            ]
        }));
    }
    session.terminal.result(&columns(&table));
    Ok(())
}
