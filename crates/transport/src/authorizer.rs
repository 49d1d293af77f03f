//! The hook through which credentials come in: this crate knows no login scheme.

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::endpoint::Endpoint;
use crate::error::Result;

/// A response that asks for credentials.
#[derive(Debug, Clone, Copy)]
pub struct Challenge<'a> {
    /// The endpoint that was asked.
    pub endpoint: &'a Endpoint,
    /// 401 or 403.
    pub status: StatusCode,
    /// The response's headers; `WWW-Authenticate` says what is wanted.
    pub headers: &'a HeaderMap,
    /// What was sent as `Authorization`, so that a stale token is told from a newer one.
    pub sent: Option<&'a HeaderValue>,
}

/// Answers with credentials for an endpoint.
///
/// Its own requests should be made with [`crate::Request::once`]: the request that waits for the
/// credentials owns the retries, the endpoints and the budget. An error of a hook counts as a
/// failed attempt at that endpoint, in the error's own phase and class.
pub trait Authorizer: Send + Sync {
    /// Returns the `Authorization` header for the request that the authorizer was made for, `None` for
    /// a request without one. It is only ever sent to the endpoint's own scheme, host and port.
    fn authorization<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<Option<HeaderValue>>>;

    /// Takes a challenge; `true` asks for the request to be made again, now with what
    /// [`Self::authorization`] then returns. An attempt is repeated at most twice for this, and
    /// only while the header changes.
    fn challenged<'a>(&'a self, challenge: Challenge<'a>) -> BoxFuture<'a, Result<bool>>;
}

/// An authorizer without credentials.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

impl Authorizer for Anonymous {
    fn authorization<'a>(
        &'a self,
        _endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<Option<HeaderValue>>> {
        Box::pin(async { Ok(None) })
    }

    fn challenged<'a>(&'a self, _challenge: Challenge<'a>) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async { Ok(false) })
    }
}
