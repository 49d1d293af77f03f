//! The options that say what is to be built, read into values.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use sealift_oci::Platform;

use super::{once, parse_platform};
use crate::error::Result;
use crate::plan::{Input, Request};
use crate::project::{Component, NamedContext, argument};
use crate::settings::Settings;

/// The time that results carry, in seconds since 1970 (reproducible-builds.org).
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What is to be built: the options that decide which images a build needs.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// The build context
    #[arg(default_value = ".", value_name = "PATH")]
    pub path: PathBuf,
    /// The Dockerfile [default: PATH/Dockerfile]; `-` reads it from standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Platforms, separated by commas [default: the builder's own; this machine's where no builder
    /// is asked]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', value_parser = parse_platform)]
    pub platform: Vec<Platform>,
    /// Builds this stage
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Sets a build argument; NAME alone takes it from the environment
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_arg: Vec<String>,
    /// Adds a build context, or replaces an image by one
    #[arg(long, value_name = "NAME=PATH|docker-image://IMAGE")]
    pub build_context: Vec<String>,
}

/// Reads them. Without `--platform` the build is for this machine's platform. The result has no
/// name yet.
///
/// # Errors
/// [`crate::error::Kind::Usage`] for options that make no sense, [`crate::error::Kind::Absent`]
/// where there is no Dockerfile.
pub fn read(args: &InputArgs, settings: &Settings) -> Result<Input> {
    let here = &settings.working_directory;
    let contexts = args.build_context.iter();
    let contexts = contexts.map(|option| NamedContext::parse(here, option));
    let mut platforms = once(args.platform.clone());
    if platforms.is_empty() {
        platforms.push(Platform::host());
    }
    let mut build_args = argument::build_args(&args.build_arg, |name| settings.value(name))?;
    // As buildx does, for builds that can be reproduced.
    if let Some(epoch) = settings.variable(EPOCH)
        && !args
            .build_arg
            .iter()
            .any(|given| given.split('=').next() == Some(EPOCH))
    {
        build_args.push((EPOCH.to_owned(), epoch.to_owned()));
    }
    Ok(Input {
        component: Component::find(here, &args.path, args.file.as_deref())?,
        platforms,
        target: args.target.clone(),
        build_args,
        contexts: contexts.collect::<Result<_>>()?,
        names: Vec::new(),
    })
}

/// Asks for one input, built on this machine.
#[must_use]
pub fn request(input: Input) -> Request {
    Request {
        inputs: vec![Arc::new(input)],
        build_platform: Platform::host(),
    }
}
