//! Secrets for RUN steps (`moby.buildkit.secrets.v1`).

use std::collections::BTreeMap;

use tonic::{Request, Response, Status};

use super::record::{Count, Record};
use crate::proto::secrets::secrets_server::Secrets;
use crate::proto::secrets::{GetSecretRequest, GetSecretResponse};
use crate::solve::Secret;

/// Answers with the secrets that the solve offers, by id.
pub(crate) struct Service {
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) record: Record,
}

#[tonic::async_trait]
impl Secrets for Service {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        let secret = self.secrets.get(&id);
        // The daemon takes NotFound for a secret that need not be there.
        let secret = secret.ok_or_else(|| Status::not_found(format!("secret {id}: not found")))?;
        self.record.add(Count::SecretsGiven, 1);
        Ok(Response::new(GetSecretResponse {
            data: secret.bytes().to_vec(),
        }))
    }
}
