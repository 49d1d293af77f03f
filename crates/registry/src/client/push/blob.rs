//! One blob on its way to every repository of a registry that needs it: found there, lent by
//! another repository, or uploaded once.

use http::{Method, StatusCode};
use sealift_oci::{Digest, Repository};
use sealift_transport::{Class, Document, Payload, Phase, Request};

use super::Shipment;
use super::plan::BlobJob;
use super::upload::Upload;
use crate::client::store::blocking;
use crate::client::{Action, Client, Event, Scope};
use crate::error::Result;
use crate::path::{RequestPath, Resource};

/// What came of asking for a blob to be lent.
pub(super) enum Mount {
    /// It is there.
    Done,
    /// The registry opened an upload in its place.
    Opened(Box<Document>),
    /// It said no.
    Refused,
}

impl Client {
    /// Brings one blob to all repositories that need it.
    pub(super) async fn send_blob(&self, shipment: &Shipment, job: &BlobJob) -> Result<()> {
        let (digest, size) = (&job.descriptor.digest, job.descriptor.size);
        // One that has it lends it to all others, so it is looked for everywhere first.
        let mut has: Option<Repository> = None;
        let mut needing = Vec::new();
        for repository in &job.repositories {
            if self.has_blob(job, repository).await? {
                has.get_or_insert_with(|| repository.clone());
            } else {
                needing.push(repository);
            }
        }
        let cached = needing.is_empty();
        for repository in needing {
            let lenders = has
                .iter()
                .chain(&job.mounts)
                .filter(|one| *one != repository);
            let lenders: Vec<Repository> = lenders.cloned().collect();
            self.bring(shipment, job, repository, &lenders).await?;
            has = Some(repository.clone());
        }
        shipment.watcher.event(&Event::BlobDone {
            digest: digest.clone(),
            size,
            cached,
        });
        Ok(())
    }

    async fn bring(
        &self,
        shipment: &Shipment,
        job: &BlobJob,
        repository: &Repository,
        lenders: &[Repository],
    ) -> Result<()> {
        let mut opened = None;
        for lender in lenders {
            match self.mount(job, repository, lender).await? {
                Mount::Done => return Ok(()),
                Mount::Opened(document) => {
                    opened = Some(*document);
                    break;
                }
                Mount::Refused => {}
            }
        }
        self.upload(shipment, job, repository, opened).await
    }

    /// Uploads a blob, into the upload that is open already if there is one.
    pub(super) async fn upload(
        &self,
        shipment: &Shipment,
        job: &BlobJob,
        repository: &Repository,
        opened: Option<Document>,
    ) -> Result<()> {
        let file = {
            let digest = job.descriptor.digest.clone();
            let open = move |store: &sealift_content::Store| store.open_checked(&digest);
            blocking(&shipment.store, open).await?
        };
        shipment.watcher.event(&Event::BlobStarted {
            image: job.label.clone(),
            digest: job.descriptor.digest.clone(),
            size: job.descriptor.size,
            resumed: 0,
        });
        Upload::new(self, shipment, job, repository, file)?
            .run(opened)
            .await
    }

    async fn has_blob(&self, job: &BlobJob, repository: &Repository) -> Result<bool> {
        let path = RequestPath::blob(repository, &job.descriptor.digest);
        let request = self
            .request(Request::head(path.to_string()), Phase::Push, &job.label)
            .whether();
        let route = self.origin_route(repository)?;
        let access = self.push_access(repository, &job.label);
        match self
            .transport()
            .document(&route, &request, 0, &access)
            .await
        {
            Ok(document) => Ok(is_this(&document, &job.descriptor.digest)),
            Err(error) if error.class() == Class::Absent => Ok(false),
            // Whether it may be written is for the upload to find out.
            Err(error) if matches!(error.status(), Some(400..=599)) => Ok(false),
            Err(error) => Err(access.error_for("push", error)),
        }
    }

    async fn mount(
        &self,
        job: &BlobJob,
        repository: &Repository,
        lender: &Repository,
    ) -> Result<Mount> {
        let route = self.origin_route(repository)?;
        let resource = Resource::Mount {
            digest: job.descriptor.digest.clone(),
            from: route.origin().name(lender.path()),
        };
        let path = RequestPath::new(repository, resource);
        let reading = Scope::repository(lender.path(), Action::Pull);
        let request = Request::new(Method::POST, path.to_string());
        let request = self
            .request(request, Phase::Push, &job.label)
            // Asked twice, it is mounted once, or one of two open uploads is left to expire.
            .repeatable(true);
        let access = self.push_access(repository, &job.label).and(reading);
        let sent = self
            .transport()
            .upload(&route, &request, &Payload::Empty, &access)
            .await;
        match sent {
            Ok(document) if document.status == StatusCode::CREATED => Ok(Mount::Done),
            Ok(document) if document.status == StatusCode::ACCEPTED => {
                Ok(Mount::Opened(Box::new(document)))
            }
            // A lender that may not be read, or a registry that knows no mounts: upload instead.
            Ok(_) => Ok(Mount::Refused),
            Err(error) => match error.class() {
                Class::Auth | Class::Absent | Class::Config => Ok(Mount::Refused),
                _ => Err(access.error_for("push", error)),
            },
        }
    }
}

/// A HEAD that names another digest is not about this blob.
fn is_this(document: &Document, wanted: &Digest) -> bool {
    let said = document.header("docker-content-digest").map(Digest::parse);
    match said {
        Some(Ok(digest)) => digest == *wanted,
        _ => true,
    }
}
