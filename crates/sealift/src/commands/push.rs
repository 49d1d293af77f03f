//! `sealift push`: an image from the store to registries.

use std::path::Path;

use clap::Args;
use sealift_oci::{Digest, Reference};

use super::session::Session;
use crate::cli::network::NetworkArgs;
use crate::cli::once;
use crate::error::{Error, Kind, Result};
use crate::output::push;

/// Options of `sealift push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// The image's name in the store
    image: Reference,
    /// Other names to push it under [default: its own]
    #[arg(value_name = "NAME:TAG")]
    destinations: Vec<Reference>,
    #[command(flatten)]
    network: NetworkArgs,
}

/// Pushes.
///
/// # Errors
/// [`Kind::Absent`] where the store does not have it; what the registry says otherwise.
pub async fn run(args: PushArgs, session: &Session) -> Result<()> {
    let store = session.store()?;
    let _lease = store.lease()?;
    let root = store.resolve(&args.image)?.ok_or_else(|| {
        Error::new(Kind::Absent, format!("{} is not in the store", args.image))
            .hint("sealift store ls lists what is")
    })?;
    let names = if args.destinations.is_empty() {
        vec![args.image]
    } else {
        once(args.destinations)
    };
    for name in &names {
        if let Some(digest) = name.digest().filter(|digest| **digest != root.digest) {
            return Err(other_content(name, digest, &root.digest));
        }
    }
    let context = session.open(store, &args.network, Path::new(""))?;
    push::push(&context, push::request(&root, &names, &[])).await
}

/// A registry would take the image and not find it under the digest that the name says.
fn other_content(name: &Reference, wanted: &Digest, root: &Digest) -> Error {
    let text = format!("{name} names {wanted}, but the image in the store is {root}");
    Error::new(Kind::Usage, text).hint("leave the digest out of the name to push to")
}
