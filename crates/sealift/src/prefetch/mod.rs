//! Images brought into the store, and pinned: what each reference stands for on each platform.

pub mod inventory;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sealift_content::Store;
use sealift_dockerfile::Via;
use sealift_oci::{Descriptor, Platform, Reference};
use sealift_registry::{Pulled, Want};
use sealift_transport::Endpoint;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::plan::{Need, Plan, PlannedImage, Request, Triggers};
use crate::project::Place;
use crate::registries::failure::error_for;

/// An image that is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The reference.
    pub reference: Reference,
    /// The platforms.
    pub platforms: Vec<Platform>,
    /// What asks for it.
    pub place: Place,
    /// The stage that its name looks like a typing mistake of.
    pub meant: Option<String>,
}

/// What each reference stands for on each platform: manifests in the store.
pub type Pins = BTreeMap<(Reference, Platform), Descriptor>;

/// Whether tags that are in the store are asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// What is in the store will do.
    Cached,
    /// Registries are asked what their tags stand for now.
    Refresh,
}

/// Brings images in; those that are in the store cost no request.
///
/// # Errors
/// Every image's that could not be fetched, each with the place that asks for it. The others are
/// brought in all the same.
pub async fn fetch(context: &Context, wanted: Vec<Wanted>, freshness: Freshness) -> Result<Pins> {
    let mut pins = Pins::new();
    let mut missing = Vec::new();
    for want in wanted {
        match look(context, &want, freshness)? {
            Some(found) => pins.extend(found),
            None => missing.push(want),
        }
    }
    warn_of_damage(context);
    if missing.is_empty() {
        return Ok(pins);
    }
    let wants = missing.iter().map(|want| Want {
        reference: want.reference.clone(),
        platforms: want.platforms.clone(),
    });
    // Each is named as soon as it is whole: a run that is stopped keeps it.
    let kept: Arc<Mutex<Vec<Result<Pins>>>> = Arc::default();
    let done = {
        let (context, wanted, kept) = (context.clone(), missing.clone(), Arc::clone(&kept));
        Arc::new(move |number: usize, pulled: &Pulled| {
            let pins = keep(&context, &wanted[number], pulled);
            kept.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(pins);
        })
    };
    let (client, watcher) = (&context.registries.client, context.registries.watcher());
    let results = client.pull_each(&context.store, wants.collect(), watcher, done);
    let mut failures = Vec::new();
    for (want, result) in missing.iter().zip(results.await) {
        if let Err(error) = result {
            failures.push(cannot_fetch(want, error));
        }
    }
    for named in std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner)) {
        match named {
            Ok(found) => pins.extend(found),
            Err(error) => failures.push(error),
        }
    }
    Error::all(failures).map_or(Ok(pins), Err)
}

fn cannot_fetch(want: &Wanted, error: sealift_registry::Error) -> Error {
    let (place, reference) = (&want.place, &want.reference);
    let text = format!("{place} needs {reference}, which cannot be fetched");
    let error = error_for(text, error);
    match &want.meant {
        Some(stage) => {
            let name = reference.familiar();
            error.hint(format!("no stage is called {name}: did you mean {stage}?"))
        }
        None => error,
    }
}

/// Looks an image up in the store; nothing where a platform is missing, or a tag is to be asked for
/// again.
fn look(context: &Context, want: &Wanted, freshness: Freshness) -> Result<Option<Pins>> {
    let is_tag = want.reference.digest().is_none();
    let ask = is_tag && (freshness == Freshness::Refresh || !is_trusted(context, &want.reference)?);
    // Only the registry knows all platforms of an image.
    if ask || want.platforms.is_empty() {
        return Ok(None);
    }
    let mut found = Pins::new();
    for platform in &want.platforms {
        match inventory::find(&context.store, &want.reference, platform)? {
            Some(manifest) => found.insert((want.reference.clone(), platform.clone()), manifest),
            None => return Ok(None),
        };
    }
    context.events.tell(&Event::ImageCached {
        image: want.reference.to_string(),
        platforms: want.platforms.iter().map(ToString::to_string).collect(),
    });
    Ok(Some(found))
}

/// Returns whether everybody who may have said what a tag stands for would be asked by this run too:
/// another project's mirror decides nothing here.
fn is_trusted(context: &Context, name: &Reference) -> Result<bool> {
    let named = context.store.look_up(name)?;
    let Some(origin) = named.and_then(|named| named.origin) else {
        return Ok(true);
    };
    let asked = endpoints(context, name);
    Ok(origin.endpoints.iter().all(|one| asked.contains(one)))
}

/// Returns the endpoints that are asked what a name stands for.
fn endpoints(context: &Context, name: &Reference) -> Vec<String> {
    // A route that cannot be made fails where the image is asked for, with its reason.
    let route = context.registries.client.route(name).ok();
    let endpoints = route.iter().flat_map(|route| route.endpoints());
    endpoints.map(Endpoint::key).collect()
}

