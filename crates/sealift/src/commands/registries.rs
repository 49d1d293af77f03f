//! Registries as a command reaches them: one transport, one client, one translator of what they
//! report.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sealift_buildkit::Authority;
use sealift_content::Store;
use sealift_registry::credentials::Helpers;
use sealift_registry::{Client, Config, Credentials, PushRequest};
use sealift_transport::settings::Retry;
use sealift_transport::{Snapshot, Transport};

use super::network;
use super::tally::Tally;
use crate::build::authority::Lender;
use crate::cli::NetworkArgs;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::output::push;
use crate::plan::PlannedImage;
use crate::prefetch::Prefetch;
use crate::prefetch::watch::Watch;
use crate::settings::Settings;
use sealift_network::sink::client::{self, Router};
use sealift_network::{Host, Network};

/// Registries, as one command reaches them.
pub struct Registries {
    transport: Transport,
    client: Client,
    watch: Arc<Watch>,
    events: Events,
    network: Arc<Network>,
    credentials: Credentials,
    budget: Duration,
}

impl Registries {
    /// Makes ready to reach registries; nothing is sent yet. The project's network settings are
    /// looked for in `folder` and those above it.
    ///
    /// # Errors
    /// [`Kind::Usage`] for malformed options, [`Kind::Config`] for a malformed configuration file.
    pub fn new(
        args: &NetworkArgs,
        settings: &Settings,
        events: &Events,
        folder: &Path,
    ) -> Result<Self> {
        sealift_transport::install_crypto();
        let watch = Arc::new(Watch::new(events));
        let retry = Retry {
            budget: args.retry_budget,
            run: args.run_budget,
            attempts: args.retries.map(|retries| retries.saturating_add(1)),
            ..Retry::default()
        };
        let network = Arc::new(network::read(&args.sources, settings, folder)?);
        for ignored in network.warnings() {
            events.warn(ignored.to_string());
        }
        let mut own = sealift_transport::Settings {
            retry,
            ..Default::default()
        };
        client::apply(&network, &mut own).map_err(unusable)?;
        let observer = Arc::clone(&watch) as Arc<dyn sealift_transport::Observer>;
        let transport = Transport::new(own, observer);
        // Health is advice: a file that is gone or broken costs a few attempts, nothing else.
        if let Ok(text) = std::fs::read(settings.health()) {
            transport.remember(&Snapshot::from_json(&text));
        }
        let helpers = Helpers {
            path: settings.variable("PATH").map(Into::into),
            ..Helpers::default()
        };
        let credentials = Credentials::new(network.account_files.clone(), helpers);
        let config = Config {
            finder: Some(Arc::new(Router::new(Arc::clone(&network)))),
            credentials: credentials.clone(),
            token_folder: Some(settings.network().join("tokens")),
            image_budget: args.image_budget,
            ..Config::default()
        };
        let client = Client::new(transport.clone(), config);
        Ok(Self {
            transport,
            client,
            watch,
            events: events.clone(),
            network,
            credentials,
            budget: args.retry_budget,
        })
    }

    /// Returns the same with insecure networks applied to the registries of these images, for a
    /// builder that fetches them itself.
    #[must_use]
    pub fn network_with(&self, images: &[PlannedImage]) -> Network {
        let registries = images.iter().map(|image| image.reference.registry());
        let hosts: Vec<Host> = registries.filter_map(Host::parse).collect();
        Network::clone(&self.network).settle(&hosts, client::lookup)
    }

    /// Returns who answers a builder that fetches images itself.
    #[must_use]
    pub fn authority(&self) -> Arc<dyn Authority> {
        Arc::new(Lender::new(self.client.clone(), self.credentials.clone()))
    }

    /// Returns how registries are reached.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Returns Docker's address, where a variable or a context names one.
    pub fn docker_host(&self) -> Option<&str> {
        let host = self.network.docker_host.as_ref()?;
        Some(&host.value)
    }

    /// Returns what brings images in.
    #[must_use]
    pub fn prefetch(&self, store: Store, refresh: bool) -> Prefetch {
        Prefetch {
            store,
            registries: self.client.clone(),
            watch: Arc::clone(&self.watch),
            refresh,
            events: self.events.clone(),
            budget: self.budget,
        }
    }

    /// Pushes an image.
    ///
    /// # Errors
    /// What the registry refuses.
    pub async fn push(&self, store: &Store, request: PushRequest) -> Result<()> {
        let watcher = Arc::clone(&self.watch) as Arc<dyn sealift_registry::Watcher>;
        push::push(&self.client, store, request, watcher, &self.events).await
    }

    /// Returns what has to be told and kept at the end of the run, whatever that is.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally::new(self.transport.clone())
    }
}

fn unusable(error: client::Error) -> Error {
    Error::new(Kind::Config, "the network configuration cannot be used").because(error)
}
