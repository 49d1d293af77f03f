//! What a solve is asked for, in Dockerfile terms. `request` writes it in the daemon's words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealift_content::Store;
use sealift_oci::{Digest, Platform};

use crate::authority::Authority;
use crate::output::Output;
use crate::policy::Policy;
use crate::source::SourceAuthority;

/// A build of one Dockerfile for one platform.
#[derive(Debug)]
pub struct Solve {
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) folders: BTreeMap<String, PathBuf>,
    pub(crate) hidden: Vec<String>,
    pub(crate) stores: BTreeMap<String, Store>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) agents: BTreeMap<String, PathBuf>,
    pub(crate) authority: Option<Arc<dyn Authority>>,
    pub(crate) sources: Option<Sources>,
    pub(crate) entitlements: BTreeSet<Entitlement>,
    pub(crate) policy: Policy,
    pub(crate) output: Output,
    pub(crate) output_attributes: BTreeMap<String, String>,
    hosts: Vec<String>,
}

/// Who decides about sources, and the name of the store that they come from.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) authority: Arc<dyn SourceAuthority>,
    pub(crate) store: String,
}

/// What a build may do beyond the usual; the daemon must grant it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entitlement {
    /// RUN steps may use the host's network.
    NetworkHost,
    /// RUN steps may run without confinement.
    SecurityInsecure,
}

impl Entitlement {
    /// Returns the daemon's name for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NetworkHost => "network.host",
            Self::SecurityInsecure => "security.insecure",
        }
    }
}

/// What stands behind a name that a Dockerfile uses as an image or stage.
#[derive(Debug, Clone)]
pub enum Context {
    /// A folder of this machine.
    Folder(PathBuf),
    /// An image of a content store of this machine: an index or a manifest.
    Image {
        /// The store.
        store: Store,
        /// Digest of the index or manifest.
        digest: Digest,
    },
    /// An image that the daemon fetches: `docker-image://…` without its scheme.
    Remote(String),
    /// A git repository or an archive that the daemon fetches.
    Url(String),
}

/// A secret's bytes; they are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The size that a secret may have, in bytes: BuildKit's own limit.
    pub const LIMIT: usize = 500 << 10;

    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(****)")
    }
}

/// Name of the folder that COPY reads from.
const CONTEXT: &str = "context";
/// Name of the folder that the Dockerfile is in.
const DOCKERFILE: &str = "dockerfile";

impl Solve {
    /// Begins a build of the file `Dockerfile` in `context`, for the daemon's own platform, whose
    /// result stays with the daemon.
    #[must_use]
    pub fn new(context: impl Into<PathBuf>) -> Self {
        let context = context.into();
        let folders = BTreeMap::from([
            (DOCKERFILE.to_owned(), context.clone()),
            (CONTEXT.to_owned(), context),
        ]);
        Self {
            attributes: BTreeMap::new(),
            folders,
            hidden: Vec::new(),
            stores: BTreeMap::new(),
            secrets: BTreeMap::new(),
            agents: BTreeMap::new(),
            authority: None,
            sources: None,
            entitlements: BTreeSet::new(),
            policy: Policy::new(),
            output: Output::None,
            output_attributes: BTreeMap::new(),
            hosts: Vec::new(),
        }
    }

