//! Builds units: each one's solves, again where that may help, or where an image turns up that
//! discovery missed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealift_buildkit::{Session, Solve, Solved};
use sealift_oci::{Descriptor, Digest, Reference};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::order::{NamedImage, Order, Product};
use super::progress::Progress;
use super::queue::{self, Bounds, Outcome};
use super::silence::{Finding, Silence};
use crate::builder::Builder;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::event::{Attempt, Event, now};
use crate::prefetch::{self, Freshness, Pins, Wanted};
use crate::project::Place;
use crate::unit::UnitId;

/// How many reports of a solve may wait for us.
const EVENTS_WAITING: usize = 256;
/// How often the silence of steps is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The first delay before a repetition; each further one is twice as long.
const DELAY: Duration = Duration::from_secs(1);

/// The result of a unit.
#[derive(Debug)]
pub struct Built {
    /// The unit.
    pub unit: UnitId,
    /// What became of it.
    pub outcome: Outcome<Image>,
}

/// What a unit's solves made.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its manifest in the store, or its index where it has attestations; none where only files
    /// were asked for.
    pub manifest: Option<Descriptor>,
    /// Digest of the image's configuration.
    pub config: Option<Digest>,
    /// Images that turned up only during the build, and were fetched then.
    pub late: Pins,
    /// How long it took, repetitions included.
    pub duration: Duration,
}

/// Builds every order. A failure stops what the bounds say; what was finished is kept.
///
/// # Errors
/// [`Kind::Builder`] where no session can be opened.
pub async fn build_all(
    builder: &Builder,
    context: &Context,
    orders: &[Order],
    bounds: Bounds,
) -> Result<Vec<Built>, Error> {
    let runner = SolveRunner {
        builder: builder.clone(),
        session: shared_session(builder, context, orders).await?,
        context: context.clone(),
    };
    let outcomes = queue::run(orders, bounds, |order| runner.clone().build(order.clone()));
    let units = orders.iter().map(|order| order.unit.clone());
    let built = units.zip(outcomes.await);
    Ok(built
        .map(|(unit, outcome)| Built { unit, outcome })
        .collect())
}

/// Opens a session for all orders, where all of them make images: files of several platforms go to
/// several folders, which one session cannot tell apart.
async fn shared_session(
    builder: &Builder,
    context: &Context,
    orders: &[Order],
) -> Result<Option<Arc<Session>>, Error> {
    if orders.len() < 2
        || orders
            .iter()
            .any(|order| order.products != [Product::Image])
    {
        return Ok(None);
    }
    let solves = orders
        .iter()
        .map(|order| order.solve(&Product::Image, &context.store));
    let solves: Vec<Solve> = solves.collect();
    let session = builder
        .client
        .open_session(&solves.iter().collect::<Vec<_>>())
        .await;
    let session = session.map_err(|error| {
        let text = format!("cannot open a session at {}", builder.address);
        Error::new(Kind::Builder, text).because(error)
    })?;
    Ok(Some(Arc::new(session)))
}

/// Runs solves.
#[derive(Clone)]
struct SolveRunner {
    builder: Builder,
    /// The session that the units of one command share, so that a context that several of them
    /// read at the same time travels once. Repetitions open one of their own: it may be the session
    /// that was lost.
    session: Option<Arc<Session>>,
    context: Context,
}

impl SolveRunner {
    /// Builds a unit: fetches images that discovery missed, as often as new ones turn up.
    async fn build(self, mut order: Order) -> Result<Image, Error> {
        // An image may stand under several names.
        let images: BTreeSet<&Digest> = order.images.iter().map(|named| &named.digest).collect();
        self.context.events.tell(&Event::BuildStarted {
            unit: order.unit.clone(),
            image: order.image(),
            contexts: images.len(),
        });
        let mut late = Pins::new();
        loop {
            let failure = match self.solve_all(&order).await {
                Ok(image) => return Ok(Image { late, ..image }),
                Err(failure) => failure,
            };
            let missed = failure.denied.as_deref();
            let reference = missed.and_then(|text| Reference::parse(text).ok());
            let Some(reference) = reference.filter(|new| !late.keys().any(|(old, _)| old == new))
            else {
                return Err(failure.error);
            };
            let reason = format!("it also needs {reference}, which was not found beforehand");
            let unit = order.unit.clone();
            self.context
                .events
                .tell(&Event::BuildRepeated { unit, reason });
            let wanted = Wanted {
                reference: reference.clone(),
                platforms: vec![order.unit.platform.clone()],
                meant: None,
                place: Place {
                    file: Arc::clone(&order.input.component.dockerfile.shown),
                    line: 0,
                },
            };
            let pins = prefetch::fetch(&self.context, vec![wanted], Freshness::Cached).await?;
            order
                .images
                .extend(pins.values().map(|manifest| NamedImage {
                    name: reference.familiar(),
                    platform: None,
                    digest: manifest.digest.clone(),
                }));
            late.extend(pins);
        }
    }

    /// Fetches again what the daemon found damaged in the store.
    async fn heal(&self, order: &Order) -> Result<bool, Error> {
        let images = order.images.iter().filter_map(|image| {
            let platform = image.platform.as_ref().unwrap_or(&order.unit.platform);
            let reference = Reference::parse(&image.name).ok()?;
            Some((reference, platform.clone()))
        });
        prefetch::heal(&self.context, images).await
    }

