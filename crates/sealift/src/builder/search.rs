//! The builder of a command, found: the one that is named, else a managed one with its share of the
//! network model.

use std::path::{Path, PathBuf};

use sealift_network::Network;
use sealift_network::sink::buildkitd::{self, Files};
use sealift_network::sink::{Sight, environment};
use sealift_oci::Platform;

use super::address::{Builder, Choice, Surroundings};
use super::process::Process;
use crate::error::Result;
use crate::event::Events;

/// What the managed buildkitd is started with: RUN steps on the host's network, as the machine's
/// own tools are, and the entitlement that `--network=host` needs.
const CONFIGURATION: &str = "\
# Written by sealift when it starts this buildkitd; changes are overwritten.
insecure-entitlements = [\"network.host\", \"security.insecure\"]

[worker.oci]
  enabled = true
  networkMode = \"host\"

[worker.containerd]
  enabled = false
";

/// Where a builder is looked for.
#[derive(Debug, Clone)]
pub struct Search {
    /// `--builder`.
    pub option: Option<String>,
    /// `BUILDKIT_HOST`.
    pub variable: Option<String>,
    /// The managed builder.
    pub managed: Process,
    /// A buildkitd found on PATH.
    pub on_path: Option<PathBuf>,
    /// PATH.
    pub path: Option<String>,
    /// Our own program: what it needs may lie beside it.
    pub program: Option<PathBuf>,
}

impl Search {
    /// Connects to the builder that the options and the environment name. The managed one gets its
    /// share of the network model, and is started again where that changed.
    ///
    /// # Errors
    /// [`crate::error::Kind::Usage`] for a malformed address, [`crate::error::Kind::Builder`] where
    /// there is none to reach.
    pub async fn connect(&self, network: &Network, events: &Events) -> Result<Builder> {
        let (program, path) = self.find_buildkitd();
        let registries = buildkitd::of(network, &Files::InPlace, Sight::Host);
        let choice = Choice::make(Surroundings {
            option: self.option.as_deref(),
            variable: self.variable.as_deref(),
            process: self.managed.clone(),
            program,
            path,
            configuration: format!("{CONFIGURATION}\n{}", registries.text),
            mirrors: (network.registries.iter()).any(|registry| !registry.mirrors.is_empty()),
            environment: environment::of(network, Sight::Host).to_set(),
        })?;
        choice.connect(events).await
    }

    /// Connects to the builder that the options or the environment name, where they name one. One
    /// that can't be reached is warned of: what is asked of it can do without.
    ///
    /// # Errors
    /// [`crate::error::Kind::Usage`] for a malformed address.
    pub async fn named(&self, events: &Events) -> Result<Option<Builder>> {
        let choice = Choice::given(self.option.as_deref(), self.variable.as_deref())?;
        let Some(choice) = choice else {
            return Ok(None);
        };
        match choice.connect(events).await {
            Ok(builder) => Ok(Some(builder)),
            Err(error) => {
                let (text, host) = (error.message(), Platform::host());
                events.warn(format!("{text}; its own platform is taken to be {host}"));
                Ok(None)
            }
        }
    }

    /// Finds buildkitd on PATH, else in a `.tools/bin` beside or above our own program.
    fn find_buildkitd(&self) -> (Option<PathBuf>, Option<PathBuf>) {
        if let Some(program) = &self.on_path {
            return (Some(program.clone()), None);
        }
        // Not in the folder that we are started in: whoever wrote that would choose our builder.
        let beside = self.program.iter().flat_map(|program| program.ancestors());
        let found = beside
            .map(|folder| folder.join(".tools/bin/buildkitd"))
            .find(|file| file.is_file());
        let folder = found.as_deref().and_then(Path::parent);
        let path = folder.map(|folder| {
            let path = self.path.as_deref().unwrap_or_default();
            PathBuf::from(format!("{}:{path}", folder.display()))
        });
        (found, path)
    }
}
