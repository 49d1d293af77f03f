//! All that a unit's solves are asked for, kept so that it can be asked for again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sealift_buildkit::{Authority, Context, Entitlement, Output, Policy, Secret, Solve};
use sealift_content::Store;
use sealift_dockerfile::Via;
use sealift_oci::{Digest, Platform, Reference};

use super::queue::Job;
use crate::plan::{Input, Unit};
use crate::prefetch::Pins;
use crate::project::{ContextSource, Origin};
use crate::unit::UnitId;

/// What sealift itself writes at a project's root.
const OWN_FILES: [&str; 2] = [".build-failures.log", ".sealift"];

/// What a build is sealed off from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Seal {
    /// All registries
    #[default]
    Images,
    /// All registries and URLs; RUN has no network
    All,
    /// Nothing: BuildKit fetches images itself
    Off,
}

/// What steps see besides the images, the same for every unit of a command.
#[derive(Debug, Clone, Default)]
pub struct StepOptions {
    /// Build arguments besides an input's own: proxies.
    pub build_args: Vec<(String, String)>,
    /// Labels of the image.
    pub labels: Vec<(String, String)>,
    /// Secrets by id.
    pub secrets: Vec<(String, Secret)>,
    /// Sockets of ssh agents by id.
    pub agents: Vec<(String, PathBuf)>,
    /// Lines of /etc/hosts: name, address.
    pub hosts: Vec<(String, String)>,
    /// Network of RUN steps, where it is not the builder's usual one.
    pub network: Option<StepNetwork>,
    /// What the build may do beyond the usual.
    pub entitlements: Vec<Entitlement>,
    /// Whether every step runs again.
    pub no_cache: bool,
    /// Who answers an unsealed build's requests for accounts and tokens.
    pub authority: Option<Arc<dyn Authority>>,
    /// Whether an unsealed build asks registries for newer images.
    pub pull: bool,
    /// What the build is sealed off from.
    pub seal: Seal,
    /// The proxies that steps were given, for what is said where one refuses.
    pub proxies: Vec<StepProxy>,
    /// The folder of sealift's own state, which is hidden from builds whose context holds it.
    pub state: PathBuf,
    /// After how much silence a step is stopped.
    pub timeout: Option<Duration>,
}

/// A proxy that steps use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepProxy {
    /// Its address, without a password.
    pub url: String,
    /// Its host.
    pub host: String,
    /// Its port, where it names one.
    pub port: Option<u16>,
    /// Where it was set.
    pub from: String,
}

/// The network of RUN steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepNetwork {
    /// The builder's machine's own.
    Host,
    /// None at all.
    None,
}

impl StepNetwork {
    /// Returns BuildKit's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::None => "none",
        }
    }
}

/// What is asked for a unit.
#[derive(Debug, Clone)]
pub struct Order {
    /// The unit.
    pub unit: UnitId,
    /// The units that must be built before it.
    pub after: Vec<UnitId>,
    /// What is built.
    pub input: Arc<Input>,
    /// The Dockerfile on disk.
    pub dockerfile: PathBuf,
    /// Images that stand in the store, as the frontend looks them up.
    pub images: Vec<NamedImage>,
    /// What its solves are to make, one each.
    pub products: Vec<Product>,
    /// What steps see.
    pub options: Arc<StepOptions>,
}

/// An image in the store under the name that the frontend looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// The familiar name: `busybox:1.36`.
    pub name: String,
    /// The platform it is looked up for; every one that has no image of its own where none is
    /// named.
    pub platform: Option<Platform>,
    /// Digest of its manifest.
    pub digest: Digest,
}

/// What a solve is to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Product {
    /// An image in the store.
    Image,
    /// The target's files in a folder.
    Files(PathBuf),
}

impl Job for Order {
    fn id(&self) -> &UnitId {
        &self.unit
    }

    fn after(&self) -> &[UnitId] {
        &self.after
    }
}

impl Order {
    /// Returns the name of the result, for people.
    #[must_use]
    pub fn image(&self) -> String {
        let name = self.input.names.first();
        name.map(Reference::familiar).unwrap_or_default()
    }

