//! How well each endpoint does, and when it is left alone: success rate, latency, throughput and a
//! circuit breaker with half-open probes. It can be written down and remembered by the next run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::endpoint::Endpoint;

/// The weight of the newest value in a moving average.
const WEIGHT: f64 = 0.2;
/// How many failures in a row open the breaker of an endpoint that took connections.
const PATIENCE: u32 = 4;
/// How long an endpoint is first left alone; it doubles with each failed probe.
const FIRST_REST: Duration = Duration::from_secs(30);
/// The longest time that an endpoint is left alone.
const LONGEST_REST: Duration = Duration::from_secs(15 * 60);
/// Failures older than this, in seconds, say nothing about now: servers are repaired.
const GRUDGE: u64 = 3600;
/// A time over which even few bytes tell a rate.
const TELLING: Duration = Duration::from_millis(500);
/// Statistics older than this are forgotten, in seconds.
const KEPT: u64 = 24 * 3600;

/// What is known about one endpoint, as it is written down.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Share of attempts that succeeded, newer ones counting more; 1 where none was made.
    pub success: f64,
    /// Attempts made.
    pub attempts: u64,
    /// Time to a response's head, in milliseconds; 0 where unknown.
    pub latency_ms: f64,
    /// Throughput of one connection, in bytes a second; 0 where unknown.
    pub throughput: f64,
    /// Until when it is left alone, in seconds since 1970.
    pub rests_until: Option<u64>,
    /// How long the next rest is, in seconds.
    pub rest: u64,
    /// When this was last changed, in seconds since 1970.
    pub changed: u64,
}

/// The health of all endpoints, by [`Endpoint::key`]: what a run tells the next one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// One record an endpoint.
    pub endpoints: BTreeMap<String, Record>,
}

impl Snapshot {
    /// Reads what [`Self::to_json`] wrote. What cannot be read counts as nothing known: it is only
    /// advice.
    #[must_use]
    pub fn from_json(text: &[u8]) -> Self {
        serde_json::from_slice(text).unwrap_or_default()
    }

    /// Writes the snapshot as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("maps of numbers with text keys are always JSON")
    }
}

#[derive(Debug, Clone)]
struct State {
    record: Record,
    in_a_row: u32,
    rests_until: Option<Instant>,
    rest: Duration,
    probing: bool,
    latencies: Vec<f64>,
    ranges: Option<bool>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            record: Record {
                success: 1.0,
                ..Record::default()
            },
            in_a_row: 0,
            rests_until: None,
            rest: FIRST_REST,
            probing: false,
            latencies: Vec::new(),
            ranges: None,
        }
    }
}

/// Whether an endpoint should be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Yes.
    Good,
    /// One request may find out whether it is back.
    Probe,
    /// Only where no other is left.
    Resting,
}

/// How a failure weighs on an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It could not be reached at all: one is enough.
    Unreachable,
    /// It was reached and failed.
    Failed,
}

/// The health of a run's endpoints.
#[derive(Default)]
pub(crate) struct Health {
    states: Mutex<HashMap<String, State>>,
    quarantined: Mutex<HashSet<String>>,
}

impl Health {
    fn states(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what an earlier run knew, as far as it is not too old.
    pub(crate) fn remember(&self, snapshot: &Snapshot) {
        let now = seconds(SystemTime::now());
        let mut states = self.states();
        for (key, record) in &snapshot.endpoints {
            // A clock that was set back makes a record from the future: of unknown age.
            if record.changed > now || now - record.changed > KEPT {
                continue;
            }
            let longest = LONGEST_REST.as_secs();
            // A rest that is over still asks for a probe.
            let left = record.rests_until.map(|until| until.saturating_sub(now));
            let mut state = State {
                rests_until: left
                    .map(|left| Instant::now() + Duration::from_secs(left.min(longest))),
                rest: Duration::from_secs(record.rest.clamp(FIRST_REST.as_secs(), longest)),
                record: record.clone(),
                ..State::default()
            };
            if now - record.changed > GRUDGE {
                state.record.success = 1.0;
                state.record.attempts = 0;
            }
            states.insert(key.clone(), state);
        }
    }

    /// Writes down what is known.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let (now, clock) = (Instant::now(), seconds(SystemTime::now()));
        let states = self.states();
        let endpoints = states.iter().map(|(key, state)| {
            let left = |until: Instant| until.saturating_duration_since(now).as_secs();
            let record = Record {
                rests_until: state.rests_until.map(|until| clock + left(until)),
                rest: state.rest.as_secs(),
                ..state.record.clone()
            };
            (key.clone(), record)
        });
        Snapshot {
            endpoints: endpoints.collect(),
        }
    }

    /// Says whether an endpoint should be asked now.
    pub(crate) fn standing(&self, endpoint: &Endpoint) -> Standing {
        let states = self.states();
        let Some(state) = states.get(&endpoint.key()) else {
            return Standing::Good;
        };
        match state.rests_until {
            None => Standing::Good,
            Some(until) if until > Instant::now() || state.probing => Standing::Resting,
            Some(_) => Standing::Probe,
        }
    }

    /// Marks that a probe is on its way, so that no second one starts.
    pub(crate) fn probing(&self, endpoint: &Endpoint) {
        self.states().entry(endpoint.key()).or_default().probing = true;
    }

    /// Says whether an endpoint fails so often that others come first.
    pub(crate) fn is_poor(&self, endpoint: &Endpoint) -> bool {
        let states = self.states();
        let state = states.get(&endpoint.key());
        state.is_some_and(|state| state.record.attempts >= 8 && state.record.success < 0.25)
    }