    /// Runs a unit's solves, one for each product.
    async fn solve_all(&self, order: &Order) -> Result<Image, Failure> {
        let start = Instant::now();
        let mut image = Image {
            manifest: None,
            config: None,
            late: Pins::new(),
            duration: Duration::ZERO,
        };
        for product in &order.products {
            let solved = self.solve(order, product).await?;
            self.context.events.tell(&Event::BuildFinished {
                unit: order.unit.clone(),
                digest: solved.image.as_ref().map(|image| image.digest.to_string()),
                seconds: start.elapsed().as_secs_f64(),
                sealed: order.options.seal != super::Seal::Off,
                blobs_read: solved.traffic.blob_reads,
                tokens_asked: solved.traffic.auth_requests,
            });
            if *product == Product::Image {
                image.config = solved.config_digest();
                image.manifest = Some(solved.image.ok_or_else(|| Failure::no_result(order))?);
            }
        }
        image.duration = start.elapsed();
        Ok(image)
    }

    /// Runs a solve until it succeeds or a repetition is of no use.
    async fn solve(&self, order: &Order, product: &Product) -> Result<Solved, Failure> {
        let start = Instant::now();
        let mut repeats = 0;
        let mut session = self.session.clone();
        loop {
            let failure = match self.once(order, product, session.take()).await {
                Ok(solved) => return Ok(solved),
                Err(failure) => failure,
            };
            // What cannot be fetched again fails as it did.
            if self.heal(order).await.unwrap_or(false) {
                continue;
            }
            let in_time = start.elapsed() + delay(repeats) <= self.context.registries.budget;
            if repeats >= failure.repeats() || !in_time {
                let failure = failure.stayed();
                self.log(order, &failure, repeats + 1, "give up");
                return Err(failure);
            }
            let reason = self.log(order, &failure, repeats + 1, "build again");
            let reason = format!(
                "{reason} (repetition {} of {})",
                repeats + 1,
                failure.repeats()
            );
            let unit = order.unit.clone();
            self.context
                .events
                .tell(&Event::BuildRepeated { unit, reason });
            tokio::time::sleep(delay(repeats)).await;
            if failure.verdict.class == Kind::Builder {
                self.builder.revive(&self.context.events).await;
            }
            self.builder.revive(&self.context.events).await;
            repeats += 1;
        }
    }

    /// Reports a failed solve, and returns its reason in one line.
    fn log(&self, order: &Order, failure: &Failure, attempt: u32, decision: &str) -> String {
        let reason = failure.error.causes().pop();
        let reason = reason.unwrap_or_else(|| failure.error.message().to_owned());
        let text = reason.lines().next().unwrap_or_default().to_owned();
        let builder = || self.builder.address.to_string();
        self.context.events.tell(&Event::Attempt(Attempt {
            time: now(),
            phase: failure.phase,
            image: order.image(),
            host: failure.host.clone().unwrap_or_else(builder),
            class: failure.verdict.class,
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
        let (sender, receiver) = mpsc::channel(EVENTS_WAITING);
        let solve = order.solve(product, &self.context.store);
        let client = &self.builder.client;
        // Dropping this future drops the solve, which cancels it; the token is for those who stay.
        let cancel = CancellationToken::new();
        let run = async {
            match session {
                Some(session) => client.solve_in(&session, solve, sender, cancel).await,
                None => client.solve(solve, sender, cancel).await,
            }
        };
        let follow = self.follow(order, receiver);
        tokio::pin!(run, follow);
        let (solved, stalled) = tokio::select! {
            solved = &mut run => (solved, follow.await),
            stalled = &mut follow => match stalled {
                Some(stalled) => return Err(stalled),
                None => (run.await, None),
            },
        };
        match (solved, stalled) {
            (Ok(solved), _) => Ok(solved),
            (Err(_), Some(stalled)) => Err(stalled),
            (Err(error), None) => Err(Failure::read(error, order, &self.builder)),
        }
    }

    /// Passes a solve's reports on until they end. Returns a failure where a step wrote nothing for
    /// as long as the user allows.
    async fn follow(
        &self,
        order: &Order,
        mut reports: mpsc::Receiver<sealift_buildkit::Event>,
    ) -> Option<Failure> {
        let mut progress = Progress::new(&order.unit, &self.context.events);
        let limit = order.options.timeout;
        let mut silence = Silence::new(limit);
        let mut looks = tokio::time::interval(LOOK);
        loop {
            let finding = tokio::select! {
                report = reports.recv() => {
                    let report = report?;
                    silence.take(&report, Instant::now());
                    progress.take(report);
                    continue;
                }
                _ = looks.tick() => silence.look(Instant::now()),
            };
            match (finding, limit) {
                (Some(Finding::Stalled(step)), Some(limit)) => {
                    return Some(Failure::stalled(order, &step, limit));
                }
                (Some(Finding::Mention(step)), _) => self.context.events.note(format!(
                    "{}: {step} has written nothing for some minutes; --step-timeout would stop it",
                    order.unit
                )),
                _ => {}
            }
        }
    }
}

/// The delay before a repetition; the first one's number is 0.
fn delay(number: u32) -> Duration {
    DELAY * 2_u32.pow(number)
}
