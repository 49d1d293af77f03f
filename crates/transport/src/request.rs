//! What is asked, and what comes back.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use crate::endpoint::Endpoint;
use crate::error::Cause;
use crate::observe::Subject;
use crate::redirect;
use crate::term::Term;
use sealift_failure::{Class, Phase, Remedy, Verdict};

/// Where a request goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// A path under each endpoint's base, with its query.
    Path(String),
    /// A place that a server named, such as an upload's `Location`. Where its scheme, host and port
    /// are the endpoint's, the endpoint's TLS and credentials are used, else neither.
    Url(Url),
}

/// A request, without its body.
#[derive(Clone)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) phase: Phase,
    pub(crate) label: Arc<str>,
    pub(crate) size: Option<u64>,
    pub(crate) once: bool,
    pub(crate) part: bool,
    pub(crate) whether: bool,
    /// Whether headers and answers pass as they are: redirects too.
    pub(crate) verbatim: bool,
    /// Whether the caller checks the content's digest.
    pub(crate) verified: bool,
    /// Whether it must not reach this machine or link.
    pub(crate) outside: bool,
    pub(crate) term: Option<Term>,
    pub(crate) repeatable: bool,
    pub(crate) confidential: bool,
    pub(crate) check: Option<Check>,
    pub(crate) sending: Option<Sending>,
}

/// Is told how much of an attempt's body the connection has taken, in bytes.
type Sending = Arc<dyn Fn(u64) + Send + Sync>;

/// A caller's judgement on a document.
pub type Check = Arc<dyn Fn(&Document) -> Result<(), Refusal> + Send + Sync>;

/// Why a document is not accepted, and what that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong with it.
    pub reason: String,
    /// What that means.
    pub verdict: Verdict,
}

impl Refusal {
    /// The bytes are not what they should be: the endpoint is quarantined, another one asked.
    #[must_use]
    pub fn corrupt(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            verdict: Verdict::new(Class::Corrupt, Remedy::Never),
        }
    }

    /// Something other than the server answered, such as a captive portal's page.
    #[must_use]
    pub fn foreign(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            verdict: Verdict::new(Class::Config, Remedy::Never).hint(
                "A web page was returned instead of the registry's response: a captive portal, a login page or a firewall is in the way.",
            ),
        }
    }
}

impl Request {
    /// Makes a request for a path under each endpoint's base.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self::to(method, Target::Path(path.into()))
    }

    /// Makes a request for a place that a server named.
    #[must_use]
    pub fn at(method: Method, url: Url) -> Self {
        Self::to(method, Target::Url(url))
    }

    fn to(method: Method, target: Target) -> Self {
        let repeatable = !matches!(method, Method::POST | Method::PATCH);
        Self {
            method,
            target,
            headers: HeaderMap::new(),
            phase: Phase::Resolve,
            label: Arc::from(""),
            size: None,
            once: false,
            part: false,
            whether: false,
            verbatim: false,
            verified: false,
            outside: false,
            term: None,
            repeatable,
            confidential: false,
            check: None,
            sending: None,
        }
    }

    /// Returns what an event about the request and a host says.
    pub(crate) fn subject(&self, host: &Arc<str>) -> Subject {
        Subject {
            phase: self.phase,
            label: Arc::clone(&self.label),
            host: Arc::clone(host),
        }
    }

    /// Makes a GET.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Makes a HEAD.
    #[must_use]
    pub fn head(path: impl Into<String>) -> Self {
        Self::new(Method::HEAD, path)
    }

    /// Says which part of the work it belongs to and what it is for, for logs and errors.
    #[must_use]
    pub fn of(mut self, phase: Phase, label: &str) -> Self {
        self.phase = phase;
        self.label = Arc::from(label);
        self
    }

    /// Adds a header. `Host`, `Content-Length`, `Range`, `Accept-Encoding` and `Authorization` are
    /// set by this crate.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Says how large a download is. Without it, the first response tells.
    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// Says that the caller checks the content against a digest: it may then come over plain HTTP,
    /// without credentials, where a redirect leads there, and under any `Content-Encoding`.
    #[must_use]
    pub fn verified(mut self) -> Self {
        self.verified = true;
        self
    }

    /// Refuses hosts whose addresses are this machine's or this link's alone: for addresses that came
    /// with other content.
    #[must_use]
    pub fn outside(mut self) -> Self {
        self.outside = true;
        self
    }

    /// Makes one attempt only: whoever asks owns the retries, and the report of a failure. It is
    /// for an [`crate::Authorizer`]'s requests, whose failures count as those of the request that
    /// waits for them.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Says that it asks whether something is there: that it is not is an answer, which is still an
    /// error to the caller, but neither told nor counted as a failure.
    #[must_use]
    pub fn whether(mut self) -> Self {
        self.whether = true;
        self
    }

    /// Says that it is a part of work that its owner takes up again after the network fails, see
    /// [`crate::Transport::wait_after`]: the end of the request is not the end of that.
    #[must_use]
    pub fn part_of_more(mut self) -> Self {
        self.part = true;
        self
    }

    /// Repeats no failure once this time is over: the budget of an image, where all its requests
    /// share it. An attempt that makes progress is not cut short.
    #[must_use]
    pub fn within(mut self, term: Option<Term>) -> Self {
        self.term = term;
        self
    }

    /// Says whether the request may be sent again when nobody knows whether it was carried out.
    /// Without this, all methods but POST and PATCH may.
    #[must_use]
    pub fn repeatable(mut self, repeatable: bool) -> Self {
        self.repeatable = repeatable;
        self
    }

    /// Says that its body is a secret of the endpoint: no redirect repeats it at another host.
    #[must_use]
    pub fn confidential(mut self) -> Self {
        self.confidential = true;
        self
    }

    /// Has a document judged within its attempt, so that what the check refuses counts as a failure
    /// of the endpoint that sent it.
    #[must_use]
    pub fn check<F>(mut self, check: F) -> Self
    where
        F: Fn(&Document) -> Result<(), Refusal> + Send + Sync + 'static,
    {
        self.check = Some(Arc::new(check));
        self
    }

    /// Tells now and then how much of its body the connection has taken, in bytes. Each attempt begins
    /// at none.
    #[must_use]
    pub fn sending<F>(mut self, tell: F) -> Self
    where
        F: Fn(u64) + Send + Sync + 'static,
    {
        self.sending = Some(Arc::new(tell));
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("phase", &self.phase)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

/// A response that was read whole.
#[derive(Debug, Clone)]
pub struct Document {
    /// The status: a success.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The endpoint that was asked.
    pub endpoint: Endpoint,
    /// Where the response came from in the end.
    pub url: Url,
}

impl Document {
    /// Returns a header's text, where there is one and it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns where an address that this response gives leads, which may be relative, judged as
    /// redirects are. A server behind another one that ends its TLS for it often calls itself
    /// `http`: its own host is spoken to as before.
    ///
    /// # Errors
    /// [`Cause::Url`] for no address, [`Cause::Redirect`] for one that leaves HTTP, leads from
    /// https to http, or from elsewhere to this machine.
    pub fn onward(&self, location: &str) -> Result<Url, Cause> {
        redirect::onward(&self.url, location)
    }
}
