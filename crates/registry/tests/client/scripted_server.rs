//! Answers of a registry, whole or spoilt, for the one scripted server of all tests.

use sealift_oci::{Descriptor, Digest};
pub(crate) use sealift_test_support::Received as Asked;
use sealift_test_support::{Act, ScriptedServer as Server, head};

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

/// A registry that a test scripts.
pub(crate) struct ScriptedServer(Server);

impl ScriptedServer {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let server = Server::start(move |request| {
            let asked = without_host(request.clone());
            script(&asked).acts(asked.method == "HEAD")
        });
        Self(server.await)
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
        self.0.authority()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.0.requests().into_iter().map(without_host).collect()
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.asked()
            .iter()
            .filter(|one| one.target.contains(part))
            .count()
    }
}

/// A proxy is asked with the whole address; path and query are what counts.
fn without_host(mut request: Asked) -> Asked {
    if let Some((_, rest)) = request.target.split_once("://") {
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        request.target = path.to_owned();
    }
    request
}

impl Answer {
    fn acts(self, head_only: bool) -> Vec<Act> {
        if self.status == Self::NONE {
            return vec![Act::Close];
        }
        let named = self.headers.iter();
        let mut headers: Vec<_> = named.map(|(name, value)| (&**name, &**value)).collect();
        let (length, bytes) = match &self.body {
            Body::Whole(bytes) => (Some(bytes.len() as u64), bytes.clone()),
            Body::Claimed(length, bytes) => (Some(*length), bytes.clone()),
            Body::Endless => {
                headers.push(("Transfer-Encoding", "chunked"));
                (None, Vec::new())
            }
        };
        let mut acts = vec![Act::Send(head(self.status, &headers, length))];
        if head_only {
            return acts;
        }
        acts.push(Act::Send(bytes));
        match self.body {
            Body::Whole(_) => {}
            // What else could be sent would be read as the next answer.
            Body::Claimed(..) => acts.push(Act::Close),
            Body::Endless => {
                let chunk = [b"10000\r\n", &vec![b' '; 0x10000][..], b"\r\n"].concat();
                acts.push(Act::Forever(chunk));
                acts.push(Act::Close);
            }
        }
        acts
    }
}
