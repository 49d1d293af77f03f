//! One blob: from whoever has it into the store, until its digest is right.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sealift_content::{Ingest, Ingestion};
use sealift_oci::{Descriptor, Reference};
use sealift_transport::{Anonymous, Class, Endpoint, Phase, Request, Route, is_local_host};
use url::Url;

use super::Transfer;
use super::blame::Blame;
use super::sink::BlobSink;

use crate::client::store::blocking;
use crate::client::{Action, Client, Event};
use crate::error::{Error, Result};
use crate::path::RequestPath;

/// How often somebody else's download of the same blob is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often wrong bytes are answered with another try, as a rule from fewer endpoints each time.
const MISMATCHES: usize = 6;

impl Client {
    /// Brings a blob into the store from the repositories that should have it, in order. Tells
    /// whether it was there already, else why each of them did not bring it.
    pub(in crate::client) async fn blob(
        &self,
        transfer: &Transfer,
        descriptor: &Descriptor,
        sources: &[Reference],
    ) -> std::result::Result<bool, Vec<Error>> {
        let (digest, size) = (descriptor.digest.clone(), descriptor.size);
        let ingest = loop {
            let wanted = digest.clone();
            let begun = blocking(&transfer.store, move |store| {
                store.ingest(&wanted, Some(size))
            });
            let begun = begun.await.map_err(|error| vec![error; sources.len()])?;
            match begun {
                Ingestion::Present => {
                    let cached = true;
                    transfer.watcher.event(&Event::BlobDone {
                        digest,
                        size,
                        cached,
                    });
                    return Ok(true);
                }
                // Another process, or another pull of this one, is at it: its bytes are ours too.
                Ingestion::Busy => tokio::time::sleep(LOOK).await,
                Ingestion::Ready(ingest) => break Arc::new(ingest),
            }
        };
        if let Some(first) = sources.first() {
            transfer.watcher.event(&Event::BlobStarted {
                image: first.to_string(),
                digest: digest.clone(),
                size,
                resumed: ingest.written(),
            });
        }
        self.fill_from(transfer, descriptor, sources, ingest)
            .await?;
        let cached = false;
        transfer.watcher.event(&Event::BlobDone {
            digest,
            size,
            cached,
        });
        Ok(false)
    }

