//! All units of a command, side by side. An image that discovery missed is fetched and its unit
//! built again.

use std::collections::BTreeSet;
use std::sync::Arc;

use sealift_buildkit::Session;
use sealift_content::Store;
use sealift_oci::{Digest, Reference};
use tokio::task::JoinSet;

use super::failure::Failure;
use super::order::{NamedImage, Order, Product};
use super::run::{Built, Site};
use crate::builder::Builder;
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::prefetch::{Pins, Prefetch, Wanted};

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
    let site = Site {
        client: builder.client.clone(),
        session: shared_session(builder, &orders, &prefetch.store).await?,
        store: prefetch.store.clone(),
        events: prefetch.events.clone(),
        budget: prefetch.budget,
    };
    let mut running = JoinSet::new();
    let count = orders.len();
    for (position, (order, product)) in orders.into_iter().enumerate() {
        // An image may stand under several names.
        let images: BTreeSet<&Digest> = order.images.iter().map(|named| &named.digest).collect();
        prefetch.events.tell(&Event::BuildStarted {
            unit: order.unit.clone(),
            image: order.image.clone(),
            contexts: images.len(),
        });
        let (site, prefetch) = (site.clone(), prefetch.clone());
        running.spawn(async move {
            let built = with_missed_images(&site, order, &product, &prefetch).await?;
            Ok::<_, Error>((position, built))
        });
    }
    drop(site);
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

/// Opens a session for all orders, where all of them make images: files of several platforms go to
/// several folders, which one session cannot tell apart.
async fn shared_session(
    builder: &Builder,
    orders: &[(Order, Product)],
    store: &Store,
) -> Result<Option<Arc<Session>>> {
    let images = orders
        .iter()
        .all(|(_, product)| matches!(product, Product::Image));
    if orders.len() < 2 || !images {
        return Ok(None);
    }
    let solves: Vec<_> = orders
        .iter()
        .map(|(order, product)| order.solve(product, store))
        .collect();
    let session = builder
        .client
        .open_session(&solves.iter().collect::<Vec<_>>())
        .await;
    let session = session.map_err(|error| {
        Error::new(
            Kind::Builder,
            format!("cannot open a session at {}", builder.address),
        )
        .because(error)
    })?;
    Ok(Some(Arc::new(session)))
}

async fn with_missed_images(
    site: &Site,
    mut order: Order,
    product: &Product,
    prefetch: &Prefetch,
) -> Result<Built> {
    let mut fetched = BTreeSet::new();
    let mut late = Pins::new();
    loop {
        let failure = match site.build(&order, product).await {
            Ok(built) => return Ok(Built { late, ..built }),
            Err(failure) => failure,
        };
        let Some(reference) = missed(&failure) else {
            return Err(failure.error);
        };
        if !fetched.insert(reference.clone()) {
            return Err(failure.error);
        }
        let reason = format!("it also needs {reference}, which was not found beforehand");
        let unit = order.unit.clone();
        prefetch.events.tell(&Event::BuildRepeated { unit, reason });
        let wanted = Wanted {
            reference: reference.clone(),
            platforms: vec![order.platform.clone()],
            place: order.shown.clone(),
        };
        let pins = prefetch.fetch(vec![wanted]).await?;
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

fn missed(failure: &Failure) -> Option<Reference> {
    Reference::parse(failure.denied.as_deref()?).ok()
}
