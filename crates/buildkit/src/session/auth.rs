//! Answers the daemon's requests for credentials and tokens (`moby.filesync.v1.Auth`).
//!
//! A daemon fetches tokens itself, from its own network, unless the client proves that it can: it
//! gives a public key and signs what the daemon asks it to sign. Then `FetchToken` comes to us.

use std::sync::Arc;

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use ring::{hmac, rand};
use tonic::{Request, Response, Status};

use super::record::{Count, Record};
use crate::authority::{Authority, TokenRequest};
use crate::proto::filesync::auth_server::Auth;
use crate::proto::filesync::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};

/// Asks the solve's authority; without one, everybody is anonymous and the daemon on its own.
pub(crate) struct Service {
    authority: Option<Arc<dyn Authority>>,
    seed: [u8; 32],
    record: Record,
}

impl Service {
    /// Makes a service with a seed of its own: keys differ from session to session.
    pub(crate) fn new(authority: Option<Arc<dyn Authority>>, record: Record) -> Self {
        let random = rand::generate(&rand::SystemRandom::new());
        // Without randomness there are no keys, and the daemon fetches its tokens itself.
        let (authority, seed) = match random {
            Ok(random) => (authority, random.expose()),
            Err(_) => (None, [0; 32]),
        };
        Self {
            authority,
            seed,
            record,
        }
    }

    fn authority(&self) -> Result<&Arc<dyn Authority>, Status> {
        self.record.add(Count::AuthRequests, 1);
        let authority = self.authority.as_ref();
        authority.ok_or_else(|| Status::unavailable("this client fetches no tokens"))
    }

    /// Derives the key of a daemon's host from its salt.
    fn key(&self, host: &str, salt: &[u8]) -> Result<Ed25519KeyPair, Status> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, salt);
        let mut context = hmac::Context::with_key(&key);
        context.update(&self.seed);
        context.update(host.as_bytes());
        Ed25519KeyPair::from_seed_unchecked(context.sign().as_ref())
            .map_err(|error| Status::internal(format!("no key: {error}")))
    }
}

#[tonic::async_trait]
impl Auth for Service {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        self.record.add(Count::AuthRequests, 1);
        let mut response = CredentialsResponse::default();
        if let Some(authority) = &self.authority {
            let account = authority.account(&request.get_ref().host).await;
            let account = account.map_err(|refusal| Status::permission_denied(refusal.0))?;
            if let Some(account) = account {
                (response.username, response.secret) = (account.name, account.secret);
            }
        }
        Ok(Response::new(response))
    }

    async fn get_token_authority(
        &self,
        request: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        self.authority()?;
        let request = request.into_inner();
        let key = self.key(&request.host, &request.salt)?;
        Ok(Response::new(GetTokenAuthorityResponse {
            public_key: key.public_key().as_ref().to_vec(),
        }))
    }

    async fn verify_token_authority(
        &self,
        request: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        self.authority()?;
        let request = request.into_inner();
        let key = self.key(&request.host, &request.salt)?;
        let mut signed = key.sign(&request.payload).as_ref().to_vec();
        signed.extend_from_slice(&request.payload);
        Ok(Response::new(VerifyTokenAuthorityResponse { signed }))
    }

    async fn fetch_token(
        &self,
        request: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        let authority = self.authority()?;
        let request = request.into_inner();
        let wanted = TokenRequest {
            host: request.host,
            realm: request.realm,
            service: request.service,
            scopes: request.scopes,
        };
        let token = authority.token(&wanted).await;
        let token = token.map_err(|refusal| Status::permission_denied(refusal.0))?;
        Ok(Response::new(FetchTokenResponse {
            token: token.value,
            expires_in: i64::try_from(token.expires_in).unwrap_or(i64::MAX),
            issued_at: 0,
        }))
    }
}
