//! All units of a command, side by side. An image that discovery missed is fetched and its unit
//! built again.

use std::collections::BTreeSet;

use sealift_oci::Reference;
use tokio::task::JoinSet;

use super::failure::Failure;
use super::order::{NamedImage, Order, Product};
use super::run::{Built, build};
use crate::builder::Builder;
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::prefetch::{Prefetch, Wanted};

/// Builds every order. The first failure stops the others: what they finished is in BuildKit's
/// cache.
///
/// # Errors
/// The first unit's failure.
pub async fn build_all(
    builder: &Builder,
    orders: Vec<(Order, Product)>,
    prefetch: &Prefetch,
) -> Result<Vec<Built>> {
    let mut running = JoinSet::new();
    let count = orders.len();
    for (position, (order, product)) in orders.into_iter().enumerate() {
        prefetch.events.tell(&Event::BuildStarted {
            unit: order.unit.clone(),
            image: order.image.clone(),
            contexts: order.images.len(),
        });
        let (builder, prefetch) = (builder.clone(), prefetch.clone());
        running.spawn(async move {
            let built = with_missed_images(&builder, order, &product, &prefetch).await?;
            Ok::<_, Error>((position, built))
        });
    }
    let mut all: Vec<Option<Built>> = vec![None; count];
    while let Some(outcome) = running.join_next().await {
        let ended = |error| Error::new(Kind::Builder, "a build ended early").because(error);
        let (position, built) = outcome.map_err(ended)??;
        if let Some(place) = all.get_mut(position) {
            *place = Some(built);
        }
    }
    Ok(all.into_iter().flatten().collect())
}

async fn with_missed_images(
    builder: &Builder,
    mut order: Order,
    product: &Product,
    prefetch: &Prefetch,
) -> Result<Built> {
    let mut fetched = BTreeSet::new();
    loop {
        let outcome = build(
            &builder.client,
            &order,
            product,
            &prefetch.store,
            &prefetch.events,
        )
        .await;
        let failure = match outcome {
            Ok(built) => return Ok(built),
            Err(failure) => failure,
        };
        let Some(reference) = missed(&failure) else {
            return Err(failure.error);
        };
        if !fetched.insert(reference.clone()) {
            return Err(failure.error);
        }
        let reason = format!("it also needs {reference}, which was not found beforehand");
        prefetch.events.tell(&Event::BuildRepeated {
            unit: order.unit.clone(),
            reason,
        });
        let wanted = Wanted {
            reference: reference.clone(),
            platforms: vec![order.platform.clone()],
            place: order.shown.clone(),
        };
        for (_, manifest) in prefetch.fetch(vec![wanted]).await? {
            order.images.push(NamedImage {
                name: reference.familiar(),
                platform: None,
                digest: manifest.digest,
            });
        }
    }
}

fn missed(failure: &Failure) -> Option<Reference> {
    Reference::parse(failure.denied.as_deref()?).ok()
}
