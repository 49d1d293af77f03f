//! Answers the daemon's questions about sources (`PolicyVerifier.CheckPolicy`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sealift_oci::{Digest, Reference};
use tonic::{Request, Response, Status};

use super::record::{Count, Record};
use super::service::service;
use crate::client::platform;
use crate::proto::pb::SourceOp;
use crate::proto::policy::PolicyAction;
use crate::proto::policysession::{
    CheckPolicyRequest, CheckPolicyResponse, DecisionResponse, DenyMessage,
};
use crate::source::{Decision, Source, SourceAuthority};

/// The attribute that names a store.
const STORE: &str = "oci.store";

/// Asks the solve's authority about what is not our own.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) authority: Arc<dyn SourceAuthority>,
    /// Name of the store that images and files come from.
    pub(crate) store: String,
    /// Names of the folders and stores that the solve offers.
    pub(crate) own: Arc<BTreeSet<String>>,
    /// Digests of the images that were given.
    pub(crate) given: Arc<Mutex<BTreeSet<Digest>>>,
    pub(crate) record: Record,
}

impl Service {
    async fn check_policy(
        self,
        request: Request<CheckPolicyRequest>,
    ) -> Result<Response<CheckPolicyResponse>, Status> {
        self.record.add(Count::SourcesAsked, 1);
        let request = request.into_inner();
        let asked = request.source.and_then(|source| source.source);
        let asked = asked.ok_or_else(|| Status::invalid_argument("the request names no source"))?;
        let source = Source {
            identifier: asked.identifier,
            attributes: asked.attrs.into_iter().collect(),
            platform: request.platform.map(platform),
        };
        let decision = match self.known(&source) {
            Some(decision) => decision,
            None => self.authority.decide(&source).await,
        };
        if let Decision::Image(digest) = &decision {
            self.given().insert(digest.clone());
        }
        let decision = Some(self.answer(&source, decision));
        Ok(Response::new(CheckPolicyResponse { decision }))
    }

    /// Decides about what needs no authority: the folders and stores that the solve offers, and
    /// what was given before. Of an image, the daemon asks again by its new place and, for a
    /// frontend, by the digest that it found there.
    fn known(&self, source: &Source) -> Option<Decision> {
        let (scheme, rest) = source.identifier.split_once("://")?;
        let own = match scheme {
            "local" => self.own.contains(rest),
            "oci-layout" | "oci-layout+blob" => {
                let store = source.attributes.get(STORE);
                store.is_some_and(|store| self.own.contains(store))
            }
            _ => false,
        };
        if own {
            return Some(Decision::Allow);
        }
        let image = Reference::parse(source.image()?).ok()?;
        let digest = image.digest()?.clone();
        let given = self.given().contains(&digest);
        given.then_some(Decision::Image(digest))
    }

    fn given(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, source: &Source, decision: Decision) -> DecisionResponse {
        let plain = |action: PolicyAction| DecisionResponse {
            action: action.into(),
            ..DecisionResponse::default()
        };
        let convert = |identifier: String, mut attrs: BTreeMap<String, String>| {
            attrs.insert(STORE.to_owned(), self.store.clone());
            DecisionResponse {
                update: Some(SourceOp {
                    identifier,
                    attrs: attrs.into_iter().collect(),
                }),
                ..plain(PolicyAction::Convert)
            }
        };
        match decision {
            Decision::Allow => plain(PolicyAction::Allow),
            Decision::Deny(message) => DecisionResponse {
                deny_messages: vec![DenyMessage { message }],
                ..plain(PolicyAction::Deny)
            },
            Decision::Image(digest) => {
                // The real name, which the provenance shows.
                let name = source
                    .image()
                    .and_then(|image| Reference::parse(image).ok());
                let name = match name {
                    Some(name) => name.with_digest(&digest).to_string(),
                    None => format!("{}/image@{digest}", self.store),
                };
                convert(format!("oci-layout://{name}"), BTreeMap::new())
            }
            Decision::Blob { digest, filename } => {
                let mut attributes = source.attributes.clone();
                let kept = ["http.perm", "http.uid", "http.gid"];
                attributes.retain(|key, _| kept.contains(&key.as_str()));
                attributes.insert("http.filename".to_owned(), filename);
                let identifier = format!("oci-layout+blob://{}/file@{digest}", self.store);
                convert(identifier, attributes)
            }
        }
    }
}

service! {
    Service, "moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier",
    "CheckPolicy" unary check_policy,
}
