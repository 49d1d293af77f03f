//! Small requests whose responses are read whole: manifests, tokens, uploads' answers.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, HeaderValue};
use http::{HeaderMap, Method, StatusCode};

use crate::authorizer::{Authorizer, Challenge};
use crate::body::Reader;
use crate::course::{Choice, Failure};
use crate::download::Slot;
use crate::error::{Cause, Error};
use crate::exchange::{Broken, Exchange, Reply};
use crate::host::Host;
use crate::observe::Event;
use crate::payload::Payload;
use crate::request::{Document, Request};
use crate::transport::Inner;
use sealift_failure::Phase;

/// How much of a failed response's body is kept for its error.
const ERROR_LIMIT: u64 = 64 << 10;
/// How often one attempt answers a challenge.
const CHALLENGES: u32 = 2;

/// One attempt at an endpoint, with its credentials.
pub(crate) struct Attempt<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) choice: &'a Choice,
    pub(crate) request: &'a Request,
    pub(crate) payload: &'a Payload,
    pub(crate) authorizer: &'a dyn Authorizer,
    pub(crate) range: Option<&'a HeaderValue>,
    pub(crate) if_range: Option<&'a HeaderValue>,
    pub(crate) known: Option<&'a url::Url>,
    pub(crate) bulk: bool,
    pub(crate) fresh: bool,
    pub(crate) slot: Option<&'a Slot>,
}

