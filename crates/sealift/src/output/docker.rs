//! Loading an image into a Docker daemon, over its Engine API, without the `docker` program.
//!
//! The image is sent as a Docker archive while it is read from the store; nothing is written to a
//! temporary file. What the daemon says it loaded is asked for again afterwards: `POST
//! /images/load` answers 200 before it has begun, and errors only stand in its body.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Limited, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use sealift_content::Store;
use sealift_oci::{Descriptor, Manifest, Reference};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::{Error, Kind, Result};
use crate::prefetch::inventory::store_failed;

const SOCKET: &str = "/var/run/docker.sock";
const PORT: &str = "2375";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;
/// Size of one piece of the archive on its way, and how many may wait.
const PIECE: usize = 256 * 1024;
const PIECES: usize = 8;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Where a Docker daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerEndpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// Plain TCP: `host:port`.
    Tcp(String),
}

impl DockerEndpoint {
    /// Reads an address in the form of `DOCKER_HOST`; without one, the usual socket.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a form that is not `unix://PATH` or `tcp://HOST:PORT`.
    pub fn find(address: Option<&str>) -> Result<Self> {
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            return Ok(Self::Unix(PathBuf::from(SOCKET)));
        };
        let refused = |reason: &str| {
            let what = format!("invalid address of docker {address:?}: {reason}");
            Error::new(Kind::Usage, what).hint("set DOCKER_HOST to unix:///PATH or tcp://HOST:PORT")
        };
        let (scheme, rest) = address
            .split_once("://")
            .ok_or_else(|| refused("no scheme"))?;
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => Err(refused("the path of its socket is not absolute")),
            "tcp" | "http" => {
                let host = rest.trim_end_matches('/');
                if host.is_empty() || host.contains('/') {
                    return Err(refused("it is not a host with a port"));
                }
                let has_port = host
                    .rsplit_once(':')
                    .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
                Ok(Self::Tcp(if has_port {
                    host.to_owned()
                } else {
                    format!("{host}:{PORT}")
                }))
            }
            _ => Err(refused("sealift speaks to docker over unix and tcp")),
        }
    }
}

impl fmt::Display for DockerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

/// What a daemon has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The id under which the daemon knows the image.
    pub id: String,
    /// The names that it has now, as docker shows them.
    pub names: Vec<String>,
}

/// Sends the image of one platform to a daemon under some names and checks that they are there.
///
/// # Errors
/// [`Kind::Config`] where nobody answers at the endpoint, [`Kind::Disk`] where the daemon's disk is
/// full, [`Kind::Local`] where it refuses the image or has another one under a name afterwards, and
/// what the store says where the image can't be read.
pub async fn load(
    endpoint: &DockerEndpoint,
    store: &Store,
    manifest: &Descriptor,
    names: &[Reference],
) -> Result<Loaded> {
    let ids = ids(store, manifest)?;
    let (archive, body) = archive(store.clone(), manifest.clone(), names.to_vec());
    let mut writer = JoinSet::new();
    writer.spawn_blocking(archive);
    let sent = send(endpoint, body).await;
    // The connection has ended, so the writer, if it still writes, ends too.
    let written = writer.join_next().await.and_then(std::result::Result::ok);
    match written {
        // Where the stream broke, the other end knows why.
        None | Some(Ok(()) | Err(sealift_content::Error::Stream { .. })) => sent?,
        Some(Err(error)) => return Err(store_failed(error)),
    }
    confirm(endpoint, names, &ids).await
}

/// Returns the ids that daemons give an image: the configuration's digest, or with containerd as
/// their store the manifest's.
fn ids(store: &Store, manifest: &Descriptor) -> Result<[String; 2]> {
    let limit = sealift_content::DOCUMENT_LIMIT;
    let bytes = store
        .read_blob(&manifest.digest, limit)
        .map_err(store_failed)?;
    let parsed = Manifest::parse(&bytes).map_err(|error| {
        let what = format!("cannot load {} into docker", manifest.digest);
        Error::new(Kind::Local, what).because(error)
    })?;
    let (config, manifest) = (parsed.config.digest, &manifest.digest);
    Ok([config.to_string(), manifest.to_string()])
}

