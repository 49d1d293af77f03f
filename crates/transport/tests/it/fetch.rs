//! Downloads of known bytes, and servers that have them.

use sealift_transport::{
    Anonymous, Error, Event, Phase, Provenance, Request, Route, Settings, Transport,
};

use crate::parts::{Memory, Recorder, hurried, plain, transport};
use crate::server::{Act, Hit, Server, content, parts};

/// Settings under which a few hundred kilobytes are large.
pub(crate) fn small_ranges() -> Settings {
    let mut settings = hurried();
    settings.limits.parallel_from = 100_000;
    settings.limits.range_min = 10_000;
    settings.limits.range_max = 50_000;
    settings
}

pub(crate) fn blob(size: usize) -> Request {
    Request::get("blob")
        .of(Phase::Blob, "image")
        .size(size as u64)
}

/// Bytes on their way into memory.
pub(crate) struct Fetch {
    pub(crate) transport: Transport,
    pub(crate) seen: Recorder,
    pub(crate) sink: Memory,
    bytes: Vec<u8>,
}

impl Fetch {
    /// Makes one for these bytes, by a transport of its own.
    pub(crate) fn new(settings: Settings, bytes: &[u8]) -> Self {
        let (transport, seen) = transport(settings);
        Self {
            seen,
            ..Self::with(transport, bytes)
        }
    }

    /// Makes one by a transport that others use too.
    pub(crate) fn with(transport: Transport, bytes: &[u8]) -> Self {
        Self {
            transport,
            seen: Recorder::default(),
            sink: Memory::new(bytes.len()),
            bytes: bytes.to_vec(),
        }
    }

    /// Fetches by a route, whatever comes of it.
    pub(crate) async fn run(&self, route: &Route) -> Result<Provenance, Error> {
        let request = blob(self.bytes.len());
        self.transport
            .download(route, &request, &self.sink, &Anonymous)
            .await
    }

    /// Fetches by a route: all arrives, and no byte twice.
    pub(crate) async fn by(&self, route: &Route) -> Provenance {
        let from = self.run(route).await.unwrap();
        assert!(self.sink.bytes() == self.bytes, "other bytes arrived");
        assert_eq!(self.sink.twice(), 0, "bytes are fetched twice");
        from
    }

    /// Fetches from one server: all arrives, and no byte twice.
    pub(crate) async fn from(&self, server: &Server) -> Provenance {
        self.by(&Route::direct(plain(&server.authority()))).await
    }

    /// Counts attempts that failed.
    pub(crate) fn failures(&self) -> usize {
        let failed = |event: &Event| matches!(event, Event::AttemptFailed { .. });
        self.seen.count(failed)
    }
}

/// A server that has these bytes and does all right.
pub(crate) async fn good(bytes: &[u8]) -> Server {
    let served = bytes.to_vec();
    Server::start(move |hit| content(hit, &served)).await
}

/// A server that has these bytes and does with each good answer, head and body, what it is told to.
pub(crate) async fn serving(
    bytes: &[u8],
    acts: impl Fn(&Hit, Vec<u8>, Vec<u8>) -> Vec<Act> + Send + Sync + 'static,
) -> Server {
    let served = bytes.to_vec();
    Server::start(move |hit| {
        let (head, body) = parts(hit, &served);
        acts(hit, head, body)
    })
    .await
}

/// An answer that goes wrong behind the first bytes of its body.
pub(crate) fn cut(head: Vec<u8>, body: &[u8], at: usize, end: Act) -> Vec<Act> {
    vec![Act::Send(head), Act::Send(body[..at].to_vec()), end]
}
