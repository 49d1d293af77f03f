//! `sealift images`: the images that a build needs.

use clap::Args;
use sealift_content::Store;
use serde::Serialize;

use super::input;
use super::session::{Session, json};
use crate::cli::InputArgs;
use crate::error::Result;
use crate::plan::{Need, Plan};
use crate::prefetch::known_triggers;
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

/// The images of one unit.
#[derive(Debug, Serialize)]
struct Row {
    component: String,
    platform: String,
    images: Vec<Need>,
}

/// Lists them. What ONBUILD triggers ask for is known for base images that are in the store.
///
/// # Errors
/// A Dockerfile's errors.
pub async fn run(args: ImagesArgs, session: &Session) -> Result<()> {
    let input = input::read(&args.input, session.settings())?;
    let plan = if session.settings().store().exists() {
        known(&session.store()?, &input)?
    } else {
        Plan::make(&input, &Default::default())?
    };
    if args.json {
        let rows: Vec<Row> = plan
            .units
            .into_iter()
            .map(|unit| Row {
                component: unit.component,
                platform: unit.platform,
                images: unit.images,
            })
            .collect();
        session.terminal().result(&json(&rows)?);
        return Ok(());
    }
    let mut table = vec![["IMAGE", "PLATFORM", "VIA", "LINE", "FOR"].map(str::to_owned)];
    for unit in plan.units {
        table.extend(unit.images.into_iter().map(|need| {
            let line = if need.line == 0 {
                String::new()
            } else {
                need.line.to_string()
            };
            let (image, platform) = (need.reference.to_string(), need.platform.to_string());
            [
                image,
                platform,
                need.via.to_string(),
                line,
                unit.platform.clone(),
            ]
        }));
    }
    session.terminal().result(&columns(&table));
    Ok(())
}

/// Plans with what the store knows, until nothing more comes to light.
fn known(store: &Store, input: &crate::plan::Input) -> Result<Plan> {
    let mut plan = Plan::make(input, &Default::default())?;
    loop {
        let next = Plan::make(input, &known_triggers(store, &plan)?)?;
        if next == plan {
            return Ok(plan);
        }
        plan = next;
    }
}
