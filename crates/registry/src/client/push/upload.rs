//! One upload (distribution-spec, "Pushing a Blob"): whole where it is small, else in chunks, and
//! after every failure continued at the offset that the registry reports.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use http::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use sealift_oci::{Descriptor, Repository};
use sealift_transport::{
    self as transport, Class, Document, Patience, Payload, Phase, Request, Route,
};
use url::Url;

use super::Shipment;
use super::location::{location, offset};
use super::plan::BlobJob;
use super::session::{Chunks, Session};
use crate::client::auth::Access;
use crate::client::{Client, Event};
use crate::error::{Error, Result};
use crate::path::{RequestPath, Resource};

/// Blobs up to this size go in one request, in bytes.
const WHOLE: u64 = 16 * 1024 * 1024;
/// How often an upload goes on although the registry lost it, is elsewhere, or has wrong bytes.
const RESTARTS: u32 = 4;

/// One blob on its way into one repository.
pub(super) struct Upload<'a> {
    client: &'a Client,
    shipment: &'a Shipment,
    job: &'a BlobJob,
    repository: &'a Repository,
    route: Route,
    access: Access,
    file: Arc<File>,
}

/// Why a step did not bring the upload on.
enum Trouble {
    /// The connection or the server failed: continue where the registry is.
    Broken(transport::Error),
    /// The registry is at another offset than we are.
    Misplaced(transport::Error),
    /// The registry does not know the upload any more, or has wrong bytes: begin anew.
    Lost(transport::Error),
    /// It takes no chunks.
    NoChunks,
    /// The server, or a proxy before it, takes no request of that size.
    TooLarge(transport::Error),
    /// Nothing helps.
    Final(Error),
}

/// What an upload has cost so far.
struct Effort {
    patience: Patience,
    /// How often the registry lost it, was elsewhere, or had wrong bytes.
    restarts: u32,
    /// The most bytes that the registry had.
    best: u64,
}

impl Effort {
    fn reached(&mut self, offset: u64) {
        if offset > self.best {
            self.best = offset;
            self.patience.progressed();
        }
    }
}

impl<'a> Upload<'a> {
    pub(super) fn new(
        client: &'a Client,
        shipment: &'a Shipment,
        job: &'a BlobJob,
        repository: &'a Repository,
        file: File,
    ) -> Result<Self> {
        Ok(Self {
            client,
            shipment,
            job,
            repository,
            route: client.origin_route(repository)?,
            access: client.push_access(repository, &job.label),
            file: Arc::new(file),
        })
    }

    const fn size(&self) -> u64 {
        self.job.descriptor.size
    }

    /// Brings the blob there, into the upload that is open already if there is one.
    pub(super) async fn run(&self, opened: Option<Document>) -> Result<()> {
        let mut session = match opened {
            Some(document) => self.session(&document)?,
            None => self.begin().await?,
        };
        let mut effort = Effort {
            patience: Patience::new(self.client.term),
            restarts: 0,
            best: 0,
        };
        loop {
            match self.step(&mut session).await {
                Ok(true) => return Ok(()),
                Ok(false) => session.chunks.grow(),
                Err(trouble) => session = self.recover(session, trouble, &mut effort).await?,
            }
            effort.reached(session.offset);
        }
    }

    /// Goes on after a step that failed, if anything can help.
    async fn recover(
        &self,
        mut session: Session,
        trouble: Trouble,
        effort: &mut Effort,
    ) -> Result<Session> {
        let location = session.location.clone();
        let failed = |error| self.error_at(&location, error);
        let (error, lost, counted) = match trouble {
            Trouble::Final(error) => return Err(error),
            Trouble::NoChunks => {
                session.chunks.whole_only = true;
                return self.begin_like(session.chunks).await;
            }
            Trouble::TooLarge(error) => {
                let refused = self.next_part(&session);
                if !session.chunks.stay_below(refused.end - refused.start) {
                    return Err(failed(error));
                }
                return self.resume(session).await;
            }
            Trouble::Broken(error) => (error, false, false),
            Trouble::Misplaced(error) => (error, false, true),
            Trouble::Lost(error) => (error, true, true),
        };
        effort.restarts += u32::from(counted);
        if effort.restarts > RESTARTS {
            return Err(failed(error));
        }
        let transport = self.client.transport();
        let waited = transport.wait_after(error, &mut effort.patience).await;
        waited.map_err(failed)?;
        if !counted {
            session.chunks.shrink();
        }
        if lost || session.chunks.whole_only {
            return self.begin_like(session.chunks).await;
        }
        self.resume(session).await
    }

