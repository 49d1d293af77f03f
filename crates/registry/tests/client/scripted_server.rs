//! A server that answers whatever a test wants, byte for byte, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sealift_oci::{Descriptor, Digest};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query, whatever host the request line named.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What follows an answer's head.
#[derive(Clone)]
pub(crate) enum Body {
    /// These bytes, with their right length.
    Whole(Vec<u8>),
    /// These bytes, with another length.
    Claimed(u64, Vec<u8>),
    /// Bytes without end, in chunks.
    Endless,
}

/// An answer.
#[derive(Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

impl Answer {
    /// In place of a status: the connection is closed without an answer.
    pub(crate) const NONE: u16 = 0;

    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Whole(Vec::new()),
        }
    }

    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200).body(Body::Whole(body.into()))
    }

    /// A manifest or index, with its media type.
    pub(crate) fn document(descriptor: &Descriptor, bytes: &[u8]) -> Self {
        Self::ok(bytes).header("Content-Type", descriptor.media_type.as_str())
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }
}

type Script = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

pub(crate) struct ScriptedServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _server: JoinSet<()>,
}

impl ScriptedServer {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script, seen): (Script, _) = (Arc::new(script), Arc::clone(&asked));
        let mut tasks = JoinSet::new();
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                tasks.spawn(connection(stream, Arc::clone(&script), Arc::clone(&seen)));
            }
        };
        let mut server = JoinSet::new();
        server.spawn(serve);
        Self {
            address,
            asked,
            _server: server,
        }
    }

    /// Serves an image's documents and blobs by digest, and its root under every tag; `twist`
    /// answers first.
    pub(crate) async fn serving(
        image: sealift_test_support::Image,
        twist: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |asked| {
            if let Some(answer) = twist(asked) {
                return answer;
            }
            let name = asked.target.rsplit('/').next().unwrap_or_default();
            let digest = Digest::parse(name);
            let found = image
                .all()
                .find(|blob| digest.as_ref() == Ok(&blob.descriptor.digest));
            match (found, asked.target.contains("/manifests/")) {
                (Some(blob), true) => Answer::document(&blob.descriptor, &blob.bytes),
                (Some(blob), false) => Answer::ok(blob.bytes.to_vec()),
                (None, true) => Answer::document(&image.root.descriptor, &image.root.bytes),
                (None, false) => Answer::new(404),
            }
        })
        .await
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.asked()
            .iter()
            .filter(|one| one.target.contains(part))
            .count()
    }
}

async fn connection(stream: TcpStream, script: Script, seen: Arc<Mutex<Vec<Asked>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read(&mut stream).await {
        let answer = script(&asked);
        let head_only = asked.method == "HEAD";
        seen.lock().unwrap().push(asked);
        if write(stream.get_mut(), answer, head_only).await.is_none() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut first = lines.first()?.split(' ');
    let method = first.next()?.to_owned();
    let target = first.next()?;
    // A proxy is asked with the whole address.
    let target = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    let target = target.to_owned();
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let mut asked = Asked {
        body: Vec::new(),
        method,
        target,
        headers: lines[1..].iter().filter_map(header).collect(),
    };
    let length = asked
        .header("content-length")
        .and_then(|text| text.parse().ok());
    asked.body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut asked.body).await.ok()?;
    Some(asked)
}

/// Writes an answer; nothing where the connection can't go on.
async fn write(stream: &mut TcpStream, answer: Answer, head_only: bool) -> Option<()> {
    if answer.status == Answer::NONE {
        return None;
    }
    let mut head = format!("HTTP/1.1 {} ScriptedServer\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let (length, bytes) = match &answer.body {
        Body::Whole(bytes) => (Some(bytes.len() as u64), bytes.as_slice()),
        Body::Claimed(length, bytes) => (Some(*length), bytes.as_slice()),
        Body::Endless => (None, &[][..]),
    };
    head.push_str(&match length {
        Some(length) => format!("Content-Length: {length}\r\n\r\n"),
        None => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
    });
    stream.write_all(head.as_bytes()).await.ok()?;
    if head_only {
        return Some(());
    }
    stream.write_all(bytes).await.ok()?;
    match answer.body {
        Body::Whole(_) => stream.flush().await.ok(),
        // What else could be sent would be read as the next answer.
        Body::Claimed(..) => None,
        Body::Endless => {
            let chunk = [b"10000\r\n", &vec![b' '; 0x10000][..], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {}
            None
        }
    }
}
