//! One client's connection: its requests one after the other, each with its fate.

use std::io::Result;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::plan::{Fate, Fault, Kind};
use super::shared::{Seen, Shared};
use super::spoiler::Pace;
use crate::wire::{BodyReader, Head};

/// How much is read from a socket at once.
pub(super) const PIECE: usize = 64 * 1024;

/// Which listener took the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Registry,
    /// The token endpoint and the storage that blobs are redirected to.
    Side,
}

/// Whether the connection takes another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Next,
    End,
}

/// A client's connection.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    place: Place,
    pub(super) client: BufReader<TcpStream>,
    pub(super) pace: Pace,
}

/// A request with what was decided about it.
pub(super) struct Request {
    pub(super) head: Head,
    pub(super) number: usize,
    pub(super) fate: Fate,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, place: Place, stream: TcpStream) -> Self {
        Self {
            shared,
            place,
            client: BufReader::with_capacity(PIECE, stream),
            pace: Pace::default(),
        }
    }

    /// Serves requests until one side ends the connection.
    pub(super) async fn serve(mut self) {
        while let Ok(After::Next) = self.exchange().await {}
    }

    async fn exchange(&mut self) -> Result<After> {
        let Some(head) = Head::read(&mut self.client).await? else {
            return Ok(After::End);
        };
        let closes = head.closes();
        let (number, fate) = self.shared.begin(seen(&head));
        let request = Request { head, number, fate };
        sleep(request.fate.delay).await;
        if request.head.header("expect").is_some() {
            self.client
                .get_mut()
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await?;
        }
        let after = match request.fate.fault {
            Fault::Reset => {
                self.client.get_ref().set_zero_linger()?;
                After::End
            }
            Fault::Close => After::End,
            Fault::Silence => self.silence().await,
            Fault::Status(status) => self.refuse(&request, status, None).await?,
            Fault::TooMany(delay) => self.refuse(&request, 429, delay).await?,
            Fault::Html => self.portal(&request).await?,
            _ if self.place == Place::Side => self.side(request).await?,
            _ => self.registry(request).await?,
        };
        Ok(if closes { After::End } else { after })
    }

    /// The token endpoint, and the storage.
    async fn side(&mut self, mut request: Request) -> Result<After> {
        let (method, target) = request.head.request();
        if let Some(path) = target.strip_prefix("/storage") {
            if request.head.header("authorization").is_some() {
                let document = json!({"error": "only one authentication mechanism is allowed"});
                return self.answer(&request, 400, &[], &document).await;
            }
            request.head.first = format!("{method} {path} HTTP/1.1");
            return self.forward(request).await;
        }
        let body = self.body(&request.head).await?;
        let issued = self
            .shared
            .tokens(|tokens| tokens.issue(&request.head, &body));
        let (status, document) = issued.unwrap_or_else(|| (404, json!({})));
        self.send(&request, status, &[], document.to_string().as_bytes())
            .await
    }

    /// The registry: tokens are checked, blobs perhaps redirected, all else is the real one's.
    async fn registry(&mut self, mut request: Request) -> Result<After> {
        let (method, target) = request.head.request();
        let repository = repository(target).to_owned();
        let reads = matches!(method, "GET" | "HEAD");
        let action = if reads { "pull" } else { "push" };
        let allowed = self
            .shared
            .tokens(|tokens| tokens.allows(&request.head, &repository, action));
        if allowed == Some(false) {
            return self.challenge(&request, &repository, reads).await;
        }
        let target = target.to_owned();
        if reads && Kind::of("GET", &target) == Kind::Blob && self.shared.redirects() {
            let location = format!("{}/storage{target}", self.shared.side_url());
            let headers = [("Location", location.as_str())];
            return self.answer(&request, 307, &headers, &json!({})).await;
        }
        self.hide_unreadable_mount(&mut request, &target);
        self.forward(request).await
    }

    /// A mount from a repository that the token may not read is an ordinary upload.
    fn hide_unreadable_mount(&self, request: &mut Request, target: &str) {
        let Some((path, query)) = target.split_once('?') else {
            return;
        };
        let source = query.split('&').find_map(|part| part.strip_prefix("from="));
        let Some(source) = source.map(|text| text.replace("%2F", "/").replace("%2f", "/")) else {
            return;
        };
        let readable = self
            .shared
            .tokens(|tokens| tokens.allows(&request.head, &source, "pull"));
        if readable == Some(false) {
            request.head.first = format!("POST {path} HTTP/1.1");
        }
    }

    async fn challenge(
        &mut self,
        request: &Request,
        repository: &str,
        reads: bool,
    ) -> Result<After> {
        let mut challenge = format!(
            r#"Bearer realm="{}/token",service="sealift-test""#,
            self.shared.side_url()
        );
        if !repository.is_empty() {
            let actions = if reads { "pull" } else { "pull,push" };
            challenge.push_str(&format!(r#",scope="repository:{repository}:{actions}""#));
        }
        let carries = request.head.header("authorization");
        if carries.is_some_and(|text| text.starts_with("Bearer ")) {
            challenge.push_str(r#",error="insufficient_scope""#);
        }
        let document = error_document("UNAUTHORIZED", "authentication required");
        let headers = [("WWW-Authenticate", challenge.as_str())];
        self.answer(request, 401, &headers, &document).await
    }

    pub(super) async fn refuse(
        &mut self,
        request: &Request,
        status: u16,
        wait: Option<u64>,
    ) -> Result<After> {
        let code = match status {
            401 => "UNAUTHORIZED",
            403 => "DENIED",
            404 => "MANIFEST_UNKNOWN",
            429 => "TOOMANYREQUESTS",
            _ => "UNAVAILABLE",
        };
        let document = error_document(code, "refused by the test's plan");
        let seconds = wait.unwrap_or_default().to_string();
        let header = [("Retry-After", seconds.as_str())];
        let headers = if wait.is_some() { &header[..] } else { &[] };
        self.answer(request, status, headers, &document).await
    }

    async fn portal(&mut self, request: &Request) -> Result<After> {
        self.body(&request.head).await?;
        let page = b"<!DOCTYPE html><html><title>Please log in</title></html>";
        self.send(request, 200, &[("Content-Type", "text/html")], page)
            .await
    }

    async fn answer(
        &mut self,
        request: &Request,
        status: u16,
        headers: &[(&str, &str)],
        document: &Value,
    ) -> Result<After> {
        self.body(&request.head).await?;
        let body = document.to_string();
        self.send(request, status, headers, body.as_bytes()).await
    }

    /// Sends an answer of our own.
    async fn send(
        &mut self,
        request: &Request,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<After> {
        let mut head = Head::new(format!("HTTP/1.1 {status} Test"));
        head.set("Content-Type", "application/json");
        head.set("Docker-Distribution-Api-Version", "registry/2.0");
        for (name, value) in headers {
            head.set(name, value);
        }
        head.set("Content-Length", &body.len().to_string());
        self.shared.answered(request.number, status);
        let stream = self.client.get_mut();
        head.write(stream).await?;
        if request.head.request().0 != "HEAD" {
            stream.write_all(body).await?;
            self.shared.sent(request.number, body.len());
        }
        stream.flush().await?;
        Ok(After::Next)
    }

    /// Waits, without an answer, until the client gives up.
    pub(super) async fn silence(&mut self) -> After {
        let mut rest = [0; 1024];
        while matches!(self.client.read(&mut rest).await, Ok(read) if read > 0) {}
        After::End
    }

    /// Reads a request's body, for answers that are not the real registry's.
    async fn body(&mut self, head: &Head) -> Result<Vec<u8>> {
        let mut reader = BodyReader::new(head.request_framing());
        let mut body = Vec::new();
        while let Some(piece) = reader.next(&mut self.client, PIECE).await? {
            body.extend(piece);
        }
        Ok(body)
    }
}

fn seen(head: &Head) -> Seen {
    let (method, target) = head.request();
    let scheme = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    let plain = target.strip_prefix("/storage").unwrap_or(target);
    Seen {
        kind: Kind::of(method, plain),
        method: method.to_owned(),
        target: target.to_owned(),
        range: head.header("range").map(str::to_owned),
        authorization: head.header("authorization").map(scheme),
        agent: head.header("user-agent").map(str::to_owned),
        status: 0,
        sent: 0,
    }
}

/// The repository that a path below `/v2/` is about; empty for `/v2/` itself.
fn repository(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    let path = path.strip_prefix("/v2/").unwrap_or_default();
    let ends = ["/manifests/", "/blobs/", "/tags/list", "/referrers/"];
    let end = ends.iter().filter_map(|mark| path.rfind(mark)).min();
    end.map_or("", |end| &path[..end])
}

fn error_document(code: &str, message: &str) -> Value {
    json!({"errors": [{"code": code, "message": message, "detail": null}]})
}