    /// Takes note of a success; returns whether that closed the breaker.
    pub(crate) fn succeeded(&self, endpoint: &Endpoint, latency: Duration) -> bool {
        let mut states = self.states();
        let state = states.entry(endpoint.key()).or_default();
        attempt(&mut state.record, 1.0);
        let millis = latency.as_secs_f64() * 1000.0;
        average(&mut state.record.latency_ms, millis);
        if state.latencies.len() == 64 {
            state.latencies.remove(0);
        }
        state.latencies.push(millis);
        state.in_a_row = 0;
        state.probing = false;
        state.rest = FIRST_REST;
        state.rests_until.take().is_some()
    }

    /// Takes note of how fast one connection brought bytes.
    pub(crate) fn measured(&self, endpoint: &Endpoint, bytes: u64, time: Duration) {
        if time.is_zero() || (bytes < 64 << 10 && time < TELLING) {
            return;
        }
        let rate = bytes as f64 / time.as_secs_f64();
        let mut states = self.states();
        let state = states.entry(endpoint.key()).or_default();
        average(&mut state.record.throughput, rate);
    }

    /// Takes note of a connection that was too slow: what is usual was measured in better times.
    pub(crate) fn slowed(&self, endpoint: &Endpoint) {
        if let Some(state) = self.states().get_mut(&endpoint.key()) {
            state.record.throughput /= 2.0;
        }
    }

    /// Returns how fast one connection usually is, in bytes a second.
    pub(crate) fn throughput(&self, endpoint: &Endpoint) -> Option<f64> {
        let states = self.states();
        let rate = states.get(&endpoint.key())?.record.throughput;
        (rate > 0.0).then_some(rate)
    }

    /// Says whether an endpoint serves ranges, as far as this run has seen.
    pub(crate) fn serves_ranges(&self, endpoint: &Endpoint) -> Option<bool> {
        self.states().get(&endpoint.key())?.ranges
    }

    /// Takes note of whether an endpoint serves ranges.
    pub(crate) fn set_serves_ranges(&self, endpoint: &Endpoint, served: bool) {
        self.states().entry(endpoint.key()).or_default().ranges = Some(served);
    }

    /// Records a failure; returns for how long that opened the breaker, which it does only where
    /// another endpoint is there to be asked (`may_rest`).
    pub(crate) fn failed(
        &self,
        endpoint: &Endpoint,
        weight: Weight,
        may_rest: bool,
    ) -> Option<Duration> {
        let mut states = self.states();
        let state = states.entry(endpoint.key()).or_default();
        attempt(&mut state.record, 0.0);
        state.in_a_row += 1;
        state.probing = false;
        let resting = state
            .rests_until
            .is_some_and(|until| until > Instant::now());
        let half_open = state.rests_until.is_some();
        let opens = half_open || weight == Weight::Unreachable || state.in_a_row >= PATIENCE;
        if resting || !opens || !may_rest {
            return None;
        }
        if half_open {
            state.rest = (state.rest * 2).min(LONGEST_REST);
        }
        state.rests_until = Some(Instant::now() + state.rest);
        Some(state.rest)
    }

    /// A request to a probed endpoint was dropped before it ended.
    pub(crate) fn abandoned(&self, endpoint: &Endpoint) {
        if let Some(state) = self.states().get_mut(&endpoint.key()) {
            state.probing = false;
        }
    }

    /// Returns the time in which 95 of 100 responses began, once enough were seen.
    pub(crate) fn slowest_usual(&self, endpoint: &Endpoint) -> Option<Duration> {
        let states = self.states();
        let state = states.get(&endpoint.key())?;
        if state.latencies.len() < 8 {
            return None;
        }
        let mut sorted = state.latencies.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * 95).div_ceil(100) - 1;
        Some(Duration::from_secs_f64(sorted[rank] / 1000.0))
    }

    /// Leaves an endpoint alone for the run; returns whether that is new.
    pub(crate) fn quarantine(&self, endpoint: &Endpoint) -> bool {
        let mut quarantined = self
            .quarantined
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        quarantined.insert(endpoint.key())
    }

    /// Says whether an endpoint is in quarantine.
    pub(crate) fn is_quarantined(&self, endpoint: &Endpoint) -> bool {
        let quarantined = self
            .quarantined
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        quarantined.contains(&endpoint.key())
    }
}

fn attempt(record: &mut Record, outcome: f64) {
    record.attempts += 1;
    record.success += WEIGHT * (outcome - record.success);
    record.changed = seconds(SystemTime::now());
}

fn average(mean: &mut f64, value: f64) {
    *mean = if *mean == 0.0 {
        value
    } else {
        *mean + WEIGHT * (value - *mean)
    };
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// A probe's place: gives it back when the request is dropped before it ends.
pub(crate) struct ProbeGuard<'a> {
    health: &'a Health,
    endpoint: Option<Endpoint>,
}

impl<'a> ProbeGuard<'a> {
    /// Guards the place of an attempt at `endpoint`; `None` for one that is no probe.
    pub(crate) fn new(health: &'a Health, endpoint: Option<&Endpoint>) -> Self {
        Self {
            health,
            endpoint: endpoint.cloned(),
        }
    }
}

impl Drop for ProbeGuard<'_> {
    fn drop(&mut self) {
        if let Some(endpoint) = &self.endpoint {
            self.health.abandoned(endpoint);
        }
    }
}
