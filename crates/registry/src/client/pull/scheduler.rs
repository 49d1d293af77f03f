//! What is done when: surveys of images first, then the largest blob that is known, within limits
//! that hold for all images together.

use std::collections::{BinaryHeap, HashMap, HashSet};
use std::time::Duration;

use sealift_content::Room;
use sealift_oci::{Descriptor, Digest, Reference};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::survey::Survey;
use super::{Pulled, Transfer, Want};
use crate::client::store::blocking;
use crate::client::{Client, Event};
use crate::error::{Error, Result};

/// Where the disk has less than this many times what is known to be needed, nothing is transferred
/// before all is known.
const AMPLE: u64 = 8;
/// The longest time that is waited for that.
const HOLD: Duration = Duration::from_secs(10);

/// The state of one pull of several images.
pub(super) struct Scheduler {
    client: Client,
    transfer: Transfer,
    images: Vec<Image>,
    /// Images that were not surveyed yet, the next one last.
    unseen: Vec<usize>,
    surveys: usize,
    /// Blobs that wait, the largest on top.
    queue: BinaryHeap<Claim>,
    blobs: HashMap<Claim, Blob>,
    transfers: usize,
    /// Until when transfers wait for all surveys; nothing while the disk has plenty of room.
    hold: Option<Instant>,
    tasks: JoinSet<Finished>,
}

struct Image {
    want: Want,
    /// Who asks for it: its budget is its own.
    client: Client,
    /// What it becomes, once its blobs are there.
    pulled: Option<Pulled>,
    /// Its blobs that are not there yet.
    open: HashSet<Claim>,
    cached: bool,
    result: Option<Result<Pulled>>,
}

/// A blob as an image describes it. Images that claim different sizes of one are each served as they
/// say, so that a wrong claim fails alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Claim {
    size: u64,
    digest: Digest,
}

struct Blob {
    descriptor: Descriptor,
    /// The images that want it: any of their repositories may deliver it.
    images: Vec<usize>,
    /// Those whose repositories are asked right now.
    asked: Vec<usize>,
}

enum Finished {
    Survey(usize, Box<Result<(Survey, Vec<Descriptor>)>>),
    /// With a failure for each image whose repository was asked.
    Blob(Claim, std::result::Result<bool, Vec<Error>>),
}

impl Scheduler {
    pub(super) fn new(client: Client, transfer: Transfer, wants: Vec<Want>) -> Self {
        let unseen = (0..wants.len()).rev().collect();
        let image = |want| Image {
            want,
            client: client.clone(),
            pulled: None,
            open: HashSet::new(),
            cached: true,
            result: None,
        };
        let images = wants.into_iter().map(image).collect();
        Self {
            client,
            transfer,
            images,
            unseen,
            surveys: 0,
            queue: BinaryHeap::new(),
            blobs: HashMap::new(),
            transfers: 0,
            hold: None,
            tasks: JoinSet::new(),
        }
    }

    /// Does all of it. Dropping the future ends every task.
    pub(super) async fn run(mut self) -> Vec<Result<Pulled>> {
        loop {
            self.start_surveys();
            let held = self.held();
            if held.is_none() {
                self.start_transfers();
            }
            let finished = tokio::select! {
                finished = self.tasks.join_next() => finished,
                () = sleep_until(held.unwrap_or_else(Instant::now)), if held.is_some() => continue,
            };
            match finished {
                Some(Ok(Finished::Survey(number, result))) => {
                    self.surveys -= 1;
                    match *result {
                        Ok((survey, missing)) => match self.check_alone(number, &missing).await {
                            Ok(()) => self.surveyed(number, survey, missing),
                            Err(error) => self.finish(number, Err(error)),
                        },
                        Err(error) => self.finish(number, Err(error)),
                    }
                    if let Err(error) = self.check_room().await {
                        self.give_up(&error);
                        break;
                    }
                }
                Some(Ok(Finished::Blob(claim, result))) => {
                    self.transfers -= 1;
                    self.transferred(&claim, result);
                }
                // A task that broke takes its result with it; nothing is left to wait for.
                Some(Err(_)) | None => break,
            }
        }
        let interrupted = |image: &Image| Error::Interrupted {
            image: image.want.reference.to_string(),
        };
        let images = self.images.into_iter();
        images
            .map(|mut image| {
                image
                    .result
                    .take()
                    .unwrap_or_else(|| Err(interrupted(&image)))
            })
            .collect()
    }

