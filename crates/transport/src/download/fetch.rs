//! One request of a download: its response's bytes, from the connection into the sink.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::header::{ETAG, HeaderValue, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use url::Url;

use super::answer::Answer;
use super::lane::Lane;
use super::reports::{Head, Reports};
use super::trickle::Trickle;
use crate::attempt::{Attempt, Call, Choice, Failure, Options, Reply};
use crate::body::Reader;
use crate::error::Cause;
use crate::host::Host;
use crate::observe::Event;
use crate::sink::Sink;
use crate::slot::Slot;

/// From this size on, content gets a connection with large buffers, in bytes.
const BULK: u64 = 1 << 20;

/// How a request ended.
pub(super) struct Outcome {
    pub(super) choice: Choice,
    /// What it did not bring.
    pub(super) job: Vec<Range<u64>>,
    /// What it wrote.
    pub(super) written: Vec<Range<u64>>,
    pub(super) ended: Ended,
    /// The host whose width the request was part of.
    pub(super) host: Arc<Host>,
    /// The time to the response's head.
    pub(super) latency: Duration,
}

/// In which way it ended.
pub(super) enum Ended {
    /// All that the response held was written; `size` is the whole's, where only its end told.
    Done { size: Option<u64> },
    /// The response holds the whole although a range was asked for; nothing was read of it.
    Whole(Box<Whole>),
    /// It failed.
    Failed(Failure),
}

/// A response that holds the whole, with its body unread.
pub(super) struct Whole {
    pub(super) reply: Reply,
    pub(super) answer: Answer,
    pub(super) slot: Slot,
}

/// A request to be made.
pub(super) struct Fetch<'a> {
    pub(super) call: Call<'a>,
    pub(super) sink: &'a dyn Sink,
    pub(super) reports: Arc<Reports>,
    pub(super) lane: Arc<Lane>,
    pub(super) size: Option<u64>,
    /// The rate below which another endpoint is asked for the rest, in bytes a second.
    pub(super) floor: Option<f64>,
    pub(super) whole_only: bool,
    pub(super) known: Option<Url>,
    /// Which content a range continues, where no digest will tell.
    pub(super) validator: Option<HeaderValue>,
}

/// The state of a copy from a response into the sink.
struct Copy<'j> {
    job: &'j mut Vec<Range<u64>>,
    written: Vec<Range<u64>>,
    position: u64,
}

