//! One model of how registries are reached: mirrors, TLS, proxies, name servers and accounts, read
//! once from everything that people have configured for Docker, containerd, podman and sealift.
//!
//! `source/` has a file for each format, `sink/` one for each consumer. Every value knows its
//! [`Place`]. Precedence, highest first: options, the project's sealift.toml, the user's, the
//! environment, daemon.json, docker.service, Docker's certificates, config.json, containerd,
//! containers. A single value is taken from the first source that has it; lists (mirrors,
//! authorities) are joined in that order.

pub mod endpoint;
pub mod error;
pub mod explain;
pub mod findings;
pub mod host;
pub mod location;
mod machine;
mod merge;
pub mod overview;
mod pem;
pub mod project;
pub mod proxy;
mod route;
pub mod sink;
pub mod source;
mod trust;
mod weakness;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use sealift_config::{Conflict, Ignored, Reader};
use sealift_registry::CredentialFile;
use serde::Serialize;

pub use endpoint::{Endpoint, HostRule, KeyPair, Scheme, Scope, Serves};
pub use error::Error;
pub use findings::{Account, Keeping};
pub use host::Host;
pub use pem::Pem;
pub use proxy::{Proxies, ProxyUrl};
pub use route::Hops;
pub use sealift_config::{Place, Sourced};
pub use source::flags::Flags;
pub use trust::Trust;

use findings::{Family, Findings};
use machine::Machine;
use source::sealift::Options;

/// Where the sources are looked for. Nothing is read from the process itself.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder that stands for `/`; tests plant a machine in another.
    pub root: PathBuf,
    /// The environment's variables; they also tell the home folder.
    pub environment: BTreeMap<String, String>,
    /// The folder that relative paths of options are meant in.
    pub working_directory: PathBuf,
    /// Where the project's sealift.toml may be; the first one counts that may be read.
    pub project_files: Vec<PathBuf>,
    /// The projects that may say how registries are reached.
    pub trust: Trust,
    /// The user that the process acts as.
    pub user: u32,
    /// The options of the command line.
    pub flags: Flags,
}

impl Places {
    fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from)
    }

    fn config_home(&self) -> Option<PathBuf> {
        let explicit = self.variable("XDG_CONFIG_HOME").map(PathBuf::from);
        explicit.or_else(|| self.home().map(|home| home.join(".config")))
    }
}

/// The images of one scope: where they are looked for, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// The images.
    pub scope: Scope,
    /// The mirrors, the first is asked first.
    pub mirrors: Vec<Endpoint>,
    /// The registry itself, asked last. A scope of many hosts has none.
    pub origin: Option<Endpoint>,
    /// The entry that forbids these images.
    pub blocked: Option<Place>,
}

/// The whole model.
#[derive(Debug, Clone, Serialize)]
pub struct Network {
    /// The registries that something is configured for.
    #[serde(skip)]
    pub registries: Vec<Registry>,
    /// Hosts with their transport security, by the name that a configuration uses.
    #[serde(skip)]
    pub hosts: BTreeMap<Host, HostRule>,
    /// Networks whose hosts are insecure registries.
    pub insecure: Vec<Sourced<IpNet>>,
    /// The proxies for those who dial registries: sealift and buildkitd.
    pub proxies: Proxies,
    /// Mirrors that are reached without a proxy, although one is set.
    pub direct: Vec<Sourced<String>>,
    /// The proxies for build steps.
    pub step_proxies: Proxies,
    /// `false`: build steps get no proxy variables.
    pub build_proxy: Option<Sourced<bool>>,
    /// Name servers for buildkitd and its steps.
    pub dns: Vec<Sourced<IpAddr>>,
    /// Accounts by name.
    pub accounts: Vec<Account>,
    /// The same accounts with their secrets, file by file; the first is asked first.
    #[serde(skip)]
    pub account_files: Vec<CredentialFile>,
    /// The address of Docker's daemon.
    pub docker_host: Option<Sourced<String>>,
    /// What was found and does not take effect.
    pub ignored: Vec<Ignored>,
    /// Hosts that stored accounts are not shown to: a project alone says that they are reached over
    /// plain HTTP, or without checks of their certificates.
    pub withheld: Vec<Sourced<Host>>,
    /// Where sources contradict each other.
    pub conflicts: Vec<Conflict>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    #[serde(skip)]
    gathered: Gathered,
}

/// What the sources said, kept so that the model can be made again when more is known of hosts.
#[derive(Debug, Clone, Default)]
struct Gathered {
    findings: Vec<Findings>,
    options: Options,
    ignored: Vec<Ignored>,
    conflicts: Vec<Conflict>,
    files: Vec<PathBuf>,
}

impl Network {
    /// Reads all sources and merges them.
    ///
    /// # Errors
    /// [`Error::Malformed`] with every mistake that was found, each with its place.
    pub fn read(places: &Places) -> Result<Self, Error> {
        let machine = Machine::new(&places.root);
        let mut reader = Reader::new(&machine);
        let (findings, options) = gather(places, &machine, &mut reader);
        if !reader.problems.is_empty() {
            return Err(Error::Malformed {
                problems: reader.problems,
            });
        }
        Ok(merge::merge(Gathered {
            findings,
            options,
            ignored: reader.ignored,
            conflicts: reader.conflicts,
            files: reader.files,
        }))
    }

