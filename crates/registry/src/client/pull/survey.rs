//! What an image consists of: from a reference and the platforms wanted of it to manifests and
//! blobs, with the documents kept in the store on the way.

use std::collections::HashSet;

use bytes::Bytes;
use sealift_content::{Ingestion, NESTING_LIMIT, Store};
use sealift_oci::{
    Descriptor, Digest, ImageConfig, Index, Manifest, MediaType, Platform, Reference,
};
use sealift_transport::Request;

use super::{Transfer, Want};
use crate::client::document::{self, LIMIT, Resolved};
use crate::client::store::blocking;
use crate::client::{Client, Event};
use crate::code::printable;
use crate::error::{Error, Result};

/// How many indexes one image may consist of.
const INDEXES: usize = 64;

/// What was found out about an image.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    /// The index, or the manifest, that the reference stands for.
    pub(super) origin: Descriptor,
    /// A manifest for each platform that is wanted.
    pub(super) manifests: Vec<(Platform, Descriptor)>,
    /// Configurations and layers, each once.
    pub(super) blobs: Vec<Descriptor>,
}

impl Client {
    /// Finds out what an image consists of.
    pub(super) async fn survey(&self, transfer: &Transfer, want: &Want) -> Result<Survey> {
        let reference = &want.reference;
        let root = self.root(&transfer.store, reference).await?;
        let origin = root.descriptor.clone();
        let mut survey = Survey {
            origin: origin.clone(),
            manifests: Vec::new(),
            blobs: Vec::new(),
        };
        if origin.media_type.is_index() {
            let index = self.flatten(&transfer.store, want, &root).await?;
            for (platform, descriptor) in select(&index, want)? {
                let manifest = self.load(&transfer.store, reference, &descriptor).await?;
                survey.add(platform, descriptor, &parse_image(want, &manifest)?);
            }
            // All of an index is more than its platforms: attestations, signatures.
            let others = index.manifests.iter().filter(|entry| !is_image(entry));
            for entry in others.filter(|_| want.platforms.is_empty()) {
                if entry.media_type.is_manifest() {
                    let manifest = self.load(&transfer.store, reference, entry).await?;
                    survey.add_blobs(&parse_image(want, &manifest)?);
                }
            }
            return Ok(survey);
        }
        let manifest = parse_image(want, &root)?;
        let found = self.platform_of(transfer, reference, &manifest).await?;
        let wanted = match (&found, &want.platforms[..]) {
            (Some(found), []) => vec![found.clone()],
            (None, []) => vec![Platform::host()],
            (_, wanted) => wanted.to_vec(),
        };
        // There is no other manifest to choose, whatever platform it is for: BuildKit builds on it.
        for platform in wanted {
            survey.add(platform, origin.clone(), &manifest);
        }
        Ok(survey)
    }

    /// Gets the document that a reference stands for: from the store where the digest is known and
    /// there, else from the registry.
    async fn root(&self, store: &Store, reference: &Reference) -> Result<Resolved> {
        let digest = match reference.digest() {
            Some(digest) => Some(digest.clone()),
            None => self.head_if_named(store, reference).await?,
        };
        if let Some(digest) = digest
            && let Some(local) = self.local(store, &digest).await?
        {
            return Ok(local);
        }
        let mut resolved = self.resolve(reference).await;
        if let Err(Error::Absent { near, .. }) = &mut resolved {
            *near = self.similar_tags(reference).await;
        }
        let resolved = resolved?;
        keep(store, &resolved).await?;
        Ok(resolved)
    }

    /// Asks for the digest alone where the content is likely to be here: that is cheaper, and the
    /// Hub does not count it.
    async fn head_if_named(&self, store: &Store, reference: &Reference) -> Result<Option<Digest>> {
        let name = reference.clone();
        if blocking(store, move |store| store.resolve(&name))
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let route = self.route(reference)?;
        Ok(self.head(&route, reference, Request::once).await)
    }

