//! What is known about each host in this run: when it may be asked again, whether logins there are
//! locked, whether it speaks plain HTTP, and what was exchanged with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Semaphore;

use crate::error::Cause;
use crate::pace::RateLimit;
use crate::settings::Limits;
use crate::width::Width;
use sealift_failure::Class;

/// A failure within this time came at once.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How many requests may be under way to a token server.
const TOKENS: usize = 2;

/// What was exchanged with one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Requests sent, redirects counted each.
    pub requests: u64,
    /// Bytes of bodies that arrived.
    pub received: u64,
    /// Bytes of bodies that were sent.
    pub sent: u64,
    /// Failed attempts by class.
    pub failures: BTreeMap<Class, u64>,
    /// Time that failed attempts and waits took, in milliseconds, added up over all requests that
    /// ran side by side.
    pub lost_ms: u64,
}

/// One host's state in this run.
pub(crate) struct Host {
    pub(crate) name: Arc<str>,
    pub(crate) width: Width,
    /// Small requests under way.
    pub(crate) small: Arc<Semaphore>,
    /// Requests for tokens under way: token servers are the first to ask for fewer.
    pub(crate) tokens: Arc<Semaphore>,
    /// Failures at once since the last answer.
    broken: AtomicU32,
    answered: AtomicBool,
    downgraded: AtomicBool,
    /// Whether any host has answered.
    link: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    not_before: Option<Instant>,
    locked: Option<String>,
    plain: bool,
    exhausted_until: Option<Instant>,
    totals: Totals,
}

impl Host {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that an answer came.
    pub(crate) fn set_answered(&self) {
        self.broken.store(0, Ordering::Relaxed);
        self.answered.store(true, Ordering::Relaxed);
        self.link.store(true, Ordering::Relaxed);
    }

    /// Returns whether it has answered in this run.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Records how a connection failed; returns whether that came at once on a link that works.
    pub(crate) fn failed(&self, cause: &Cause, after: Duration) -> bool {
        let works = match cause.is_unreachable() {
            true => self.has_answered(),
            false => self.link.load(Ordering::Relaxed),
        };
        let at_once = works && after < AT_ONCE && cause.is_broken_connection();
        if at_once {
            self.broken.fetch_add(1, Ordering::Relaxed);
        }
        at_once
    }

    /// Returns whether the host fails at once, again and again, so that two requests side by side
    /// cost nothing.
    pub(crate) fn is_flaky(&self) -> bool {
        self.broken.load(Ordering::Relaxed) >= 2
    }

    /// Returns whether a redirect from HTTPS leads to its plain HTTP for the first time.
    pub(crate) fn is_first_downgrade(&self) -> bool {
        !self.downgraded.swap(true, Ordering::Relaxed)
    }

    /// Returns how many bytes of bodies it has sent so far.
    pub(crate) fn received(&self) -> u64 {
        self.state().totals.received
    }

    /// Changes the totals.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Totals)) {
        change(&mut self.state().totals);
    }

    /// Returns how long the host must still be left alone.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let now = Instant::now();
        let until = self.state().not_before?;
        (until > now).then(|| until - now)
    }

    /// Leaves the host alone for a while; the longest word counts.
    pub(crate) fn leave_alone(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state();
        state.not_before = Some(state.not_before.map_or(until, |old| old.max(until)));
    }

    /// Locks all logins at the host for the run.
    pub(crate) fn lock_logins(&self, text: String) {
        self.state().locked.get_or_insert(text);
    }

    /// Returns why logins are locked.
    pub(crate) fn locked(&self) -> Option<String> {
        self.state().locked.clone()
    }

    pub(crate) fn set_plain(&self) {
        self.state().plain = true;
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.state().plain
    }

    /// Takes note of the host's limit. With nothing left, other endpoints are preferred for the rest
    /// of the window.
    pub(crate) fn note(&self, limit: RateLimit) {
        let mut state = self.state();
        state.exhausted_until = (limit.remaining == 0)
            .then(|| Instant::now() + Duration::from_secs(limit.window.clamp(60, 6 * 3600)));
    }

    /// Whether the host's limit is used up.
    pub(crate) fn is_exhausted(&self) -> bool {
        let until = self.state().exhausted_until;
        until.is_some_and(|until| until > Instant::now())
    }
}

/// Every host of a run.
pub(crate) struct Hosts {
    connections: usize,
    requests: usize,
    link: Arc<AtomicBool>,
    hosts: Mutex<HashMap<Arc<str>, Arc<Host>>>,
}

impl Hosts {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            connections: limits.connections_per_host.max(1),
            requests: limits.requests_per_host.max(1),
            link: Arc::default(),
            hosts: Mutex::default(),
        }
    }

    /// Returns a host's state, by `host` or `host:port`.
    pub(crate) fn get(&self, name: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(name) {
            return Arc::clone(host);
        }
        let name: Arc<str> = Arc::from(name);
        let host = Arc::new(Host {
            name: Arc::clone(&name),
            width: Width::new(self.connections),
            small: Arc::new(Semaphore::new(self.requests)),
            tokens: Arc::new(Semaphore::new(TOKENS)),
            broken: AtomicU32::new(0),
            answered: AtomicBool::new(false),
            downgraded: AtomicBool::new(false),
            link: Arc::clone(&self.link),
            state: Mutex::default(),
        });
        hosts.insert(name, Arc::clone(&host));
        host
    }

    /// Returns all totals, by host.
    pub(crate) fn totals(&self) -> BTreeMap<String, Totals> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts
            .values()
            .map(|host| (host.name.to_string(), host.state().totals.clone()))
            .collect()
    }
}
