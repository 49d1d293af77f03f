//! What every command works with: settings, screen, store, registries, builder.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sealift_content::Store;
use sealift_oci::Platform;
use serde::Serialize;

use super::registries::Registries;
use super::tally::Tally;
use crate::builder::address::Surroundings;
use crate::builder::process::Process;
use crate::builder::{Builder, Choice};
use crate::cli::{BuilderArgs, NetworkArgs};
use crate::error::{Error, Kind, Result};
use crate::event::{Ending, Events};
use crate::prefetch::inventory::store_failed;
use crate::report::failure_log;
use crate::settings::Settings;
use crate::terminal::Terminal;
use sealift_network::Network;
use sealift_network::sink::buildkitd::{self, Files};
use sealift_network::sink::{Sight, environment};

/// What every command works with.
pub struct Session {
    settings: Settings,
    terminal: Arc<Terminal>,
    events: Events,
    start: Instant,
    /// Of registries that were made ready to be reached.
    tally: Mutex<Option<Tally>>,
}

impl Session {
    /// Begins a run. Failed attempts are logged in the user's state folder until a project says
    /// where its log is.
    #[must_use]
    pub fn new(settings: Settings, terminal: Terminal) -> Self {
        let terminal = Arc::new(terminal);
        terminal.log_failures_to(&settings.home.join("failures.log"));
        let events = Events::new(Arc::clone(&terminal) as Arc<dyn crate::event::Listener>);
        Self {
            settings,
            terminal,
            events,
            start: Instant::now(),
            tally: Mutex::default(),
        }
    }

    /// Ends a run: what it cost at each host is told, and the health of endpoints kept, whether it
    /// succeeded, failed or was stopped.
    pub fn finish(&self, outcome: &Result<()>) {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tally) = tally.as_ref() else {
            return;
        };
        let ending = match outcome {
            Ok(()) => Ending::Done,
            Err(error) if error.kind() == Kind::Interrupted => Ending::Stopped,
            Err(_) => Ending::Failed,
        };
        tally.keep(&self.settings.health(), &self.events);
        tally.tell(&self.events, ending, self.start.elapsed());
    }

    /// Returns the settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the screen.
    #[must_use]
    pub fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    /// Returns who is told what happens.
    #[must_use]
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// Logs failed attempts at a project's root.
    pub fn log_failures_at(&self, root: &Path) {
        self.terminal
            .log_failures_to(&root.join(failure_log::FILE_NAME));
    }

    /// Opens the store, and says what a crash of the machine has taken from it. Beside the command's
    /// own work, what has come to the disk meanwhile is marked.
    ///
    /// # Errors
    /// [`Kind::Local`] or [`Kind::Disk`] where it can't be made.
    pub fn store(&self) -> Result<Store> {
        let opened = Store::open_reporting(self.settings.store());
        let (store, settled) = opened.map_err(store_failed)?;
        if !settled.removed.is_empty() {
            let blobs = settled.removed.len();
            self.events.warn(format!(
                "the machine stopped before all of the store was on the disk; blobs removed because they were damaged: {blobs}. They are fetched again when they are needed."
            ));
        }
        let beside = store.clone();
        let thread = std::thread::Builder::new().name("sealift-settle".to_owned());
        // Where it can't be done, or the command ends first, the next command does it.
        let _ = thread.spawn(move || beside.settle());
        Ok(store)
    }

    /// Makes ready to reach registries, by the settings of the project that holds `folder`. A command
    /// does it once: what its run costs is told at the end.
    ///
    /// # Errors
    /// [`Kind::Usage`] for malformed options, [`Kind::Config`] for a malformed configuration file.
    pub fn registries(&self, args: &NetworkArgs, folder: &Path) -> Result<Registries> {
        let registries = Registries::new(args, &self.settings, &self.events, folder)?;
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner) = Some(registries.tally());
        Ok(registries)
    }

    /// Names the managed builder.
    #[must_use]
    pub fn managed_builder(&self) -> Process {
        let runtime = self.settings.variable("XDG_RUNTIME_DIR").unwrap_or("/tmp");
        Process::new(&self.settings.builder(), Path::new(runtime))
    }

    /// Connects to the builder that the options and the environment name. The managed one gets its
    /// share of the network model, and is started again where that changed.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a malformed address, [`Kind::Builder`] where there is none to reach.
    pub async fn builder(&self, args: &BuilderArgs, network: &Network) -> Result<Builder> {
        let (program, path) = self.find_buildkitd();
        let registries = buildkitd::of(network, &Files::InPlace, Sight::Host);
        let choice = Choice::make(Surroundings {
            option: args.builder.as_deref(),
            variable: self.settings.variable("BUILDKIT_HOST"),
            process: self.managed_builder(),
            program,
            path,
            configuration: format!("{CONFIGURATION}\n{}", registries.text),
            mirrors: network
                .registries
                .iter()
                .any(|registry| !registry.mirrors.is_empty()),
            environment: environment::of(network, Sight::Host).to_set(),
        })?;
        choice.connect(&self.events).await
    }

    /// Connects to the builder that the options or the environment name, where they name one. One
    /// that can't be reached is warned of: what is asked of it can do without.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a malformed address.
    pub async fn named_builder(&self, args: &BuilderArgs) -> Result<Option<Builder>> {
        let variable = self.settings.variable("BUILDKIT_HOST");
        let Some(choice) = Choice::given(args.builder.as_deref(), variable)? else {
            return Ok(None);
        };
        match choice.connect(&self.events).await {
            Ok(builder) => Ok(Some(builder)),
            Err(error) => {
                self.events.warn(format!(
                    "{}; its own platform is taken to be {}",
                    error.message(),
                    Platform::host()
                ));
                Ok(None)
            }
        }
    }

    /// Finds buildkitd on PATH, else in a `.tools/bin` beside or above our own program.
    fn find_buildkitd(&self) -> (Option<PathBuf>, Option<PathBuf>) {
        if let Some(program) = self.settings.find_program("buildkitd") {
            return (Some(program), None);
        }
        // Not in the folder that we are started in: whoever wrote that would choose our builder.
        let beside = self
            .settings
            .program
            .iter()
            .flat_map(|program| program.ancestors());
        let folders = beside.map(|folder| folder.join(".tools/bin"));
        let found = folders
            .map(|folder| folder.join("buildkitd"))
            .find(|file| file.is_file());
        let path = found
            .as_ref()
            .and_then(|program| program.parent())
            .map(|folder| {
                let path = self.settings.variable("PATH").unwrap_or_default();
                PathBuf::from(format!("{}:{path}", folder.display()))
            });
        (found, path)
    }
}

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

/// Writes a value as JSON for people and programs.
///
/// # Errors
/// [`Kind::Local`] where it has no JSON form, which is a bug.
pub fn json<T: Serialize>(value: &T) -> Result<String> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::new(Kind::Local, "cannot write JSON").because(error))?;
    Ok(text + "\n")
}