/// Makes a task that writes the archive, and the body that carries it.
fn archive(
    store: Store,
    manifest: Descriptor,
    names: Vec<Reference>,
) -> (impl FnOnce() -> sealift_content::Result<()> + Send, Body) {
    let (sender, mut pieces) = mpsc::channel(PIECES);
    let frames = stream::poll_fn(move |context| pieces.poll_recv(context));
    let write = move || {
        let mut out = BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
        let written = sealift_content::write_docker(&store, &manifest, &names, &mut out);
        if written.is_err() {
            // Without this the daemon would take the end of the stream for the end of the archive.
            let broken = io::Error::from(io::ErrorKind::BrokenPipe);
            let _gone = sender.blocking_send(Err(broken));
        }
        // What is left in the buffer was flushed by a good end; after a bad one it is of no use.
        let _ = out.into_parts();
        written
    };
    (write, StreamBody::new(frames).boxed_unsync())
}

/// The end of a channel that is written to.
struct Pieces(mpsc::Sender<io::Result<Frame<Bytes>>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let frame = Frame::data(Bytes::copy_from_slice(bytes));
        self.0
            .blocking_send(Ok(frame))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn send(endpoint: &DockerEndpoint, body: Body) -> Result<()> {
    let mut connection = Connection::open(endpoint).await?;
    let target = "/images/load?quiet=1";
    let (status, answer) = connection.ask(Method::POST, target, body).await?;
    if status != StatusCode::OK {
        return Err(refused(endpoint, &message(&answer)));
    }
    for line in answer
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        // A line that is no JSON says nothing that the check afterwards would not find.
        if let Ok(Line { error: Some(error) }) = serde_json::from_slice(line) {
            return Err(refused(endpoint, &error));
        }
    }
    Ok(())
}

/// One line of the answer to a load.
#[derive(Deserialize)]
struct Line {
    error: Option<String>,
}

/// Asks for each name, or for the image itself where it has none.
async fn confirm(
    endpoint: &DockerEndpoint,
    names: &[Reference],
    ids: &[String; 2],
) -> Result<Loaded> {
    let names: Vec<String> = names
        .iter()
        .filter(|name| name.tag().is_some())
        .map(tagged)
        .collect();
    if names.is_empty() {
        for id in ids {
            if let Some(id) = inspect(endpoint, id).await? {
                return Ok(Loaded { id, names });
            }
        }
        return Err(refused(endpoint, "it has not kept the image"));
    }
    let mut found = String::new();
    for name in &names {
        found = match inspect(endpoint, name).await? {
            Some(id) if ids.contains(&id) => id,
            Some(id) => {
                let reason = format!("{name} is another image there, {id}");
                return Err(refused(endpoint, &reason));
            }
            None => {
                return Err(refused(
                    endpoint,
                    &format!("it has not kept the name {name}"),
                ));
            }
        };
    }
    Ok(Loaded { id: found, names })
}

/// Returns a name as docker writes it, always with its tag.
fn tagged(name: &Reference) -> String {
    let familiar = name.familiar();
    let bare = familiar.split('@').next().unwrap_or_default();
    match name.tag() {
        Some("latest") if name.digest().is_none() => format!("{bare}:latest"),
        _ => bare.to_owned(),
    }
}

async fn inspect(endpoint: &DockerEndpoint, name: &str) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Image {
        #[serde(rename = "Id")]
        id: String,
    }
    let mut connection = Connection::open(endpoint).await?;
    let target = format!("/images/{name}/json");
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let (status, answer) = connection.ask(Method::GET, &target, body).await?;
    match status {
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::OK => {
            let image: Image = serde_json::from_slice(&answer)
                .map_err(|error| refused(endpoint, "its answer is not docker's").because(error))?;
            Ok(Some(image.id))
        }
        _ => Err(refused(endpoint, &message(&answer))),
    }
}