    /// Reads a document from the store, where it is there and whole.
    async fn local(&self, store: &Store, digest: &Digest) -> Result<Option<Resolved>> {
        let wanted = digest.clone();
        let bytes = blocking(store, move |store| {
            if store.contains(&wanted) {
                // What can't be read is fetched again.
                return Ok(store.read_blob(&wanted, LIMIT).ok());
            }
            Ok(None)
        })
        .await?;
        Ok(bytes.and_then(|bytes| {
            let descriptor = document::describe(digest, &bytes)?;
            let bytes = Bytes::from(bytes);
            Some(Resolved { descriptor, bytes })
        }))
    }

    /// Gets a child of an index.
    async fn load(
        &self,
        store: &Store,
        reference: &Reference,
        of: &Descriptor,
    ) -> Result<Resolved> {
        if let Some(local) = self.local(store, &of.digest).await? {
            return Ok(local);
        }
        let resolved = self.child(reference, of).await?;
        keep(store, &resolved).await?;
        Ok(resolved)
    }

    /// Makes one index of an index and those nested in it, in order. A nested one is only opened
    /// where it could serve a platform that is wanted.
    async fn flatten(&self, store: &Store, want: &Want, root: &Resolved) -> Result<Index> {
        let reference = &want.reference;
        let mut flat = Index::new(Vec::new());
        let mut seen = HashSet::from([root.descriptor.digest.clone()]);
        let mut open: Vec<(Descriptor, usize)> = Vec::new();
        let push = |open: &mut Vec<_>, index: Index, level: usize| {
            open.extend(
                index
                    .manifests
                    .into_iter()
                    .rev()
                    .map(|entry| (entry, level)),
            );
        };
        push(&mut open, parse_index(reference, root)?, 2);
        while let Some((entry, level)) = open.pop() {
            if !entry.media_type.is_index() {
                flat.manifests.push(entry);
                continue;
            }
            let serves = |platform: &Platform| want.serves(platform);
            if !entry.platform.as_ref().is_none_or(serves) || !seen.insert(entry.digest.clone()) {
                continue;
            }
            // The last level is the manifests'.
            for (what, limit, count) in [
                ("levels of indexes", NESTING_LIMIT - 1, level),
                ("indexes", INDEXES, seen.len()),
            ] {
                if count > limit {
                    let reference = reference.clone();
                    return Err(Error::Nesting {
                        image: reference.to_string(),
                        what,
                        limit,
                    });
                }
            }
            let nested = self.load(store, reference, &entry).await?;
            push(&mut open, parse_index(reference, &nested)?, level + 1);
        }
        Ok(flat)
    }

    /// Reads the platform of an image without an index from its configuration; nothing where that
    /// names none.
    async fn platform_of(
        &self,
        transfer: &Transfer,
        reference: &Reference,
        manifest: &Manifest,
    ) -> Result<Option<Platform>> {
        let descriptor = &manifest.config;
        if descriptor.size > LIMIT {
            return Err(Error::TooLarge {
                image: reference.to_string(),
                digest: descriptor.digest.clone(),
                size: descriptor.size,
                limit: LIMIT,
            });
        }
        let brought = self.blob(transfer, descriptor, std::slice::from_ref(reference));
        brought.await.map_err(|errors| {
            let image = reference.to_string();
            let error = errors.into_iter().next();
            error.unwrap_or(Error::Interrupted { image })
        })?;
        let digest = descriptor.digest.clone();
        let bytes = blocking(&transfer.store, move |store| {
            store.read_blob(&digest, LIMIT)
        })
        .await?;
        let config = ImageConfig::parse(&bytes).map_err(|source| Error::Document {
            image: reference.to_string(),
            digest: descriptor.digest.clone(),
            source,
        })?;
        let named = !config.os.is_empty() && !config.architecture.is_empty();
        Ok(named.then(|| config.platform()))
    }
}

impl Survey {
    fn add(&mut self, platform: Platform, descriptor: Descriptor, manifest: &Manifest) {
        self.add_blobs(manifest);
        self.manifests.push((platform, descriptor));
    }

