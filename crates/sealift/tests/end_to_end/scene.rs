//! A registry that mirrors docker.io and others behind a token proxy, a builder, a home, and the
//! program.

use std::path::Path;

use sealift_test_support::{
    Buildkitd, DockerRegistry, FaultPlan, FaultyRegistry, Outcome, Sealift, TokenRules, busybox,
    skopeo,
};
use serde_json::Value;

/// Both platforms of most tests.
pub(crate) const BOTH: &str = "linux/amd64,linux/arm64";

/// The world of one test.
pub(crate) struct Scene {
    /// The registry itself.
    pub(crate) registry: DockerRegistry,
    /// What stands before it.
    pub(crate) proxy: FaultyRegistry,
    /// The builder.
    pub(crate) buildkitd: Buildkitd,
    /// The program with its home.
    pub(crate) sealift: Sealift,
}

impl Scene {
    /// Makes a world whose docker.io has `busybox:1.36` for both platforms.
    pub(crate) fn new() -> Self {
        let registry = DockerRegistry::start();
        registry.push(
            &busybox(&["linux/amd64", "linux/arm64"]),
            "library/busybox",
            "1.36",
        );
        let proxy = FaultyRegistry::with_tokens(
            registry.address(),
            TokenRules::anonymous().account("sealift", "x"),
            FaultPlan::none(),
        );
        let buildkitd = Buildkitd::start();
        let sealift = Sealift::new(env!("CARGO_BIN_EXE_sealift"));
        Self {
            registry,
            proxy,
            buildkitd,
            sealift,
        }
    }

    /// Returns the options that send docker.io, ghcr.io and quay.io to the proxy.
    pub(crate) fn mirrors(&self) -> Vec<String> {
        let url = self.proxy.url();
        ["docker.io", "ghcr.io", "quay.io"]
            .iter()
            .flat_map(|registry| ["--mirror".to_owned(), format!("{registry}={url}")])
            .collect()
    }

    /// Runs `sealift build` in a folder, with plain progress, the mirrors and the builder.
    pub(crate) fn build(&self, folder: &Path, arguments: &[&str]) -> Outcome {
        self.sealift.run(folder, &self.build_arguments(arguments))
    }

    /// Returns all arguments of such a run.
    pub(crate) fn build_arguments(&self, arguments: &[&str]) -> Vec<String> {
        let mut all = vec!["build".to_owned(), "--progress=plain".to_owned()];
        all.extend(["--builder".to_owned(), self.buildkitd.address()]);
        all.extend(self.mirrors());
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        all
    }

    /// Runs another command with plain progress and the mirrors.
    pub(crate) fn run(&self, folder: &Path, command: &[&str], arguments: &[&str]) -> Outcome {
        let mut all: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        all.push("--progress=plain".to_owned());
        all.extend(self.mirrors());
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self.sealift.run(folder, &all)
    }

    /// Returns the store's folder.
    pub(crate) fn store(&self) -> std::path::PathBuf {
        self.sealift.store_home().join("store")
    }

    /// Checks that the store is whole.
    pub(crate) fn verify_store(&self) {
        self.sealift
            .run(Path::new("/"), &["store", "verify"])
            .success();
    }
}

/// Reads an image's index with skopeo and returns its platforms, sorted.
pub(crate) fn platforms(image: &str) -> Vec<String> {
    let index: Value =
        serde_json::from_str(&skopeo(&["inspect", "--raw", "--tls-verify=false", image])).unwrap();
    let manifests = index["manifests"].as_array().unwrap();
    let mut platforms: Vec<String> = manifests
        .iter()
        .map(|entry| {
            let part = |name: &str| entry["platform"][name].as_str().unwrap().to_owned();
            format!("{}/{}", part("os"), part("architecture"))
        })
        .collect();
    platforms.sort();
    platforms
}
