//! `sealift plan`: what a build would do.

use clap::Args;
use serde::Serialize;

use super::session::Session;
use crate::cli::input::{self, InputArgs};
use crate::error::Result;
use crate::plan::{Plan, PlannedImage, Triggers};
use crate::prefetch::{inventory, plan_from_store};

/// Options of `sealift plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// An image, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    image: &'a PlannedImage,
    in_store: bool,
}

/// Prints the plan: what is fetched, then what is built. It asks no network and no builder.
///
/// # Errors
/// A Dockerfile's errors; [`crate::error::Kind::Local`] where the store can't be read.
pub fn run(args: PlanArgs, session: &Session) -> Result<()> {
    let request = input::request(input::read(&args.input, &session.settings)?);
    let store = session.settings.store();
    let store = store.exists().then(|| session.store()).transpose()?;
    let plan = match &store {
        Some(store) => plan_from_store(store, &request)?,
        None => Plan::make(&request, &Triggers::new())?,
    };
    let mut in_store = Vec::new();
    for image in &plan.images {
        let is_there = |store| inventory::has(store, &image.reference, &image.platforms);
        in_store.push(store.as_ref().map(is_there).transpose()? == Some(true));
    }
    if args.json {
        let images = plan.images.iter().zip(in_store);
        let images: Vec<_> = images
            .map(|(image, in_store)| Row { image, in_store })
            .collect();
        return session.json(&serde_json::json!({ "units": plan.units, "images": images }));
    }
    let mut text = String::new();
    for (image, there) in plan.images.iter().zip(in_store) {
        let platforms: Vec<String> = image.platforms.iter().map(ToString::to_string).collect();
        let (reference, platforms) = (&image.reference, platforms.join(", "));
        let there = if there { " (in the store)" } else { "" };
        text += &format!(
            "fetch {reference}{there} [{platforms}], for {}\n",
            image.place
        );
    }
    for unit in &plan.units {
        text += &format!("build {}\n", unit.id);
    }
    session.terminal.result(&text);
    Ok(())
}