    /// Opens another upload, with what was learned in an earlier one.
    async fn begin_like(&self, chunks: Chunks) -> Result<Session> {
        let mut session = self.begin().await?;
        session.chunks = session.chunks.like(chunks);
        Ok(session)
    }

    /// Makes the error of a request to a place that the registry named.
    fn error_at(&self, location: &Url, source: transport::Error) -> Error {
        let mut error = self.access.error_for("push", source);
        if let Error::Request { note, source, .. } = &mut error
            && source.host() != self.route.origin().authority()
        {
            let mut shown = location.clone();
            shown.set_query(None);
            let named = format!("the registry named {shown} as the place of the upload");
            note.get_or_insert(named);
        }
        error
    }

    /// Opens an upload.
    async fn begin(&self) -> Result<Session> {
        let path = RequestPath::new(self.repository, Resource::Uploads);
        // A second one, should the first answer be lost, expires unused.
        let request = self
            .request(Request::new(Method::POST, path.to_string()))
            .repeatable(true);
        let sent = self.send(&request, &Payload::Empty).await;
        let document = sent.map_err(|error| match error.status() {
            Some(404) => Error::NoRepository {
                repository: self.repository.to_string(),
                source: Box::new(error),
            },
            _ => self.access.error_for("push", error),
        })?;
        self.session(&document)
    }

    fn session(&self, document: &Document) -> Result<Session> {
        let minimum = document
            .header("oci-chunk-min-length")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let place = location(document).map_err(|cause| self.no_location(document, cause))?;
        Ok(Session {
            location: place,
            offset: 0,
            chunks: Chunks::new(minimum),
        })
    }

    fn no_location(&self, document: &Document, cause: transport::Cause) -> Error {
        let host = document.endpoint.authority();
        let error = transport::Error::new(cause, Phase::Push, &host, &self.job.label);
        self.access.error_for("push", error)
    }

    /// Asks how far an upload has come; begins another where the registry does not know it.
    async fn resume(&self, mut session: Session) -> Result<Session> {
        let request = self.request(Request::at(Method::GET, session.location.clone()));
        match self.send(&request, &Payload::Empty).await {
            Ok(document) => {
                let offset = offset(&document).filter(|offset| *offset <= self.size());
                let Some(offset) = offset else {
                    return self.begin_like(session.chunks).await;
                };
                let location = match document.headers.contains_key(LOCATION) {
                    true => {
                        location(&document).map_err(|cause| self.no_location(&document, cause))?
                    }
                    false => session.location,
                };
                session.location = location;
                session.offset = offset;
                Ok(session)
            }
            Err(error)
                if matches!(
                    error.class(),
                    Class::Absent | Class::Config | Class::Corrupt
                ) =>
            {
                self.begin_like(session.chunks).await
            }
            Err(error) => Err(self.error_at(&session.location, error)),
        }
    }

    /// Returns what goes in the next request: a chunk, or all where the registry takes no chunks.
    fn next_part(&self, session: &Session) -> Range<u64> {
        let most = match session.chunks.whole_only {
            true => self.size(),
            false => session.chunks.size,
        };
        session.offset..session.offset.saturating_add(most).min(self.size())
    }

    /// Sends the next part; `true` once the registry has it all and found the digest right.
    async fn step(&self, session: &mut Session) -> std::result::Result<bool, Trouble> {
        let range = self.next_part(session);
        let whole = range == (0..self.size()) && self.size() <= WHOLE;
        if whole || range.is_empty() || session.chunks.whole_only {
            return self.finish(session).await.map(|()| true);
        }
        let header = format!("{}-{}", range.start, range.end - 1);
        let header = HeaderValue::from_str(&header)
            .expect("digits and a dash are characters that headers may hold");
        let request = self
            .body(Method::PATCH, session.location.clone(), range.start)
            .header(CONTENT_TYPE, octets())
            .header(CONTENT_RANGE, header);
        let sent = self.send(&request, &self.part(range.clone())).await;
        let document = sent.map_err(|error| self.judge(&session.location, error, true))?;
        if document.headers.contains_key(LOCATION) {
            let next = location(&document).map_err(|cause| self.no_location(&document, cause));
            session.location = next.map_err(Trouble::Final)?;
        }
        // What the registry says counts: it may have kept less than was sent.
        let kept = offset(&document).filter(|kept| (range.start..=range.end).contains(kept));
        let kept = kept.unwrap_or(range.end);
        if kept == range.start {
            // It says yes and keeps nothing, which it may do for ever.
            return Err(Trouble::NoChunks);
        }
        session.offset = kept;
        self.tell(session.offset);
        if session.offset < range.end {
            // It may do so for ever.
            return Err(Trouble::Misplaced(self.kept_less(&document)));
        }
        Ok(false)
    }

