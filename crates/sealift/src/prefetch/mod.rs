//! Images brought into the store, and pinned: what each reference stands for on each platform.

pub mod inventory;
pub mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sealift_content::Store;
use sealift_oci::{Descriptor, Platform, Reference};
use sealift_registry::{Client, Want};
use sealift_transport::{Class, Phase, Spent};

use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::plan::{Input, Plan, PlannedImage, Triggers};
use crate::size;
use watch::Watch;

/// An image that is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The reference.
    pub reference: Reference,
    /// The platforms.
    pub platforms: Vec<Platform>,
    /// What asks for it, for messages.
    pub place: String,
}

/// What each reference stands for on each platform: manifests in the store.
pub type Pins = BTreeMap<(Reference, Platform), Descriptor>;

/// How images are brought in.
#[derive(Clone)]
pub struct Prefetch {
    /// Where they go.
    pub store: Store,
    /// Where they come from.
    pub registries: Client,
    /// Who translates what the registries report.
    pub watch: Arc<Watch>,
    /// Whether tags that are in the store are asked for again.
    pub refresh: bool,
    /// Who is told.
    pub events: Events,
    /// How long work may go on failing.
    pub budget: Duration,
}

impl Prefetch {
    /// Brings images in; those that are in the store cost no request.
    ///
    /// # Errors
    /// The first image's that could not be fetched, with the place that asks for it. The others
    /// are brought in all the same.
    pub async fn fetch(&self, wanted: Vec<Wanted>) -> Result<Pins> {
        let mut pins = Pins::new();
        let mut missing = Vec::new();
        for want in wanted {
            match self.look(&want)? {
                Some(found) => pins.extend(found),
                None => missing.push(want),
            }
        }
        if missing.is_empty() {
            return Ok(pins);
        }
        let wants = missing
            .iter()
            .map(|want| Want {
                reference: want.reference.clone(),
                platforms: want.platforms.clone(),
            })
            .collect();
        let watcher = Arc::clone(&self.watch);
        let results = self.registries.pull_all(&self.store, wants, watcher).await;
        let mut failed = None;
        for (want, result) in missing.iter().zip(results) {
            let fetched = match result {
                Ok(pulled) => self.keep(want, pulled),
                Err(error) => Err(cannot_fetch(want, error)),
            };
            match fetched {
                Ok(found) => pins.extend(found),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(pins), Err)
    }

    /// Looks an image up in the store; nothing where a platform is missing, or a tag is to be
    /// asked for again.
    fn look(&self, want: &Wanted) -> Result<Option<Pins>> {
        if self.refresh && want.reference.digest().is_none() {
            return Ok(None);
        }
        let mut found = Pins::new();
        for platform in &want.platforms {
            match inventory::find(&self.store, &want.reference, platform)? {
                Some(manifest) => {
                    found.insert((want.reference.clone(), platform.clone()), manifest);
                }
                None => return Ok(None),
            }
        }
        self.events.tell(&Event::ImageCached {
            image: want.reference.to_string(),
            platforms: want.platforms.iter().map(ToString::to_string).collect(),
        });
        Ok(Some(found))
    }

    fn keep(&self, want: &Wanted, pulled: sealift_registry::Pulled) -> Result<Pins> {
        let (origin, manifests) = (&pulled.origin.digest, &pulled.manifests);
        inventory::record(&self.store, &want.reference, origin, manifests)?;
        let pins = pulled.manifests.into_iter();
        Ok(pins
            .map(|(platform, found)| ((want.reference.clone(), platform), found))
            .collect())
    }
}

fn cannot_fetch(want: &Wanted, error: sealift_registry::Error) -> Error {
    if let sealift_registry::Error::NoRoom {
        image,
        path,
        needed,
        available,
    } = &error
    {
        return no_room(image.as_deref(), path, (*needed, *available));
    }
    let (place, reference) = (&want.place, &want.reference);
    let text = format!("{place} needs {reference}, which cannot be fetched");
    told(text, error)
}

/// What is missing of an image, or of all of them together, does not fit.
fn no_room(image: Option<&str>, store: &Path, (needed, available): (u64, u64)) -> Error {
    let image = image.unwrap_or("the images");
    let (needed, available) = (size::bytes(needed), size::bytes(available));
    let store = store.display();
    let text =
        format!("no room for {image}: {needed} are still to come, {available} are free at {store}");
    Error::new(Kind::Disk, text)
        .hint("free some: sealift store gc, after sealift store rm IMAGE for what can go")
        .hint("or keep everything on another disk: SEALIFT_HOME=FOLDER")
}

/// Plans a build and brings in all that it needs, triggers of base images included: they are
/// known only once the base is there, and may ask for more.
///
/// # Errors
/// A Dockerfile's errors; what the registries say.
pub async fn complete(prefetch: &Prefetch, input: &Input) -> Result<(Plan, Pins)> {
    let mut plan = Plan::make(input, &Triggers::new())?;
    let mut pins = Pins::new();
    let unique = plan.images.len();
    if unique > 0 {
        prefetch.events.tell(&Event::Prefetching { unique });
    }
    loop {
        let missing = plan
            .images
            .iter()
            .filter_map(|image| want(image, &pins))
            .collect();
        pins.extend(prefetch.fetch(missing).await?);
        let next = Plan::make(input, &triggers(&prefetch.store, &plan, &pins)?)?;
        if next == plan {
            return Ok((plan, pins));
        }
        plan = next;
    }
}

/// What of a planned image is not pinned yet.
fn want(image: &PlannedImage, pins: &Pins) -> Option<Wanted> {
    let platforms: Vec<Platform> = image
        .platforms
        .iter()
        .filter_map(|text| Platform::parse(text).ok())
        .filter(|platform| !pins.contains_key(&(image.reference.clone(), platform.clone())))
        .collect();
    let (reference, place) = (image.reference.clone(), image.place.clone());
    (!platforms.is_empty()).then_some(Wanted {
        reference,
        platforms,
        place,
    })
}

fn triggers(store: &Store, plan: &Plan, pins: &Pins) -> Result<Triggers> {
    let mut triggers = Triggers::new();
    for need in plan.units.iter().flat_map(|unit| &unit.images) {
        let key = (need.reference.clone(), need.platform.clone());
        if let Some(manifest) = pins.get(&key)
            && !triggers.contains_key(&key)
            && !need.is_frontend()
        {
            let lines = inventory::config(store, manifest)?.config.on_build;
            triggers.insert(key, lines);
        }
    }
    Ok(triggers)
}

/// Returns the triggers of those planned images that are in the store.
///
/// # Errors
/// [`Kind::Local`] where the store can't be read.
pub fn known_triggers(store: &Store, plan: &Plan) -> Result<Triggers> {
    let mut pins = Pins::new();
    for need in plan.units.iter().flat_map(|unit| &unit.images) {
        if let Some(manifest) = inventory::find(store, &need.reference, &need.platform)? {
            pins.insert((need.reference.clone(), need.platform.clone()), manifest);
        }
    }
    triggers(store, plan, &pins)
}

/// Turns a failure of a registry into one for people.
#[must_use]
pub fn registry_failed(error: sealift_registry::Error) -> Error {
    told(error.to_string(), error)
}

/// Makes a registry's failure one for people: with what helps against its cause, and with the option
/// that gives more time where a budget is used up.
fn told(text: String, error: sealift_registry::Error) -> Error {
    let spent = error.request().and_then(sealift_transport::Error::spent);
    let option = spent.map(|spent| match spent {
        Spent::Term { of: Spent::RUN, .. } => "--run-budget",
        Spent::Term { .. } => "--image-budget",
        Spent::Request { .. } => "--retry-budget",
    });
    let more = option.map(|option| {
        format!("run it again: it goes on from what arrived; or give it more time with {option}")
    });
    let hints: Vec<String> = error
        .hint()
        .map(str::to_owned)
        .into_iter()
        .chain(login(&error))
        .chain(more)
        .collect();
    let elsewhere = elsewhere(&error);
    let mut failed = Error::new(error.class(), text).because(error);
    if let Some(lines) = elsewhere {
        failed = failed.excerpt(lines);
    }
    hints.into_iter().fold(failed, Error::hint)
}

/// Says how to log in where credentials are refused or missing, and how to see which are used.
fn login(error: &sealift_registry::Error) -> Option<String> {
    let request = error.request()?;
    let image = Reference::parse(request.label()).ok()?;
    if request.class() != Class::Auth {
        return None;
    }
    // Tokens are given by another host than the one to log in to.
    let host = match request.phase() {
        Phase::Token => image.registry(),
        _ => request.host(),
    };
    let host = match host {
        "docker.io" | "registry-1.docker.io" => String::new(),
        host => format!(" {host}"),
    };
    Some(format!(
        "docker login{host}; which account is used now: sealift network explain {image}"
    ))
}

/// Says what the mirrors answered, where the error is another endpoint's: a mirror that does not
/// have the image is often what has to be put right.
fn elsewhere(error: &sealift_registry::Error) -> Option<String> {
    let others = error.request()?.elsewhere();
    let lines = others
        .iter()
        .map(|other| format!("  {}: {}\n", other.host(), other.text()));
    (!others.is_empty()).then(|| format!("other endpoints said:\n{}", lines.collect::<String>()))
}
