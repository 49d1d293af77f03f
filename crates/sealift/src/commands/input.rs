//! The options that say what is to be built, read into values.

use sealift_oci::Platform;

use crate::cli::{InputArgs, once};
use crate::error::Result;
use crate::plan::Input;
use crate::project::{Component, NamedContext, argument};
use crate::settings::Settings;

/// Reads them. Without `--platform` the build is for this machine's platform.
///
/// # Errors
/// [`crate::error::Kind::Usage`] for options that make no sense, [`crate::error::Kind::Absent`]
/// where there is no Dockerfile.
pub fn read(args: &InputArgs, settings: &Settings) -> Result<Input> {
    let here = &settings.working_directory;
    let component = Component::find(here, &args.path, args.file.as_deref())?;
    let contexts = args
        .build_context
        .iter()
        .map(|option| NamedContext::parse(here, option));
    let mut platforms = once(args.platform.clone());
    if platforms.is_empty() {
        platforms.push(Platform::host());
    }
    Ok(Input {
        component,
        platforms,
        build_platform: Platform::host(),
        target: args.target.clone(),
        build_args: argument::build_args(&args.build_arg, |name| settings.value(name))?,
        contexts: contexts.collect::<Result<_>>()?,
    })
}
