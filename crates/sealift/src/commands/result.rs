//! The options that say what becomes of a build's result, and the result brought there.

use std::path::PathBuf;

use clap::Args;
use sealift_content::Store;
use sealift_oci::{Descriptor, Platform, Reference};

use super::order;
use super::request::Request;
use super::session::Session;
use crate::build::Built;
use crate::cli::once;
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::index;
use crate::output::Destination;
use crate::output::deliver::{Courier, Parcel};
use crate::plan::Input;
use crate::prefetch::inventory::store_failed;
use crate::prefetch::{Pins, Prefetch};
use crate::settings::Settings;

/// Options that say what becomes of the result.
#[derive(Debug, Clone, Args)]
pub struct ResultArgs {
    /// Names the image [default: localhost/FOLDER:latest]
    #[arg(short, long, value_name = "NAME:TAG")]
    tag: Vec<String>,
    /// Adds a label to the image
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// Pushes the image under its names
    #[arg(long)]
    push: bool,
    /// Loads the image of this machine's platform into docker
    #[arg(long)]
    load: bool,
    /// Writes the result: type=oci,dest=FILE, type=docker,dest=FILE or type=local,dest=FOLDER
    #[arg(short, long, value_name = "OUTPUT")]
    output: Vec<String>,
    /// Writes what was built, from which images, as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
}

impl ResultArgs {
    /// Reads where the result goes; publishing comes last.
    ///
    /// # Errors
    /// [`Kind::Usage`] for outputs that are not supported.
    pub fn destinations(&self, session: &Session) -> Result<Vec<Destination>> {
        let here = &session.settings().working_directory;
        let mut all = Vec::new();
        for option in &self.output {
            all.push(Destination::parse(here, option)?);
        }
        all.extend(self.load.then_some(Destination::Docker));
        // Publishing comes last: what could fail on this machine has not.
        all.retain(|destination| *destination != Destination::Registry || !self.push);
        all.extend(self.push.then_some(Destination::Registry));
        Ok(all)
    }

    /// Reads the image's names; without one it is named after its folder.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is no name, and where a push has none.
    pub fn names(&self, input: &Input, destinations: &[Destination]) -> Result<Vec<Reference>> {
        let parse = |text: &String| {
            let wrong = |error| {
                Error::new(
                    Kind::Usage,
                    format!("-t {text}: this is no name for an image"),
                )
                .because(error)
            };
            let name = Reference::parse(text).map_err(wrong)?;
            if name.digest().is_some() {
                let text = format!("-t {text}: a digest is the result of a build, not its name");
                return Err(Error::new(Kind::Usage, text));
            }
            Ok(name)
        };
        let names: Vec<Reference> = self.tag.iter().map(parse).collect::<Result<_>>()?;
        if !names.is_empty() {
            return Ok(once(names));
        }
        if destinations.contains(&Destination::Registry) {
            return Err(Error::new(Kind::Usage, "--push needs a name to push to")
                .hint("name it: -t registry.example/team/image:tag"));
        }
        Ok(vec![order::default_name(&input.component.name)?])
    }
}

/// Returns the folder of the certificates for docker, where its own programs would use them.
fn docker_certificates(settings: &Settings) -> Option<PathBuf> {
    settings.variable("DOCKER_TLS_VERIFY")?;
    match settings.variable("DOCKER_CERT_PATH") {
        Some(folder) => Some(settings.working_directory.join(folder)),
        None => Some(PathBuf::from(settings.variable("HOME")?).join(".docker")),
    }
}

/// What was asked for, once it is built.
pub struct Outcome<'a> {
    /// What was asked for.
    pub request: &'a Request,
    /// The images that it was built from.
    pub pins: &'a Pins,
    /// Docker's address, where it is not the usual socket.
    pub docker_host: Option<&'a str>,
}

impl Outcome<'_> {
    /// Joins the platforms, names the image in the store and brings it where it should go.
    ///
    /// # Errors
    /// What the store or a destination refuses.
    pub async fn deliver(
        &self,
        built: &[Built],
        prefetch: &Prefetch,
        session: &Session,
    ) -> Result<Option<Descriptor>> {
        let images: Vec<_> = built
            .iter()
            .filter_map(|built| Some((built.order.platform.clone(), built.manifest.clone()?)))
            .collect();
        self.tell_folders(session);
        if images.is_empty() {
            return Ok(None);
        }
        let store = &prefetch.store;
        let root = self.keep(store, &images, session)?;
        let wanted = match &self.request.input.platforms[..] {
            [only] => only.clone(),
            _ => Platform::host(),
        };
        let courier = Courier {
            store,
            registries: &prefetch.registries,
            watch: &prefetch.watch,
            docker_host: self.docker_host,
            docker_certificates: docker_certificates(session.settings()),
            patience: prefetch.budget,
            events: session.events(),
        };
        for destination in self
            .request
            .destinations
            .iter()
            .filter(|destination| destination.is_image())
        {
            let single = match destination {
                Destination::Docker | Destination::DockerArchive(_) => {
                    index::select(&images, &wanted)?
                }
                _ => root.clone(),
            };
            let names = self.request.names.clone();
            let bases = self.pins.keys().map(|(reference, _)| reference.clone());
            let parcel = Parcel {
                root: root.clone(),
                single,
                names,
                bases: bases.collect(),
            };
            courier.deliver(&parcel, destination).await?;
        }
        Ok(Some(root))
    }

    fn tell_folders(&self, session: &Session) {
        for destination in &self.request.destinations {
            if let Destination::Folder(folder) = destination {
                let (output, destination) = ("folder".to_owned(), folder.display().to_string());
                let told = Event::Delivered {
                    output,
                    destination,
                    digest: None,
                };
                session.events().tell(&told);
            }
        }
    }

    /// Joins the platforms and names the image in the store.
    fn keep(
        &self,
        store: &Store,
        images: &[(Platform, Descriptor)],
        session: &Session,
    ) -> Result<Descriptor> {
        let root = index::assemble(store, images)?;
        let named = self
            .request
            .names
            .iter()
            .map(|name| (name.clone(), root.clone()));
        store
            .set_names(&named.collect::<Vec<_>>())
            .map_err(store_failed)?;
        for name in &self.request.names {
            let (output, destination) = ("store".to_owned(), name.to_string());
            let digest = Some(root.digest.to_string());
            session.events().tell(&Event::Delivered {
                output,
                destination,
                digest,
            });
        }
        Ok(root)
    }
}
