//! A request's head, as it goes out to one hop.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderValue, IF_RANGE,
    PROXY_AUTHORIZATION, RANGE, USER_AGENT,
};

use http::Method;

use super::{Exchange, Hop, authority};
use crate::dial::basic;
use crate::endpoint::masked;
use crate::error::Cause;
use crate::payload::Outgoing;

impl Exchange<'_> {
    /// Makes the request for one hop; credentials only go to the endpoint itself.
    pub(super) fn head(
        &self,
        hop: &Hop<'_>,
        http2: bool,
        taken: &Arc<AtomicU64>,
    ) -> Result<http::Request<Outgoing>, Cause> {
        let wrong = || Cause::Url {
            text: masked(hop.url),
        };
        let mut wire = hop.url.clone();
        wire.set_fragment(None);
        let _ = wire.set_username("");
        let _ = wire.set_password(None);
        let target = if http2 || hop.peer.absolute() {
            wire.to_string()
        } else {
            wire[url::Position::BeforePath..].to_owned()
        };
        let body = Outgoing::new(self.payload.clone(), Arc::clone(taken));
        let mut request = http::Request::new(body);
        *request.method_mut() = self.request.method.clone();
        *request.uri_mut() = target.parse().map_err(|_| wrong())?;
        let mut headers = self.request.headers.clone();
        let text = |text: &str| HeaderValue::from_str(text).map_err(|_| wrong());
        if !http2 {
            headers.insert(HOST, text(&authority(hop.url))?);
        }
        headers.insert(USER_AGENT, text(&self.inner.settings.user_agent)?);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.remove(AUTHORIZATION);
        if let Some(value) = self.authorization.filter(|_| hop.home) {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        for (name, value) in self.endpoint.headers().iter().filter(|_| hop.home) {
            headers.append(name, value.clone());
        }
        // An empty body has no length of its own, but servers want one of methods that have bodies.
        let bodily = matches!(
            self.request.method,
            Method::POST | Method::PUT | Method::PATCH
        );
        if bodily && self.payload.is_empty() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if let Some(range) = self.range {
            headers.insert(RANGE, range.clone());
            if let Some(validator) = self.if_range {
                headers.insert(IF_RANGE, validator.clone());
            }
        }
        let login = hop
            .peer
            .proxy
            .as_ref()
            .and_then(|proxy| proxy.login.as_ref());
        if let Some(login) = login.filter(|_| hop.peer.absolute()) {
            headers.insert(PROXY_AUTHORIZATION, text(&basic(login))?);
        }
        *request.headers_mut() = headers;
        Ok(request)
    }
}
