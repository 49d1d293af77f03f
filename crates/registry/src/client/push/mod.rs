//! Pushes: blobs, then manifests by digest, then a look at what the registry took, then all tags.
//! Until the last step nobody sees any of it, so many images are published together or not at all.

mod blob;
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
use crate::error::{Error, Result};

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

/// An image that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The image.
    pub root: Descriptor,
    /// Where it is now.
    pub destinations: Vec<Reference>,
    /// Tags that stood for it before: nothing was changed.
    pub unchanged: Vec<Reference>,
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
    ) -> Result<Pushed> {
        let root = request.root.clone();
        let mut pushed = self.push_all(store, vec![request], watcher).await?;
        pushed.pop().ok_or(Error::Interrupted {
            image: root.digest.to_string(),
        })
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
    ) -> Result<Vec<Pushed>> {
        let shipment = Shipment {
            store: store.clone(),
            watcher,
        };
        self.for_an_image().ship(&shipment, requests).await
    }

    async fn ship(&self, shipment: &Shipment, requests: Vec<PushRequest>) -> Result<Vec<Pushed>> {
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
        let moved = self.send_tags(shipment, &plan.tags).await?;
        let mut moved = plan.tags.iter().zip(moved);
        let outcome = |request: PushRequest| {
            let tagged = request
                .destinations
                .iter()
                .filter(|one| one.tag().is_some())
                .count();
            let own = moved.by_ref().take(tagged);
            let unchanged = own
                .filter(|(_, moved)| !moved)
                .map(|(tag, _)| tag.reference.clone());
            Pushed {
                unchanged: unchanged.collect(),
                root: request.root,
                destinations: request.destinations,
            }
        };
        Ok(requests.into_iter().map(outcome).collect())
    }

    /// Moves all tags; tells for each, in their order, whether it stood for something else before.
    async fn send_tags(&self, shipment: &Shipment, tags: &[TagJob]) -> Result<Vec<bool>> {
        let limit = self.inner.config.blobs_side_by_side.max(1);
        let mut order: Vec<usize> = (0..tags.len()).collect();
        order.sort_by_key(|number| tags[*number].height);
        let mut moved: Vec<(usize, Result<bool>)> = Vec::new();
        // Some registries do not find a manifest for as long as another tag of it is being written.
        for level in order.chunk_by(|a, b| tags[*a].height == tags[*b].height) {
            let sent = level.iter().map(|number| async move {
                let moved = self.send_tag(shipment, &tags[*number]).await;
                (*number, moved)
            });
            // Every tag is tried, so that a failure of one leaves as little half done as can be.
            let done: Vec<_> = stream::iter(sent).buffered(limit).collect().await;
            moved.extend(done);
        }
        moved.sort_by_key(|(number, _)| *number);
        moved.into_iter().map(|(_, moved)| moved).collect()
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
