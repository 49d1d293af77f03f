//! Runs a unit's solve, again where that may help.

use std::time::{Duration, Instant};

use sealift_buildkit::{Client, Solved};
use sealift_content::Store;
use sealift_oci::Descriptor;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::order::{Order, Product};
use super::progress::Progress;
use crate::event::{Event, Events};

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
    /// How long it took, repetitions included.
    pub duration: Duration,
}

/// Builds a unit.
///
/// # Errors
/// A [`Failure`] that says whether the policy denied an image, so that the caller can fetch it.
pub async fn build(
    client: &Client,
    order: &Order,
    product: &Product,
    store: &Store,
    events: &Events,
) -> Result<Built, Failure> {
    let start = Instant::now();
    let mut repeats = 0;
    let solved = loop {
        match once(client, order, product, store, events).await {
            Ok(solved) => break solved,
            Err(failure) if failure.is_transient() && repeats < REPEATS => {
                let reason = failure.error.causes().pop();
                let reason = reason.unwrap_or_else(|| failure.error.message().to_owned());
                let reason = reason.lines().next().unwrap_or_default().to_owned();
                events.tell(&Event::BuildRepeated {
                    unit: order.unit.clone(),
                    reason,
                });
                tokio::time::sleep(DELAY * 2_u32.pow(repeats)).await;
                repeats += 1;
            }
            Err(failure) => return Err(failure),
        }
    };
    let manifest = solved.image.clone();
    let duration = start.elapsed();
    events.tell(&Event::BuildFinished {
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
    Ok(Built {
        order: order.clone(),
        manifest,
        config,
        duration,
    })
}

async fn once(
    client: &Client,
    order: &Order,
    product: &Product,
    store: &Store,
    events: &Events,
) -> Result<Solved, Failure> {
    let mut progress = Progress::new(&order.unit, events);
    let (sender, mut receiver) = mpsc::channel(EVENTS_WAITING);
    // Dropping this future drops the solve, which cancels it; the token is for those who stay.
    let solve = client.solve(
        order.solve(product, store),
        sender,
        CancellationToken::new(),
    );
    let follow = async {
        while let Some(event) = receiver.recv().await {
            progress.take(event);
        }
    };
    let (solved, ()) = tokio::join!(solve, follow);
    solved.map_err(|error| Failure::read(error, &order.unit, &progress, &order.shown))
}
