//! Manifests and indexes: fetched whole, judged before they are believed.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use sealift_oci::{Descriptor, Digest, Hasher, MediaType, Reference};
use sealift_transport::{Class, Document, Phase, Refusal, Remedy, Request, Route, Verdict};

use super::{Action, Client};
use crate::code::is_html;
use crate::error::{Error, Result};
use crate::path::{RequestPath, Selector};

/// No manifest or index may be larger, in bytes (distribution-spec: at least 4 MiB).
pub(super) const LIMIT: u64 = sealift_content::DOCUMENT_LIMIT;

/// The families that are understood, the index of each first: a registry that has both gives what
/// it prefers.
const ACCEPTED: &str = concat!(
    "application/vnd.oci.image.index.v1+json, ",
    "application/vnd.docker.distribution.manifest.list.v2+json, ",
    "application/vnd.oci.image.manifest.v1+json, ",
    "application/vnd.docker.distribution.manifest.v2+json, ",
    "*/*;q=0.1"
);

/// A manifest or index, and what describes it.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Bytes,
}

impl Client {
    /// Fetches the manifest or index that a reference stands for.
    pub(super) async fn resolve(&self, reference: &Reference) -> Result<Resolved> {
        let route = self.route(reference)?;
        self.resolve_at(&route, reference).await
    }

    pub(super) async fn resolve_at(
        &self,
        route: &Route,
        reference: &Reference,
    ) -> Result<Resolved> {
        let expected = Expected {
            digest: reference.digest().cloned(),
            size: None,
        };
        self.document(route, reference, Selector::of(reference), expected)
            .await
    }

    /// Asks which digest a reference stands for, without its content; nothing where the registry
    /// does not say. A registry, or a cache before it, may answer GET alone, so no failure of this
    /// says anything of the image.
    pub(super) async fn head(
        &self,
        route: &Route,
        reference: &Reference,
        request: impl FnOnce(Request) -> Request,
    ) -> Option<Digest> {
        let path = RequestPath::manifest(reference.repository(), Selector::named(reference));
        let head = Request::head(path.to_string());
        let head = self.request(head, Phase::Resolve, &reference.to_string());
        let head = request(head.header(ACCEPT, HeaderValue::from_static(ACCEPTED)));
        let access = self.access(reference, Action::Pull);
        let document = self.transport().document(route, &head, 0, &access).await;
        let document = document.ok()?;
        Digest::parse(document.header("docker-content-digest")?).ok()
    }

    /// Fetches one of the documents that an image consists of.
    pub(super) async fn child(&self, reference: &Reference, of: &Descriptor) -> Result<Resolved> {
        if of.size > LIMIT {
            return Err(Error::TooLarge {
                image: reference.to_string(),
                digest: of.digest.clone(),
                size: of.size,
                limit: LIMIT,
            });
        }
        let selector = Selector::Digest(of.digest.clone());
        let expected = Expected {
            digest: Some(of.digest.clone()),
            size: Some(of.size),
        };
        let route = self.content_route(reference)?;
        self.document(&route, reference, selector, expected).await
    }

    async fn document(
        &self,
        route: &Route,
        reference: &Reference,
        selector: Selector,
        expected: Expected,
    ) -> Result<Resolved> {
        let label = reference.to_string();
        let path = RequestPath::manifest(reference.repository(), selector);
        let judged = expected.clone();
        let request = self
            .request(Request::get(path.to_string()), Phase::Resolve, &label)
            .header(ACCEPT, HeaderValue::from_static(ACCEPTED))
            .check(move |document| judged.judge(document).map(|_| ()));
        let access = self.access(reference, Action::Pull);
        let document = self
            .transport()
            .document(route, &request, LIMIT, &access)
            .await;
        let document = document.map_err(|error| access.error_for("resolve", error))?;
        let descriptor = expected.judge(&document).map_err(|refusal| {
            let cause = sealift_transport::Cause::Refused {
                reason: refusal.reason,
                verdict: refusal.verdict,
            };
            let host = document.endpoint.authority();
            let error = sealift_transport::Error::new(cause, Phase::Resolve, &host, &label);
            access.error_for("resolve", error)
        })?;
        Ok(Resolved {
            descriptor,
            bytes: document.body,
        })
    }
}

