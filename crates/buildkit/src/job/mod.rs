//! Runs a solve: its session, its request and its reports, side by side, and ended together.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sealift_content::Store;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::client::{Client, Worker};
use crate::connect;
use crate::event::{self, Event, Warning};
use crate::failure::{self, Failure};
use crate::proto::control::control_client::ControlClient;
use crate::proto::control::{SolveRequest, SolveResponse, StatusRequest};
use crate::request;
use crate::session::{self, Record, Session};
use crate::solve::Solve;
use crate::solved::Solved;
use crate::source::{Decision, Source, SourceAuthority};
use crate::steps::Steps;
use crate::{Error, Result};

/// How long the reports may be silent after the end of a solve until they are given up.
const QUIET: Duration = Duration::from_secs(5);
/// How long to wait for the solve's own error after its session was lost.
const GRACE: Duration = Duration::from_secs(10);
/// How long a daemon may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(10);
/// How often to look whether the daemon is silent: it asks every 5 seconds whether we live.
const WATCH: Duration = Duration::from_secs(5);
/// How long a daemon may be silent until it is given up.
const SILENCE: Duration = Duration::from_secs(120);

impl Client {
    /// Runs a solve. Its events go to `events`, whose receiver may be dropped; the solve waits
    /// for a receiver that is slow.
    ///
    /// Cancelling the token, or dropping the future, stops the solve at the daemon too.
    ///
    /// # Errors
    /// [`Error::Failed`] with what the daemon says, [`Error::Canceled`], [`Error::Lost`], and
    /// [`Error::Source`], [`Error::Output`], [`Error::Store`], [`Error::UnsafePath`] where our own
    /// side is the cause. [`Error::SecretTooLarge`], [`Error::SshAgent`] before anything is sent.
    pub async fn solve(
        &self,
        solve: Solve,
        events: mpsc::Sender<Event>,
        cancel: CancellationToken,
    ) -> Result<Solved> {
        let session = self.open_session(&[&solve]).await?;
        self.solve_in(&session, solve, events, cancel).await
    }

    /// Opens a session that several solves share: what they read of the same folder at the same
    /// time travels once.
    ///
    /// # Errors
    /// [`Error::Conflict`] where the solves offer different things under one name, or have
    /// outputs other than one store; [`Error::SecretTooLarge`], [`Error::SshAgent`],
    /// [`Error::Source`] for what they offer; [`Error::Call`], [`Error::Lost`].
    pub async fn open_session(&self, solves: &[&Solve]) -> Result<Session> {
        Session::open(self, solves).await
    }

    /// Runs a solve in a session that was opened for it.
    ///
    /// # Errors
    /// As [`Client::solve`]. Where our own side is the cause, one solve of the session gets the
    /// exact error, the others what the daemon says of it.
    pub async fn solve_in(
        &self,
        session: &Session,
        solve: Solve,
        events: mpsc::Sender<Event>,
        cancel: CancellationToken,
    ) -> Result<Solved> {
        let reference = session::new_id();
        let request = request::of_solve(&solve, &reference, session.id());
        let record = session.record().clone();
        let reports = Reports {
            record: record.clone(),
            steps: Steps::default(),
            events,
            ended: CancellationToken::new(),
        };
        let mut following = JoinSet::new();
        following.spawn(reports.clone().follow(self.control(), reference));
        let answer = tokio::select! {
            answer = self.run(request) => answer,
            () = cancel.cancelled() => return Err(Error::Canceled),
            error = self.lost(session, &reports.events) => Err(error),
        };
        reports.ended.cancel();
        tokio::select! {
            _ = following.join_next() => {}
            () = cancel.cancelled() => {}
        }
        for path in record.take_vanished() {
            let path = path.display();
            let text = format!("{path} vanished after it was listed: it is empty in the build");
            reports.warn(text).await;
        }
        match answer {
            Ok(response) => {
                let response = response.exporter_response.into_iter().collect();
                Solved::new(response, &solve.output, &record)
            }
            Err(error) => Err(match record.take_problem() {
                Some(problem) => problem,
                None => self.explain(error, &reports.steps, &solve).await,
            }),
        }
    }

    /// Returns whether the daemon asks a solve's [`SourceAuthority`] about sources (BuildKit 0.26 or
    /// newer): a solve that fails at once tells. An older daemon reads them by itself.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Call`].
    pub async fn asks_about_sources(&self, store: &Store) -> Result<bool> {
        // Its only source is a folder of which nothing is sent.
        let solve = Solve::new(store.root())
            .hide(&["*"])
            .sources(Arc::new(AllowAll), store.clone());
        let session = self.open_session(&[&solve]).await?;
        let (events, _) = mpsc::channel(1);
        let cancel = CancellationToken::new();
        match self.solve_in(&session, solve, events, cancel).await {
            Ok(_) | Err(Error::Failed(_)) => Ok(session.record().traffic().sources_asked > 0),
            Err(error) => Err(error),
        }
    }

