//! Tokens for others: a program that speaks to a registry itself, such as BuildKit, has its tokens
//! fetched over our network, with our patience and our user's credentials.

use std::time::{Duration, SystemTime};

use sealift_oci::Reference;
use sealift_transport::{Class, Endpoint, Route};

use super::auth::{Ask, Owner, Realm, Scope, refusal};
use super::{Client, origin};
use crate::credentials::{Credential, Lookup};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// A token that somebody else needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The registry or mirror that it is for, `host[:port]`.
    pub host: String,
    /// The realm that this registry named.
    pub realm: String,
    /// The registry's name there.
    pub service: String,
    /// What it is for, such as `repository:library/busybox:pull`.
    pub scopes: Vec<String>,
}

/// A token for somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedToken {
    /// The token itself.
    pub token: Secret,
    /// How much longer it is good for.
    pub life: Duration,
}

impl Client {
    /// Fetches a token, retried as every request, from memory or disk where there is a fresh one.
    /// Where the stored credentials are refused and only reading is asked for, it is anonymous.
    ///
    /// # Errors
    /// [`Error::Request`], [`Error::Absent`], [`Error::Address`], [`Error::Forbidden`].
    pub async fn token(&self, wanted: &TokenRequest) -> Result<GrantedToken> {
        let scopes: Vec<Scope> = wanted
            .scopes
            .iter()
            .flat_map(|text| Scope::parse_list(text))
            .collect();
        let repository = scopes
            .iter()
            .find_map(Scope::repository_path)
            .unwrap_or_default();
        let endpoint = self.endpoint_at(&wanted.host, repository)?;
        let label = label(&wanted.host);
        let realm = Realm::of(&wanted.realm, &endpoint).map_err(|reason| {
            Error::of_request("get", &label, None, refusal(reason, &wanted.host, &label))
        })?;
        let Lookup { found, .. } = self
            .inner
            .config
            .credentials
            .lookup(&wanted.host, repository)
            .await;
        let credential = found.filter(|_| realm.is_trusted());
        if let Some(Credential::Bearer(token)) = credential {
            let life = Duration::from_secs(60);
            return Ok(GrantedToken { token, life });
        }
        let reads_only = !scopes.iter().any(Scope::writes);
        let mut ask = Ask::patient(realm, &wanted.service, scopes, credential, endpoint);
        let tokens = self.inner.auth.tokens();
        let mut answer = tokens.get(&ask).await;
        let refused = matches!(&answer, Err(error) if error.class() == Class::Auth);
        if refused && reads_only && ask.credential.is_some() && !tokens.is_locked(&ask) {
            ask.credential = None;
            ask.owner.account = None;
            // Where nobody gets in without credentials, theirs is the failure to report.
            answer = tokens.get(&ask).await.or(answer);
        }
        let token = answer.map_err(|error| Error::of_request("get", &label, None, error))?;
        let age = SystemTime::now()
            .duration_since(token.received)
            .unwrap_or_default();
        Ok(GrantedToken {
            life: token.life.saturating_sub(age),
            token: token.secret,
        })
    }

    /// Finds how a host is spoken to: as a route to that repository says, else as its name does.
    fn endpoint_at(&self, host: &str, repository: &str) -> Result<Endpoint> {
        let route = Reference::parse(&format!("{host}/{repository}"))
            .ok()
            .and_then(|reference| self.content_route(&reference).ok());
        let endpoints = route.as_ref().map(Route::endpoints).unwrap_or_default();
        match endpoints.iter().find(|one| one.authority() == host) {
            Some(endpoint) => Ok(endpoint.clone()),
            None => origin(host),
        }
    }
}

impl Ask {
    /// Asks on behalf of somebody else, for this alone.
    fn patient(
        realm: Realm,
        service: &str,
        scopes: Vec<Scope>,
        credential: Option<Credential>,
        endpoint: Endpoint,
    ) -> Self {
        Self {
            owner: Owner {
                endpoint: endpoint.key(),
                realm: realm.url().to_string(),
                service: service.to_owned(),
                account: credential.as_ref().map(|one| one.account().to_owned()),
            },
            realm,
            service: service.to_owned(),
            scopes,
            others: Vec::new(),
            credential,
            label: label(&endpoint.authority()),
            endpoint,
            patient: true,
        }
    }
}

fn label(host: &str) -> String {
    format!("a token for {host}")
}
