//! Manifests and tags on their way to a registry.

use sealift_oci::{Digest, Reference};
use sealift_transport::{Class, Patience, Request};

use super::Shipment;
use super::document::DocumentPut;
use super::plan::{DocumentJob, RootJob, TagJob};
use crate::client::{Client, Event};
use crate::code::Explanation;
use crate::error::{Error, Result};
use crate::path::Selector;

/// How often a registry is asked for what it took, with pauses that grow: some answer from copies
/// that lag.
const LOOKS: u32 = 7;

impl Client {
    /// Puts a manifest or index under its digest.
    pub(super) async fn send_document(&self, shipment: &Shipment, job: &DocumentJob) -> Result<()> {
        let selector = Selector::Digest(job.descriptor.digest.clone());
        let put = DocumentPut {
            reference: &job.reference,
            selector,
            descriptor: &job.descriptor,
            bytes: &job.bytes,
        };
        self.put(shipment, &put).await?;
        let (digest, size) = (job.descriptor.digest.clone(), job.descriptor.size);
        let cached = false;
        shipment.watcher.event(&Event::BlobDone {
            digest,
            size,
            cached,
        });
        Ok(())
    }

    /// Reads a root back by its digest before any tag points at it.
    pub(super) async fn read_back(&self, job: &RootJob) -> Result<()> {
        let reference = job.reference.with_digest(&job.digest);
        let repository = reference.repository();
        let route = self.origin_route(repository)?;
        let mut patience = Patience::new(self.term);
        let mut looks = 0;
        loop {
            looks += 1;
            let error = match self.resolve_at(&route, &reference).await {
                Ok(resolved) if resolved.descriptor.digest == job.digest => return Ok(()),
                Ok(resolved) => {
                    return Err(Error::ReadBack {
                        image: job.reference.to_string(),
                        expected: job.digest.clone(),
                        actual: Some(resolved.descriptor.digest),
                    });
                }
                Err(error) => error,
            };
            match (error.class(), error.request()) {
                (Class::Absent, Some(source)) if looks < LOOKS => {
                    let waited = self.transport().wait_after(source.clone(), &mut patience);
                    let access = self.push_access(repository, &job.reference.to_string());
                    waited
                        .await
                        .map_err(|error| access.error_for("push", error))?;
                }
                (Class::Absent | Class::Corrupt, _) => {
                    return Err(Error::ReadBack {
                        image: job.reference.to_string(),
                        expected: job.digest.clone(),
                        actual: None,
                    });
                }
                _ => return Err(error),
            }
        }
    }

    /// Makes a tag stand for a root.
    pub(super) async fn send_tag(&self, shipment: &Shipment, job: &TagJob) -> Result<()> {
        let wanted = &job.descriptor.digest;
        if self.tag(&job.reference).await?.as_ref() != Some(wanted) {
            self.move_tag(shipment, job).await?;
        }
        shipment.watcher.event(&Event::Tagged {
            image: job.reference.to_string(),
            digest: wanted.clone(),
        });
        Ok(())
    }

    async fn move_tag(&self, shipment: &Shipment, job: &TagJob) -> Result<()> {
        let put = DocumentPut {
            reference: &job.reference,
            selector: Selector::named(&job.reference),
            descriptor: &job.descriptor,
            bytes: &job.bytes,
        };
        let Err(error) = self.put(shipment, &put).await else {
            return Ok(());
        };
        // Somebody else may have done the same meanwhile, or an answer was lost: what counts is
        // what the tag stands for now.
        let actual = self.tag(&job.reference).await?;
        let immutable = error.request().is_some_and(|request| {
            let body = request.body().unwrap_or_default();
            Explanation::parse(body.as_bytes()).mentions("immutable")
        });
        match actual {
            Some(actual) if actual == job.descriptor.digest => Ok(()),
            Some(actual) if immutable => Err(Error::Immutable {
                image: job.reference.to_string(),
                wanted: job.descriptor.digest.clone(),
                actual,
            }),
            _ => Err(error),
        }
    }

    /// Asks what a tag stands for; nothing where it does not exist, or the registry does not say.
    async fn tag(&self, reference: &Reference) -> Result<Option<Digest>> {
        let route = self.origin_route(reference.repository())?;
        Ok(self.head(&route, reference, Request::whether).await)
    }
}
