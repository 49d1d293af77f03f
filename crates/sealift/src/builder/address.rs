//! Which builder a command uses: the one that is named, else BUILDKIT_HOST, else a managed one.

use std::sync::Arc;

use sealift_buildkit::{Address, Client, Worker};
use sealift_oci::Platform;

use super::process::{Hold, Launch, Process, State};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};

/// The label by which a worker names the network of its steps: `host`, `cni`, `bridge`, `none`.
const NETWORK_LABEL: &str = "org.mobyproject.buildkit.worker.network";

/// The builder that was chosen.
#[derive(Debug, Clone)]
pub enum Choice {
    /// One that somebody runs.
    Given(Address),
    /// One that we run.
    Managed {
        /// Its state.
        process: Process,
        /// How to start it.
        launch: Launch,
    },
}

impl Choice {
    /// Chooses the builder that `--builder` or BUILDKIT_HOST names; nothing where neither does.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a malformed address.
    pub fn given(option: Option<&str>, variable: Option<&str>) -> Result<Option<Self>> {
        let option = option.map(|text| ("--builder", text));
        let variable = variable.map(|text| ("BUILDKIT_HOST", text));
        let Some((source, text)) = option.or(variable) else {
            return Ok(None);
        };
        let wrong = |error| {
            let text = format!("{source}: {text:?} is not a builder's address");
            Error::new(Kind::Usage, text).because(error)
        };
        Ok(Some(Self::Given(text.parse().map_err(wrong)?)))
    }

    /// Connects, after starting the managed builder where it does not run.
    ///
    /// # Errors
    /// [`Kind::Builder`] where it can't be reached or started.
    pub async fn connect(&self, events: &Events) -> Result<Builder> {
        let (address, managed) = match self {
            Self::Given(address) => (address.clone(), None),
            Self::Managed { process, launch } => {
                let hold = process.ensure(launch, events).await?;
                tell(&hold, process, launch, events);
                let managed = Managed {
                    process: process.clone(),
                    launch: launch.clone(),
                    _hold: hold,
                };
                (process.address(), Some(Arc::new(managed)))
            }
        };
        let unreachable = |error| {
            Error::new(
                Kind::Builder,
                format!("cannot reach the builder at {address}"),
            )
            .because(error)
            .hint("check that it is running there; --builder names another one")
        };
        let client = Client::connect(&address).await.map_err(unreachable)?;
        let workers = client.workers().await.map_err(unreachable)?;
        let mut platforms: Vec<Platform> = Vec::new();
        let mode = |worker: &Worker| worker.labels.get(NETWORK_LABEL).cloned();
        let host_network = workers
            .iter()
            .all(|worker| mode(worker).as_deref() == Some("host"));
        for platform in workers.into_iter().flat_map(|worker| worker.platforms) {
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        }
        let shown = platforms.iter().map(ToString::to_string).collect();
        events.tell(&Event::Builder {
            address: address.to_string(),
            platforms: shown,
        });
        Ok(Builder {
            address,
            client,
            platforms,
            host_network,
            managed,
        })
    }
}

fn tell(hold: &Hold, process: &Process, launch: &Launch, events: &Events) {
    let address = process.address();
    match hold.state {
        State::Started => events.note(format!("Started a builder of our own: {address}")),
        State::Running => {}
        State::Outdated => events.warn(format!(
            "the builder at {address} was started with another network configuration, and others \
             build with it: it is left as it is"
        )),
    }
    if launch.mirrors && hold.state != State::Outdated {
        events.note("Using custom buildkit config with mirrors");
    }
}

/// A builder that answers.
#[derive(Debug, Clone)]
pub struct Builder {
    /// Where it is.
    pub address: Address,
    /// The connection.
    pub client: Client,
    /// The platforms that its workers run.
    pub platforms: Vec<Platform>,
    /// Whether its steps run on the network of the process itself.
    pub host_network: bool,
    managed: Option<Arc<Managed>>,
}

/// A builder that we run.
#[derive(Debug)]
struct Managed {
    process: Process,
    launch: Launch,
    /// Keeps it as it is while we build.
    _hold: Hold,
}

impl Builder {
    /// Starts a managed builder again if it ended in the middle of a build, so that a solve can be
    /// repeated. A builder of somebody else's is left to them.
    pub async fn revive(&self, events: &Events) {
        let Some(managed) = &self.managed else {
            return;
        };
        let log = managed.process.log();
        match managed.process.ensure(&managed.launch, events).await {
            Ok(hold) if hold.state == State::Started => events.warn(format!(
                "the builder ended in the middle of the build and was started again; its log is {}",
                log.display()
            )),
            Ok(_) => {}
            Err(error) => events.warn(error.line()),
        }
    }

    /// Tells whether steps reach this machine's loopback: the builder is a process here, and its
    /// steps run on its own network, by its setting or by `mode`.
    #[must_use]
    pub fn shares_loopback(&self, mode: Option<&str>) -> bool {
        let host = match mode {
            None | Some("default") => self.host_network,
            Some(mode) => mode == "host",
        };
        self.address.is_local() && host
    }

    /// Returns whether a platform's programs can run: some worker lists it, or a newer variant.
    #[must_use]
    pub fn runs(&self, platform: &Platform) -> bool {
        let mut offered = self.platforms.iter();
        offered.any(|offered| offered.rank(platform).is_some())
    }
}
