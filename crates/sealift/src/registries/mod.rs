//! Registries as one run reaches them: one transport, one client, one account of what they cost.

pub mod failure;
pub mod observer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sealift_content::{read_private, write_private};
use sealift_network::Network;
use sealift_network::sink::client::{self, Router};
use sealift_registry::credentials::Helpers;
use sealift_registry::{Client, Config, Credentials, Watcher};
use sealift_transport::settings::Retry;
use sealift_transport::{Snapshot, Transport};

use crate::error::Error;
use crate::event::{Ending, Event, Events};
use crate::file;
use observer::Observer;

/// What decides how registries are reached.
pub struct Setup {
    /// Mirrors, TLS, proxies and accounts.
    pub network: Network,
    /// How long and how often is retried.
    pub retry: Retry,
    /// When an image's retries end, counted from its beginning.
    pub image_budget: Option<Duration>,
    /// PATH, for credential helpers.
    pub path: Option<String>,
    /// The folder of what is remembered between runs: tokens and the health of endpoints.
    pub folder: PathBuf,
}

/// Registries, as one run reaches them.
#[derive(Clone)]
pub struct Registries {
    /// Pulls and pushes.
    pub client: Client,
    /// How registries are reached.
    pub network: Arc<Network>,
    /// The accounts.
    pub credentials: Credentials,
    /// How long work may go on failing.
    pub budget: Duration,
    transport: Transport,
    observer: Arc<Observer>,
    health: Option<PathBuf>,
}

impl Registries {
    /// Makes ready to reach registries; nothing is sent yet.
    #[must_use]
    pub fn open(setup: Setup, events: &Events) -> Self {
        sealift_transport::install_crypto();
        let network = Arc::new(setup.network);
        for ignored in network.warnings() {
            events.warn(ignored.to_string());
        }
        let observer = Arc::new(Observer::new(events));
        let budget = setup.retry.budget;
        let mut settings = sealift_transport::Settings {
            retry: setup.retry,
            ..Default::default()
        };
        client::apply(&network, &mut settings);
        let transport = Transport::new(settings, Arc::clone(&observer) as _);
        let folder = file::private_folder(&setup.folder).map(|()| setup.folder);
        let warn = |error: Error| {
            let why = error.line();
            events.warn(format!("nothing is remembered of the network: {why}"));
        };
        let folder = folder.map_err(warn).ok();
        let health = folder.as_ref().map(|folder| folder.join("health.json"));
        // Health is advice: a file that is gone or broken costs a few attempts, nothing else.
        let known = health.as_ref().map(|path| read_private(path));
        if let Some(Ok(Some(text))) = known {
            transport.remember(&Snapshot::from_json(&text));
        }
        let helpers = Helpers {
            path: setup.path.map(Into::into),
            ..Helpers::default()
        };
        let withheld = network.withheld.iter().map(|host| {
            let host_name = host.value.to_string();
            (host_name, client::withheld(host))
        });
        let credentials =
            Credentials::new(network.account_files.clone(), helpers).withhold(withheld);
        let config = Config {
            finder: Some(Arc::new(Router::new(Arc::clone(&network)))),
            credentials: credentials.clone(),
            token_folder: folder.map(|folder| folder.join("tokens")),
            image_budget: setup.image_budget,
            ..Config::default()
        };
        Self {
            client: Client::new(transport.clone(), config),
            network,
            credentials,
            budget,
            transport,
            observer,
            health,
        }
    }

    /// Returns who translates what pulls and pushes report.
    #[must_use]
    pub fn watcher(&self) -> Arc<dyn Watcher> {
        Arc::clone(&self.observer) as _
    }

    /// Returns Docker's address, where a variable or a context names one.
    #[must_use]
    pub fn docker_host(&self) -> Option<&str> {
        Some(&self.network.docker_host.as_ref()?.value)
    }

    /// Ends a run, in whatever way it did: reports each host's traffic, and keeps the health of
    /// endpoints for the next run.
    pub fn finish(&self, events: &Events, ending: Ending, elapsed: Duration) {
        let health = self.transport.health().to_json();
        let written = self
            .health
            .as_ref()
            .map(|path| write_private(path, &health));
        if let Some(Err(error)) = written {
            events.warn(format!("the health of endpoints is forgotten: {error}"));
        }
        let fetched = observer::totals(&self.transport, events);
        let seconds = elapsed.as_secs_f64();
        events.tell(&Event::Finished {
            ending,
            seconds,
            fetched,
        });
    }
}
