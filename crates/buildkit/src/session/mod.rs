//! The session of a solve: the services that the daemon calls back for files, blobs, secrets,
//! agents and tokens, served in reverse over one stream.

mod auth;
mod content;
mod filereceive;
mod filesync;
mod health;
mod owned;
mod record;
mod secrets;
mod ssh;
mod tunnel;
mod write;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::service::TowerToHyperService;
use ring::digest;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Routes;

pub use auth::{Account, Authority, Refusal, Token, TokenRequest};
pub(crate) use record::Record;
pub use record::Traffic;

use crate::client::{Client, MESSAGE_LIMIT};
use crate::output::Output;
use crate::proto::{bytesend, filesync as filesync_proto, health as health_proto};
use crate::proto::{secrets as secrets_proto, ssh as ssh_proto};
use crate::solve::{Secret, Solve};
use crate::{Error, Result};
use tunnel::Tunnel;

/// Windows of the daemon's streams to us: results come in through them.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// How often the daemon's silence is looked at.
const WATCH: Duration = Duration::from_secs(10);
/// How long a daemon may be silent, which asks every 5 seconds whether we live.
const SILENCE: Duration = Duration::from_secs(120);

/// An open session; dropped, it is closed and all its tasks end.
#[derive(Debug)]
pub(crate) struct Session {
    id: String,
    record: Record,
    serving: JoinSet<()>,
}

impl Session {
    /// Opens a session that serves what a solve offers.
    pub(crate) async fn open(client: &Client, solve: &Solve) -> Result<Self> {
        check(solve)?;
        let record = Record::default();
        let id = new_id();
        let (routes, methods) = services(solve, &record);
        let (sender, receiver) = tunnel::queue();
        let mut request = Request::new(ReceiverStream::new(receiver));
        let metadata = request.metadata_mut();
        let header = |text: &str| {
            AsciiMetadataValue::try_from(text).map_err(|_| Error::Answer {
                call: "Session",
                reason: format!("{text:?} is no header value"),
            })
        };
        metadata.insert("x-docker-expose-session-uuid", header(&id)?);
        metadata.insert(
            "x-docker-expose-session-sharedkey",
            header(&shared_key(solve))?,
        );
        for method in methods {
            metadata.append("x-docker-expose-session-grpc-method", header(method)?);
        }
        let answer = client.control().session(request).await;
        let answer = answer.map_err(|status| Error::of_call("Session", &status))?;
        let tunnel = Tunnel::new(answer.into_inner(), sender);
        let tasks = Tasks::default();
        let connection = http2::Builder::new(tasks.clone())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .serve_connection(tunnel, TowerToHyperService::new(routes.prepare()));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the session ended");
            }
            drop(tasks);
        });
        Ok(Self {
            id,
            record,
            serving,
        })
    }

    /// Returns the name that a solve gives for this session.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the record of what happens on it.
    pub(crate) const fn record(&self) -> &Record {
        &self.record
    }

    /// Waits until the daemon or the network closes it, or the daemon has been silent for so long
    /// that it or the way to it is gone.
    pub(crate) async fn closed(&mut self) {
        loop {
            match tokio::time::timeout(WATCH, self.serving.join_next()).await {
                Ok(None) => return,
                Err(_) if self.record.silence() > SILENCE => return,
                Ok(Some(_)) | Err(_) => {}
            }
        }
    }
}

/// Runs the streams of a connection; they end with their last owner.
#[derive(Debug, Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(future);
    }
}

/// Makes the services and lists their methods: the daemon calls none that is not listed.
fn services(solve: &Solve, record: &Record) -> (Routes, Vec<&'static str>) {
    let files = filesync::Service::new(solve.folders.clone(), record.clone());
    let files = filesync_proto::file_sync_server::FileSyncServer::new(files);
    let auth = auth::Service::new(solve.authority.clone(), record.clone());
    let health = health::Service {
        record: record.clone(),
    };
    let mut routes = Routes::new(health_proto::health_server::HealthServer::new(health))
        .add_service(files.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(filesync_proto::auth_server::AuthServer::new(auth));
    let mut methods = vec![
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/moby.filesync.v1.FileSync/DiffCopy",
        "/moby.filesync.v1.Auth/Credentials",
        "/moby.filesync.v1.Auth/FetchToken",
        "/moby.filesync.v1.Auth/GetTokenAuthority",
        "/moby.filesync.v1.Auth/VerifyTokenAuthority",
    ];
    if !solve.secrets.is_empty() {
        let (secrets, record) = (solve.secrets.clone(), record.clone());
        let service = secrets::Service { secrets, record };
        routes = routes.add_service(secrets_proto::secrets_server::SecretsServer::new(service));
        methods.push("/moby.buildkit.secrets.v1.Secrets/GetSecret");
    }
    if !solve.agents.is_empty() {
        let agents = solve.agents.clone();
        let service = ssh_proto::ssh_server::SshServer::new(ssh::Service { agents });
        routes = routes.add_service(service);
        methods.push("/moby.sshforward.v1.SSH/CheckAgent");
        methods.push("/moby.sshforward.v1.SSH/ForwardAgent");
    }
    if let Some(stores) = stores(solve) {
        routes = routes.add_service(content::Service::new(stores, record.clone()));
        methods.extend(content::METHODS);
    }
    match &solve.output {
        Output::None | Output::Store(_) => return (routes, methods),
        Output::Folder(folder) => {
            let service = filereceive::Folder::new(folder.clone(), record.clone());
            let service = bytesend::file_send_server::FileSendServer::new(service);
            routes = routes.add_service(service.max_decoding_message_size(MESSAGE_LIMIT));
        }
        Output::Archive(_, sink) => {
            let service = filereceive::Archive::new(sink.clone(), record.clone());
            let service = filesync_proto::file_send_server::FileSendServer::new(service);
            routes = routes.add_service(service.max_decoding_message_size(MESSAGE_LIMIT));
        }
    }
    methods.push("/moby.filesync.v1.FileSend/DiffCopy");
    (routes, methods)
}

/// Lists the stores under the names that the daemon asks by: `oci:NAME`, and `export` for results.
fn stores(solve: &Solve) -> Option<content::Stores> {
    let named = solve.stores.iter();
    let mut stores: content::Stores = named
        .map(|(name, store)| (format!("oci:{name}"), store.clone()))
        .collect();
    if let Output::Store(store) = &solve.output {
        stores.insert("export".to_owned(), store.clone());
    }
    (!stores.is_empty()).then_some(stores)
}

/// Checks what the daemon would find out late and say badly.
fn check(solve: &Solve) -> Result<()> {
    for (id, secret) in &solve.secrets {
        let size = secret.bytes().len();
        if size > Secret::LIMIT {
            return Err(Error::SecretTooLarge {
                id: id.clone(),
                size,
                limit: Secret::LIMIT,
            });
        }
    }
    for (id, path) in &solve.agents {
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
    for path in solve.folders.values() {
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
fn shared_key(solve: &Solve) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for (name, folder) in &solve.folders {
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

/// Makes a random identity of 25 letters and digits, as BuildKit's own are.
pub(crate) fn new_id() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .take(25)
        .collect()
}
