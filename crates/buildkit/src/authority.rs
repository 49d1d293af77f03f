//! Who answers the daemon's requests for credentials and tokens: the trait that a solve's caller
//! implements, and its messages. `session::auth` serves it.

use std::fmt;

use futures_util::future::BoxFuture;

/// Knows the credentials of registries and fetches tokens for the daemon.
///
/// A sealed build asks for nothing.
pub trait Authority: fmt::Debug + Send + Sync {
    /// Finds the account for a registry or mirror that wants a password itself; nobody by default.
    fn account<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Option<Account>, Refusal>> {
        let _ = host;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Fetches a token from a registry's realm.
    fn token<'a>(&'a self, wanted: &'a TokenRequest) -> BoxFuture<'a, Result<Token, Refusal>>;
}

/// An account of a registry; the password is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The name; empty where the secret is an identity token.
    pub name: String,
    /// The password or identity token.
    pub secret: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("secret", &"****")
            .finish()
    }
}

/// The token that a daemon wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// Host of the registry or mirror.
    pub host: String,
    /// URL that gives tokens.
    pub realm: String,
    /// Name of the registry at its realm.
    pub service: String,
    /// What the token is for: `repository:library/busybox:pull`.
    pub scopes: Vec<String>,
}

/// A token; it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The token itself.
    pub value: String,
    /// How long it is good for, in seconds.
    pub expires_in: u64,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("value", &"****")
            .field("expires_in", &self.expires_in)
            .finish()
    }
}

/// Why no token is given; the daemon repeats it in its own error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);