impl Attempt<'_> {
    /// Sends the request with credentials, answers challenges, and returns the first response that
    /// is a success.
    pub(crate) async fn open(&self) -> Result<Reply, Failure> {
        let endpoint = &self.choice.endpoint;
        let own = self.inner.hosts.get(&endpoint.authority());
        let mut challenges = 0;
        loop {
            let authorization = self.credentials(&own).await?;
            let exchange = Exchange {
                inner: self.inner,
                endpoint,
                request: self.request,
                authorization: authorization.as_ref(),
                payload: self.payload,
                range: self.range,
                if_range: self.if_range,
                known: self.known,
                bulk: self.bulk,
                fresh: self.fresh,
                probe: self.choice.probe,
                failures: self.choice.failures,
                reached: &self.choice.reached,
                slot: self.slot,
            };
            let reply = exchange.run().await.map_err(|broken| self.broken(broken))?;
            if reply.status.is_success() {
                return Ok(reply);
            }
            let refused = self.refusal(reply).await;
            let asks = matches!(
                refused.status,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
            );
            if !asks || challenges == CHALLENGES || refused.elsewhere {
                return Err(refused.failure);
            }
            challenges += 1;
            if !self.answered(&refused, authorization.as_ref()).await? {
                return Err(refused.failure);
            }
        }
    }

    /// Returns the `Authorization` header, or the failure of getting one.
    async fn credentials(&self, own: &Arc<Host>) -> Result<Option<HeaderValue>, Failure> {
        let endpoint = &self.choice.endpoint;
        if self.request.phase == Phase::Token {
            self.unlocked(own)?;
        }
        let scope = &self.request.scope;
        let value = self.authorizer.authorization(endpoint, scope).await;
        let value = value.map_err(|error| self.foreign(error))?;
        if value.is_some() {
            self.unlocked(own)?;
        }
        Ok(value)
    }

    fn unlocked(&self, host: &Arc<Host>) -> Result<(), Failure> {
        match host.locked() {
            None => Ok(()),
            Some(text) => Err(self.failure(Cause::Earlier { text, status: None }, host)),
        }
    }

    /// Hands a challenge to the authorizer; `true` when new credentials are there.
    async fn answered(
        &self,
        refused: &Refused,
        sent: Option<&HeaderValue>,
    ) -> Result<bool, Failure> {
        let challenge = Challenge {
            endpoint: &self.choice.endpoint,
            scope: &self.request.scope,
            status: refused.status,
            headers: &refused.headers,
            sent,
        };
        let again = self.authorizer.challenged(challenge).await;
        if !again.map_err(|error| self.foreign(error))? {
            return Ok(false);
        }
        let endpoint = &self.choice.endpoint;
        let scope = &self.request.scope;
        let fresh = self.authorizer.authorization(endpoint, scope).await;
        let fresh = fresh.map_err(|error| self.foreign(error))?;
        Ok(fresh.as_ref() != sent)
    }

    /// A failure of the authorizer's own requests.
    fn foreign(&self, error: Error) -> Failure {
        Failure {
            host: self.inner.hosts.get(error.host()),
            error,
            headers: None,
            bytes: 0,
        }
    }

    fn broken(&self, broken: Broken) -> Failure {
        self.failure(broken.cause, &broken.host)
    }

    fn failure(&self, cause: Cause, host: &Arc<Host>) -> Failure {
        Failure::new(cause, self.request, host)
    }

    /// Turns a response that is no success into a failure, with its body's beginning.
    async fn refusal(&self, mut reply: Reply) -> Refused {
        let (status, headers) = (reply.status, reply.headers.clone());
        let host = Arc::clone(&reply.host);
        let elsewhere = !reply.home;
        let mut body = BytesMut::new();
        if self.request.method != Method::HEAD {
            let mut reader = Reader::new(self.inner, &mut reply.body);
            while let Ok(Some(piece)) = reader.next().await {
                body.extend_from_slice(&piece);
                if body.len() as u64 >= ERROR_LIMIT {
                    break;
                }
            }
        }
        reply.finish(self.inner).await;
        body.truncate(usize::try_from(ERROR_LIMIT).unwrap_or(usize::MAX));
        let cause = Cause::Status {
            status,
            body: printable(&body),
        };
        let mut failure = self.failure(cause, &host);
        failure.headers = Some(Box::new(headers.clone()));
        Refused {
            status,
            headers,
            elsewhere,
            failure,
        }
    }

    /// Makes one attempt at a document.
    pub(crate) async fn document(&self, limit: u64) -> Result<Fetched, Failure> {
        let mut reply = self.open().await?;
        let latency = self.choice.started.elapsed();
        let host = Arc::clone(&reply.host);
        let body = self.read(&mut reply, limit).await;
        let body = body.map_err(|cause| self.failure(cause, &host))?;
        let bytes = body.len() as u64;
        host.count(|totals| totals.received += bytes);
        let document = Document {
            status: reply.status,
            headers: reply.headers.clone(),
            body,
            endpoint: self.choice.endpoint.clone(),
            url: reply.url.clone(),
        };
        reply.finish(self.inner).await;
        if let Some(check) = &self.request.check {
            check(&document).map_err(|refusal| {
                let cause = Cause::Refused {
                    reason: refusal.reason,
                    verdict: refusal.verdict,
                };
                self.failure(cause, &host)
            })?;
        }
        if bytes > 0 {
            self.inner.emit(&Event::Received {
                label: Arc::clone(&self.request.label),
                host: Arc::clone(&host.name),
                bytes,
            });
        }
        Ok(Fetched { document, latency })
    }

    async fn read(&self, reply: &mut Reply, limit: u64) -> Result<Bytes, Cause> {
        if self.request.method == Method::HEAD {
            return Ok(Bytes::new());
        }
        identity(&reply.headers)?;
        if reply.body.promised().lower() > limit {
            return Err(Cause::TooLarge { limit });
        }
        let mut reader = Reader::new(self.inner, &mut reply.body);
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

/// A response that is no success, read and judged.
struct Refused {
    status: StatusCode,
    headers: HeaderMap,
    /// Whether it came from another host than the endpoint, after a redirect.
    elsewhere: bool,
    failure: Failure,
}

/// A document and how long its head took.
pub(crate) struct Fetched {
    pub(crate) document: Document,
    pub(crate) latency: std::time::Duration,
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

/// A body's text without control characters, for terminals and logs.
fn printable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .collect()
}
