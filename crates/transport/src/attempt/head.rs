//! A request's head, as it goes out to one hop.

use std::sync::Arc;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderValue, IF_RANGE,
    PROXY_AUTHORIZATION, RANGE, USER_AGENT,
};
use http::{HeaderMap, Method, Uri};

use super::Attempt;
use super::hop::Hop;
use crate::dial::basic;
use crate::endpoint::authority;
use crate::error::{Cause, masked};
use crate::payload::{Outgoing, Sending};

impl Attempt<'_> {
    /// Makes the request for one hop; credentials only go to the endpoint itself.
    pub(super) fn head(
        &self,
        hop: &Hop<'_>,
        http2: bool,
        sending: &Arc<Sending>,
    ) -> Result<http::Request<Outgoing>, Cause> {
        let body = Outgoing::new(self.call.payload.clone(), Arc::clone(sending));
        let mut request = http::Request::new(body);
        *request.method_mut() = self.call.request.method.clone();
        *request.uri_mut() = target(hop, http2)?;
        let headers = request.headers_mut();
        *headers = self.call.request.headers.clone();
        if !http2 {
            headers.insert(HOST, value(hop, &authority(hop.url))?);
        }
        if !self.call.request.verbatim {
            let agent = value(hop, &self.call.shared.settings.user_agent)?;
            headers.remove(AUTHORIZATION);
            headers.insert(USER_AGENT, agent);
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if hop.home {
            self.introduce(headers, hop.authorization);
        }
        self.describe_body(headers);
        if let Some(range) = self.options.range {
            headers.insert(RANGE, range.clone());
            if let Some(validator) = self.options.if_range {
                headers.insert(IF_RANGE, validator.clone());
            }
        }
        let proxy = hop.peer.proxy.as_ref().filter(|_| hop.peer.absolute());
        if let Some(login) = proxy.and_then(|proxy| proxy.login.as_ref()) {
            headers.insert(PROXY_AUTHORIZATION, value(hop, &basic(login))?);
        }
        Ok(request)
    }

    /// An empty body has no length of its own, but servers want one of methods that have bodies.
    fn describe_body(&self, headers: &mut HeaderMap) {
        let method = &self.call.request.method;
        let bodily = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        if bodily && self.call.payload.is_empty() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    }

    /// Adds what only the endpoint itself may see.
    fn introduce(&self, headers: &mut HeaderMap, authorization: Option<&HeaderValue>) {
        if let Some(authorization) = authorization {
            let mut authorization = authorization.clone();
            authorization.set_sensitive(true);
            headers.insert(AUTHORIZATION, authorization);
        }
        for (name, value) in self.choice.endpoint.headers() {
            headers.append(name, value.clone());
        }
    }
}

/// Returns the request's target: without what only we need of a URL, and whole for HTTP/2 and for
/// proxies that are asked in absolute form.
fn target(hop: &Hop<'_>, http2: bool) -> Result<Uri, Cause> {
    let mut wire = hop.url.clone();
    wire.set_fragment(None);
    let _ = wire.set_username("");
    let _ = wire.set_password(None);
    let target = if http2 || hop.peer.absolute() {
        wire.as_str()
    } else {
        &wire[url::Position::BeforePath..]
    };
    target.parse().map_err(|_| wrong(hop))
}

fn value(hop: &Hop<'_>, text: &str) -> Result<HeaderValue, Cause> {
    HeaderValue::from_str(text).map_err(|_| wrong(hop))
}

fn wrong(hop: &Hop<'_>) -> Cause {
    let text = masked(hop.url);
    Cause::Url { text }
}
