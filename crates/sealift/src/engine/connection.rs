//! One call over a connection of its own: the body is streamed there, the answer streamed back.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::{Endpoint, Engine};
use crate::error::{Error, Kind, Result};
use crate::size;

/// Largest document or line of an answer, in bytes.
const DOCUMENT_MAX: usize = 4 << 20;
/// How much of an answer that is not docker's an error shows, in characters.
const SHOWN: usize = 500;
/// After which silence the user is told who is waited for.
const SILENCE_SHOWN: Duration = Duration::from_secs(5);
/// How often it is checked whether bytes move.
const TICK: Duration = Duration::from_millis(250);

/// What a call carries.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Returns a body without content.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A call to be made.
pub(super) struct Call<'a> {
    /// What it does, as in "docker cannot …".
    pub(super) doing: &'static str,
    pub(super) method: Method,
    pub(super) target: &'a str,
    pub(super) media_type: Option<&'static str>,
    pub(super) body: Body,
}

/// What a daemon answers: its status, then its body as it comes.
pub(super) struct Answer<'a> {
    pub(super) status: StatusCode,
    waiting: Waiting<'a>,
    body: Incoming,
    rest: BytesMut,
    /// Carries the connection; ends with this value.
    _driver: JoinSet<()>,
}

impl Engine {
    /// Makes a call and waits for the head of its answer.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer<'_>> {
        let dialled = self.endpoint.dial().await?;
        let waiting = Waiting {
            engine: self,
            doing: call.doing,
            process: dialled.process,
            sent: Arc::default(),
        };
        let sent = Arc::clone(&waiting.sent);
        let body = call.body.map_frame(move |frame| {
            sent.fetch_add(1, Ordering::Relaxed);
            frame
        });
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.target)
            .header(HOST, "docker");
        if let Some(media_type) = call.media_type {
            request = request.header(CONTENT_TYPE, media_type);
        }
        let request = request
            .body(body)
            .map_err(|error| waiting.failed(Kind::Local, "").because(error))?;
        let broken = |error| waiting.broken(error);
        let (mut sender, driver) = http1::handshake(TokioIo::new(dialled.stream))
            .await
            .map_err(broken)?;
        let carrier = dialled.carrier;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // What goes wrong on the connection reaches the request.
            let _reported = driver.await;
            drop(carrier);
        });
        let answer = waiting.patiently(sender.send_request(request)).await?;
        let (head, body) = answer.map_err(broken)?.into_parts();
        Ok(Answer {
            status: head.status,
            waiting,
            body,
            rest: BytesMut::new(),
            _driver: tasks,
        })
    }
}

impl Answer<'_> {
    /// Returns the next line of the body, without its end.
    pub(super) async fn line(&mut self) -> Result<Option<BytesMut>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(end + 1);
                return Ok(Some(line));
            }
            if !self.more().await? {
                let last = std::mem::take(&mut self.rest);
                return Ok((!last.is_empty()).then_some(last));
            }
        }
    }

    /// Reads the whole body as a document.
    pub(super) async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        while self.more().await? {}
        serde_json::from_slice(&self.rest).map_err(|error| {
            let what = "its answer is not docker's";
            self.refused(what).because(error)
        })
    }

    /// Reads why the daemon refused the call.
    pub(super) async fn refusal(&mut self) -> Result<Error> {
        #[derive(serde::Deserialize)]
        struct Message {
            message: String,
        }
        while self.more().await? {}
        let message = match serde_json::from_slice(&self.rest) {
            Ok(Message { message }) => message,
            Err(_) => {
                let text = String::from_utf8_lossy(&self.rest);
                format!("{} {}", self.status, text.trim())
                    .chars()
                    .take(SHOWN)
                    .collect()
            }
        };
        Ok(self.refused(&message))
    }

    /// Makes the error of a call that the daemon refused with this message.
    pub(super) fn refused(&self, message: &str) -> Error {
        let full = message.contains("no space left on device");
        let kind = if full { Kind::Disk } else { Kind::Local };
        self.waiting.failed(kind, message)
    }

    /// Reads on; returns false at the end of the body.
    async fn more(&mut self) -> Result<bool> {
        let frame = self.waiting.patiently(self.body.frame()).await?;
        let Some(frame) = frame else {
            return Ok(false);
        };
        let frame = frame.map_err(|error| self.waiting.broken(error))?;
        if let Some(bytes) = frame.data_ref() {
            self.rest.extend_from_slice(bytes);
        }
        if self.rest.len() > DOCUMENT_MAX {
            return Err(self.refused("its answer is too large"));
        }
        Ok(true)
    }
}

/// A daemon that is waited for.
struct Waiting<'a> {
    engine: &'a Engine,
    doing: &'static str,
    /// The daemon's process, where the socket tells it.
    process: Option<i32>,
    /// How many pieces of the body were sent.
    sent: Arc<AtomicU64>,
}

impl Waiting<'_> {
    /// Waits, says for whom after a while of silence, and gives up after the budget.
    async fn patiently<T>(&self, answer: impl Future<Output = T>) -> Result<T> {
        let patience = self.engine.patience;
        let shown_after = SILENCE_SHOWN.min(patience / 2);
        let mut answer = pin!(answer);
        let mut sent = self.sent.load(Ordering::Relaxed);
        let mut silent = Instant::now();
        let mut shown = false;
        loop {
            if let Ok(answer) = tokio::time::timeout(TICK, &mut answer).await {
                return Ok(answer);
            }
            let now = self.sent.load(Ordering::Relaxed);
            if now != sent {
                sent = now;
                silent = Instant::now();
            }
            let silence = silent.elapsed();
            if silence >= patience {
                let silence = size::seconds(silence.as_secs_f64());
                let text = format!("nothing came from {} for {silence}", self.daemon());
                return Err(self
                    .failed(Kind::Local, &text)
                    .hint("see what docker is doing: its log, or systemctl status docker"));
            }
            if silence >= shown_after && !shown {
                shown = true;
                let silence = size::seconds(silence.as_secs_f64());
                self.engine.events.note(format!(
                    "Waiting for {} to {}: nothing came for {silence}",
                    self.daemon(),
                    self.doing
                ));
            }
        }
    }

    fn daemon(&self) -> String {
        match self.process {
            Some(process) => format!("docker at {} (process {process})", self.engine.endpoint),
            None => format!("docker at {}", self.engine.endpoint),
        }
    }

    fn failed(&self, kind: Kind, why: &str) -> Error {
        let mut text = format!("docker at {} cannot {}", self.engine.endpoint, self.doing);
        if !why.is_empty() {
            text = format!("{text}: {why}");
        }
        Error::new(kind, text)
    }

    fn broken(&self, error: hyper::Error) -> Error {
        let plain = matches!(self.engine.endpoint, Endpoint::Tcp(_, None));
        let no_http = error.is_parse() || error.is_incomplete_message();
        let broken = self
            .failed(Kind::Local, "the connection broke")
            .because(error);
        if plain && no_http {
            return broken.hint("if it wants TLS, set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH");
        }
        broken
    }
}