    /// Applies insecure networks (CIDR) to hosts: those of the model and those given. `lookup` resolves a name to its addresses; nothing is asked where there is no such
    /// network.
    #[must_use]
    pub fn settle<L>(self, hosts: &[Host], lookup: L) -> Self
    where
        L: Fn(&str) -> Vec<IpAddr>,
    {
        let known = self.registries.iter().flat_map(|registry| {
            let endpoints = registry.mirrors.iter().chain(&registry.origin);
            endpoints.map(|endpoint| endpoint.host.clone())
        });
        let mut candidates: Vec<Host> = known.chain(hosts.iter().cloned()).collect();
        candidates.sort();
        candidates.dedup();
        let mut derived = Findings::default();
        if !self.insecure.is_empty() {
            for host in &candidates {
                let literal = host.address().map(|address| vec![address]);
                let addresses = literal.unwrap_or_else(|| lookup(host.name()));
                let found = addresses.iter().find_map(|address| {
                    let block = self
                        .insecure
                        .iter()
                        .find(|b| b.value.contains(&address.to_canonical()))?;
                    Some((address, block))
                });
                if let Some((address, block)) = found {
                    let text = format!("{} ({}) holds {address}", block.value, block.from);
                    derived.mark_insecure(host, &Place::Rule(text));
                }
            }
        }
        let mut gathered = self.gathered;
        gathered.findings.push(derived);
        merge::merge(gathered)
    }

    /// Returns what people should hear of without asking.
    pub fn warnings(&self) -> impl Iterator<Item = &Ignored> {
        self.ignored.iter().filter(|ignored| ignored.warning)
    }
}

/// Reads the sources in the order of precedence.
fn gather(
    places: &Places,
    machine: &Machine<'_>,
    reader: &mut Reader<'_>,
) -> (Vec<Findings>, Options) {
    let environment = &places.environment;
    let config_home = places.config_home();
    let config_home = config_home.as_deref();
    let mut findings = vec![source::flags::read(&places.flags, reader)];
    let mut options = Options::default();
    let (project, said) = project::read(places, machine, reader);
    let project_daemon_json = said.daemon_json.clone();
    findings.push(project);
    options = options.or(said);
    if let Some(folder) = config_home {
        let (found, said) = source::sealift::read(&folder.join("sealift/sealift.toml"), reader);
        findings.push(found);
        options = options.or(said);
    }
    let wanted = |family| {
        options
            .sources
            .as_ref()
            .is_none_or(|s| s.value.contains(&family))
    };
    if wanted(Family::Environment) {
        findings.push(source::environment::read(environment, reader));
    }
    let explicit = named_daemon_json(places, &options);
    if let Some((path, named)) = &explicit {
        let mut found = source::daemon::read_named(path, named, reader);
        found.by_project = project_daemon_json.is_some_and(|file| file.from == *named);
        if found.by_project {
            for block in found.insecure.drain(..) {
                let why = "a project can name hosts as insecure, not whole networks";
                reader.warn(block.value.to_string(), why, block.from);
            }
        }
        findings.push(found);
    }
    if wanted(Family::Docker) {
        findings.extend(docker(places, explicit.is_some(), reader));
    }
    if wanted(Family::Containerd) {
        let folders = source::containerd::places(config_home);
        findings.extend(
            folders
                .iter()
                .map(|path| source::containerd::read(path, reader)),
        );
    }
    if wanted(Family::Containers) {
        findings.push(source::registries::read(environment, config_home, reader));
        findings.extend(source::containers::read_certificates(config_home, reader));
        findings.push(source::containers::read_accounts(
            environment,
            config_home,
            reader,
        ));
    }
    (findings, options)
}

/// Reads Docker's files; its daemon.json is left out where another one is named.
fn docker(places: &Places, other_daemon_json: bool, reader: &mut Reader<'_>) -> Vec<Findings> {
    let (home, config_home) = (places.home(), places.config_home());
    let (home, config_home) = (home.as_deref(), config_home.as_deref());
    let mut findings = Vec::new();
    if !other_daemon_json {
        let places = source::daemon::places(home, config_home);
        findings.extend(places.iter().map(|path| source::daemon::read(path, reader)));
    }
    for rootless in [true, false] {
        let folders = source::systemd::folders(config_home, rootless);
        findings.push(source::systemd::read(&folders, reader));
    }
    let folders = source::docker_certs::places(home, config_home);
    findings.extend(
        folders
            .iter()
            .map(|path| source::docker_certs::read(path, reader)),
    );
    if let Some(folder) = source::docker_config::folder(&places.environment, home) {
        let found = source::docker_config::read(&folder, &places.environment, reader);
        findings.push(found);
    }
    findings
}

/// The daemon.json that an option, else a sealift.toml, names.
fn named_daemon_json(places: &Places, options: &Options) -> Option<(PathBuf, Place)> {
    let flag = places.flags.daemon_json.as_ref().map(|path| {
        (
            places.working_directory.join(path),
            Place::Flag("--daemon-json".to_owned()),
        )
    });
    let file = options.daemon_json.as_ref();
    flag.or_else(|| file.map(|path| (path.value.clone(), path.from.clone())))
}