fn keep(context: &Context, want: &Wanted, pulled: &Pulled) -> Result<Pins> {
    let (store, name) = (&context.store, &want.reference);
    inventory::record(store, name, pulled, endpoints(context, name))?;
    let mut pins = Pins::new();
    for (platform, manifest) in &pulled.manifests {
        if pulled.origin == *manifest {
            warn_of_platform(context, name, platform, manifest)?;
        }
        pins.insert((name.clone(), platform.clone()), manifest.clone());
    }
    Ok(pins)
}

/// Warns where an image of a single manifest is for another platform than the one that is wanted.
fn warn_of_platform(
    context: &Context,
    name: &Reference,
    wanted: &Platform,
    manifest: &Descriptor,
) -> Result<()> {
    let config = inventory::config(&context.store, manifest)?;
    let named = !config.os.is_empty() && !config.architecture.is_empty();
    if named && wanted.rank(&config.platform()).is_none() {
        let offered = config.platform();
        let text = format!("{name} is for {offered} alone; it is used for {wanted} too");
        context.events.warn(text);
    }
    Ok(())
}

/// Fetches again what turned out to be damaged on disk. Returns whether anything did: then what
/// failed for it may be tried again.
///
/// # Errors
/// As [`fetch`].
pub async fn heal(
    context: &Context,
    images: impl IntoIterator<Item = (Reference, Platform)>,
) -> Result<bool> {
    if !warn_of_damage(context) {
        return Ok(false);
    }
    let wanted = images.into_iter().map(|(reference, platform)| Wanted {
        reference,
        platforms: vec![platform],
        meant: None,
        place: Place {
            file: "the store".into(),
            line: 0,
        },
    });
    fetch(context, wanted.collect(), Freshness::Cached).await?;
    Ok(true)
}

/// Says which blobs were found damaged since this was last asked.
pub fn warn_of_damage(context: &Context) -> bool {
    let damaged = context.store.take_damaged();
    for digest in &damaged {
        let folder = context.store.root().join("quarantine");
        let folder = folder.display();
        let text =
            format!("{digest} was damaged on disk and moved to {folder}; it is fetched again");
        context.events.warn(text);
    }
    !damaged.is_empty()
}

/// Plans a build and brings in all that it needs, triggers of base images included: they are
/// known only once the base is there, and may ask for more.
///
/// # Errors
/// A Dockerfile's errors; every image's that cannot be fetched.
pub async fn complete(
    context: &Context,
    request: &Request,
    freshness: Freshness,
) -> Result<(Plan, Pins)> {
    let mut plan = Plan::make(request, &Triggers::new())?;
    let mut pins = Pins::new();
    let unique = plan.images.len();
    if unique > 0 {
        context.events.tell(&Event::Prefetching { unique });
    }
    loop {
        let missing = plan.images.iter().filter_map(|image| want(image, &pins));
        pins.extend(fetch(context, missing.collect(), freshness).await?);
        let known = triggers(&context.store, &plan, |need| {
            Ok(pins.get(&key(need)).cloned())
        })?;
        let next = Plan::make(request, &known)?;
        if next == plan {
            return Ok((plan, pins));
        }
        plan = next;
    }
}

/// Plans a build with the triggers of those base images that are in the store.
///
/// # Errors
/// A Dockerfile's errors; [`crate::error::Kind::Local`] where the store can't be read.
pub fn plan_from_store(store: &Store, request: &Request) -> Result<Plan> {
    let mut plan = Plan::make(request, &Triggers::new())?;
    loop {
        let find = |need: &Need| inventory::find(store, &need.reference, &need.platform);
        let next = Plan::make(request, &triggers(store, &plan, find)?)?;
        if next == plan {
            return Ok(plan);
        }
        plan = next;
    }
}

/// What of a planned image is not pinned yet.
fn want(image: &PlannedImage, pins: &Pins) -> Option<Wanted> {
    let platforms = image.platforms.iter();
    let platforms: Vec<Platform> = platforms
        .filter(|platform| !pins.contains_key(&(image.reference.clone(), (*platform).clone())))
        .cloned()
        .collect();
    (!platforms.is_empty()).then(|| Wanted {
        reference: image.reference.clone(),
        platforms,
        place: image.place.clone(),
        meant: image.meant.clone(),
    })
}

fn key(need: &Need) -> (Reference, Platform) {
    (need.reference.clone(), need.platform.clone())
}

fn triggers(
    store: &Store,
    plan: &Plan,
    find: impl Fn(&Need) -> Result<Option<Descriptor>>,
) -> Result<Triggers> {
    let mut triggers = Triggers::new();
    for need in plan.needs().filter(|need| need.via != Via::Syntax) {
        if !triggers.contains_key(&key(need))
            && let Some(manifest) = find(need)?
        {
            let lines = inventory::config(store, &manifest)?.config.on_build;
            triggers.insert(key(need), lines);
        }
    }
    Ok(triggers)
}