    /// Sets the Dockerfile, which may lie outside the context. Its `.dockerignore`, if it has one
    /// of its own, lies beside it.
    #[must_use]
    pub fn dockerfile(mut self, path: &Path) -> Self {
        if let Some(name) = path.file_name() {
            let name = name.to_string_lossy().into_owned();
            self.attributes.insert("filename".to_owned(), name);
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        self.folders.insert(DOCKERFILE.to_owned(), folder);
        self
    }

    /// Hides files at the roots of all folders from the daemon, whatever the ignore file says:
    /// what the caller itself writes there must not change what `COPY .` copies.
    #[must_use]
    pub fn hide(mut self, names: &[&str]) -> Self {
        self.hidden
            .extend(names.iter().map(|&name| name.to_owned()));
        self
    }

    /// Sets the stage that is built; the last one otherwise.
    #[must_use]
    pub fn target(self, stage: &str) -> Self {
        self.attribute("target", stage)
    }

    /// Sets the platform that is built for.
    #[must_use]
    pub fn platform(self, platform: &Platform) -> Self {
        self.attribute("platform", &platform.to_string())
    }

    /// Returns the platform that is built for, where one is set.
    pub(crate) fn target_platform(&self) -> Option<Platform> {
        Platform::parse(self.attributes.get("platform")?).ok()
    }

    /// Sets a build argument.
    #[must_use]
    pub fn build_arg(self, name: &str, value: &str) -> Self {
        self.attribute(&format!("build-arg:{name}"), value)
    }

    /// Sets a label of the image.
    #[must_use]
    pub fn label(self, name: &str, value: &str) -> Self {
        self.attribute(&format!("label:{name}"), value)
    }

    /// Adds a line to `/etc/hosts` of every RUN step; `address` may be `host-gateway`.
    #[must_use]
    pub fn add_host(mut self, name: &str, address: &str) -> Self {
        self.hosts.push(format!("{name}={address}"));
        let hosts = self.hosts.join(",");
        self.attribute("add-hosts", &hosts)
    }

    /// Sets the network of every RUN step: `default`, `none` or `host`.
    #[must_use]
    pub fn network(self, mode: &str) -> Self {
        self.attribute("force-network-mode", mode)
    }

    /// Runs every step anew.
    #[must_use]
    pub fn no_cache(self) -> Self {
        self.attribute("no-cache", "")
    }

    /// Asks registries for newer images, where the daemon may prefer what it has.
    #[must_use]
    pub fn pull(self) -> Self {
        self.attribute("image-resolve-mode", "pull")
    }

    /// Sets a frontend attribute by BuildKit's own name, such as `attest:provenance`.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Puts something behind a name that the Dockerfile uses: for one platform, or for all.
    ///
    /// The name of an image is its familiar form: `busybox:1.36`, `ghcr.io/a/b:1`, with `:latest`
    /// left out.
    #[must_use]
    pub fn context(mut self, name: &str, platform: Option<&Platform>, context: Context) -> Self {
        let key = platform.map_or_else(
            || format!("context:{name}"),
            |platform| format!("context:{name}::{platform}"),
        );
        let value = match context {
            Context::Folder(folder) => {
                let local = self.folder_name(name);
                self.folders.insert(local.clone(), folder);
                format!("local:{local}")
            }
            Context::Image { store, digest } => {
                let id = self.store_name(store);
                format!("oci-layout://{id}@{digest}")
            }
            Context::Remote(reference) => format!("docker-image://{reference}"),
            Context::Url(url) => url,
        };
        // Frontends that are images refuse named contexts unless the client claims to know
        // them.
        self.attribute(&key, &value)
            .attribute("frontend.caps", "moby.buildkit.frontend.contexts+forward")
    }

    /// Offers a secret to `RUN --mount=type=secret,id=ID`.
    #[must_use]
    pub fn secret(mut self, id: &str, secret: Secret) -> Self {
        self.secrets.insert(id.to_owned(), secret);
        self
    }

    /// Offers an ssh agent's socket to `RUN --mount=type=ssh,id=ID`; the usual id is `default`.
    #[must_use]
    pub fn ssh_agent(mut self, id: &str, socket: impl Into<PathBuf>) -> Self {
        self.agents.insert(id.to_owned(), socket.into());
        self
    }

    /// Sets who answers the daemon's requests for credentials and tokens.
    #[must_use]
    pub fn authority(mut self, authority: Arc<dyn Authority>) -> Self {
        self.authority = Some(authority);
        self
    }

    /// Sets who decides about the sources that the daemon is about to read, and the store that
    /// they may come from. A daemon that does not ask (see [`crate::Client::asks_about_sources`])
    /// reads all of them by itself.
    #[must_use]
    pub fn sources(mut self, authority: Arc<dyn SourceAuthority>, store: Store) -> Self {
        let store = self.store_name(store);
        self.sources = Some(Sources { authority, store });
        self
    }

    /// Asks for an entitlement.
    #[must_use]
    pub fn allow(mut self, entitlement: Entitlement) -> Self {
        self.entitlements.insert(entitlement);
        self
    }

    /// Sets what the solve may fetch.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets where the result goes.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// Sets an attribute of the exporter by BuildKit's own name: `compression`, `name`,
    /// `rewrite-timestamp`, `annotation.KEY`.
    #[must_use]
    pub fn output_attribute(mut self, name: &str, value: &str) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.output_attributes.insert(name, value);
        self
    }

    /// Names a folder so that it hides neither the context's nor the Dockerfile's.
    fn folder_name(&self, name: &str) -> String {
        if name == CONTEXT || name == DOCKERFILE {
            format!("_{name}")
        } else {
            name.to_owned()
        }
    }

    /// Names a store by its folder, so that it has the same name in every solve.
    fn store_name(&mut self, store: Store) -> String {
        let root = store.root().as_os_str().as_encoded_bytes();
        let id = format!("store-{}", Digest::sha256(root).short());
        self.stores.insert(id.clone(), store);
        id
    }
}
