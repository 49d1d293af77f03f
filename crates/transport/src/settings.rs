//! How patient, how parallel and how trusting a transport is. Plain values: who reads files, flags
//! and the environment fills them in.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::proxy::{Proxies, ProxyChoice};

/// Everything that a transport can be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long each step of an exchange may take.
    pub timeouts: Timeouts,
    /// How failures are repeated.
    pub retry: Retry,
    /// How much is done side by side.
    pub limits: Limits,
    /// The proxies.
    pub proxies: Proxies,
    /// TLS for every host that has no settings of its own.
    pub tls: Tls,
    /// Settings of single hosts, by `host` or `host:port` in lower case; the latter wins. They hold
    /// for every request to that host, redirects and token realms included, unless the endpoint
    /// brings its own.
    pub hosts: HashMap<String, HostSettings>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Whether a slow small request is repeated at a second endpoint or on a second connection.
    pub hedge: bool,
    /// Whether HTTP/2 is offered for small requests; downloads in ranges never use it, since they
    /// want connections of their own.
    pub http2: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            retry: Retry::default(),
            limits: Limits::default(),
            proxies: Proxies::default(),
            tls: Tls::default(),
            hosts: HashMap::new(),
            user_agent: concat!("sealift/", env!("CARGO_PKG_VERSION")).to_owned(),
            hedge: true,
            http2: true,
        }
    }
}

impl Settings {
    pub(crate) fn of_host(&self, host: &str, port: u16) -> Option<&HostSettings> {
        let exact = self.hosts.get(&format!("{host}:{port}"));
        exact.or_else(|| self.hosts.get(host))
    }
}

/// How long each step of an exchange may take.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// Asking DNS.
    pub lookup: Duration,
    /// Opening a TCP connection, over all of a host's addresses.
    pub connect: Duration,
    /// Being let through by a proxy.
    pub proxy: Duration,
    /// Shaking hands for TLS.
    pub tls: Duration,
    /// From a request sent to its response's head. It doubles, up to eight times this, with each
    /// failure in a row at an endpoint: proxy caches first fetch what they serve. Requests with a
    /// body, which servers check before they answer, get six times as long.
    pub first_byte: Duration,
    /// The window over which a body must bring [`Self::stall_floor`] bytes.
    pub stall: Duration,
    /// Fewer bytes in a whole window are a stall.
    pub stall_floor: u64,
    /// Opening a connection to an endpoint that failed before: a probe.
    pub probe: Duration,
    /// After this time without an answer, an event says who is waited for.
    pub word: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            lookup: Duration::from_secs(10),
            connect: Duration::from_secs(6),
            proxy: Duration::from_secs(15),
            tls: Duration::from_secs(10),
            first_byte: Duration::from_secs(10),
            stall: Duration::from_secs(10),
            stall_floor: 1024,
            probe: Duration::from_secs(2),
            word: Duration::from_secs(5),
        }
    }
}

/// How failures are repeated.
#[derive(Debug, Clone)]
pub struct Retry {
    /// How long a request goes on without any progress. Each byte of content that arrives starts it
    /// anew.
    pub budget: Duration,
    /// How long after the transport was made a failure is still repeated: the budget of a whole
    /// run, however well it goes. `None` sets no such end.
    pub run: Option<Duration>,
    /// A cap on the attempts of one request without progress, for those who want a count.
    pub attempts: Option<u32>,
    /// The upper bound of the first delay; it doubles with every failure.
    pub base: Duration,
    /// The upper bound that delays grow to.
    pub cap: Duration,
    /// The longest `Retry-After` that is obeyed in full; a longer one is cut to this.
    pub retry_after_cap: Duration,
    /// The seed of all jitter; `None` takes a fresh one.
    pub seed: Option<u64>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            budget: Duration::from_secs(600),
            run: None,
            attempts: None,
            base: Duration::from_millis(250),
            cap: Duration::from_secs(20),
            retry_after_cap: Duration::from_secs(120),
            seed: None,
        }
    }
}

/// How much is done side by side.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections that all downloads together may have open to one host.
    pub connections_per_host: usize,
    /// Small requests and uploads that may be under way to one host at once, so that open files are
    /// bounded.
    pub requests_per_host: usize,
    /// Blobs from this size on are fetched in ranges side by side, in bytes.
    pub parallel_from: u64,
    /// The smallest range that is worth a request, in bytes.
    pub range_min: u64,
    /// The largest range of one request, in bytes.
    pub range_max: u64,
    /// Idle connections that are kept for each host.
    pub idle_per_host: usize,
    /// How long an idle connection is kept.
    pub idle_time: Duration,
    /// Redirects that one request may follow.
    pub redirects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_host: 16,
            requests_per_host: 32,
            parallel_from: 8 << 20,
            range_min: 2 << 20,
            range_max: 1 << 30,
            idle_per_host: 16,
            idle_time: Duration::from_secs(45),
            redirects: 10,
        }
    }
}

/// Settings of one host.
#[derive(Debug, Clone, Default)]
pub struct HostSettings {
    /// Its TLS.
    pub tls: Tls,
    /// Its proxy; `None` leaves it to [`Settings::proxies`].
    pub proxy: Option<ProxyChoice>,
}

/// Whom to trust, and as whom to appear.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// PEM files' contents with authorities that are trusted besides the system's.
    pub authorities: Vec<Vec<u8>>,
    /// The client's own certificate.
    pub identity: Option<Identity>,
    /// Trusts any certificate.
    pub skip_verify: bool,
}

/// A client certificate.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The certificate and its chain, PEM.
    pub certificates: Vec<u8>,
    /// The private key, PEM.
    pub key: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(***)")
    }
}
