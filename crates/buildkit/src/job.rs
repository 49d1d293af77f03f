//! Runs a solve: its session, its request and its reports, side by side, and ended together.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::client::{Client, MESSAGE_LIMIT};
use crate::event::{self, Event};
use crate::failure::{self, Failure};
use crate::output::Solved;
use crate::proto::control::{SolveRequest, SolveResponse, StatusRequest, StatusResponse};
use crate::proto::gateway;
use crate::proto::gateway::llb_bridge_client::LlbBridgeClient;
use crate::request;
use crate::session::{self, Session};
use crate::solve::Solve;
use crate::{Error, Result};

/// How long the reports may be silent after the end of a solve until they are given up.
const QUIET: Duration = Duration::from_secs(5);
/// How long to wait for the solve's own error after its session was lost.
const GRACE: Duration = Duration::from_secs(10);
/// The header that names the solve that a gateway call belongs to.
const BUILD_ID: &str = "buildkit-controlapi-buildid";

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

    /// Asks the Dockerfile frontend about the Dockerfile without building it: `frontend.targets`,
    /// `frontend.outline`, `frontend.lint`. Returns the documents of the answer, `result.json`
    /// among them.
    ///
    /// # Errors
    /// As [`Client::solve`]: a Dockerfile that the frontend refuses is [`Error::Failed`].
    pub async fn ask_frontend(
        &self,
        solve: Solve,
        request: &str,
    ) -> Result<BTreeMap<String, Vec<u8>>> {
        let session = self.open_session(&[&solve]).await?;
        let reference = session::new_id();
        // A solve without a frontend holds the session open for the calls of the gateway.
        let holder = request::of_gateway(&solve, &reference, session.id());
        let asked = async {
            let asked = self.gateway_solve(&solve, &reference, request).await;
            let returned = self.gateway_return(&reference).await;
            asked.and_then(|answer| returned.map(|()| answer))
        };
        let answer = tokio::select! {
            (answer, _) = async { tokio::join!(asked, self.run(holder)) } => answer,
            error = lost(&session) => Err(error),
        };
        answer.map_err(|error| session.record().take_problem().unwrap_or(error))
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

    fn gateway(&self) -> LlbBridgeClient<Channel> {
        LlbBridgeClient::new(self.channel())
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT)
    }

    async fn gateway_solve(
        &self,
        solve: &Solve,
        reference: &str,
        request: &str,
    ) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut attributes = request::to_map(&solve.attributes);
        attributes.insert("requestid".to_owned(), request.to_owned());
        let capabilities = "moby.buildkit.frontend.subrequests";
        attributes
            .entry("frontend.caps".to_owned())
            .and_modify(|known| *known = format!("{known},{capabilities}"))
            .or_insert_with(|| capabilities.to_owned());
        let message = gateway::SolveRequest {
            frontend: request::FRONTEND.to_owned(),
            frontend_opt: attributes,
            allow_result_return: true,
            allow_result_array_ref: true,
            ..gateway::SolveRequest::default()
        };
        let answer = self.gateway().solve(of_build(message, reference)).await;
        let answer = answer.map_err(|status| of_solve(&status))?;
        let result = answer.into_inner().result.unwrap_or_default();
        Ok(result.metadata.into_iter().collect())
    }

    /// Ends the solve that held the session open.
    async fn gateway_return(&self, reference: &str) -> Result<()> {
        let message = gateway::ReturnRequest {
            result: Some(gateway::Result::default()),
            error: None,
        };
        let answer = self.gateway().r#return(of_build(message, reference)).await;
        answer.map(|_| ()).map_err(|status| of_solve(&status))
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

/// Makes a gateway call of a solve.
fn of_build<M>(message: M, reference: &str) -> Request<M> {
    let mut request = Request::new(message);
    let value = reference.parse();
    let value = value.expect("an identity has letters and digits only");
    request.metadata_mut().insert(BUILD_ID, value);
    request
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
