//! Pushing from the store.

use sealift_oci::{Descriptor, Reference, Repository};
use sealift_registry::PushRequest;

use crate::context::Context;
use crate::error::Result;
use crate::event::{Event, Output};

/// Pushes an image under its names: content first, tags last.
///
/// # Errors
/// What a registry refuses, with its class.
pub async fn push(context: &Context, request: PushRequest) -> Result<()> {
    let registries = &context.registries;
    let (root, destinations) = (request.root.clone(), request.destinations.clone());
    let pushed = registries
        .client
        .push(&context.store, request, registries.watcher());
    pushed.await?;
    for name in &destinations {
        context.events.tell(&Event::Delivered {
            output: Output::Registry,
            destination: name.to_string(),
            digest: Some(root.digest.to_string()),
        });
    }
    Ok(())
}

/// Describes a push; blobs may be lent by the repositories of these images.
#[must_use]
pub fn request(root: &Descriptor, names: &[Reference], bases: &[Reference]) -> PushRequest {
    let mut mounts: Vec<Repository> = bases.iter().map(|base| base.repository().clone()).collect();
    mounts.sort();
    mounts.dedup();
    PushRequest {
        root: root.clone(),
        destinations: names.to_vec(),
        mounts,
    }
}
