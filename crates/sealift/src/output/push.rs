//! Pushing from the store.

use std::sync::Arc;

use sealift_content::Store;
use sealift_oci::{Descriptor, Reference, Repository};
use sealift_registry::{Client, PushRequest, Watcher};

use crate::error::Result;
use crate::event::{Event, Events};
use crate::prefetch::registry_failed;

/// Pushes an image under its names: content first, tags last. Repositories in `mounts` may lend
/// blobs that they have.
///
/// # Errors
/// What a registry refuses, with its class.
pub async fn push(
    registries: &Client,
    store: &Store,
    request: PushRequest,
    watcher: Arc<dyn Watcher>,
    events: &Events,
) -> Result<()> {
    let (root, destinations) = (request.root.clone(), request.destinations.clone());
    registries
        .push(store, request, watcher)
        .await
        .map_err(registry_failed)?;
    for name in &destinations {
        let digest = Some(root.digest.to_string());
        let (output, destination) = ("registry".to_owned(), name.to_string());
        events.tell(&Event::Delivered {
            output,
            destination,
            digest,
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