    /// Returns until when transfers wait, where they do.
    fn held(&self) -> Option<Instant> {
        let open = self.surveys > 0 || !self.unseen.is_empty();
        self.hold.filter(|until| open && *until > Instant::now())
    }

    /// Checks that what is missing of one image fits on the disk: where it does not, that is its own
    /// failure and no reason to give up others.
    async fn check_alone(&self, number: usize, missing: &[Descriptor]) -> Result<()> {
        let room = self.room_for(missing.iter()).await?;
        if room.fits() {
            return Ok(());
        }
        Err(self.no_room(Some(self.images[number].want.reference.to_string()), room))
    }

    /// Checks that all that is missing of the images that are known fits on the disk.
    async fn check_room(&mut self) -> Result<()> {
        let is_wanted = |blob: &&Blob| {
            let mut images = blob.images.iter();
            images.any(|number| self.images[*number].result.is_none())
        };
        let blobs = self.blobs.values().filter(is_wanted);
        let room = self.room_for(blobs.map(|blob| &blob.descriptor)).await?;
        if room.needed.saturating_mul(AMPLE) > room.available {
            self.hold.get_or_insert_with(|| Instant::now() + HOLD);
        }
        if room.fits() {
            return Ok(());
        }
        Err(self.no_room(None, room))
    }

    async fn room_for(&self, blobs: impl Iterator<Item = &Descriptor>) -> Result<Room> {
        let blobs: Vec<(Digest, u64)> = blobs.map(|one| (one.digest.clone(), one.size)).collect();
        blocking(&self.transfer.store, move |store| {
            Ok(store.room_for(blobs.iter().map(|(digest, size)| (digest, *size))))
        })
        .await
    }

    fn no_room(&self, image: Option<String>, room: Room) -> Error {
        Error::NoRoom {
            image,
            path: self.transfer.store.root().to_owned(),
            needed: room.needed,
            available: room.available,
        }
    }

    /// Ends what is not done with one error for all of it. What came of it is kept.
    fn give_up(&mut self, error: &Error) {
        self.tasks.abort_all();
        for number in 0..self.images.len() {
            self.finish(number, Err(error.clone()));
        }
    }

    fn start_surveys(&mut self) {
        let limit = self.client.inner.config.images_side_by_side.max(1);
        while self.surveys < limit {
            let Some(number) = self.unseen.pop() else {
                return;
            };
            let (client, transfer) = (self.client.for_an_image(), self.transfer.clone());
            let image = &mut self.images[number];
            image.client = client.clone();
            let want = image.want.clone();
            self.surveys += 1;
            self.tasks.spawn(async move {
                let result = survey(&client, &transfer, &want).await;
                Finished::Survey(number, Box::new(result))
            });
        }
    }

    fn start_transfers(&mut self) {
        let limit = self.client.inner.config.blobs_side_by_side.max(1);
        while self.transfers < limit {
            let Some(claim) = self.queue.pop() else {
                return;
            };
            let Some(blob) = self.blobs.get_mut(&claim) else {
                continue;
            };
            let images = blob.images.iter().copied();
            let waiting: Vec<usize> = images
                .filter(|number| self.images[*number].result.is_none())
                .collect();
            // It is tried for as long as one of them has time left.
            let patient = waiting.iter().map(|number| &self.images[*number]);
            let patient = patient.max_by_key(|image| image.client.term_begun());
            let Some(client) = patient.map(|image| image.client.clone()) else {
                // All who wanted it have failed meanwhile.
                self.blobs.remove(&claim);
                continue;
            };
            let sources: Vec<Reference> = waiting
                .iter()
                .map(|number| self.images[*number].want.reference.clone())
                .collect();
            blob.asked = waiting;
            let descriptor = blob.descriptor.clone();
            let transfer = self.transfer.clone();
            self.transfers += 1;
            self.tasks.spawn(async move {
                let result = client.blob(&transfer, &descriptor, &sources).await;
                Finished::Blob(claim, result)
            });
        }
    }