/// What is known of a document before it comes.
#[derive(Debug, Clone, Default)]
struct Expected {
    digest: Option<Digest>,
    size: Option<u64>,
}

impl Expected {
    /// Decides whether an answer is the document that was asked for.
    fn judge(&self, document: &Document) -> std::result::Result<Descriptor, Refusal> {
        let body = &document.body;
        if document.status != StatusCode::OK {
            let reason = format!("status {} where 200 belongs", document.status);
            return Err(Refusal::corrupt(reason));
        }
        if is_html(body) {
            return Err(Refusal::foreign("HTML instead of JSON"));
        }
        if let Some(size) = self.size.filter(|size| *size != body.len() as u64) {
            let reason = format!("{} bytes where {size} belong", body.len());
            return Err(Refusal::corrupt(reason));
        }
        let digest = self.digest(document)?;
        let media_type = media_type(document)?;
        Ok(Descriptor::new(media_type, digest, body.len() as u64))
    }

    /// Checks the body against the digest that was asked for, and what the registry itself says.
    fn digest(&self, document: &Document) -> std::result::Result<Digest, Refusal> {
        let said = match document.header("docker-content-digest").map(Digest::parse) {
            Some(Ok(digest)) => Some(digest),
            Some(Err(error)) => {
                return Err(Refusal::corrupt(format!("Docker-Content-Digest: {error}")));
            }
            None => None,
        };
        for promised in self.digest.iter().chain(&said) {
            let mut hasher = Hasher::new(promised.algorithm());
            hasher.update(&document.body);
            let actual = hasher.finish();
            if actual != *promised {
                let reason = format!("unexpected digest {actual}, expected {promised}");
                return Err(Refusal::corrupt(reason));
            }
        }
        let digest = self.digest.clone().or(said);
        Ok(digest.unwrap_or_else(|| Digest::sha256(&document.body)))
    }
}

/// Finds out what a document is: what it says itself, then its header, then its form.
fn media_type(document: &Document) -> std::result::Result<MediaType, Refusal> {
    let header = document.headers.get(CONTENT_TYPE);
    let header = header
        .and_then(|value| value.to_str().ok())
        .map(MediaType::new);
    recognize(&document.body, header)
}

/// Describes a document that is at hand under its digest.
pub(super) fn describe(digest: &Digest, bytes: &[u8]) -> Option<Descriptor> {
    let media_type = recognize(bytes, None).ok()?;
    Some(Descriptor::new(
        media_type,
        digest.clone(),
        bytes.len() as u64,
    ))
}

fn recognize(body: &[u8], header: Option<MediaType>) -> std::result::Result<MediaType, Refusal> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Outline {
        schema_version: Option<u64>,
        media_type: Option<MediaType>,
        manifests: Option<serde::de::IgnoredAny>,
        config: Option<serde::de::IgnoredAny>,
    }
    let outline: Outline = serde_json::from_slice(body)
        .map_err(|error| Refusal::corrupt(format!("not a manifest: {error}")))?;
    let known = |media_type: &MediaType| {
        media_type.is_index() || media_type.is_manifest() || media_type.is_schema1()
    };
    let header = header.filter(known);
    let is_old = outline.schema_version == Some(1);
    if is_old || header.as_ref().is_some_and(MediaType::is_schema1) {
        return Err(Refusal {
            reason: "a manifest of schema 1, which is obsolete and can't be verified".to_owned(),
            verdict: Verdict::new(Class::Config, Remedy::Never)
                .hint("Push the image again with a current tool: schema 1 was given up in 2017."),
        });
    }
    if let (Some(header), Some(own)) = (&header, &outline.media_type)
        && known(own)
        && header.is_index() != own.is_index()
    {
        let reason = format!("the header says {header}, the document {own}");
        return Err(Refusal::corrupt(reason));
    }
    let form = match (&outline.manifests, &outline.config) {
        (Some(_), None) => Some(MediaType::new(MediaType::OCI_INDEX)),
        (None, Some(_)) => Some(MediaType::new(MediaType::OCI_MANIFEST)),
        _ => None,
    };
    let found = outline.media_type.filter(known).or(header).or(form);
    found.ok_or_else(|| Refusal::corrupt("neither a manifest nor an index"))
}
