//! Registries as a command reaches them: one transport, one client, one translator of what they
//! report.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sealift_content::Store;
use sealift_registry::credentials::Helpers;
use sealift_registry::{Client, Config, CredentialFile, Credentials, PushRequest};
use sealift_transport::settings::Retry;
use sealift_transport::{Endpoint, Route, Snapshot, Transport};
use url::Url;

use crate::cli::NetworkArgs;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::output::push;
use crate::prefetch::Prefetch;
use crate::prefetch::watch::{Watch, totals};
use crate::settings::Settings;

/// Registries, and what is remembered of them between runs.
pub struct Registries {
    transport: Transport,
    client: Client,
    watch: Arc<Watch>,
    events: Events,
    health: PathBuf,
}

impl Registries {
    /// Makes ready to reach registries; nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Usage`] for malformed options, [`Kind::Config`] for a malformed configuration file.
    pub fn new(args: &NetworkArgs, settings: &Settings, events: &Events) -> Result<Self> {
        sealift_transport::install_crypto();
        let watch = Arc::new(Watch::new(events));
        let retry = Retry {
            budget: args.retry_budget,
            attempts: args.retries.map(|retries| retries.saturating_add(1)),
            ..Retry::default()
        };
        let own = sealift_transport::Settings {
            retry,
            ..Default::default()
        };
        let observer = Arc::clone(&watch) as Arc<dyn sealift_transport::Observer>;
        let transport = Transport::new(own, observer);
        let health = settings.network().join("health.json");
        // Health is advice: a file that is gone or broken costs a few attempts, nothing else.
        if let Ok(text) = std::fs::read(&health) {
            transport.remember(&Snapshot::from_json(&text));
        }
        let config = Config {
            routes: routes(&args.mirror)?,
            credentials: credentials(settings)?,
            token_folder: Some(settings.network().join("tokens")),
            ..Config::default()
        };
        let client = Client::new(transport.clone(), config);
        Ok(Self {
            transport,
            client,
            watch,
            events: events.clone(),
            health,
        })
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

    /// Tells what the run cost, and remembers the health of endpoints.
    pub fn finish(&self, start: Instant) {
        let fetched = totals(&self.transport, &self.events);
        let seconds = start.elapsed().as_secs_f64();
        self.events.tell(&Event::Finished { seconds, fetched });
        if let Err(error) = self.remember() {
            self.events
                .warn(format!("the health of endpoints is forgotten: {error}"));
        }
    }

    fn remember(&self) -> std::io::Result<()> {
        let folder = self.health.parent().unwrap_or(&self.health);
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, &self.transport.health().to_json())?;
        file.persist(&self.health).map_err(|error| error.error)?;
        Ok(())
    }
}

fn routes(options: &[String]) -> Result<std::collections::HashMap<String, Route>> {
    let mut mirrors: Vec<(String, Vec<Endpoint>)> = Vec::new();
    for option in options {
        let wrong = |what: &str| {
            Error::new(Kind::Usage, format!("--mirror {option}: {what}"))
                .hint("write --mirror docker.io=http://127.0.0.1:5000")
        };
        let (registry, url) = option
            .split_once('=')
            .filter(|(registry, _)| !registry.is_empty())
            .ok_or_else(|| wrong("it is not of the form REGISTRY=URL"))?;
        let url = Url::parse(url).map_err(|error| wrong("its URL is malformed").because(error))?;
        let endpoint = Endpoint::from_url(&url)
            .map_err(|error| wrong("its URL names no endpoint").because(error))?;
        let base = format!("/v2{}", endpoint.base().trim_end_matches('/'));
        let endpoint = endpoint.with_base(&base).as_mirror();
        match mirrors.iter_mut().find(|(known, _)| known == registry) {
            Some((_, list)) => list.push(endpoint),
            None => mirrors.push((registry.to_owned(), vec![endpoint])),
        }
    }
    mirrors
        .into_iter()
        .map(|(registry, list)| {
            let origin = sealift_registry::origin(&registry).map_err(|error| {
                Error::new(
                    Kind::Usage,
                    format!("--mirror {registry}: no such registry"),
                )
                .because(error)
            })?;
            Ok((registry, Route::new(list, origin)))
        })
        .collect()
}

fn credentials(settings: &Settings) -> Result<Credentials> {
    let mut files = Vec::new();
    if let Some(folder) = settings.docker_config() {
        let path = folder.join("config.json");
        let read = CredentialFile::read(&path).map_err(|error| {
            Error::new(Kind::Config, format!("cannot use {}", path.display())).because(error)
        })?;
        files.extend(read);
    }
    let path = settings.variable("PATH").map(Into::into);
    Ok(Credentials::new(
        files,
        Helpers {
            path,
            ..Helpers::default()
        },
    ))
}
