//! Runs a solve: its session, its request and its reports, side by side, and ended together.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::client::Client;
use crate::event::{self, Event};
use crate::failure::{self, Failure};
use crate::proto::control::{SolveRequest, SolveResponse, StatusRequest, StatusResponse};
use crate::request;
use crate::session::{self, Session};
use crate::solve::Solve;
use crate::solved::Solved;
use crate::{Error, Result};

/// How long the reports may be silent after the end of a solve until they are given up.
const QUIET: Duration = Duration::from_secs(5);
/// How long to wait for the solve's own error after its session was lost.
const GRACE: Duration = Duration::from_secs(10);

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
        let ended = CancellationToken::new();
        let mut reports = self.report(reference, events, ended.clone());
        let answer = tokio::select! {
            answer = self.run(request) => answer,
            () = cancel.cancelled() => return Err(Error::Canceled),
            error = lost(session) => Err(error),
        };
        ended.cancel();
        tokio::select! {
            _ = reports.join_next() => {}
            () = cancel.cancelled() => {}
        }
        let record = session.record().clone();
        match answer {
            Ok(response) => {
                let response = response.exporter_response.into_iter().collect();
                Solved::new(response, record.traffic())
            }
            Err(error) => Err(record.take_problem().unwrap_or(error)),
        }
    }

    async fn run(&self, request: SolveRequest) -> Result<SolveResponse> {
        let answer = self.control().solve(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| of_solve(&status))
    }

    /// Follows the reports of a solve in a task of its own.
    fn report(
        &self,
        reference: String,
        events: mpsc::Sender<Event>,
        ended: CancellationToken,
    ) -> JoinSet<()> {
        let mut control = self.control();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let request = StatusRequest { r#ref: reference };
            let Ok(answer) = control.status(request).await else {
                // The solve's own answer says why.
                return;
            };
            let mut reports = answer.into_inner();
            while let Some(report) = next_report(&mut reports, &ended).await {
                for event in event::from_status(report) {
                    // Without a receiver, the reports are read all the same.
                    let _ = events.send(event).await;
                }
            }
        });
        task
    }
}

/// Waits for a report: as long as it takes while the solve runs, a while after its end.
async fn next_report(
    reports: &mut Streaming<StatusResponse>,
    ended: &CancellationToken,
) -> Option<StatusResponse> {
    let next = tokio::select! {
        biased;
        next = reports.message() => next,
        () = ended.cancelled() => tokio::time::timeout(QUIET, reports.message()).await.ok()?,
    };
    next.ok().flatten()
}

/// Waits until the session is gone; then the solve cannot end well, but its own error, which says
/// more, may still come.
async fn lost(session: &Session) -> Error {
    session.closed().await;
    tokio::time::sleep(GRACE).await;
    Error::Lost {
        message: "the session ended before the solve".to_owned(),
    }
}

fn of_solve(status: &Status) -> Error {
    if failure::is_lost(status) {
        let message = failure::whole_text(status);
        return Error::Lost { message };
    }
    Error::Failed(Box::new(Failure::of_status(status)))
}
