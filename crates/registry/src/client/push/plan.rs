//! What a push consists of, worked out from the store before anything is sent.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use sealift_content::{DOCUMENT_LIMIT, NESTING_LIMIT, Store};
use sealift_oci::{Descriptor, Digest, Index, Manifest, Reference, Repository};

use super::PushRequest;
use crate::client::store::blocking;
use crate::error::{Error, Result};

/// All steps of a push, in the order in which they are done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The largest first.
    pub(super) blobs: Vec<BlobJob>,
    /// Manifests and indexes by what they build on: each comes after all that it lists.
    pub(super) documents: Vec<Vec<DocumentJob>>,
    pub(super) roots: Vec<RootJob>,
    pub(super) tags: Vec<TagJob>,
}

/// One blob and every repository of one registry that needs it.
#[derive(Debug, Clone)]
pub(super) struct BlobJob {
    pub(super) descriptor: Descriptor,
    /// Names the push, for logs.
    pub(super) label: String,
    pub(super) repositories: Vec<Repository>,
    /// Repositories of that registry that may have it.
    pub(super) mounts: Vec<Repository>,
}

/// One manifest or index and the repository that it goes to.
#[derive(Debug, Clone)]
pub(super) struct DocumentJob {
    pub(super) reference: Reference,
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Bytes,
}

/// A root and where it must read back.
#[derive(Debug, Clone)]
pub(super) struct RootJob {
    pub(super) reference: Reference,
    pub(super) digest: Digest,
}

/// A tag and what it shall stand for.
#[derive(Debug, Clone)]
pub(super) struct TagJob {
    /// How many levels of documents its root stands on.
    pub(super) height: usize,
    pub(super) reference: Reference,
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Bytes,
}

/// Everything that one image consists of.
#[derive(Debug, Default)]
struct Content {
    blobs: Vec<Descriptor>,
    /// The root first.
    documents: Vec<(Descriptor, Bytes)>,
    /// What each index lists.
    listed: HashMap<Digest, Vec<Digest>>,
    seen: HashSet<Digest>,
}

impl Plan {
    /// Works out a push. Fails before anything is sent where a part is not in the store.
    pub(super) async fn make(store: &Store, requests: &[PushRequest]) -> Result<Self> {
        let mut plan = Self::default();
        let mut blobs: BTreeMap<(String, Digest), BlobJob> = BTreeMap::new();
        let mut sent: HashSet<(Repository, Digest)> = HashSet::new();
        for request in requests {
            let Some(first) = request.destinations.first() else {
                continue;
            };
            let content = Content::read(store, first, &request.root).await?;
            let heights = content.heights();
            for destination in &request.destinations {
                plan.add_blobs(&mut blobs, request, destination, &content);
                for (descriptor, bytes) in &content.documents {
                    let repository = destination.repository().clone();
                    if sent.insert((repository, descriptor.digest.clone())) {
                        let height = heights.get(&descriptor.digest).copied();
                        plan.add_document(height.unwrap_or(0), destination, descriptor, bytes);
                    }
                }
                plan.add_root(destination, &content, &heights);
            }
        }
        plan.blobs = blobs.into_values().collect();
        plan.blobs
            .sort_by_key(|job| std::cmp::Reverse(job.descriptor.size));
        Ok(plan)
    }

    fn add_blobs(
        &self,
        blobs: &mut BTreeMap<(String, Digest), BlobJob>,
        request: &PushRequest,
        destination: &Reference,
        content: &Content,
    ) {
        let registry = destination.registry();
        let target = destination.repository();
        let mounts: BTreeSet<&Repository> = request
            .mounts
            .iter()
            .filter(|one| one.registry() == registry)
            .collect();
        for descriptor in &content.blobs {
            let key = (registry.to_owned(), descriptor.digest.clone());
            let job = blobs.entry(key).or_insert_with(|| BlobJob {
                descriptor: descriptor.clone(),
                label: destination.to_string(),
                repositories: Vec::new(),
                mounts: Vec::new(),
            });
            if !job.repositories.contains(target) {
                job.repositories.push(target.clone());
            }
            for mount in &mounts {
                if !job.mounts.contains(mount) {
                    job.mounts.push((*mount).clone());
                }
            }
        }
    }

