//! What the services of a session serve: all that its solves offer.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;

use ring::digest;
use sealift_content::Store;
use tonic::service::Routes;

use super::{Record, auth, content, filereceive, filesync, health, secrets, sources, ssh};
use crate::authority::Authority;
use crate::output::Output;
use crate::proto::{filesync as filesync_proto, health as health_proto};
use crate::proto::{secrets as secrets_proto, ssh as ssh_proto};
use crate::solve::{Secret, Solve, Sources};
use crate::{Error, Result};

/// The parts of solves that a session serves.
#[derive(Debug, Default)]
pub(super) struct Offer {
    folders: BTreeMap<String, PathBuf>,
    hidden: Vec<String>,
    stores: BTreeMap<String, Store>,
    secrets: BTreeMap<String, Secret>,
    agents: BTreeMap<String, PathBuf>,
    authority: Option<Arc<dyn Authority>>,
    sources: Option<Sources>,
    output: Output,
}

impl Offer {
    /// Joins the offers of solves. What has one name must be one thing: the daemon asks by name,
    /// not by solve.
    pub(super) fn of(solves: &[&Solve]) -> Result<Self> {
        let mut offer = Self::default();
        for solve in solves {
            join(&mut offer.folders, &solve.folders, "folder")?;
            join(&mut offer.secrets, &solve.secrets, "secret")?;
            join(&mut offer.agents, &solve.agents, "ssh agent")?;
            offer.hidden.extend(solve.hidden.clone());
            // Stores are named by what they are.
            offer.stores.extend(solve.stores.clone());
            if offer.authority.is_none() {
                offer.authority.clone_from(&solve.authority);
            }
            if offer.sources.is_none() {
                offer.sources.clone_from(&solve.sources);
            }
            offer.join_output(&solve.output)?;
        }
        Ok(offer)
    }

    fn join_output(&mut self, output: &Output) -> Result<()> {
        match (&self.output, output) {
            (_, Output::None) => {}
            (Output::None, _) => self.output = output.clone(),
            (Output::Store(one), Output::Store(other)) if one.root() == other.root() => {}
            _ => {
                return Err(Error::Conflict {
                    what: "output",
                    name: format!("{output:?}"),
                });
            }
        }
        Ok(())
    }

    /// Makes the services and lists their methods: the daemon calls none that is not listed.
    pub(super) fn services(&self, record: &Record) -> (Routes, Vec<&'static str>) {
        let files = filesync::Service {
            folders: self.folders.clone(),
            hidden: self.hidden.clone(),
            record: record.clone(),
        };
        let auth = auth::Service::new(self.authority.clone(), record.clone());
        let health = health::Service {
            record: record.clone(),
        };
        let mut routes = Routes::new(health_proto::health_server::HealthServer::new(health))
            .add_service(files)
            .add_service(filesync_proto::auth_server::AuthServer::new(auth));
        let mut methods = vec![
            "/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
            "/moby.filesync.v1.Auth/Credentials",
            "/moby.filesync.v1.Auth/FetchToken",
            "/moby.filesync.v1.Auth/GetTokenAuthority",
            "/moby.filesync.v1.Auth/VerifyTokenAuthority",
        ];
        methods.extend(filesync::Service::METHODS);
        if !self.secrets.is_empty() {
            let (secrets, record) = (self.secrets.clone(), record.clone());
            let service = secrets::Service { secrets, record };
            routes = routes.add_service(secrets_proto::secrets_server::SecretsServer::new(service));
            methods.push("/moby.buildkit.secrets.v1.Secrets/GetSecret");
        }
        if !self.agents.is_empty() {
            let agents = self.agents.clone();
            let service = ssh_proto::ssh_server::SshServer::new(ssh::Service { agents });
            routes = routes.add_service(service);
            methods.push("/moby.sshforward.v1.SSH/CheckAgent");
            methods.push("/moby.sshforward.v1.SSH/ForwardAgent");
        }
        if let Some(stores) = self.named_stores() {
            routes = routes.add_service(content::Service::new(stores, record.clone()));
            methods.extend(content::Service::METHODS);
        }
        if let Some(Sources { authority, store }) = self.sources.clone() {
            let own = self.folders.keys().chain(self.stores.keys());
            let service = sources::Service {
                authority,
                store,
                own: Arc::new(own.cloned().collect()),
                given: Arc::default(),
                record: record.clone(),
            };
            routes = routes.add_service(service);
            methods.extend(sources::Service::METHODS);
        }
        if let Output::Folder(folder) = &self.output {
            let service = filereceive::Folder::new(folder.clone(), record.clone());
            routes = routes.add_service(service);
            methods.extend(filereceive::Folder::METHODS);
        }
        (routes, methods)
    }

    /// Lists the stores under the names that the daemon asks by: `oci:NAME`, and `export` for results.
    fn named_stores(&self) -> Option<content::Stores> {
        let named = self.stores.iter();
        let mut stores: content::Stores = named
            .map(|(name, store)| (format!("oci:{name}"), store.clone()))
            .collect();
        if let Output::Store(store) = &self.output {
            stores.insert("export".to_owned(), store.clone());
        }
        (!stores.is_empty()).then_some(stores)
    }

    /// Checks what the daemon would find out late and say badly.
    pub(super) fn check(&self) -> Result<()> {
        for (id, secret) in &self.secrets {
            let size = secret.bytes().len();
            if size > Secret::LIMIT {
                return Err(Error::SecretTooLarge {
                    id: id.clone(),
                    size,
                    limit: Secret::LIMIT,
                });
            }
        }
        for (id, path) in &self.agents {
            use std::os::unix::fs::FileTypeExt as _;
            let refused = |source| Error::SshAgent {
                id: id.clone(),
                path: path.clone(),
                source,
            };
            let metadata = path.metadata().map_err(|source| refused(Some(source)))?;
            if !metadata.file_type().is_socket() {
                return Err(refused(None));
            }
        }
        for path in self.folders.values() {
            let refused = |source| Error::Source {
                path: path.clone(),
                source,
            };
            if !path.metadata().map_err(refused)?.is_dir() {
                return Err(refused(std::io::ErrorKind::NotADirectory.into()));
            }
        }
        Ok(())
    }

    /// Makes the key by which the daemon finds what it got of the same folders in an earlier session,
    /// so that only changes travel.
    pub(super) fn shared_key(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        for (name, folder) in &self.folders {
            let folder: PathBuf = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
            context.update(name.as_bytes());
            context.update(&[0]);
            context.update(folder.as_os_str().as_encoded_bytes());
            context.update(&[0]);
        }
        let digest = context.finish();
        digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

fn join<T: Clone + PartialEq>(
    all: &mut BTreeMap<String, T>,
    more: &BTreeMap<String, T>,
    what: &'static str,
) -> Result<()> {
    for (name, value) in more {
        match all.entry(name.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(value.clone());
            }
            Entry::Occupied(entry) if entry.get() == value => {}
            Entry::Occupied(_) => {
                let name = name.clone();
                return Err(Error::Conflict { what, name });
            }
        }
    }
    Ok(())
}
