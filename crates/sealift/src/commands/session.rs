//! What every command works with: settings, screen, and what it shares with its stages.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sealift_content::Store;

use crate::builder::Search;
use crate::builder::process::Process;
use crate::cli::BuilderArgs;
use crate::cli::network::{self, NetworkArgs};
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::event::{Ending, Events};
use crate::registries::{Registries, Setup};
use crate::report::failure_log;
use crate::settings::Settings;
use crate::terminal::Terminal;

/// What every command works with.
pub struct Session {
    /// What the machine and its user decide.
    pub settings: Settings,
    /// The screen.
    pub terminal: Arc<Terminal>,
    /// Who is told what happens.
    pub events: Events,
    start: Instant,
    /// Registries that were made ready to be reached.
    registries: Mutex<Option<Registries>>,
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
            registries: Mutex::default(),
        }
    }

    /// Ends a run: what it cost at each host is told, and the health of endpoints kept, whether it
    /// succeeded, failed or was stopped.
    pub fn finish(&self, outcome: &Result<()>) {
        let registries = self
            .registries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let ending = match outcome {
            Ok(()) => Ending::Done,
            Err(error) if error.kind() == Kind::Interrupted => Ending::Stopped,
            Err(_) => Ending::Failed,
        };
        if let Some(registries) = registries.as_ref() {
            registries.finish(&self.events, ending, self.start.elapsed());
        }
    }

    /// Logs failed attempts at a project's root.
    pub fn log_failures_at(&self, root: &Path) {
        self.terminal
            .log_failures_to(&root.join(failure_log::FILE_NAME));
    }

    /// Makes ready to reach registries, by the settings of the project that holds `folder`. A
    /// command does it once: what its run costs is told at the end.
    ///
    /// # Errors
    /// [`Kind::Usage`] for malformed options, [`Kind::Config`] for a malformed configuration file.
    pub fn open(&self, store: Store, args: &NetworkArgs, folder: &Path) -> Result<Context> {
        let setup = Setup {
            network: network::read(&args.sources, &self.settings, folder)?,
            retry: args.retry(),
            image_budget: args.image_budget,
            path: self.settings.variable("PATH").map(str::to_owned),
            folder: self.settings.network(),
        };
        let registries = Registries::open(setup, &self.events);
        let kept = Some(registries.clone());
        *self
            .registries
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(Context {
            store,
            registries,
            events: self.events.clone(),
        })
    }

    /// Opens the store, and says what a crash of the machine has taken from it. Beside the command's
    /// own work, what has come to the disk meanwhile is marked.
    ///
    /// # Errors
    /// [`Kind::Local`] or [`Kind::Disk`] where it can't be made.
    pub fn store(&self) -> Result<Store> {
        let (store, settled) = Store::open_reporting(self.settings.store())?;
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

    /// Names the managed builder.
    #[must_use]
    pub fn managed_builder(&self) -> Process {
        let runtime = self.settings.variable("XDG_RUNTIME_DIR").unwrap_or("/tmp");
        Process::new(&self.settings.builder(), Path::new(runtime))
    }

    /// Says where a builder is looked for.
    #[must_use]
    pub fn builder(&self, args: &BuilderArgs) -> Search {
        let variable = |name: &str| self.settings.variable(name).map(str::to_owned);
        Search {
            option: args.builder.clone(),
            variable: variable("BUILDKIT_HOST"),
            managed: self.managed_builder(),
            path: variable("PATH"),
            program: self.settings.program.clone(),
        }
    }

    /// Writes a value to standard output as JSON.
    ///
    /// # Errors
    /// [`Kind::Local`] where it has no JSON form, which is a bug.
    pub fn json(&self, value: &impl serde::Serialize) -> Result<()> {
        self.terminal.result(&json(value)?);
        Ok(())
    }
}

/// Writes a value as JSON for people and programs.
///
/// # Errors
/// [`Kind::Local`] where it has no JSON form, which is a bug.
pub fn json(value: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::new(Kind::Local, "cannot write JSON").because(error))?;
    Ok(text + "\n")
}
