//! Pulls: any number of images at once, each blob once for all of them.

mod blame;
mod blob;
mod scheduler;
mod sink;
mod survey;

use std::sync::Arc;

use sealift_content::Store;
use sealift_oci::{Descriptor, Platform, Reference};

use self::scheduler::Scheduler;
use super::{Action, Client, Scope, Watcher};
use crate::error::{Error, Result};

/// An image and the platforms that are wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The image.
    pub reference: Reference,
    /// The platforms; none stands for all that there are.
    pub platforms: Vec<Platform>,
}

impl Want {
    /// Tells whether an image of a platform could serve one that is wanted.
    pub(super) fn serves(&self, offered: &Platform) -> bool {
        let none = self.platforms.is_empty();
        none || self
            .platforms
            .iter()
            .any(|wanted| wanted.rank(offered).is_some())
    }
}

/// An image that is in the store, but for its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The index, or the manifest, that the reference stands for at the registry.
    pub origin: Descriptor,
    /// The manifest for each platform that was wanted, in that order. All of their content is in
    /// the store, verified.
    pub manifests: Vec<(Platform, Descriptor)>,
}

/// Takes an image that is whole, with its position among the wants.
pub type Done = Arc<dyn Fn(usize, &Pulled) + Send + Sync>;

/// Where a pull's content goes, and who is told.
#[derive(Clone)]
pub(super) struct Transfer {
    pub(super) store: Store,
    pub(super) watcher: Arc<dyn Watcher>,
    pub(super) done: Done,
}

impl Client {
    /// Brings an image's content for some platforms into the store. It does not name the image:
    /// whoever names it holds a lease of the store from before the pull on.
    ///
    /// # Errors
    /// Everything that [`Error`] has but push's own variants.
    pub async fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        platforms: &[Platform],
        watcher: Arc<dyn Watcher>,
    ) -> Result<Pulled> {
        let want = Want {
            reference: reference.clone(),
            platforms: platforms.to_vec(),
        };
        let mut results = self.pull_all(store, vec![want], watcher).await;
        results.pop().unwrap_or_else(|| {
            Err(Error::Interrupted {
                image: reference.to_string(),
            })
        })
    }

    /// Brings several images into the store: their manifests first, then blobs, the largest first
    /// and each once. One image's failure does not end the others. The results are in the order of
    /// the wants.
    pub async fn pull_all(
        &self,
        store: &Store,
        wants: Vec<Want>,
        watcher: Arc<dyn Watcher>,
    ) -> Vec<Result<Pulled>> {
        self.pull_each(store, wants, watcher, Arc::new(|_, _| {}))
            .await
    }

    /// As [`Client::pull_all`], and calls `done` with each image as soon as it is whole, and with its
    /// position among the wants: where the pull is stopped, those that are whole are not lost.
    pub async fn pull_each(
        &self,
        store: &Store,
        wants: Vec<Want>,
        watcher: Arc<dyn Watcher>,
        done: Done,
    ) -> Vec<Result<Pulled>> {
        for want in &wants {
            let repository = want.reference.repository();
            let scope = Scope::repository(repository.path(), Action::Pull);
            self.inner.auth.expect(repository.registry(), [scope]);
        }
        let transfer = Transfer {
            store: store.clone(),
            watcher,
            done,
        };
        Scheduler::new(self.clone(), transfer, wants).run().await
    }
}
