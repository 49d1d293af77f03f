//! The result of a build brought to where it was asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sealift_content::Store;
use sealift_oci::{Descriptor, Platform, Reference};
use sealift_registry::Client;

use super::destination::Destination;
use super::{archive, docker, push};
use crate::engine::{Endpoint, Engine};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::prefetch::watch::Watch;

/// An image to be delivered.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The index of all platforms.
    pub root: Descriptor,
    /// The manifest for outputs that hold one platform alone.
    pub single: Descriptor,
    /// The names.
    pub names: Vec<Reference>,
    /// The images that it was built from: their repositories may lend layers.
    pub bases: Vec<Reference>,
}

/// What delivering needs.
pub struct Courier<'a> {
    /// Where the image is.
    pub store: &'a Store,
    /// Who pushes.
    pub registries: &'a Client,
    /// Who translates what registries report.
    pub watch: &'a Arc<Watch>,
    /// Docker's address, where it is not the usual socket.
    pub docker_host: Option<&'a str>,
    /// The folder of the certificates for docker, where it is spoken to with TLS.
    pub docker_certificates: Option<PathBuf>,
    /// How long a silent daemon is waited for.
    pub patience: Duration,
    /// Who is told.
    pub events: &'a Events,
}

impl Courier<'_> {
    /// Brings an image to one destination. Folders are BuildKit's to fill.
    ///
    /// # Errors
    /// What the destination refuses.
    pub async fn deliver(&self, parcel: &Parcel, destination: &Destination) -> Result<()> {
        match destination {
            Destination::Registry => {
                let request = push::request(&parcel.root, &parcel.names, &parcel.bases);
                let watcher = Arc::clone(self.watch);
                push::push(self.registries, self.store, request, watcher, self.events).await
            }
            Destination::Docker => self.load(parcel).await,
            Destination::OciArchive(path) => {
                self.write(parcel, path, |store, parcel, path| {
                    archive::write_oci(store, &parcel.root, &parcel.names, path)
                })
                .await
            }
            Destination::DockerArchive(path) => {
                self.write(parcel, path, |store, parcel, path| {
                    archive::write_docker(store, &parcel.single, &parcel.names, path)
                })
                .await
            }
            Destination::Folder(_) => Ok(()),
        }
    }

    async fn load(&self, parcel: &Parcel) -> Result<()> {
        let endpoint = Endpoint::find(self.docker_host, self.docker_certificates.as_deref())?;
        let engine = Engine::new(endpoint, self.events, self.patience);
        docker::load(&engine, self.store, &parcel.single, &parcel.names).await?;
        for name in &parcel.names {
            self.told("docker", &name.familiar(), &parcel.single);
        }
        Ok(())
    }

    async fn write(
        &self,
        parcel: &Parcel,
        path: &Path,
        write: fn(&Store, &Parcel, &Path) -> Result<()>,
    ) -> Result<()> {
        let (store, owned, target) = (self.store.clone(), parcel.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || write(&store, &owned, &target))
            .await
            .map_err(|error| {
                Error::new(Kind::Local, "writing an archive ended early").because(error)
            })??;
        self.told("archive", &path.display().to_string(), &parcel.root);
        Ok(())
    }

    fn told(&self, output: &str, destination: &str, image: &Descriptor) {
        self.events.tell(&Event::Delivered {
            output: output.to_owned(),
            destination: destination.to_owned(),
            digest: Some(image.digest.to_string()),
        });
    }
}

/// Returns the folder that a platform's files go to: a subfolder where there are several.
#[must_use]
pub fn folder_of(folder: &Path, platform: &Platform, several: bool) -> std::path::PathBuf {
    if several {
        folder.join(platform.to_string().replace('/', "_"))
    } else {
        folder.to_owned()
    }
}
