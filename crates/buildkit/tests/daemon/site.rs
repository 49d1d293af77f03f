//! A daemon, a store and a context of a test's own.

use std::path::{Path, PathBuf};

use sealift_buildkit::{
    Address, Client, Context, Error, Event, Output, Policy, Solve, Solved, Stream, Vertex,
};
use sealift_content::Store;
use sealift_oci::{Descriptor, Manifest, Platform};
use sealift_test_support::{Buildkitd, Image, busybox};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What a test has to itself.
pub(crate) struct Site {
    pub(crate) daemon: Buildkitd,
    pub(crate) client: Client,
    pub(crate) store: Store,
    folder: TempDir,
}

/// A solve that ended, with all that it reported.
pub(crate) struct Ran {
    pub(crate) result: Result<Solved, Error>,
    pub(crate) events: Vec<Event>,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(Buildkitd::start()).await
    }

    pub(crate) async fn with(daemon: Buildkitd) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("context")).unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let address = Address::parse(&daemon.address()).unwrap();
        let client = Client::connect(&address).await.unwrap();
        Self {
            daemon,
            client,
            store,
            folder,
        }
    }

    /// Returns a path beside the context.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn context(&self) -> PathBuf {
        self.path("context")
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.context().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Begins a sealed build of a Dockerfile whose result goes to the store.
    pub(crate) fn solve(&self, dockerfile: &str) -> Solve {
        self.write("Dockerfile", dockerfile);
        Solve::new(self.context())
            .policy(Policy::seal_images())
            .output(Output::Store(self.store.clone()))
    }

    /// Begins a sealed build with `busybox:1.36` from the store.
    pub(crate) fn busybox_solve(&self, dockerfile: &str) -> Solve {
        let context = self.image(&busybox(&["linux/amd64"]));
        self.solve(dockerfile)
            .context("busybox:1.36", Some(&amd64()), context)
    }

    /// Puts an image into the store.
    pub(crate) fn image(&self, image: &Image) -> Context {
        for blob in image.all() {
            let media_type = blob.descriptor.media_type.as_str();
            self.store.put(media_type, &blob.bytes).unwrap();
        }
        Context::Image {
            store: self.store.clone(),
            digest: image.root.descriptor.digest.clone(),
        }
    }

    pub(crate) async fn run(&self, solve: Solve) -> Ran {
        let (sender, mut receiver) = mpsc::channel(64);
        let gather = async {
            let mut events = Vec::new();
            while let Some(event) = receiver.recv().await {
                events.push(event);
            }
            events
        };
        let solve = self.client.solve(solve, sender, CancellationToken::new());
        let (result, events) = tokio::join!(solve, gather);
        Ran { result, events }
    }

    /// Reads a manifest of the store, all of whose blobs are there.
    pub(crate) fn manifest(&self, descriptor: &Descriptor) -> Manifest {
        let bytes = self.store.read_blob(&descriptor.digest, 1 << 20).unwrap();
        let manifest = Manifest::parse(&bytes).unwrap();
        for blob in manifest.blobs() {
            assert_eq!(self.store.size(&blob.digest).unwrap(), Some(blob.size));
        }
        manifest
    }
}

impl Ran {
    #[track_caller]
    pub(crate) fn solved(&self) -> &Solved {
        match &self.result {
            Ok(solved) => solved,
            Err(error) => panic!("{error}\n{error:#?}\n{}", self.log()),
        }
    }

    #[track_caller]
    pub(crate) fn error(&self) -> &Error {
        match &self.result {
            Ok(solved) => panic!("it succeeded: {solved:#?}"),
            Err(error) => error,
        }
    }

    pub(crate) fn vertexes(&self) -> impl Iterator<Item = &Vertex> {
        self.events.iter().filter_map(|event| match event {
            Event::Vertex(vertex) => Some(vertex),
            _ => None,
        })
    }

    /// Returns what RUN steps wrote.
    pub(crate) fn log(&self) -> String {
        self.written(None)
    }

    pub(crate) fn written(&self, stream: Option<Stream>) -> String {
        let logs = self.events.iter().filter_map(|event| match event {
            Event::Log(log) if stream.is_none_or(|wanted| wanted == log.stream) => Some(log),
            _ => None,
        });
        let bytes: Vec<u8> = logs.flat_map(|log| log.bytes.clone()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

pub(crate) fn amd64() -> Platform {
    Platform::new("linux", "amd64")
}

/// Lists a folder's files and folders, sorted, as paths relative to it.
pub(crate) fn listing(folder: &Path) -> Vec<String> {
    fn visit(root: &Path, folder: &Path, names: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy();
            names.push(name.into_owned());
            if path.is_dir() && !path.is_symlink() {
                visit(root, &path, names);
            }
        }
    }
    let mut names = Vec::new();
    visit(folder, folder, &mut names);
    names.sort();
    names
}