    fn add_blobs(&mut self, manifest: &Manifest) {
        for blob in manifest.blobs() {
            if !self.blobs.iter().any(|known| known.digest == blob.digest) {
                self.blobs.push(blob.clone());
            }
        }
    }

    /// Tells of the survey.
    pub(super) fn event(&self, want: &Want, missing: u64) -> Event {
        Event::Resolved {
            image: want.reference.to_string(),
            digest: self.origin.digest.clone(),
            platforms: self
                .manifests
                .iter()
                .map(|(platform, _)| platform.clone())
                .collect(),
            missing,
        }
    }
}

/// Selects the manifests that are wanted of an index: one a platform, or all but attestations.
fn select(index: &Index, want: &Want) -> Result<Vec<(Platform, Descriptor)>> {
    if want.platforms.is_empty() {
        let images = index.manifests.iter().filter(|entry| is_image(entry));
        let named = images.filter_map(|entry| {
            let platform = entry.platform.clone()?.normalized();
            Some((platform, entry.clone()))
        });
        return Ok(named.collect());
    }
    let select = |platform: &Platform| match index.select(platform) {
        Some(entry) => Ok((platform.clone(), entry.clone())),
        None => Err(Error::MissingPlatform {
            image: want.reference.to_string(),
            wanted: Box::new(platform.clone()),
            available: index.platforms(),
        }),
    };
    want.platforms.iter().map(select).collect()
}

/// Returns whether an entry of an index is an image for some platform, and not about one.
fn is_image(entry: &Descriptor) -> bool {
    let mut platform = entry.platform.iter();
    platform.any(|platform| platform.os != "unknown")
}

fn parse_index(reference: &Reference, resolved: &Resolved) -> Result<Index> {
    Index::parse(&resolved.bytes).map_err(|source| malformed(reference, resolved, source))
}

/// Parses a manifest. Where a platform is asked for, it is to be built on or run, so it has to be an
/// image that can be.
fn parse_image(want: &Want, resolved: &Resolved) -> Result<Manifest> {
    let reference = &want.reference;
    let manifest = Manifest::parse(&resolved.bytes)
        .map_err(|source| malformed(reference, resolved, source))?;
    let kind = manifest.config.media_type.as_str();
    let is_image = kind.contains(".image.") || kind == "application/octet-stream";
    let encrypted = |layer: &&Descriptor| layer.media_type.as_str().ends_with("+encrypted");
    let reason = match manifest.layers.iter().find(encrypted) {
        Some(layer) => format!(
            "has encrypted layers ({}), and there is no key to open them",
            printable(layer.media_type.as_str())
        ),
        None if !is_image => {
            let artifact = manifest.artifact_type.as_ref();
            let kind = artifact.map_or(kind, MediaType::as_str);
            format!("is an artifact ({}), no container image", printable(kind))
        }
        None => return Ok(manifest),
    };
    if want.platforms.is_empty() {
        return Ok(manifest);
    }
    Err(Error::Unusable {
        image: reference.to_string(),
        reason,
    })
}

fn malformed(reference: &Reference, resolved: &Resolved, source: sealift_oci::Error) -> Error {
    Error::Document {
        image: reference.to_string(),
        digest: resolved.descriptor.digest.clone(),
        source,
    }
}

/// Keeps a document, whose digest the store checks once more.
async fn keep(store: &Store, resolved: &Resolved) -> Result<()> {
    let Resolved { descriptor, bytes } = resolved.clone();
    blocking(store, move |store| {
        let ingestion = store.ingest_waiting(&descriptor.digest, Some(descriptor.size))?;
        if let Ingestion::Ready(ingest) = ingestion {
            // What an earlier ingest left is not worth more than the bytes at hand.
            ingest.discard(0..u64::MAX)?;
            ingest.write_at(0, &bytes)?;
            ingest.commit()?;
        }
        Ok(())
    })
    .await
}