/// Returns the daemon's words in an answer that is no success.
fn message(answer: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    match serde_json::from_slice::<Message>(answer) {
        Ok(Message { message }) => message,
        Err(_) => String::from_utf8_lossy(answer).chars().take(500).collect(),
    }
}

fn refused(endpoint: &DockerEndpoint, reason: &str) -> Error {
    let full = reason.contains("no space left on device");
    let kind = if full { Kind::Disk } else { Kind::Local };
    let error = Error::new(
        kind,
        format!("docker at {endpoint} cannot load the image: {reason}"),
    );
    if reason.contains("invalid tar header") || reason.contains("unknown compression") {
        return error.hint("layers compressed with zstd need Docker 23 or newer");
    }
    error
}

/// A connection for one request.
struct Connection<'a> {
    endpoint: &'a DockerEndpoint,
    sender: SendRequest<Body>,
    /// Ends with this value.
    _driver: JoinSet<()>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl<'a> Connection<'a> {
    async fn open(endpoint: &'a DockerEndpoint) -> Result<Self> {
        let dial = async {
            Ok::<Box<dyn Stream>, io::Error>(match endpoint {
                DockerEndpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
                DockerEndpoint::Tcp(host) => Box::new(TcpStream::connect(host).await?),
            })
        };
        let stream = match tokio::time::timeout(CONNECT_TIMEOUT, dial).await {
            Ok(dialled) => dialled.map_err(|error| unreachable(endpoint, error))?,
            Err(_) => return Err(unreachable(endpoint, io::ErrorKind::TimedOut.into())),
        };
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(endpoint, error))?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // What goes wrong on the connection is told to the request.
            let _told = driver.await;
        });
        Ok(Self {
            endpoint,
            sender,
            _driver: tasks,
        })
    }

    async fn ask(
        &mut self,
        method: Method,
        target: &str,
        body: Body,
    ) -> Result<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("Host", "docker")
            .header("Content-Type", "application/x-tar")
            .body(body)
            .map_err(|error| refused(self.endpoint, "its name for the image").because(error))?;
        let answer = self.sender.send_request(request).await;
        let answer = answer.map_err(|error| broken(self.endpoint, error))?;
        let status = answer.status();
        let collected = Limited::new(answer.into_body(), ANSWER_LIMIT)
            .collect()
            .await;
        match collected {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) => {
                let what = format!("docker at {} ended its answer early", self.endpoint);
                Err(Error::new(Kind::Local, what).because(error))
            }
        }
    }
}

fn unreachable(endpoint: &DockerEndpoint, error: io::Error) -> Error {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let hint = if denied {
        "run as a member of the group that owns the socket, usually docker"
    } else {
        "start docker, or set DOCKER_HOST to the address of one"
    };
    Error::new(Kind::Config, format!("cannot reach docker at {endpoint}"))
        .because(error)
        .hint(hint)
}

fn broken(endpoint: &DockerEndpoint, error: hyper::Error) -> Error {
    Error::new(
        Kind::Local,
        format!("docker at {endpoint} broke the connection off"),
    )
    .because(error)
}

#[cfg(test)]
mod tests {
    use sealift_oci::{Digest, MediaType};
    use sealift_test_support::{Dockerd, Image, ImageBuilder};
    use serde_json::Value;
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn stored(image: &Image) -> (TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for blob in image.all() {
            store
                .put(blob.descriptor.media_type.as_str(), &blob.bytes)
                .unwrap();
        }
        (folder, store)
    }

    fn image(seed: u64) -> Image {
        ImageBuilder::new("linux/amd64")
            .random(seed, 2_000_000)
            .files(&[("hello.txt", b"hello", 0o644)])
            .build()
    }

    fn names(names: &[&str]) -> Vec<Reference> {
        names
            .iter()
            .map(|name| Reference::parse(name).unwrap())
            .collect()
    }

