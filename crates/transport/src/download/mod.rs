//! Large content: resumed, continued elsewhere after a failure, fetched in ranges side by side.

use std::ops::Range;
use std::sync::Arc;

use http::StatusCode;
use http::header::{CONTENT_RANGE, HeaderValue};

mod provenance;
mod width;

pub use provenance::Provenance;
pub(crate) use width::Width;

use crate::authorizer::Authorizer;
use crate::body::Reader;
use crate::course::{Choice, Course, Failure, Next};
use crate::document::{Attempt, identity};
use crate::endpoint::Route;
use crate::error::{Cause, Result};
use crate::exchange::Reply;
use crate::health::ProbeGuard;
use crate::observe::Event;
use crate::payload::Payload;
use crate::request::Request;
use crate::sink::Sink;
use crate::transport::Inner;

/// One download.
pub(crate) struct Download<'a> {
    inner: &'a Inner,
    route: &'a Route,
    request: &'a Request,
    sink: &'a dyn Sink,
    authorizer: &'a dyn Authorizer,
    provenance: Provenance,
}

impl<'a> Download<'a> {
    pub(crate) fn new(
        inner: &'a Inner,
        route: &'a Route,
        request: &'a Request,
        sink: &'a dyn Sink,
        authorizer: &'a dyn Authorizer,
    ) -> Self {
        Self {
            inner,
            route,
            request,
            sink,
            authorizer,
            provenance: Provenance::default(),
        }
    }

    pub(crate) async fn run(mut self) -> Result<Provenance> {
        let mut course = Course::new(self.inner, self.route, self.request);
        while let Some(piece) = self.sink.missing().into_iter().next() {
            let choice = course.choose()?;
            let _probe = ProbeGuard::new(&self.inner.health, &choice);
            match self.piece(&choice, piece).await {
                Ok(bytes) => course.succeeded(&choice, bytes, choice.started.elapsed()),
                Err(failure) => match course.failed(&choice, failure) {
                    Next::End(error) => return Err(error),
                    Next::Again(None) => {}
                    Next::Again(Some(pause)) => {
                        course.announce(&pause);
                        self.inner.rest(pause.time).await;
                    }
                },
            }
        }
        Ok(self.provenance)
    }

    async fn piece(
        &mut self,
        choice: &Choice,
        piece: Range<u64>,
    ) -> std::result::Result<u64, Failure> {
        let whole = piece.start == 0 && self.request.size.is_none_or(|size| piece.end >= size);
        let range = (!whole).then(|| range_header(&piece));
        let attempt = Attempt {
            inner: self.inner,
            choice,
            request: self.request,
            payload: &Payload::Empty,
            authorizer: self.authorizer,
            range: range.as_ref(),
            known: None,
            bulk: true,
            fresh: false,
        };
        let mut reply = attempt.open().await?;
        let host = Arc::clone(&reply.host);
        let mut at = piece.start;
        let done = self.copy(choice, &mut reply, &piece, &mut at).await;
        let bytes = at - piece.start;
        host.count(|totals| totals.received += bytes);
        match done {
            Ok(()) => {
                reply.finish(self.inner).await;
                Ok(bytes)
            }
            Err(cause) => Err(Failure {
                bytes,
                ..attempt.failure(cause, &host)
            }),
        }
    }

    async fn copy(
        &mut self,
        choice: &Choice,
        reply: &mut Reply,
        piece: &Range<u64>,
        at: &mut u64,
    ) -> std::result::Result<(), Cause> {
        identity(&reply.headers)?;
        let partial = reply.status == StatusCode::PARTIAL_CONTENT;
        let mut position = if partial { piece.start } else { 0 };
        if partial && !reply.headers.contains_key(CONTENT_RANGE) {
            return Err(Cause::WrongRange {
                reason: "206 without Content-Range".to_owned(),
            });
        }
        let mut reader = Reader::new(self.inner, &mut reply.body);
        while let Some(bytes) = reader.next().await? {
            let end = position + bytes.len() as u64;
            if end > piece.end {
                return Err(Cause::Long {
                    expected: piece.end,
                });
            }
            if end > *at {
                let skip = usize::try_from(at.saturating_sub(position)).unwrap_or(0);
                let fresh = &bytes[skip..];
                self.sink.write_at(*at, fresh).map_err(Cause::Sink)?;
                self.provenance.add(*at..end, &choice.endpoint);
                self.inner.emit(&Event::Received {
                    label: Arc::clone(&self.request.label),
                    host: Arc::clone(&reply.host.name),
                    bytes: fresh.len() as u64,
                });
                *at = end;
            }
            position = end;
        }
        if *at < piece.end {
            return Err(Cause::Short);
        }
        Ok(())
    }
}

fn range_header(piece: &Range<u64>) -> HeaderValue {
    let text = if piece.end == u64::MAX {
        format!("bytes={}-", piece.start)
    } else {
        format!("bytes={}-{}", piece.start, piece.end - 1)
    };
    HeaderValue::from_str(&text).expect("digits and a dash are a header value")
}
