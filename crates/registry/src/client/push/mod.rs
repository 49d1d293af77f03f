//! Pushes: blobs, then manifests by digest, then a look at what the registry took, then all tags.
//! Until the last step nobody sees any of it, so many images are published together or not at all.

mod blob;
mod document;
mod location;
mod manifest;
mod plan;
mod session;
mod upload;

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use sealift_content::Store;
use sealift_oci::{Descriptor, Reference, Repository};

use self::plan::{Plan, TagJob};
use super::{Action, Client, Scope, Watcher};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;

/// An image to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRequest {
    /// The image in the store: an index, all of whose children are there, or a manifest.
    pub root: Descriptor,
    /// Where it goes. A reference without a tag is pushed by digest only.
    pub destinations: Vec<Reference>,
    /// Repositories that may have its blobs already; those on a destination's registry are asked
    /// to lend them.
    pub mounts: Vec<Repository>,
}

/// Where a push's content comes from, and who is told.
#[derive(Clone)]
struct Shipment {
    store: Store,
    watcher: Arc<dyn Watcher>,
}

impl Client {
    /// Pushes one image. Pushing it again changes nothing and succeeds.
    ///
    /// # Errors
    /// [`Error::Incomplete`], [`Error::ReadBack`], [`Error::Immutable`], [`Error::Request`],
    /// [`Error::Absent`], [`Error::Address`], [`Error::Store`], [`Error::Document`].
    pub async fn push(
        &self,
        store: &Store,
        request: PushRequest,
        watcher: Arc<dyn Watcher>,
    ) -> Result<()> {
        self.push_all(store, vec![request], watcher).await
    }

    /// Pushes several images as one: no tag of any of them moves before all content of all of them
    /// is where it belongs and reads back right.
    ///
    /// # Errors
    /// As [`Client::push`]; the first one ends all.
    pub async fn push_all(
        &self,
        store: &Store,
        requests: Vec<PushRequest>,
        watcher: Arc<dyn Watcher>,
    ) -> Result<()> {
        let shipment = Shipment {
            store: store.clone(),
            watcher,
        };
        self.for_an_image().ship(&shipment, requests).await
    }

    async fn ship(&self, shipment: &Shipment, requests: Vec<PushRequest>) -> Result<()> {
        let plan = Plan::make(&shipment.store, &requests).await?;
        for destination in requests.iter().flat_map(|one| &one.destinations) {
            let scope = Scope::repository(destination.repository().path(), Action::Push);
            self.inner.auth.expect(destination.registry(), [scope]);
        }
        let limit = self.inner.config.blobs_side_by_side.max(1);
        all(
            limit,
            plan.blobs.iter().map(|job| self.send_blob(shipment, job)),
        )
        .await?;
        // What is listed stands before what lists it; one level is sent side by side.
        for level in &plan.documents {
            all(
                limit,
                level
                    .iter()
                    .map(|document| self.send_document(shipment, document)),
            )
            .await?;
        }
        all(limit, plan.roots.iter().map(|root| self.read_back(root))).await?;
        self.send_tags(shipment, plan.tags).await
    }

    /// Moves all tags. Every one is tried, so that a failure leaves as little half done as can be; the
    /// first failure is returned.
    async fn send_tags(&self, shipment: &Shipment, mut tags: Vec<TagJob>) -> Result<()> {
        let limit = self.inner.config.blobs_side_by_side.max(1);
        tags.sort_by_key(|tag| tag.height);
        let mut results: Vec<Result<()>> = Vec::new();
        // Some registries do not find a manifest for as long as another tag of it is being written.
        for level in tags.chunk_by(|a, b| a.height == b.height) {
            let sent = level.iter().map(|tag| self.send_tag(shipment, tag));
            let done: Vec<_> = stream::iter(sent).buffered(limit).collect().await;
            results.extend(done);
        }
        results.into_iter().collect()
    }
}

/// Does several things, a limited number of them side by side, until all are done or one fails.
async fn all<F>(limit: usize, work: impl Iterator<Item = F>) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let mut running = stream::iter(work).buffer_unordered(limit);
    while let Some(result) = running.next().await {
        result?;
    }
    Ok(())
}
