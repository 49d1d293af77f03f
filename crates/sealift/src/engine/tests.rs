//! Real daemons over each kind of endpoint, and silent ones.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use sealift_test_support::{Authority, Dockerd};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::{Endpoint, Engine};
use crate::error::Kind;
use crate::event::{Event, Events, Listener};

/// Keeps the lines that it hears.
struct Lines(Arc<Mutex<Vec<String>>>);

impl Listener for Lines {
    fn event(&self, event: &Event) {
        if let Event::Note { text } = event {
            self.0.lock().unwrap().push(text.clone());
        }
    }
}

fn engine(endpoint: Endpoint) -> Engine {
    let events = Events::new(Arc::new(Lines(Arc::default())));
    Engine::new(endpoint, &events, Duration::from_secs(60))
}

/// Asks for an image that no daemon has: the answer shows that one was reached.
async fn reached(engine: &Engine) {
    assert_eq!(engine.inspect_image("none:1").await.unwrap(), None);
}

#[tokio::test]
async fn nobody_there_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = engine(Endpoint::Unix(folder.path().join("none.sock")));
    let error = nobody.inspect_image("none:1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.render().contains("none.sock"), "{}", error.render());
    assert!(
        error.hints()[0].contains("DOCKER_HOST"),
        "{}",
        error.render()
    );
}

/// Listens with TLS, wants a client certificate, and passes all on to a daemon.
async fn tls_front(daemon: &Dockerd, authority: &Authority) -> (u16, JoinSet<()>) {
    let identity = authority.server(&["localhost"]);
    let chain = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(vec![chain], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = daemon.socket();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut daemon = UnixStream::connect(&socket).await.unwrap();
            let _ended = tokio::io::copy_bidirectional(&mut stream, &mut daemon).await;
        }
    });
    (port, tasks)
}

#[tokio::test]
async fn a_daemon_behind_tls_knows_us_and_we_know_it() {
    let daemon = Dockerd::start();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (port, _tasks) = tls_front(&daemon, &ours).await;
    let address = format!("tcp://localhost:{port}");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let client = ours.client("me");
    write("ca.pem", ours.certificate());
    write("cert.pem", &client.certificate);
    write("key.pem", &client.key);
    let find = || engine(Endpoint::find(Some(&address), Some(folder.path())).unwrap());
    reached(&find()).await;

    write("ca.pem", theirs.certificate());
    let error = find().inspect_image("none:1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.render().contains("ca.pem"), "{}", error.render());

    // Without TLS, a daemon that wants it is not mistaken for anything else.
    let plain = engine(Endpoint::find(Some(&address), None).unwrap());
    let error = plain.inspect_image("none:1").await.unwrap_err();
    let hint = "if it wants TLS, set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH";
    assert_eq!(error.hints(), [hint]);
}

#[tokio::test]
async fn a_silent_daemon_is_named_and_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    let _silent = UnixListener::bind(&path).unwrap();
    let endpoint = Endpoint::Unix(path.clone());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let events = Events::new(Arc::new(Lines(Arc::clone(&heard))));
    let docker = Engine::new(endpoint, &events, Duration::from_secs(2));
    let error = docker.inspect_image("app:1").await.unwrap_err();
    let path = path.display();
    let process = std::process::id();
    let daemon = format!("docker at unix://{path} (process {process})");
    let start =
        format!("docker at unix://{path} cannot inspect the image: nothing came from {daemon} for");
    assert!(error.message().starts_with(&start), "{}", error.render());
    let lines = heard.lock().unwrap();
    let line = format!("Waiting for {daemon} to inspect the image: nothing came for ");
    assert!(lines.len() == 1 && lines[0].starts_with(&line), "{lines:?}");
}

/// Joins its standard input and output to a socket, as `docker system dial-stdio` does over ssh.
const DIAL_STDIO: &str = "
import os, socket, sys, threading
daemon = socket.socket(socket.AF_UNIX)
daemon.connect(sys.argv[1])
def there():
    while data := os.read(0, 65536): daemon.sendall(data)
    daemon.shutdown(socket.SHUT_WR)
threading.Thread(target=there, daemon=True).start()
while data := daemon.recv(65536): os.write(1, data)
";

#[tokio::test]
async fn a_daemon_is_reached_through_a_command() {
    let daemon = Dockerd::start();
    let socket = daemon.socket().display().to_string();
    let words = ["python3", "-c", DIAL_STDIO, &socket].map(str::to_owned);
    let endpoint = Endpoint::Command {
        address: "ssh://build@far".to_owned(),
        words: words.to_vec(),
    };
    reached(&engine(endpoint)).await;
}
