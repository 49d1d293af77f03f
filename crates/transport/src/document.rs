//! Responses that are read whole: manifests, tokens, uploads' answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method};

use crate::attempt::{Attempt, Failure, Reply};
use crate::body::Reader;
use crate::error::Cause;
use crate::observe::Event;
use crate::request::{Document, Refusal};

impl Attempt<'_> {
    /// Makes one attempt at a document.
    pub(crate) async fn document(&self, limit: u64) -> Result<Fetched, Failure> {
        let mut reply = self.open().await?;
        let latency = self.choice.started.elapsed();
        let host = Arc::clone(&reply.host);
        let body = self.read(&mut reply, limit).await;
        let body = body.map_err(|cause| self.call.broken_body(cause, &host))?;
        let bytes = body.len() as u64;
        host.count(|totals| totals.received += bytes);
        let document = Document {
            status: reply.status,
            headers: reply.headers.clone(),
            body,
            endpoint: self.choice.endpoint.clone(),
            url: reply.url.clone(),
        };
        let page = reply.page_of_proxy();
        reply.finish(self.call.shared).await;
        if let Some(check) = &self.call.request.check {
            check(&document).map_err(|refusal| {
                let Refusal { reason, verdict } = refusal;
                // Nothing is decompressed here: what came coded is named so where it is not right.
                let coded = identity(&document.headers).err();
                let cause = page.or(coded).unwrap_or(Cause::Refused { reason, verdict });
                self.call.failure(cause, &host)
            })?;
        }
        if bytes > 0 {
            self.call.shared.emit(&Event::Received {
                label: Arc::clone(&self.call.request.label),
                host: Arc::clone(&host.name),
                bytes,
            });
        }
        Ok(Fetched { document, latency })
    }

    async fn read(&self, reply: &mut Reply, limit: u64) -> Result<Bytes, Cause> {
        if self.call.request.method == Method::HEAD {
            return Ok(Bytes::new());
        }
        // A check decides whether the bytes are right, whatever they are said to be.
        if self.call.request.check.is_none() {
            identity(&reply.headers)?;
        }
        if reply.body.promised().lower() > limit {
            return Err(Cause::TooLarge { limit });
        }
        let mut reader = Reader::new(&self.call.shared.settings.timeouts, &mut reply.body);
        let mut body = BytesMut::new();
        while let Some(piece) = reader.next().await? {
            if body.len() as u64 + piece.len() as u64 > limit {
                return Err(Cause::TooLarge { limit });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }
}

/// A document and how long its head took.
pub(crate) struct Fetched {
    pub(crate) document: Document,
    pub(crate) latency: Duration,
}

/// Refuses bodies that are not sent as they are: nothing is ever decompressed here.
pub(crate) fn identity(headers: &HeaderMap) -> Result<(), Cause> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else {
        return Ok(());
    };
    let encoding = String::from_utf8_lossy(encoding.as_bytes()).to_lowercase();
    match encoding.trim() {
        "" | "identity" => Ok(()),
        _ => Err(Cause::Encoded { encoding }),
    }
}
