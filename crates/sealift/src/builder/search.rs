//! The builder of a command, found: the one that is named, else a managed one with its share of the
//! network model.

use std::path::PathBuf;

use sealift_network::Network;
use sealift_network::sink::buildkitd::{self, Files};
use sealift_network::sink::{NetworkView, environment};
use sealift_oci::Platform;

use super::address::{Builder, Choice};
use super::process::{Launch, Process};
use super::program;
use crate::error::{Error, Kind, Result};
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
        let given = Choice::given(self.option.as_deref(), self.variable.as_deref())?;
        let choice = match given {
            Some(given) => given,
            None => Choice::Managed {
                process: self.managed.clone(),
                launch: self.launch(network)?,
            },
        };
        choice.connect(events).await
    }

    /// Says how the managed builder is started.
    fn launch(&self, network: &Network) -> Result<Launch> {
        let path = self.path.as_deref().unwrap_or_default();
        let Some(programs) = program::find(path, self.program.as_deref())? else {
            return Err(Error::new(Kind::Builder, "no BuildKit was found")
                .hint("install buildkitd and runc on PATH: sealift starts and keeps it")
                .hint("or name one that runs: --builder unix:///run/buildkit/buildkitd.sock")
                .hint("or name a container of it: --builder docker-container://NAME"));
        };
        let registries = buildkitd::of(network, &Files::InPlace, NetworkView::Host);
        Ok(Launch {
            programs,
            configuration: format!("{CONFIGURATION}\n{}", registries.text),
            mirrors: (network.registries.iter()).any(|registry| !registry.mirrors.is_empty()),
            environment: environment::of(network, NetworkView::Host).to_set(),
        })
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
                events.warn(format!("{text}; assuming that its platform is {host}"));
                Ok(None)
            }
        }
    }
}