    fn add_document(
        &mut self,
        height: usize,
        reference: &Reference,
        descriptor: &Descriptor,
        bytes: &Bytes,
    ) {
        while self.documents.len() <= height {
            self.documents.push(Vec::new());
        }
        self.documents[height].push(DocumentJob {
            reference: reference.clone(),
            descriptor: descriptor.clone(),
            bytes: bytes.clone(),
        });
    }

    fn add_root(
        &mut self,
        reference: &Reference,
        content: &Content,
        heights: &HashMap<&Digest, usize>,
    ) {
        let Some((descriptor, bytes)) = content.documents.first() else {
            return;
        };
        let digest = descriptor.digest.clone();
        let same = |job: &RootJob| {
            job.digest == digest && job.reference.repository() == reference.repository()
        };
        if !self.roots.iter().any(same) {
            let reference = reference.clone();
            self.roots.push(RootJob { reference, digest });
        }
        if reference.tag().is_some() {
            self.tags.push(TagJob {
                height: heights.get(&descriptor.digest).copied().unwrap_or(0),
                reference: reference.clone(),
                descriptor: descriptor.clone(),
                bytes: bytes.clone(),
            });
        }
    }
}

impl Content {
    async fn read(store: &Store, reference: &Reference, root: &Descriptor) -> Result<Self> {
        let mut content = Self::default();
        let mut open = vec![(0, root.clone())];
        while let Some((level, descriptor)) = open.pop() {
            if !content.seen.insert(descriptor.digest.clone()) {
                continue;
            }
            if level >= NESTING_LIMIT {
                return Err(Error::Nesting {
                    image: reference.to_string(),
                    what: "levels of indexes",
                    limit: NESTING_LIMIT - 1,
                });
            }
            let bytes = read_document(store, reference, &descriptor).await?;
            let malformed = |source| Error::Document {
                image: reference.to_string(),
                digest: descriptor.digest.clone(),
                source,
            };
            if descriptor.media_type.is_index() {
                let index = Index::parse(&bytes).map_err(malformed)?;
                let children = index.manifests.iter().map(|child| child.digest.clone());
                let digest = descriptor.digest.clone();
                content.listed.insert(digest, children.collect());
                open.extend(index.manifests.into_iter().map(|child| (level + 1, child)));
            } else {
                let manifest = Manifest::parse(&bytes).map_err(malformed)?;
                content.add_blobs(store, reference, &manifest).await?;
            }
            content.documents.push((descriptor, bytes));
        }
        Ok(content)
    }

    /// Finds for each index how many levels of documents it stands on; manifests stand on none. It is
    /// the same in every image that a document belongs to.
    fn heights(&self) -> HashMap<&Digest, usize> {
        let mut heights: HashMap<&Digest, usize> = HashMap::new();
        // Each pass gets at least one more level right.
        for _ in 1..NESTING_LIMIT {
            for (index, children) in &self.listed {
                let heights_below = children.iter().map(|one| heights.get(one).copied());
                let above = heights_below.map(|height| height.unwrap_or(0) + 1).max();
                heights.insert(index, above.unwrap_or(0));
            }
        }
        heights
    }

    async fn add_blobs(
        &mut self,
        store: &Store,
        reference: &Reference,
        manifest: &Manifest,
    ) -> Result<()> {
        for blob in manifest.blobs() {
            // What its author does not let others keep is not pushed; the manifest says where it is.
            if blob.media_type.is_foreign() || !self.seen.insert(blob.digest.clone()) {
                continue;
            }
            let digest = blob.digest.clone();
            if !blocking(store, move |store| Ok(store.contains(&digest))).await? {
                return Err(Error::Incomplete {
                    image: reference.to_string(),
                    digest: blob.digest.clone(),
                });
            }
            self.blobs.push(blob.clone());
        }
        Ok(())
    }
}

async fn read_document(
    store: &Store,
    reference: &Reference,
    descriptor: &Descriptor,
) -> Result<Bytes> {
    let digest = descriptor.digest.clone();
    let read = blocking(store, move |store| {
        match store.read_blob(&digest, DOCUMENT_LIMIT) {
            Err(sealift_content::Error::NotFound { .. }) => Ok(None),
            other => other.map(Some),
        }
    });
    let bytes = read.await?.ok_or_else(|| Error::Incomplete {
        image: reference.to_string(),
        digest: descriptor.digest.clone(),
    })?;
    Ok(bytes.into())
}