    /// Asks one repository after the other; of a registry that fails as a whole only the first.
    async fn fill_from(
        &self,
        transfer: &Transfer,
        descriptor: &Descriptor,
        sources: &[Reference],
        ingest: Arc<Ingest>,
    ) -> std::result::Result<(), Vec<Error>> {
        let mut errors = Vec::new();
        let mut failing: HashMap<&str, Error> = HashMap::new();
        for reference in sources {
            if let Some(error) = failing.get(reference.registry()) {
                errors.push(error.clone());
                continue;
            }
            let registry = self.fill(transfer, descriptor, reference, &ingest).await;
            let error = match registry {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let gone = matches!(error, Error::Absent { .. });
            let error = if gone && descriptor.media_type.is_foreign() {
                match self
                    .fill_foreign(transfer, descriptor, reference, &ingest)
                    .await
                {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                }
            } else {
                error
            };
            match error.class() {
                // Another repository may have what this one has not, or does not give to us.
                Class::Absent | Class::Auth | Class::Corrupt => {}
                Class::Disk => return Err(vec![error; sources.len()]),
                _ => {
                    failing.insert(reference.registry(), error.clone());
                }
            }
            errors.push(error);
        }
        Err(errors)
    }

    /// Brings all that is missing of a blob from one repository, over all of its endpoints.
    async fn fill(
        &self,
        transfer: &Transfer,
        descriptor: &Descriptor,
        reference: &Reference,
        ingest: &Arc<Ingest>,
    ) -> Result<()> {
        let label = reference.to_string();
        let sink = BlobSink::new(ingest.clone(), transfer.watcher.clone(), descriptor.size);
        let path = RequestPath::blob(reference.repository(), &descriptor.digest);
        let request = self
            .request(Request::get(path.to_string()), Phase::Blob, &label)
            .size(descriptor.size)
            .verified();
        let access = self.access(reference, Action::Pull);
        let mut blame = Blame::new(self.content_route(reference)?, descriptor.size);
        for _ in 0..MISMATCHES {
            let route = blame.route();
            let download = self.transport().download(&route, &request, &sink, &access);
            let provenance = download.await.map_err(|error| {
                let part = format!("{} of {label}", descriptor.digest);
                access.error_for_part("fetch", &part, error)
            })?;
            blame.add(provenance.parts());
            if commit(transfer, ingest).await? {
                if let Some(guilty) = blame.guilty() {
                    let reason = format!("wrong bytes for {}", descriptor.digest);
                    self.transport().quarantine(guilty, &reason);
                }
                return Ok(());
            }
            transfer.watcher.event(&Event::BlobMismatch {
                digest: descriptor.digest.clone(),
                hosts: blame.hosts(),
            });
            let doubtful = blame.next();
            let ingest = ingest.clone();
            blocking(&transfer.store, move |_| {
                doubtful
                    .into_iter()
                    .try_for_each(|range| ingest.discard(range))
            })
            .await?;
        }
        Err(Error::WrongBytes {
            image: label,
            digest: descriptor.digest.clone(),
            host: blame.last_host(),
        })
    }

    /// Brings a layer that its registry does not keep from the addresses in its descriptor.
    async fn fill_foreign(
        &self,
        transfer: &Transfer,
        descriptor: &Descriptor,
        reference: &Reference,
        ingest: &Arc<Ingest>,
    ) -> Result<()> {
        let unusable = |reason: String| Error::ForeignLayer {
            image: reference.to_string(),
            digest: descriptor.digest.clone(),
            reason,
        };
        let registry = self.content_route(reference)?;
        let label = reference.to_string();
        let sink = BlobSink::new(ingest.clone(), transfer.watcher.clone(), descriptor.size);
        let mut reason = "it has no address".to_owned();
        for text in &descriptor.urls {
            let (route, path) = match foreign(text, registry.origin()) {
                Ok(found) => found,
                Err(why) => {
                    reason = format!("the address {text:?} {why}");
                    continue;
                }
            };
            let request = self
                .request(Request::get(path), Phase::Blob, &label)
                .size(descriptor.size)
                .verified();
            let request = match is_local_host(registry.origin().host()) {
                true => request,
                false => request.outside(),
            };
            let download = self
                .transport()
                .download(&route, &request, &sink, &Anonymous)
                .await;
            match download {
                Ok(_) if commit(transfer, ingest).await? => return Ok(()),
                Ok(_) => reason = format!("wrong bytes came from {text:?}"),
                Err(error) => reason = format!("{text:?} can't be had: {}", error.text()),
            }
            let ingest = ingest.clone();
            let all = 0..descriptor.size;
            blocking(&transfer.store, move |_| ingest.discard(all)).await?;
        }
        Err(unusable(reason))
    }
}

/// Puts a blob into its place if its digest is right; leaves all as it is where it is not.
async fn commit(transfer: &Transfer, ingest: &Arc<Ingest>) -> Result<bool> {
    let ingest = ingest.clone();
    blocking(&transfer.store, move |_| match ingest.check() {
        Ok(()) => ingest.commit().map(|()| true),
        Err(sealift_content::Error::Mismatch { .. }) => Ok(false),
        Err(error) => Err(error),
    })
    .await
}

/// Judges an address that an image's author wrote: it may not point at this machine unless the
/// registry is there too.
fn foreign(text: &str, registry: &Endpoint) -> std::result::Result<(Route, String), &'static str> {
    let mut url = Url::parse(text).map_err(|_| "is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is neither http nor https");
    }
    let local = url.host_str().is_some_and(is_local_host);
    if local && !is_local_host(registry.host()) {
        return Err("points at this machine or its own network");
    }
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    url.set_path("/");
    url.set_query(None);
    let endpoint = Endpoint::from_url(&url).map_err(|_| "has no usable host")?;
    Ok((Route::direct(endpoint), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_addresses_are_judged() {
        let registry = crate::client::origin("r.example").unwrap();
        let (route, path) = foreign("https://cdn.example/a/b?c=d", &registry).unwrap();
        assert_eq!(
            route.origin().url(&path).unwrap().as_str(),
            "https://cdn.example/a/b?c=d"
        );
        for text in [
            "file:///etc/passwd",
            "http://localhost/x",
            "http://[::1]/",
            "http://169.254.169.254/latest/meta-data",
            "http://[fe80::1]/",
            "x",
            "ftp://h/",
        ] {
            assert!(foreign(text, &registry).is_err(), "{text}");
        }
        let local = crate::client::origin("localhost:5000").unwrap();
        assert!(foreign("http://127.0.0.1:8000/x", &local).is_ok());
    }
}
