//! Credentials of an attempt: what goes along, and what a challenge asks for.

use std::sync::Arc;

use bytes::BytesMut;
use http::header::{HeaderValue, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use sealift_failure::{Class, Phase, Remedy, Verdict};

use super::{Attempt, Failure, Reply};
use crate::authorizer::Challenge;
use crate::body::Reader;
use crate::error::{Cause, Error};
use crate::host::Host;

/// How much of a failed response's body is kept for its error, in bytes.
const ERROR_LIMIT: u64 = 64 << 10;
/// How often one attempt answers a challenge.
const CHALLENGES: u32 = 2;

/// Once more, for a link that was too old. Our credentials are not for that host.
const STORAGE_REFUSES: Verdict = Verdict::new(Class::Config, Remedy::Once).hint(
    "The registry's storage refuses the link that the registry gave: check this machine's clock, and that no proxy changes such links or keeps them for later; to log in again does not help.",
);

impl Attempt<'_> {
    /// Sends the request with credentials, answers challenges, and returns the first response that
    /// is a success.
    pub(crate) async fn open(&self) -> Result<Reply, Failure> {
        let endpoint = &self.choice.endpoint;
        let own = self.call.shared.hosts.get(&endpoint.authority());
        let mut challenges = 0;
        loop {
            let authorization = self.credentials(&own).await?;
            let reply = self.send(authorization.as_ref()).await?;
            if reply.status.is_success() {
                return Ok(reply);
            }
            let refused = self.refusal(reply).await;
            // The status of the cause: what a proxy answers is no challenge of the server.
            let asks = matches!(refused.failure.error.status(), Some(401 | 403));
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
        if self.call.request.phase == Phase::Token {
            self.unlocked(own)?;
        }
        let value = self.call.authorizer.authorization(endpoint).await;
        let value = value.map_err(|error| self.foreign(error))?;
        if value.is_some() {
            self.unlocked(own)?;
        }
        Ok(value)
    }

    fn unlocked(&self, host: &Arc<Host>) -> Result<(), Failure> {
        match host.locked() {
            None => Ok(()),
            Some(text) => Err(self
                .call
                .failure(Cause::Earlier { text, status: None }, host)),
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
            status: refused.status,
            headers: &refused.headers,
            sent,
        };
        let again = self.call.authorizer.challenged(challenge).await;
        if !again.map_err(|error| self.foreign(error))? {
            return Ok(false);
        }
        let endpoint = &self.choice.endpoint;
        let fresh = self.call.authorizer.authorization(endpoint).await;
        let fresh = fresh.map_err(|error| self.foreign(error))?;
        Ok(fresh.as_ref() != sent)
    }

    /// A failure of the authorizer's own requests.
    fn foreign(&self, error: Error) -> Failure {
        Failure {
            host: self.call.shared.hosts.get(error.host()),
            error,
            headers: None,
            bytes: 0,
        }
    }

    /// Turns a response that is no success into a failure, with its body's beginning.
    async fn refusal(&self, mut reply: Reply) -> Refused {
        let (status, headers) = (reply.status, reply.headers.clone());
        let host = Arc::clone(&reply.host);
        let by_proxy = reply.proxy_refusal();
        let elsewhere = !reply.home;
        let mut body = BytesMut::new();
        if self.call.request.method != Method::HEAD {
            let mut reader = Reader::new(&self.call.shared.settings.timeouts, &mut reply.body);
            while let Ok(Some(piece)) = reader.next().await {
                body.extend_from_slice(&piece);
                if body.len() as u64 >= ERROR_LIMIT {
                    break;
                }
            }
        }
        reply.finish(self.call.shared).await;
        body.truncate(usize::try_from(ERROR_LIMIT).unwrap_or(usize::MAX));
        let body = match headers.get(LOCATION).filter(|_| status.is_redirection()) {
            Some(location) => {
                let location = printable(location.as_bytes());
                let address = location.split('?').next().unwrap_or_default();
                format!("it redirects to {address}, where this request cannot be repeated")
            }
            None => printable(&body),
        };
        let denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let cause = match by_proxy {
            Some(cause) => cause,
            None if elsewhere && denied => Cause::Refused {
                reason: format!(
                    "{} redirected to {}, which refused: status {status}",
                    self.choice.endpoint.authority(),
                    host.name
                ),
                verdict: STORAGE_REFUSES,
            },
            None => Cause::Status { status, body },
        };
        let mut failure = self.call.failure(cause, &host);
        failure.headers = Some(Box::new(headers.clone()));
        Refused {
            status,
            headers,
            elsewhere,
            failure,
        }
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

/// A body's text without control characters, for terminals and logs.
fn printable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .collect()
}
