//! All that one solve is asked for, kept so that it can be asked for again.

use std::path::PathBuf;
use std::sync::Arc;

use sealift_buildkit::{Authority, Context, Entitlement, Output, Policy, Secret, Solve};
use sealift_content::Store;
use sealift_oci::{Digest, Platform};

use crate::event::Unit;

/// What sealift itself writes at a project's root.
const OWN_FILES: [&str; 2] = [".build-failures.log", ".sealift"];

/// What a build is sealed off from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// All registries.
    Images,
    /// All registries and URLs; RUN has no network.
    All,
    /// Nothing.
    Off,
}

impl Seal {
    /// Returns the option's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::All => "all",
            Self::Off => "off",
        }
    }
}

/// What steps see besides the images, the same for every unit of a command.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Build arguments.
    pub build_args: Vec<(String, String)>,
    /// Labels of the image.
    pub labels: Vec<(String, String)>,
    /// Secrets by id.
    pub secrets: Vec<(String, Secret)>,
    /// Sockets of ssh agents by id.
    pub agents: Vec<(String, PathBuf)>,
    /// Lines of /etc/hosts: name, address.
    pub hosts: Vec<(String, String)>,
    /// Network of RUN steps.
    pub network: Option<String>,
    /// What the build may do beyond the usual.
    pub entitlements: Vec<Entitlement>,
    /// Whether every step runs again.
    pub no_cache: bool,
    /// Who answers an unsealed build's requests for accounts and tokens.
    pub authority: Option<Arc<dyn Authority>>,
    /// Whether an unsealed build asks registries for newer images.
    pub pull: bool,
}

/// One solve.
#[derive(Debug, Clone)]
pub struct Order {
    /// The unit.
    pub unit: Unit,
    /// Its platform.
    pub platform: Platform,
    /// The target stage, where one is named.
    pub target: Option<String>,
    /// The name of the result, for people.
    pub image: String,
    /// The build context.
    pub context: PathBuf,
    /// The Dockerfile.
    pub dockerfile: PathBuf,
    /// The Dockerfile as messages show it.
    pub shown: String,
    /// Images that stand in the store, as the frontend looks them up.
    pub images: Vec<NamedImage>,
    /// Contexts that the user named, other than images.
    pub contexts: Vec<(String, Context)>,
    /// What steps see.
    pub surroundings: Arc<Surroundings>,
    /// What it is sealed off from.
    pub seal: Seal,
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
#[derive(Debug, Clone)]
pub enum Product {
    /// An image in the store.
    Image,
    /// The target's files in a folder.
    Files(PathBuf),
}

impl Order {
    /// Writes the order as a solve.
    #[must_use]
    pub fn solve(&self, product: &Product, store: &Store) -> Solve {
        let steps = &self.surroundings;
        let mut solve = Solve::new(&self.context)
            .dockerfile(&self.dockerfile)
            .hide(&OWN_FILES)
            .platform(&self.platform)
            .output(match product {
                Product::Image => Output::Store(store.clone()),
                Product::Files(folder) => Output::Folder(folder.clone()),
            });
        if let Some(target) = &self.target {
            solve = solve.target(target);
        }
        for (name, value) in &steps.build_args {
            solve = solve.build_arg(name, value);
        }
        for (name, value) in &steps.labels {
            solve = solve.label(name, value);
        }
        for (name, address) in &steps.hosts {
            solve = solve.add_host(name, address);
        }
        for (id, secret) in &steps.secrets {
            solve = solve.secret(id, secret.clone());
        }
        for (id, socket) in &steps.agents {
            solve = solve.ssh_agent(id, socket);
        }
        for entitlement in &steps.entitlements {
            solve = solve.allow(*entitlement);
        }
        if steps.no_cache {
            solve = solve.no_cache();
        }
        for (name, context) in &self.contexts {
            solve = solve.context(name, None, context.clone());
        }
        self.seal(solve, store)
    }

    fn seal(&self, mut solve: Solve, store: &Store) -> Solve {
        let steps = &self.surroundings;
        if self.seal == Seal::Off {
            if let Some(authority) = &steps.authority {
                solve = solve.authority(Arc::clone(authority));
            }
            if steps.pull {
                solve = solve.pull();
            }
        } else {
            for NamedImage {
                name,
                platform,
                digest,
            } in &self.images
            {
                let context = Context::Image {
                    store: store.clone(),
                    digest: digest.clone(),
                };
                solve = solve.context(name, platform.as_ref(), context);
            }
        }
        let network = steps
            .network
            .as_deref()
            .or((self.seal == Seal::All).then_some("none"));
        if let Some(mode) = network {
            solve = solve.network(mode);
        }
        match self.seal {
            Seal::Images => solve.policy(Policy::seal_images()),
            Seal::All => solve.policy(Policy::seal_all()),
            Seal::Off => solve,
        }
    }
}