    fn inspected(daemon: &Dockerd, name: &str) -> Value {
        let answer = daemon.get(&format!("/images/{name}/json"));
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        serde_json::from_str(&answer.text()).unwrap()
    }

    #[tokio::test]
    async fn a_real_daemon_has_the_image_under_all_its_names() {
        let daemon = Dockerd::start();
        let endpoint = DockerEndpoint::find(Some(&daemon.address())).unwrap();
        let first = image(1);
        let (_folder, store) = stored(&first);
        let names = names(&["app", "127.0.0.1:5000/team/app:1.0"]);
        let loaded = load(&endpoint, &store, &first.root.descriptor, &names)
            .await
            .unwrap();
        assert_eq!(loaded.names, ["app:latest", "127.0.0.1:5000/team/app:1.0"]);
        let config: Value = serde_json::from_slice(&first.blobs[0].bytes).unwrap();
        for name in &loaded.names {
            let found = inspected(&daemon, name);
            assert_eq!(found["Id"], first.blobs[0].descriptor.digest.to_string());
            assert_eq!(found["RootFS"]["Layers"], config["rootfs"]["diff_ids"]);
        }
        // A name moves to the next image; one that is there already is no failure.
        let second = image(2);
        let (_folder, store) = stored(&second);
        for _ in 0..2 {
            load(&endpoint, &store, &second.root.descriptor, &names[..1])
                .await
                .unwrap();
        }
        let config = &second.blobs[0].descriptor.digest;
        assert_eq!(inspected(&daemon, "app:latest")["Id"], config.to_string());
        // Without a name it is there by its id.
        let third = image(3);
        let (_folder, store) = stored(&third);
        let loaded = load(&endpoint, &store, &third.root.descriptor, &[])
            .await
            .unwrap();
        assert_eq!(loaded.id, third.blobs[0].descriptor.digest.to_string());
        let _image = inspected(&daemon, &loaded.id);
    }

