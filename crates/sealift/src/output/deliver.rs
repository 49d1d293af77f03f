//! The result of a build brought to where it was asked for.

use std::path::{Path, PathBuf};

use sealift_oci::{Descriptor, Platform, Reference};

use super::destination::Destination;
use super::{archive, docker, push};
use crate::context::Context;
use crate::engine::{Endpoint, Engine};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Output};
use crate::index;

/// A component's image, to be delivered.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What was built for each platform.
    pub images: Vec<(Platform, Descriptor)>,
    /// The image's names.
    pub names: Vec<Reference>,
    /// The images that it was built from: their repositories may lend blobs to a push.
    pub bases: Vec<Reference>,
    /// The platform for outputs that hold one alone.
    pub single: Platform,
    /// The folder of the certificates for docker, where it is spoken to with TLS.
    pub docker_certificates: Option<PathBuf>,
}

impl Delivery {
    /// Joins the platforms, names the image in the store and brings it to its destinations.
    /// Folders were filled by BuildKit; they are only reported.
    ///
    /// # Errors
    /// What the store or a destination refuses.
    pub async fn deliver(
        &self,
        context: &Context,
        destinations: &[Destination],
    ) -> Result<Option<Descriptor>> {
        for destination in destinations {
            if let Destination::Folder(folder) = destination {
                delivered(context, Output::Folder, &folder.display().to_string(), None);
            }
        }
        if self.images.is_empty() {
            return Ok(None);
        }
        let root = index::assemble(&context.store, &self.images)?;
        let named = self.names.iter().map(|name| (name.clone(), root.clone()));
        context.store.set_names(&named.collect::<Vec<_>>())?;
        for name in &self.names {
            delivered(context, Output::Store, &name.to_string(), Some(&root));
        }
        for destination in destinations {
            self.bring(context, &root, destination).await?;
        }
        Ok(Some(root))
    }

    async fn bring(
        &self,
        context: &Context,
        root: &Descriptor,
        destination: &Destination,
    ) -> Result<()> {
        let (names, store) = (self.names.clone(), context.store.clone());
        match destination {
            Destination::Folder(_) => Ok(()),
            Destination::Registry => {
                push::push(context, push::request(root, &names, &self.bases)).await
            }
            Destination::Docker => {
                let single = index::select(&self.images, &self.single)?;
                let host = context.registries.docker_host();
                let certificates = self.docker_certificates.as_deref();
                let endpoint = Endpoint::find(host, certificates)?;
                let patience = context.registries.budget;
                let engine = Engine::new(endpoint, &context.events, patience);
                docker::load(&engine, &store, &single, &names).await?;
                for name in &names {
                    delivered(context, Output::Docker, &name.familiar(), Some(&single));
                }
                Ok(())
            }
            Destination::OciArchive(path) => {
                let (image, target) = (root.clone(), path.clone());
                let write = move || archive::write_oci(&store, &image, &names, &target);
                written(context, path, root, write).await
            }
            Destination::DockerArchive(path) => {
                let single = index::select(&self.images, &self.single)?;
                let target = path.clone();
                let write = move || archive::write_docker(&store, &single, &names, &target);
                written(context, path, root, write).await
            }
        }
    }
}

async fn written(
    context: &Context,
    path: &Path,
    image: &Descriptor,
    write: impl FnOnce() -> Result<()> + Send + 'static,
) -> Result<()> {
    let ended = tokio::task::spawn_blocking(write).await;
    ended.map_err(|error| {
        Error::new(Kind::Local, "writing an archive ended early").because(error)
    })??;
    delivered(
        context,
        Output::Archive,
        &path.display().to_string(),
        Some(image),
    );
    Ok(())
}

fn delivered(context: &Context, output: Output, destination: &str, image: Option<&Descriptor>) {
    context.events.tell(&Event::Delivered {
        output,
        destination: destination.to_owned(),
        digest: image.map(|image| image.digest.to_string()),
    });
}