impl Fetch<'_> {
    /// Makes the request and brings what it can of its job.
    pub(super) async fn begin(
        self,
        choice: Choice,
        mut job: Vec<Range<u64>>,
        slot: Slot,
    ) -> Outcome {
        let _probe = choice.probe_guard(self.call.shared);
        let asked = self.asked(&job);
        let (opened, latency) = self.open(&choice, asked.as_ref(), &slot).await;
        let host = slot.host();
        let mut written = Vec::new();
        let ended = match opened {
            Err(failure) => Ended::Failed(failure),
            Ok(reply) => match self.read_answer(&reply, asked.as_ref()) {
                Err(cause) => Ended::Failed(self.call.failure(cause, &reply.host)),
                Ok(answer) => {
                    self.announce(&choice, &reply, &answer, latency);
                    let plain = asked.is_none() && !self.is_unsure(&job);
                    if answer.partial || plain {
                        let (parts, ended) = self.copy(&choice, &mut job, reply, answer).await;
                        written = parts;
                        ended
                    } else {
                        Ended::Whole(Box::new(Whole {
                            reply,
                            answer,
                            slot,
                        }))
                    }
                }
            },
        };
        clip(&mut job, self.lane.end());
        Outcome {
            choice,
            job,
            written,
            ended,
            host,
            latency,
        }
    }

    /// Brings what it can of its job from a response that was opened before.
    pub(super) async fn go_on(
        self,
        choice: Choice,
        mut job: Vec<Range<u64>>,
        whole: Box<Whole>,
    ) -> Outcome {
        let Whole {
            reply,
            answer,
            slot,
        } = *whole;
        let (written, ended) = self.copy(&choice, &mut job, reply, answer).await;
        Outcome {
            latency: choice.started.elapsed(),
            choice,
            job,
            written,
            ended,
            host: slot.host(),
        }
    }

    /// The range to ask for; `None` asks for the whole.
    fn asked(&self, job: &[Range<u64>]) -> Option<Range<u64>> {
        let [only] = job else { return None };
        let to_end = self
            .size
            .map_or(only.end == u64::MAX, |size| only.end >= size);
        let whole = only.start == 0 && to_end;
        let nameless = self.is_unsure(job) && self.validator.is_none();
        (!self.whole_only && !whole && !nameless).then(|| only.clone())
    }

    /// Whether a job continues content that may have changed since: no digest will tell.
    fn is_unsure(&self, job: &[Range<u64>]) -> bool {
        self.call.request.size.is_none() && job.first().is_some_and(|range| range.start > 0)
    }

    /// The size that a response must have. One that only another response said binds its ranges,
    /// but the whole may have changed.
    fn expected(&self, reply: &Reply) -> Option<u64> {
        match reply.status {
            StatusCode::PARTIAL_CONTENT => self.size,
            _ => self.call.request.size,
        }
    }

    fn read_answer(&self, reply: &Reply, asked: Option<&Range<u64>>) -> Result<Answer, Cause> {
        let verified = self.call.request.verified;
        Answer::read(reply, asked, self.expected(reply), verified)
    }

    /// Opens the response; a redirect known from before is forgotten when it does not work any more.
    async fn open(
        &self,
        choice: &Choice,
        asked: Option<&Range<u64>>,
        slot: &Slot,
    ) -> (Result<Reply, Failure>, Duration) {
        let range = asked.map(range_header);
        let start = Instant::now();
        let options = Options {
            range: range.as_ref(),
            if_range: self.validator.as_ref(),
            known: self.known.as_ref(),
            bulk: self.size.is_none_or(|size| size >= BULK),
            fresh: false,
            slot: Some(slot),
        };
        let attempt = Attempt {
            call: self.call,
            choice,
            options,
        };
        let mut opened = attempt.open().await;
        let stale = opened
            .as_ref()
            .err()
            .and_then(|failure| failure.error.status());
        // A host that asks for fewer requests is no reason for another one at once.
        let expired = |status: u16| (400..500).contains(&status) && status != 429;
        if self.known.is_some() && stale.is_some_and(expired) {
            let options = Options {
                known: None,
                ..options
            };
            opened = Attempt { options, ..attempt }.open().await;
        }
        (opened, start.elapsed())
    }

    fn announce(&self, choice: &Choice, reply: &Reply, answer: &Answer, latency: Duration) {
        if answer.partial {
            self.call
                .shared
                .health
                .set_serves_ranges(&choice.endpoint, true);
        }
        self.reports.push(Head {
            index: choice.index,
            answer: answer.clone(),
            url: (!reply.home).then(|| reply.url.clone()),
            latency,
            host: Arc::clone(&reply.host),
            validator: validator(&reply.headers),
        });
    }

    async fn copy(
        &self,
        choice: &Choice,
        job: &mut Vec<Range<u64>>,
        mut reply: Reply,
        answer: Answer,
    ) -> (Vec<Range<u64>>, Ended) {
        let start = Instant::now();
        let mut copy = Copy {
            job,
            written: Vec::new(),
            position: answer.holds.start,
        };
        let done = self.pour(choice, &mut copy, &mut reply, &answer).await;
        let host = Arc::clone(&reply.host);
        let written = copy.written;
        let bytes: u64 = written.iter().map(|range| range.end - range.start).sum();
        self.call
            .shared
            .health
            .measured(&choice.endpoint, bytes, start.elapsed());
        if let Err(Cause::Timeout { .. }) = &done {
            self.call.shared.health.slowed(&choice.endpoint);
        }
        let ended = match done {
            Ok(size) => {
                reply.finish(self.call.shared).await;
                Ended::Done { size }
            }
            Err(cause) => Ended::Failed(Failure {
                bytes,
                ..self.call.broken_body(cause, &host)
            }),
        };
        (written, ended)
    }

    /// Reads the response and writes what the job wants of it.
    async fn pour(
        &self,
        choice: &Choice,
        copy: &mut Copy<'_>,
        reply: &mut Reply,
        answer: &Answer,
    ) -> Result<Option<u64>, Cause> {
        let expected = self.call.shared.health.throughput(&choice.endpoint);
        let end = answer.holds.end.min(answer.size.unwrap_or(u64::MAX));
        let width = &Arc::clone(&reply.host).width;
        let stall = self.call.shared.settings.timeouts.stall;
        let mut trickle = Trickle::new(self.floor, stall, &reply.host);
        let mut reader =
            Reader::new(&self.call.shared.settings.timeouts, &mut reply.body).expecting(expected);
        while let Some(bytes) = reader.next().await? {
            let length = bytes.len() as u64;
            if copy.position.saturating_add(length) > end {
                return Err(Cause::Long { expected: end });
            }
            clip(copy.job, self.lane.end());
            let fresh = copy.take(&bytes, self.sink)?;
            self.lane.reached(copy.position);
            if fresh > 0 {
                self.reports.progress.store(true, Ordering::Relaxed);
                width.arrived(fresh);
                // At once, so that a run that is stopped knows what it cost.
                reply.host.count(|totals| totals.received += fresh);
                self.call.shared.emit(&Event::Received {
                    label: Arc::clone(&self.call.request.label),
                    host: Arc::clone(&reply.host.name),
                    bytes: fresh,
                });
            }
            if copy.job.is_empty() && copy.position < end {
                return Ok(None);
            }
            if copy.position < end {
                trickle.check()?;
            }
        }
        let ended_unknown = answer.holds.end == u64::MAX && answer.size.is_none();
        match copy.position < end {
            true if ended_unknown => Ok(Some(copy.position)),
            true => Err(Cause::Short),
            false => Ok(None),
        }
    }
}