    async fn run(&self, request: SolveRequest) -> Result<SolveResponse> {
        let answer = self.control().solve(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| {
            if failure::is_lost(&status) {
                let message = failure::whole_text(&status);
                return Error::Lost { message };
            }
            Error::Failed(Box::new(Failure::of_status(&status)))
        })
    }

    /// Completes the error of a solve. One whose step failed has failed by it, even where its own
    /// error did not get through to us, unless the daemon has gone.
    async fn explain(&self, error: Error, steps: &Steps, solve: &Solve) -> Error {
        let reported = steps.failure();
        if reported.is_none() && !matches!(error, Error::Failed(_)) {
            return error;
        }
        // What lost the error may have taken the connection with it; the next call makes a new one.
        let asked = async {
            loop {
                match self.answer().await {
                    Some(workers) => return workers,
                    None => tokio::time::sleep(ANSWER / 20).await,
                }
            }
        };
        let workers = timeout(ANSWER, asked).await.ok();
        let mut failure = match (error, reported) {
            (Error::Lost { .. }, Some(step)) if workers.is_some() => step,
            (Error::Failed(failure), Some(step)) if failure.is_transient() => step,
            (Error::Failed(failure), _) => *failure,
            (error, _) => return error,
        };
        let workers = workers.unwrap_or_default();
        let machine = workers.first().and_then(|worker| worker.platforms.first());
        steps.describe(&mut failure, machine, solve.target_platform().as_ref());
        Error::Failed(Box::new(failure))
    }

    /// Asks the daemon for a sign of life: its workers, or none where it refuses to list them.
    async fn answer(&self) -> Option<Vec<Worker>> {
        match self.workers().await {
            Ok(workers) => Some(workers),
            Err(Error::Call { .. }) => Some(Vec::new()),
            Err(_) => None,
        }
    }

    /// Waits until the session is gone or the daemon has been silent for too long: then the solve
    /// cannot end well. A daemon that answers is waited for without end.
    async fn lost(&self, session: &Session, events: &mpsc::Sender<Event>) -> Error {
        let record = session.record();
        let mut announced = Duration::ZERO;
        let message = loop {
            if timeout(WATCH, session.closed()).await.is_ok() {
                // The solve's own error, which says more, may still come.
                tokio::time::sleep(GRACE).await;
                break "the session ended before the solve".to_owned();
            }
            if record.silence() < 2 * WATCH {
                announced = Duration::ZERO;
                continue;
            }
            if let Ok(Some(_)) = timeout(WATCH, self.answer()).await {
                record.heard();
                continue;
            }
            let silence = record.silence();
            if silence >= SILENCE {
                let seconds = silence.as_secs();
                break format!("{} has not answered for {seconds} s", self.address());
            }
            if silence >= 2 * announced {
                announced = silence;
                let process = connect::process(self.address()).await;
                // A receiver that is behind learns of it next time.
                let _ = events.try_send(Event::Unresponsive { silence, process });
            }
        };
        Error::Lost { message }
    }
}

/// Lets the daemon read everything.
#[derive(Debug)]
struct AllowAll;

impl SourceAuthority for AllowAll {
    fn decide<'a>(&'a self, _: &'a Source) -> BoxFuture<'a, Decision> {
        Box::pin(std::future::ready(Decision::Allow))
    }
}

/// Follows the reports of one solve.
#[derive(Clone)]
struct Reports {
    record: Record,
    steps: Steps,
    events: mpsc::Sender<Event>,
    /// Cancelled when the solve has ended.
    ended: CancellationToken,
}

impl Reports {
    async fn follow(self, mut control: ControlClient<Channel>, reference: String) {
        let request = StatusRequest { r#ref: reference };
        let Some(Ok(answer)) = self.wait(control.status(request)).await else {
            // The solve's own answer says why.
            return;
        };
        let mut reports = answer.into_inner();
        loop {
            let report = match self.wait(reports.message()).await {
                Some(Ok(Some(report))) => report,
                // More than a message may hold, as of thousands of steps or warnings at once.
                Some(Err(status)) if !self.ended.is_cancelled() => {
                    let why = status.message();
                    let text = format!("the builder's reports ended ({why}); the build goes on");
                    return self.warn(text).await;
                }
                _ => return,
            };
            self.record.heard();
            for event in event::from_status(report) {
                self.steps.take(&event);
                // Without a receiver, the reports are read all the same.
                let _ = self.events.send(event).await;
            }
        }
    }

    /// Sends a warning of our own.
    async fn warn(&self, short: String) {
        let warning = Warning {
            short,
            ..Warning::default()
        };
        // Without a receiver, nobody wants to know.
        let _ = self.events.send(Event::Warning(warning)).await;
    }

    /// Waits for the daemon: as long as it takes while the solve runs, a while after its end.
    async fn wait<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => Some(answer),
            () = self.ended.cancelled() => timeout(QUIET, answer).await.ok(),
        }
    }
}

#[cfg(test)]
mod tests;