    /// Writes one of its products as a solve.
    #[must_use]
    pub fn solve(&self, product: &Product, store: &Store) -> Solve {
        let options = &self.options;
        let hidden = self.hidden();
        let mut solve = Solve::new(&self.input.component.context)
            .dockerfile(&self.dockerfile)
            .hide(&OWN_FILES)
            .hide(&hidden.iter().map(String::as_str).collect::<Vec<_>>())
            .platform(&self.unit.platform)
            .output(match product {
                Product::Image => Output::Store(store.clone()),
                Product::Files(folder) => Output::Folder(folder.clone()),
            });
        if let Some(target) = &self.unit.target {
            solve = solve.target(target);
        }
        for (name, value) in self.input.build_args.iter().chain(&options.build_args) {
            solve = solve.build_arg(name, value);
        }
        for (name, value) in &options.labels {
            solve = solve.label(name, value);
        }
        for (name, address) in &options.hosts {
            solve = solve.add_host(name, address);
        }
        for (id, secret) in &options.secrets {
            solve = solve.secret(id, secret.clone());
        }
        for (id, socket) in &options.agents {
            solve = solve.ssh_agent(id, socket);
        }
        for entitlement in &options.entitlements {
            solve = solve.allow(*entitlement);
        }
        if options.no_cache {
            solve = solve.no_cache();
        }
        for context in &self.input.contexts {
            let source = match &context.source {
                ContextSource::Folder(folder) => Context::Folder(folder.clone()),
                ContextSource::Remote(url) => Context::Url(url.clone()),
                ContextSource::Scratch => Context::Remote("scratch".to_owned()),
                // A sealed build has it among its images.
                ContextSource::Image(_) if options.seal != Seal::Off => continue,
                ContextSource::Image(reference) => Context::Remote(reference.to_string()),
            };
            solve = solve.context(&context.name, None, source);
        }
        self.seal(solve, store)
    }

    /// Returns patterns for the state's folder, as seen from each folder that holds it: it has tokens
    /// of registries, and all of the store.
    fn hidden(&self) -> Vec<String> {
        let contexts = self.input.contexts.iter();
        let folders = contexts.filter_map(|context| match &context.source {
            ContextSource::Folder(folder) => Some(folder),
            _ => None,
        });
        let state = self.options.state.canonicalize();
        let state = state.as_ref().unwrap_or(&self.options.state);
        let all = folders.chain([&self.input.component.context]);
        let inside = all.filter_map(|folder| {
            let folder = folder.canonicalize().ok()?;
            let inner = state.strip_prefix(folder).ok()?.to_str()?;
            let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '\\' | '!');
            let escape = |c: char| special(c).then_some('\\').into_iter().chain([c]);
            (!inner.is_empty()).then(|| inner.chars().flat_map(escape).collect())
        });
        inside.collect()
    }

    fn seal(&self, mut solve: Solve, store: &Store) -> Solve {
        let StepOptions { seal, network, .. } = *self.options;
        for image in &self.images {
            let context = Context::Image {
                store: store.clone(),
                digest: image.digest.clone(),
            };
            solve = solve.context(&image.name, image.platform.as_ref(), context);
        }
        if let Some(network) = network.or((seal == Seal::All).then_some(StepNetwork::None)) {
            solve = solve.network(network.as_str());
        }
        match seal {
            Seal::Images => return solve.policy(Policy::seal_images()),
            Seal::All => return solve.policy(Policy::seal_all()),
            Seal::Off => {}
        }
        if let Some(authority) = &self.options.authority {
            solve = solve.authority(Arc::clone(authority));
        }
        if self.options.pull {
            solve = solve.pull();
        }
        solve
    }
}

/// Returns a unit's images under the names that the frontend looks for.
#[must_use]
pub fn named_images(unit: &Unit, pins: &Pins) -> Vec<NamedImage> {
    let mut images = Vec::new();
    for need in &unit.needs {
        let key = (need.reference.clone(), need.platform.clone());
        let Some(manifest) = pins.get(&key) else {
            continue;
        };
        // A context for one platform has it in its name, `base::linux/arm64`, as ours will.
        let context = need.context.as_deref();
        let name = context.map(|name| name.split_once("::").map_or(name, |(name, _)| name));
        let image = NamedImage {
            name: name.map_or_else(|| need.reference.familiar(), str::to_owned),
            platform: Some(need.platform.clone()),
            digest: manifest.digest.clone(),
        };
        // The frontend's own image is looked up for the machine that builds, whose platform may be
        // spelt otherwise there: it stands under its bare name too.
        if need.via == Via::Syntax {
            let platform = None;
            images.push(NamedImage {
                platform,
                ..image.clone()
            });
        }
        images.push(image);
    }
    images
}

/// Returns the folder that a platform's files go to: a subfolder where there are several.
#[must_use]
pub fn folder_of(folder: &Path, platform: &Platform, several: bool) -> PathBuf {
    if several {
        folder.join(platform.to_string().replace('/', "_"))
    } else {
        folder.to_owned()
    }
}

/// The Dockerfile of an input on disk, for BuildKit.
#[derive(Debug)]
pub struct DockerfileOnDisk {
    /// Its path.
    pub path: PathBuf,
    /// The folder of one that came from a stream, removed when this is dropped.
    _folder: Option<tempfile::TempDir>,
}

impl DockerfileOnDisk {
    /// Names the file, or writes what came from a stream to one.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn of(origin: &Origin) -> std::io::Result<Self> {
        let bytes = match origin {
            Origin::File(path) => {
                let path = path.clone();
                return Ok(Self {
                    path,
                    _folder: None,
                });
            }
            Origin::Stream(bytes) => bytes,
        };
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("Dockerfile");
        std::io::Write::write_all(&mut std::fs::File::create_new(&path)?, bytes)?;
        let folder = Some(folder);
        Ok(Self {
            path,
            _folder: folder,
        })
    }
}
