//! Manifests and tags on their way to a registry.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use sealift_oci::{Descriptor, Digest, Reference};
use sealift_transport::{Class, Patience, Payload, Phase, Request};

use super::Shipment;
use super::plan::{DocumentJob, RootJob, TagJob};
use crate::client::{Action, Client, Event, label_of, scope_of};
use crate::code::Explanation;
use crate::error::{Error, Result};
use crate::path::{RequestPath, Selector};

/// How often a registry is asked for what it took, with pauses that grow: some answer from copies
/// that lag.
const LOOKS: u32 = 7;

impl Client {
    /// Puts a manifest or index under its digest.
    pub(super) async fn send_document(&self, shipment: &Shipment, job: &DocumentJob) -> Result<()> {
        let selector = Selector::Digest(job.descriptor.digest.clone());
        self.put(&job.reference, selector, &job.descriptor, &job.bytes)
            .await?;
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
        let route = self.origin_route(reference.repository())?;
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
                    let label = label_of(&job.reference);
                    waited
                        .await
                        .map_err(|error| self.failed("push", &label, error))?;
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

    /// Makes a tag stand for a root. Tells whether it did not before.
    pub(super) async fn send_tag(&self, shipment: &Shipment, job: &TagJob) -> Result<bool> {
        let wanted = &job.descriptor.digest;
        let moved = if self.tag(&job.reference).await?.as_ref() == Some(wanted) {
            false
        } else {
            self.move_tag(job).await?
        };
        shipment.watcher.event(&Event::Tagged {
            image: job.reference.to_string(),
            digest: wanted.clone(),
        });
        Ok(moved)
    }

    async fn move_tag(&self, job: &TagJob) -> Result<bool> {
        let tag = job.reference.tag().unwrap_or_default().to_owned();
        let put = self
            .put(
                &job.reference,
                Selector::Tag(tag),
                &job.descriptor,
                &job.bytes,
            )
            .await;
        let Err(error) = put else { return Ok(true) };
        // Somebody else may have done the same meanwhile, or an answer was lost: what counts is
        // what the tag stands for now.
        let actual = match self.tag(&job.reference).await {
            Ok(actual) => actual,
            Err(_) => return Err(error),
        };
        let immutable = error.request().is_some_and(|request| {
            let body = request.body().unwrap_or_default();
            Explanation::parse(body.as_bytes()).mentions("immutable")
        });
        match actual {
            Some(actual) if actual == job.descriptor.digest => Ok(false),
            Some(actual) if immutable => Err(Error::Immutable {
                image: job.reference.to_string(),
                wanted: job.descriptor.digest.clone(),
                actual,
            }),
            _ => Err(error),
        }
    }

    /// Asks what a tag stands for; nothing where it does not exist.
    async fn tag(&self, reference: &Reference) -> Result<Option<Digest>> {
        let tag = Selector::Tag(reference.tag().unwrap_or_default().to_owned());
        let route = self.origin_route(reference.repository())?;
        let request = self.head_request(reference, tag).whether();
        match self.head_at(&route, reference, &request).await {
            Err(Error::Absent { .. }) => Ok(None),
            other => other,
        }
    }

    async fn put(
        &self,
        reference: &Reference,
        selector: Selector,
        descriptor: &Descriptor,
        bytes: &Bytes,
    ) -> Result<()> {
        let label = label_of(reference);
        let path = RequestPath::manifest(reference.repository(), selector);
        let media_type = HeaderValue::from_str(descriptor.media_type.as_str());
        let media_type = media_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let request = Request::new(Method::PUT, path.to_string());
        let request = self
            .request(request, Phase::Push, &label)
            .header(CONTENT_TYPE, media_type)
            .scope(&scope_of(reference.repository(), Action::Push));
        let route = self.origin_route(reference.repository())?;
        let access = self.access(reference.registry(), &label);
        let payload = Payload::Bytes(bytes.clone());
        let sent = self
            .transport()
            .upload(&route, &request, &payload, &access)
            .await;
        sent.map_err(|error| self.failed("push", &label, error))?;
        Ok(())
    }
}
