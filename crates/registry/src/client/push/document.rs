//! One manifest or index on its way to a repository, and what it refers to where the registry says
//! that it lacks that.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use sealift_content::DOCUMENT_LIMIT;
use sealift_oci::{Descriptor, Index, Manifest, Reference};
use sealift_transport::{Patience, Payload, Phase, Request, Sink};

use super::Shipment;
use super::plan::BlobJob;
use crate::client::store::blocking;
use crate::client::{Action, Client};
use crate::code::Explanation;
use crate::error::{Error, Result};
use crate::path::{RequestPath, Selector};

/// What a registry says of a manifest whose parts it does not have, or does not see yet.
const INCOMPLETE: &[&str] = &["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"];
/// How often a document is put although the registry says so.
const TRIES: u32 = 4;

/// A manifest or index and the name that it is put under.
pub(super) struct DocumentPut<'a> {
    pub(super) reference: &'a Reference,
    pub(super) selector: Selector,
    pub(super) descriptor: &'a Descriptor,
    pub(super) bytes: &'a Bytes,
}

impl Client {
    /// Puts a document. Where the registry misses what it refers to, that is sent again: what a HEAD
    /// said of it was wrong, or the registry has lost it since.
    pub(super) async fn put(&self, shipment: &Shipment, put: &DocumentPut<'_>) -> Result<()> {
        let mut patience = Patience::new(self.term);
        let mut tries = 1;
        loop {
            let Err(error) = self.put_once(put).await else {
                return Ok(());
            };
            let Some(source) = error.request().filter(|_| tries < TRIES) else {
                return Err(error);
            };
            let body = source.body().unwrap_or_default();
            if !Explanation::parse(body.as_bytes()).has(INCOMPLETE) {
                return Err(error);
            }
            tries += 1;
            let waited = self.transport().wait_after(source.clone(), &mut patience);
            waited.await.map_err(|_| error)?;
            self.send_missing(shipment, put).await?;
        }
    }

    async fn put_once(&self, put: &DocumentPut<'_>) -> Result<()> {
        let repository = put.reference.repository();
        let path = RequestPath::manifest(repository, put.selector.clone());
        let media_type = HeaderValue::from_str(put.descriptor.media_type.as_str());
        let media_type = media_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let label = put.reference.to_string();
        let request = Request::new(Method::PUT, path.to_string());
        let request = self.request(request, Phase::Push, &label);
        let request = request.header(CONTENT_TYPE, media_type);
        let route = self.origin_route(repository)?;
        let access = self.push_access(repository, &label);
        let payload = Payload::Bytes(put.bytes.clone());
        let sent = self.transport().upload(&route, &request, &payload, &access);
        sent.await
            .map_err(|error| access.error_for("push", error))?;
        Ok(())
    }

    /// Sends what a document refers to and the registry does not give out.
    async fn send_missing(&self, shipment: &Shipment, put: &DocumentPut<'_>) -> Result<()> {
        let malformed = |source| Error::Document {
            image: put.reference.to_string(),
            digest: put.descriptor.digest.clone(),
            source,
        };
        if put.descriptor.media_type.is_index() {
            for child in Index::parse(put.bytes).map_err(malformed)?.manifests {
                let digest = child.digest.clone();
                let read = move |store: &sealift_content::Store| {
                    store.read_blob(&digest, DOCUMENT_LIMIT).map(Bytes::from)
                };
                let bytes = blocking(&shipment.store, read).await?;
                self.put_once(&DocumentPut {
                    reference: put.reference,
                    selector: Selector::Digest(child.digest.clone()),
                    descriptor: &child,
                    bytes: &bytes,
                })
                .await?;
            }
            return Ok(());
        }
        let manifest = Manifest::parse(put.bytes).map_err(malformed)?;
        for blob in manifest
            .blobs()
            .filter(|blob| !blob.media_type.is_foreign())
        {
            if !self.gives(put.reference, blob).await? {
                let job = BlobJob {
                    descriptor: blob.clone(),
                    label: put.reference.to_string(),
                    repositories: Vec::new(),
                    mounts: Vec::new(),
                };
                self.upload(shipment, &job, put.reference.repository(), None)
                    .await?;
            }
        }
        Ok(())
    }

    /// Returns whether a registry gives out a blob, by asking for its first byte.
    async fn gives(&self, reference: &Reference, blob: &Descriptor) -> Result<bool> {
        let path = RequestPath::blob(reference.repository(), &blob.digest);
        let request = Request::get(path.to_string());
        let request = self.request(request, Phase::Push, &reference.to_string());
        let request = request.size(blob.size).whether();
        let route = self.origin_route(reference.repository())?;
        let access = self.access(reference, Action::Pull);
        let sink = FirstByte::default();
        let asked = self.transport().download(&route, &request, &sink, &access);
        Ok(blob.size > 0 && asked.await.is_ok())
    }
}

/// A sink that wants to know whether there is something.
#[derive(Default)]
struct FirstByte {
    arrived: AtomicBool,
}

impl Sink for FirstByte {
    fn missing(&self) -> Vec<Range<u64>> {
        let arrived = self.arrived.load(Ordering::Relaxed);
        std::iter::once(0..1).filter(|_| !arrived).collect()
    }

    fn write_at(&self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        self.arrived.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn discard(&self, _range: Range<u64>) -> io::Result<()> {
        self.arrived.store(false, Ordering::Relaxed);
        Ok(())
    }
}
