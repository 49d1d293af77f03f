//! Runs a unit's solve, again where that may help.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealift_buildkit::{Client, Session, Solved};
use sealift_content::Store;
use sealift_oci::Descriptor;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::order::{Order, Product};
use super::progress::Progress;
use crate::event::{Attempt, Event, Events, now};
use crate::prefetch::Pins;

/// How often a solve whose failure may pass is repeated.
const REPEATS: u32 = 4;
/// How many reports of a solve may wait for us.
const EVENTS_WAITING: usize = 256;
/// The first delay before a repetition; each further one is twice as long.
const DELAY: Duration = Duration::from_secs(1);

/// A unit that was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// What was asked for.
    pub order: Order,
    /// Its manifest in the store, where it is an image.
    pub manifest: Option<Descriptor>,
    /// Digest of the image's configuration.
    pub config: Option<String>,
    /// Images that turned up only during the build, and were fetched then.
    pub late: Pins,
    /// How long it took, repetitions included.
    pub duration: Duration,
}

/// Where units are built.
#[derive(Clone)]
pub struct Site {
    /// The builder.
    pub client: Client,
    /// The session that the units of one command share, so that a context that several platforms
    /// read at the same time travels once. Repetitions open one of their own: it may be the session
    /// that was lost.
    pub session: Option<Arc<Session>>,
    /// Where images are read from and results go.
    pub store: Store,
    /// Who is told.
    pub events: Events,
    /// How long a build may go on failing.
    pub budget: Duration,
}

impl Site {
    /// Builds a unit.
    ///
    /// # Errors
    /// A [`Failure`] that says whether the policy denied an image, so that the caller can fetch it.
    pub async fn build(&self, order: &Order, product: &Product) -> Result<Built, Failure> {
        let start = Instant::now();
        let mut repeats = 0;
        let mut session = self.session.clone();
        let solved = loop {
            match self.once(order, product, session.take()).await {
                Ok(solved) => break solved,
                Err(failure) if self.repeats(&failure, repeats, start) => {
                    let reason = self.log(order, &failure, repeats + 1, "build again");
                    let unit = order.unit.clone();
                    self.events.tell(&Event::BuildRepeated { unit, reason });
                    tokio::time::sleep(delay(repeats)).await;
                    repeats += 1;
                }
                Err(failure) => {
                    let failure = failure.stayed();
                    self.log(order, &failure, repeats + 1, "give up");
                    return Err(failure);
                }
            }
        };
        let manifest = solved.image.clone();
        let duration = start.elapsed();
        self.events.tell(&Event::BuildFinished {
            unit: order.unit.clone(),
            digest: manifest
                .as_ref()
                .map(|manifest| manifest.digest.to_string()),
            seconds: duration.as_secs_f64(),
            seal: order.seal.as_str().to_owned(),
            blobs_read: solved.traffic.blob_reads,
            tokens_asked: solved.traffic.auth_requests,
        });
        let config = solved.config_digest().map(|digest| digest.to_string());
        let order = order.clone();
        Ok(Built {
            order,
            manifest,
            config,
            late: Pins::new(),
            duration,
        })
    }

    /// Tells whether a solve that began at `start` and has been repeated so often is worth another
    /// repetition.
    fn repeats(&self, failure: &Failure, so_often: u32, start: Instant) -> bool {
        so_often < failure.repeats(REPEATS) && start.elapsed() + delay(so_often) <= self.budget
    }

    /// Tells of a failed solve, and returns its reason in one line.
    fn log(&self, order: &Order, failure: &Failure, attempt: u32, decision: &str) -> String {
        let reason = failure.error.causes().pop();
        let reason = reason.unwrap_or_else(|| failure.error.message().to_owned());
        let text = reason.lines().next().unwrap_or_default().to_owned();
        let builder = || self.client.address().to_string();
        self.events.tell(&Event::Attempt(Attempt {
            time: now(),
            phase: failure.phase.to_string(),
            image: order.image.clone(),
            host: failure.host.clone().unwrap_or_else(builder),
            class: failure.verdict.class.as_str().to_owned(),
            text: text.clone(),
            attempt,
            decision: decision.to_owned(),
        }));
        text
    }

    async fn once(
        &self,
        order: &Order,
        product: &Product,
        session: Option<Arc<Session>>,
    ) -> Result<Solved, Failure> {
        let mut progress = Progress::new(&order.unit, &self.events);
        let (sender, mut receiver) = mpsc::channel(EVENTS_WAITING);
        let solve = order.solve(product, &self.store);
        // Dropping this future drops the solve, which cancels it; the token is for those who stay.
        let cancel = CancellationToken::new();
        let run = async {
            match session {
                Some(session) => self.client.solve_in(&session, solve, sender, cancel).await,
                None => self.client.solve(solve, sender, cancel).await,
            }
        };
        let follow = async {
            while let Some(event) = receiver.recv().await {
                progress.take(event);
            }
        };
        let (solved, ()) = tokio::join!(run, follow);
        solved.map_err(|error| Failure::read(error, &order.unit, &order.shown))
    }
}

/// The delay before a repetition; the first one's number is 0.
fn delay(number: u32) -> Duration {
    DELAY * 2_u32.pow(number)
}
