//! The session of a solve: the services that the daemon calls back for files, blobs, secrets,
//! agents and tokens, served in reverse over one stream.

mod auth;
mod content;
mod filereceive;
mod filesync;
mod health;
mod offer;
mod owned;
mod record;
mod secrets;
mod service;
mod sources;
mod ssh;
mod tunnel;
mod write;

use std::sync::{Arc, Mutex, PoisonError};

use hyper::server::conn::http2;
use hyper_util::service::TowerToHyperService;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;

pub(crate) use record::Record;
pub use record::Traffic;
#[cfg(test)]
pub(crate) use service::service;

use crate::client::Client;
use crate::connect::{DIAL, HEADER_LIMIT};
use crate::solve::Solve;
use crate::{Error, Result};
use offer::Offer;
use tunnel::Tunnel;

/// Windows of the daemon's streams to us: results come in through them.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// An open session. Clones share it; with the last one it is closed and all its tasks end.
#[derive(Debug, Clone)]
pub struct Session(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: String,
    record: Record,
    ended: CancellationToken,
    _serving: JoinSet<()>,
}

impl Session {
    /// Opens a session that serves what all of these solves offer.
    pub(crate) async fn open(client: &Client, solves: &[&Solve]) -> Result<Self> {
        let offer = Offer::of(solves)?;
        offer.check()?;
        let record = Record::default();
        let id = new_id();
        let (routes, methods) = offer.services(&record);
        let (sender, receiver) = tunnel::queue();
        let mut request = Request::new(ReceiverStream::new(receiver));
        let metadata = request.metadata_mut();
        let header = |text: &str| {
            AsciiMetadataValue::try_from(text).map_err(|_| Error::Answer {
                call: "Session",
                reason: format!("{text:?} is not a header value"),
            })
        };
        metadata.insert("x-docker-expose-session-uuid", header(&id)?);
        metadata.insert(
            "x-docker-expose-session-sharedkey",
            header(&offer.shared_key())?,
        );
        for method in methods {
            metadata.append("x-docker-expose-session-grpc-method", header(method)?);
        }
        let mut control = client.control();
        let answer = tokio::time::timeout(DIAL, control.session(request)).await;
        let answer = answer.map_err(|_| Error::Lost {
            message: format!("{} did not open a session", client.address()),
        })?;
        let answer = answer.map_err(|status| Error::of_call("Session", &status))?;
        let tunnel = Tunnel::new(answer.into_inner(), sender);
        let tasks = Tasks::default();
        let connection = http2::Builder::new(tasks.clone())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIMIT)
            .serve_connection(tunnel, TowerToHyperService::new(routes.prepare()));
        let ended = CancellationToken::new();
        let end = ended.clone().drop_guard();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the session ended");
            }
            drop((tasks, end));
        });
        Ok(Self(Arc::new(Inner {
            id,
            record,
            ended,
            _serving: serving,
        })))
    }

    /// Returns the name that a solve gives for this session.
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    /// Returns the record of what happens on it.
    pub(crate) fn record(&self) -> &Record {
        &self.0.record
    }

    /// Waits until the daemon or the network closes it.
    pub(crate) async fn closed(&self) {
        self.0.ended.cancelled().await;
    }
}

/// Runs the streams of a connection; they end with their last owner.
#[derive(Debug, Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(future);
    }
}

/// Makes a random identity of 25 letters and digits, as BuildKit's own are.
pub(crate) fn new_id() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .take(25)
        .collect()
}

#[cfg(feature = "fuzzing")]
pub use filereceive::receive_untrusted;
