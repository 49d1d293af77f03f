//! Accounts and tokens for a builder that fetches images itself: it asks us over the session, and
//! we answer by our own ways.

use futures_util::future::BoxFuture;
use sealift_buildkit::{Account, Authority, Refusal, Token, TokenRequest};
use sealift_registry::{Client, Credential, Credentials, TokenRequest as Wanted};

/// Lends accounts and tokens of the registry client.
#[derive(Debug, Clone)]
pub struct Lender {
    client: Client,
    credentials: Credentials,
}

impl Lender {
    /// Takes the client and its accounts.
    #[must_use]
    pub const fn new(client: Client, credentials: Credentials) -> Self {
        Self {
            client,
            credentials,
        }
    }
}

impl Authority for Lender {
    fn account<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Option<Account>, Refusal>> {
        Box::pin(async move {
            let found = self.credentials.lookup(host, "").await.found;
            Ok(found.and_then(|credential| match credential {
                Credential::Basic { username, password } => Some(Account {
                    name: username,
                    secret: password.expose().to_owned(),
                }),
                Credential::Identity { token, .. } => Some(Account {
                    name: String::new(),
                    secret: token.expose().to_owned(),
                }),
                // A registry's own bearer token is no account.
                Credential::Bearer(_) => None,
            }))
        })
    }

    fn token<'a>(&'a self, wanted: &'a TokenRequest) -> BoxFuture<'a, Result<Token, Refusal>> {
        Box::pin(async move {
            let wanted = Wanted {
                host: wanted.host.clone(),
                realm: wanted.realm.clone(),
                service: wanted.service.clone(),
                scopes: wanted.scopes.clone(),
            };
            let granted = self
                .client
                .token(&wanted)
                .await
                .map_err(|error| refusal(&error))?;
            Ok(Token {
                value: granted.token.expose().to_owned(),
                expires_in: granted.life.as_secs(),
            })
        })
    }
}

/// Tells why no token came, in the order that BuildKit itself tells it: its error repeats this, and
/// what the build's failure is gets read from there.
fn refusal(error: &sealift_registry::Error) -> Refusal {
    let reason = match error.request() {
        Some(request) => format!(" from {}: {}", request.host(), request.text()),
        None => format!(": {error}"),
    };
    Refusal(format!("failed to fetch oauth token{reason}"))
}