    fn surveyed(&mut self, number: usize, survey: Survey, missing: Vec<Descriptor>) {
        // Sizes are a registry's word: their sum may be more than any number.
        let sizes = missing.iter().map(|blob| blob.size);
        let bytes = sizes.fold(0, u64::saturating_add);
        self.transfer
            .watcher
            .event(&survey.event(&self.images[number].want, bytes));
        for descriptor in missing {
            let claim = Claim {
                size: descriptor.size,
                digest: descriptor.digest.clone(),
            };
            self.images[number].open.insert(claim.clone());
            match self.blobs.get_mut(&claim) {
                Some(blob) => blob.images.push(number),
                None => {
                    self.queue.push(claim.clone());
                    let images = vec![number];
                    let asked = Vec::new();
                    self.blobs.insert(
                        claim,
                        Blob {
                            descriptor,
                            images,
                            asked,
                        },
                    );
                }
            }
        }
        let image = &mut self.images[number];
        image.pulled = Some(Pulled {
            origin: survey.origin,
            manifests: survey.manifests,
        });
        self.finish_if_whole(number);
    }

    fn transferred(&mut self, claim: &Claim, result: std::result::Result<bool, Vec<Error>>) {
        let Some(mut blob) = self.blobs.remove(claim) else {
            return;
        };
        match result {
            Ok(cached) => {
                for number in blob.images {
                    let image = &mut self.images[number];
                    image.open.remove(claim);
                    image.cached &= cached;
                    self.finish_if_whole(number);
                }
            }
            Err(errors) => {
                let asked = std::mem::take(&mut blob.asked);
                for (number, error) in asked.iter().zip(errors) {
                    self.finish(*number, Err(error));
                }
                // Those that came to want it meanwhile have not been asked for it.
                let images = blob.images.iter().copied();
                let late: Vec<usize> = images.filter(|number| !asked.contains(number)).collect();
                if !late.is_empty() {
                    self.queue.push(claim.clone());
                    blob.images = late;
                    self.blobs.insert(claim.clone(), blob);
                }
            }
        }
    }

    fn finish_if_whole(&mut self, number: usize) {
        let image = &mut self.images[number];
        if !image.open.is_empty() {
            return;
        }
        if let Some(pulled) = image.pulled.take() {
            self.finish(number, Ok(pulled));
        }
    }

    fn finish(&mut self, number: usize, result: Result<Pulled>) {
        let image = &mut self.images[number];
        if image.result.is_some() {
            return;
        }
        let name = image.want.reference.to_string();
        self.transfer.watcher.event(&match &result {
            Ok(_) => Event::ImageDone {
                image: name,
                cached: image.cached,
            },
            Err(error) => Event::ImageFailed {
                image: name,
                text: error.to_string(),
            },
        });
        if let Ok(pulled) = &result {
            (self.transfer.done)(number, pulled);
        }
        image.result = Some(result);
    }
}

/// Surveys an image, and finds out which of its blobs are not in the store.
async fn survey(
    client: &Client,
    transfer: &Transfer,
    want: &Want,
) -> Result<(Survey, Vec<Descriptor>)> {
    let survey = client.survey(transfer, want).await?;
    let blobs = survey.blobs.clone();
    let watcher = transfer.watcher.clone();
    let missing = blocking(&transfer.store, move |store| {
        let mut missing = Vec::new();
        for blob in blobs {
            if store.size(&blob.digest)? == Some(blob.size) {
                let Descriptor { digest, size, .. } = blob;
                let cached = true;
                watcher.event(&Event::BlobDone {
                    digest,
                    size,
                    cached,
                });
            } else {
                missing.push(blob);
            }
        }
        Ok(missing)
    })
    .await?;
    Ok((survey, missing))
}
