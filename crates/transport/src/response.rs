//! Responses whose bodies are read as they come.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::timeout;
use url::Url;

use crate::attempt::Reply;
use crate::body::broken;
use crate::error::{Cause, Error, Result, Stage};
use crate::observe::Event;
use crate::request::Request;
use crate::shared::Shared;

/// A response of any status, with its body still to come.
pub struct Response {
    shared: Arc<Shared>,
    request: Request,
    /// `None` once the body has ended.
    reply: Option<Reply>,
    /// The status.
    pub status: StatusCode,
    /// The headers, as the server sent them.
    pub headers: HeaderMap,
    /// Where it came from.
    pub url: Url,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Response {
    pub(crate) fn new(shared: &Arc<Shared>, request: Request, reply: Reply) -> Self {
        Self {
            shared: Arc::clone(shared),
            request,
            status: reply.status,
            headers: reply.headers.clone(),
            url: reply.url.clone(),
            reply: Some(reply),
        }
    }

    /// Returns the next piece of the body, `None` at its end. A reader may take its time; the server
    /// may not.
    ///
    /// # Errors
    /// [`Cause::Short`] for a body that ends early, [`Cause::Timeout`] for one that stalls. Nothing
    /// is repeated: what was read may have been passed on.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(reply) = &mut self.reply else {
            return Ok(None);
        };
        let stall = self.shared.settings.timeouts.stall;
        let cause = match timeout(stall, reply.body.next()).await {
            Ok(Some(Ok(piece))) => {
                let bytes = piece.len() as u64;
                reply.host.count(|totals| totals.received += bytes);
                self.shared.emit(&Event::Received {
                    label: Arc::clone(&self.request.label),
                    host: Arc::clone(&reply.host.name),
                    bytes,
                });
                return Ok(Some(piece));
            }
            Ok(None) => {
                if let Some(reply) = self.reply.take() {
                    reply.finish(&self.shared).await;
                }
                return Ok(None);
            }
            Ok(Some(Err(error))) => broken(error),
            Err(_) => Cause::Timeout {
                stage: Stage::Body,
                after: stall,
            },
        };
        let Request { phase, label, .. } = &self.request;
        let error = Error::new(cause, *phase, &reply.host.name, label);
        self.reply = None;
        Err(error)
    }
}
