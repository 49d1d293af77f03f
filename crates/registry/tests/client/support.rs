//! What the tests of this folder share: a client with short delays, a store, a record of events.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealift_content::Store;
use sealift_oci::{Platform, Reference, Repository};
use sealift_registry::{
    Client, Config, Credentials, Event, Pulled, Result, RouteAnswer, Routes, Watcher,
};
use sealift_test_support::{Image, ImageBuilder};
use sealift_transport::{Endpoint, Route, Scheme, Settings, Transport};

/// Patience for tests: the same logic as by default, with short delays.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.retry.base = Duration::from_millis(10);
    settings.retry.cap = Duration::from_millis(100);
    settings.retry.budget = Duration::from_secs(30);
    settings.retry.retry_after_cap = Duration::from_millis(200);
    settings.retry.seed = Some(7);
    settings.timeouts.connect = Duration::from_secs(2);
    settings.timeouts.first_byte = Duration::from_secs(5);
    settings.timeouts.stall = Duration::from_millis(500);
    settings.hedge = false;
    settings
}

pub(crate) fn transport() -> Transport {
    Transport::new(settings(), Arc::new(sealift_transport::Silent))
}

pub(crate) fn client(config: Config) -> Client {
    Client::new(transport(), config)
}

pub(crate) fn plain() -> Client {
    client(Config::default())
}

pub(crate) fn with_credentials(credentials: Credentials) -> Client {
    client(Config {
        credentials,
        ..Config::default()
    })
}

/// A client that asks mirrors before the origin of `registry`, all of them on loopback.
pub(crate) fn with_mirrors(registry: &str, mirrors: &[String], origin: &str) -> Client {
    let endpoint = |host: &str| Endpoint::new(Scheme::Http, host).unwrap().with_base("/v2");
    let route = Route::new(mirrors.iter().map(|host| endpoint(host)), endpoint(origin));
    client(routed(registry, route))
}

/// A configuration with one registry that has a route.
pub(crate) fn routed(registry: &str, route: Route) -> Config {
    Config {
        finder: Some(Arc::new(OneRoute {
            registry: registry.to_owned(),
            route,
        })),
        ..Config::default()
    }
}

#[derive(Debug)]
struct OneRoute {
    registry: String,
    route: Route,
}

impl OneRoute {
    fn find(&self, registry: &str) -> RouteAnswer {
        Ok((registry == self.registry).then(|| self.route.clone()))
    }
}

impl Routes for OneRoute {
    fn resolve(&self, reference: &Reference) -> RouteAnswer {
        self.find(reference.registry())
    }

    fn content(&self, reference: &Reference) -> RouteAnswer {
        self.find(reference.registry())
    }

    fn push(&self, repository: &Repository) -> RouteAnswer {
        self.find(repository.registry())
    }
}

pub(crate) fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

pub(crate) fn platforms(text: &str) -> Vec<Platform> {
    Platform::parse_list(text).unwrap()
}

pub(crate) const BOTH: &str = "linux/amd64,linux/arm64";

/// An image for amd64 and arm64 that share a layer, each with one of its own.
pub(crate) fn two_platforms(seed: u64, size: usize) -> Image {
    let one = |platform: &str, own: u64| {
        ImageBuilder::new(platform)
            .random(seed, size)
            .random(seed * 1000 + own, size / 2)
            .build()
    };
    Image::index([one("linux/amd64", 1), one("linux/arm64", 2)])
}

/// A store in a folder that goes with it.
pub(crate) struct TestStore {
    pub(crate) content: Store,
    _folder: tempfile::TempDir,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            content: Store::open(folder.path().join("store")).unwrap(),
            _folder: folder,
        }
    }

    /// Asserts that an image is there, all of it, byte by byte.
    pub(crate) fn has(&self, image: &Image) {
        for blob in image.blobs.iter().chain(image.manifests()) {
            let bytes = self
                .content
                .read_blob(&blob.descriptor.digest, 1 << 30)
                .unwrap();
            assert!(bytes == blob.bytes, "{} differs", blob.descriptor.digest);
        }
    }

    pub(crate) async fn pull(&self, client: &Client, image: &str, wanted: &str) -> Result<Pulled> {
        let watcher = Arc::new(sealift_registry::Silent);
        client
            .pull(
                &self.content,
                &reference(image),
                &platforms(wanted),
                watcher,
            )
            .await
    }
}

/// Keeps every event.
#[derive(Default)]
pub(crate) struct Record(Mutex<Vec<Event>>);

impl Record {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }
}

impl Watcher for Record {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}