impl Copy<'_> {
    /// Writes the part of a piece that the job wants; returns how many bytes that were.
    fn take(&mut self, bytes: &[u8], sink: &dyn Sink) -> Result<u64, Cause> {
        let piece = self.position..self.position + bytes.len() as u64;
        let mut fresh = 0;
        while let Some(first) = self.job.first_mut() {
            let wanted = first.start.max(piece.start)..first.end.min(piece.end);
            if wanted.start >= wanted.end {
                break;
            }
            // Nothing is skipped: a response begins at or before its job, and holds all of it.
            let from = usize::try_from(wanted.start - piece.start).unwrap_or(usize::MAX);
            let to = usize::try_from(wanted.end - piece.start).unwrap_or(usize::MAX);
            sink.write_at(wanted.start, &bytes[from..to])
                .map_err(Cause::Sink)?;
            fresh += wanted.end - wanted.start;
            first.start = wanted.end;
            if first.start >= first.end {
                self.job.remove(0);
            }
            match self.written.last_mut() {
                Some(last) if last.end == wanted.start => last.end = wanted.end,
                _ => self.written.push(wanted),
            }
        }
        self.position = piece.end;
        Ok(fresh)
    }
}

/// Returns what `If-Range` can name a response's content by (RFC 9110, 13.1.5): a strong `ETag`, else
/// `Last-Modified`.
pub(super) fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let strong = headers
        .get(ETAG)
        .filter(|tag| tag.as_bytes().starts_with(b"\""));
    strong.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}

/// Takes what another request brings off a job.
fn clip(job: &mut Vec<Range<u64>>, end: u64) {
    for range in job.iter_mut() {
        range.end = range.end.min(end);
    }
    job.retain(|range| range.start < range.end);
}

fn range_header(range: &Range<u64>) -> HeaderValue {
    let text = if range.end == u64::MAX {
        format!("bytes={}-", range.start)
    } else {
        format!("bytes={}-{}", range.start, range.end - 1)
    };
    HeaderValue::from_str(&text).expect("digits and a dash are a header value")
}
