//! What every test needs: settings in a hurry, a recording observer, a sink in memory.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealift_transport::settings::{Retry, Timeouts};
use sealift_transport::{
    Anonymous, Document, Endpoint, Error, Event, Phase, Request, Route, Scheme, Settings, Sink,
    Transport,
};

/// Settings that do not wait long for anything.
pub(crate) fn hurried() -> Settings {
    Settings {
        timeouts: Timeouts {
            lookup: Duration::from_secs(5),
            connect: Duration::from_millis(700),
            proxy: Duration::from_millis(700),
            tls: Duration::from_millis(700),
            first_byte: Duration::from_millis(700),
            stall: Duration::from_millis(700),
            stall_floor: 16,
            probe: Duration::from_millis(300),
            word: Duration::from_millis(250),
        },
        retry: Retry {
            budget: Duration::from_secs(60),
            run: None,
            attempts: None,
            base: Duration::from_millis(2),
            cap: Duration::from_millis(20),
            retry_after_cap: Duration::from_millis(300),
            seed: Some(1),
        },
        hedge: false,
        ..Settings::default()
    }
}

/// Keeps all events.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Event>>>);

impl Recorder {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events().iter().filter(|event| wanted(event)).count()
    }
}

pub(crate) fn transport(settings: Settings) -> (Transport, Recorder) {
    let recorder = Recorder::default();
    let events = Arc::clone(&recorder.0);
    let observer = move |event: &Event| events.lock().unwrap().push(event.clone());
    (Transport::new(settings, Arc::new(observer)), recorder)
}

pub(crate) fn plain(authority: &str) -> Endpoint {
    Endpoint::new(Scheme::Http, authority).unwrap()
}

pub(crate) fn https(authority: &str) -> Endpoint {
    Endpoint::new(Scheme::Https, authority).unwrap()
}

pub(crate) fn get(path: &str) -> Request {
    Request::get(path).of(Phase::Resolve, "image")
}

/// Asks one endpoint once.
pub(crate) async fn once(settings: Settings, endpoint: Endpoint) -> Result<Document, Error> {
    let (transport, _) = transport(settings);
    let request = get("x").once();
    transport
        .document(&Route::direct(endpoint), &request, 1 << 20, &Anonymous)
        .await
}

/// Bytes that differ everywhere.
pub(crate) fn data(size: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; size];
    random.fill(&mut bytes);
    bytes
}

/// A sink in memory that counts what is written twice.
pub(crate) struct Memory {
    state: Mutex<State>,
}

struct State {
    bytes: Vec<u8>,
    have: Vec<bool>,
    twice: u64,
}

impl Memory {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            state: Mutex::new(State {
                bytes: vec![0; size],
                have: vec![false; size],
                twice: 0,
            }),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().bytes.clone()
    }

    pub(crate) fn twice(&self) -> u64 {
        self.state.lock().unwrap().twice
    }
}

impl Sink for Memory {
    fn missing(&self) -> Vec<Range<u64>> {
        let state = self.state.lock().unwrap();
        let mut missing: Vec<Range<u64>> = Vec::new();
        for (at, have) in state.have.iter().enumerate() {
            let at = at as u64;
            match missing.last_mut() {
                _ if *have => {}
                Some(last) if last.end == at => last.end = at + 1,
                _ => missing.push(at..at + 1),
            }
        }
        missing
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let end = start + bytes.len();
        if end > state.bytes.len() {
            return Err(io::Error::other("written after the end"));
        }
        let again = state.have[start..end].iter().filter(|have| **have).count();
        state.twice += again as u64;
        state.bytes[start..end].copy_from_slice(bytes);
        state.have[start..end].fill(true);
        Ok(())
    }

    fn discard(&self, range: Range<u64>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        state.have[range].fill(false);
        Ok(())
    }
}