    fn kept_less(&self, document: &Document) -> transport::Error {
        let cause = transport::Cause::Status {
            status: document.status,
            body: "the registry kept less than it was sent".to_owned(),
        };
        let host = document.endpoint.authority();
        transport::Error::new(cause, Phase::Push, &host, &self.job.label)
    }

    /// Sends the rest, all of it where nothing was sent, and closes the upload.
    async fn finish(&self, session: &Session) -> std::result::Result<(), Trouble> {
        let mut target = session.location.clone();
        let digest = self.job.descriptor.digest.to_string();
        target.query_pairs_mut().append_pair("digest", &digest);
        let request = self
            .body(Method::PUT, target, session.offset)
            .header(CONTENT_TYPE, octets())
            // Sent again after it broke off, it would be added to what arrived of it.
            .repeatable(session.offset == self.size());
        let payload = self.part(session.offset..self.size());
        let sent = self.send(&request, &payload).await;
        match sent {
            Ok(document) if document.status == StatusCode::CREATED => {
                self.tell(self.size());
                Ok(())
            }
            Ok(document) => {
                let cause = transport::Cause::Status {
                    status: document.status,
                    body: String::from_utf8_lossy(&document.body).into_owned(),
                };
                let host = document.endpoint.authority();
                let error = transport::Error::new(cause, Phase::Push, &host, &self.job.label);
                Err(Trouble::Lost(error))
            }
            Err(error) => Err(self.judge(&session.location, error, false)),
        }
    }

    fn part(&self, range: Range<u64>) -> Payload {
        if range.is_empty() {
            return Payload::Empty;
        }
        Payload::File {
            file: Arc::clone(&self.file),
            range,
        }
    }

    /// A request whose body begins at an offset of the blob, and is told while it goes out.
    fn body(&self, method: Method, target: Url, start: u64) -> Request {
        let watcher = Arc::clone(&self.shipment.watcher);
        let Descriptor { digest, size, .. } = self.job.descriptor.clone();
        let request = Request::at(method, target).sending(move |sent| {
            watcher.event(&Event::BlobProgress {
                digest: digest.clone(),
                done: (start + sent).min(size),
                size,
            });
        });
        self.request(request)
    }

    fn tell(&self, done: u64) {
        self.shipment.watcher.event(&Event::BlobProgress {
            digest: self.job.descriptor.digest.clone(),
            done,
            size: self.size(),
        });
    }

    fn request(&self, request: Request) -> Request {
        let request = self.client.request(request, Phase::Push, &self.job.label);
        request.part_of_more()
    }

    async fn send(&self, request: &Request, payload: &Payload) -> transport::Result<Document> {
        let transport = self.client.transport();
        transport
            .upload(&self.route, request, payload, &self.access)
            .await
    }

    /// Decides what a failed step means.
    fn judge(&self, at: &Url, error: transport::Error, chunk: bool) -> Trouble {
        match (error.status(), error.class()) {
            (Some(416), _) => Trouble::Misplaced(error),
            (Some(404), _) | (_, Class::Corrupt) => Trouble::Lost(error),
            (Some(413), _) => Trouble::TooLarge(error),
            (Some(400 | 405 | 411 | 501), _) if chunk => Trouble::NoChunks,
            (_, Class::Network | Class::Rate) => Trouble::Broken(error),
            _ => Trouble::Final(self.error_at(at, error)),
        }
    }
}

fn octets() -> HeaderValue {
    HeaderValue::from_static("application/octet-stream")
}