    #[tokio::test]
    async fn what_a_real_daemon_refuses_is_told_in_its_words() {
        let daemon = Dockerd::start();
        let endpoint = DockerEndpoint::find(Some(&daemon.address())).unwrap();
        let good = image(1);
        let (_folder, store) = stored(&good);
        // The same image, but its layer is no archive.
        let noise = store.put(MediaType::OCI_LAYER, &[7; 300_000]).unwrap();
        let mut manifest = Manifest::parse(&good.root.bytes).unwrap();
        manifest.layers = vec![noise.clone(), noise];
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let manifest = store.put(MediaType::OCI_MANIFEST, &bytes).unwrap();
        let names = names(&["broken:1"]);
        let error = load(&endpoint, &store, &manifest, &names)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Local);
        assert!(
            error.message().starts_with("docker at unix:///"),
            "{}",
            error.render()
        );
        assert!(
            error.message().contains("cannot load the image: "),
            "{}",
            error.render()
        );
        assert_eq!(daemon.get("/images/broken:1/json").status, 404);
    }

    #[tokio::test]
    async fn a_part_that_is_missing_here_is_our_error_and_nothing_is_loaded() {
        let daemon = Dockerd::start();
        let endpoint = DockerEndpoint::find(Some(&daemon.address())).unwrap();
        let image = image(1);
        let (_folder, store) = stored(&image);
        let lost = &image.blobs.last().unwrap().descriptor.digest;
        std::fs::remove_file(store.blob_path(lost)).unwrap();
        let names = names(&["half:1"]);
        let error = load(&endpoint, &store, &image.root.descriptor, &names)
            .await
            .unwrap_err();
        assert!(
            error.render().contains(&lost.to_string()),
            "{}",
            error.render()
        );
        assert_eq!(daemon.get("/images/half:1/json").status, 404);
    }

    #[tokio::test]
    async fn nobody_there_is_said_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let image = image(1);
        let (_store_folder, store) = stored(&image);
        let endpoint = DockerEndpoint::Unix(folder.path().join("none.sock"));
        let error = load(&endpoint, &store, &image.root.descriptor, &[])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.render().contains("none.sock"), "{}", error.render());
        assert!(
            error.hints()[0].contains("DOCKER_HOST"),
            "{}",
            error.render()
        );
    }

    /// Answers every request over TCP with what `answer` says of its first line.
    async fn fake(answer: fn(&str) -> (u16, String)) -> (DockerEndpoint, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = DockerEndpoint::Tcp(listener.local_addr().unwrap().to_string());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut seen = Vec::new();
                let chunked = |seen: &[u8]| seen.starts_with(b"POST");
                while !(seen.ends_with(b"0\r\n\r\n")
                    || (!chunked(&seen) && seen.ends_with(b"\r\n\r\n")))
                {
                    if stream.read_buf(&mut seen).await.unwrap() == 0 {
                        break;
                    }
                }
                let line = String::from_utf8_lossy(&seen[..seen.len().min(200)]).into_owned();
                let (status, body) = answer(line.lines().next().unwrap_or_default());
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let _gone = stream.write_all((head + &body).as_bytes()).await;
            }
        });
        (endpoint, tasks)
    }

    async fn refusal(answer: fn(&str) -> (u16, String)) -> Error {
        let image = image(1);
        let (_folder, store) = stored(&image);
        let (endpoint, _tasks) = fake(answer).await;
        load(
            &endpoint,
            &store,
            &image.root.descriptor,
            &names(&["app:1"]),
        )
        .await
        .unwrap_err()
    }

    #[tokio::test]
    async fn a_load_that_only_seems_to_succeed_is_found_out() {
        let error = refusal(
            |line| match line.starts_with("POST /images/load?quiet=1 ") {
                true => (200, "{\"stream\":\"Loaded image: app:1\\n\"}\n".to_owned()),
                false => (404, "{\"message\":\"No such image\"}".to_owned()),
            },
        )
        .await;
        assert!(
            error.message().contains("has not kept the name app:1"),
            "{}",
            error.render()
        );

        let error = refusal(|line| match line.starts_with("POST") {
            true => (200, String::new()),
            false => (200, format!("{{\"Id\":\"{}\"}}", Digest::sha256(b"other"))),
        })
        .await;
        assert!(
            error.message().contains("is another image there"),
            "{}",
            error.render()
        );
    }

    #[tokio::test]
    async fn a_full_disk_at_the_daemon_is_told_as_such() {
        let error = refusal(|_| {
            let line = "{\"errorDetail\":{\"message\":\"x\"},\"error\":\"write /a: no space left on device\"}";
            (200, format!("{{\"stream\":\"...\"}}\n{line}\n"))
        })
        .await;
        assert_eq!(error.kind(), Kind::Disk);
        let error = refusal(|_| (500, "{\"message\":\"no graph\"}".to_owned())).await;
        assert!(error.message().ends_with("no graph"), "{}", error.render());
    }

    #[test]
    fn reads_addresses_as_docker_writes_them() {
        let find = |text| DockerEndpoint::find(Some(text)).map(|endpoint| endpoint.to_string());
        assert_eq!(
            DockerEndpoint::find(None).unwrap().to_string(),
            "unix:///var/run/docker.sock"
        );
        assert_eq!(find("").unwrap(), "unix:///var/run/docker.sock");
        assert_eq!(
            find("unix:///run/user/1/docker.sock").unwrap(),
            "unix:///run/user/1/docker.sock"
        );
        assert_eq!(find("tcp://127.0.0.1").unwrap(), "tcp://127.0.0.1:2375");
        assert_eq!(find("tcp://[::1]:2376/").unwrap(), "tcp://[::1]:2376");
        for text in [
            "docker.sock",
            "unix://a",
            "ssh://host",
            "tcp://",
            "tcp://a/b",
            "npipe:////./pipe/x",
        ] {
            let error = find(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.message().contains(text), "{}", error.render());
        }
    }
}
