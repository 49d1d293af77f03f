//! Authentication of requests (the distribution project's token specification): challenges are
//! answered with Basic credentials or with tokens, which are fetched once for all who wait.

mod challenge;
mod challenge_cache;
mod disk;
mod host;
mod realm;
mod refusals;
mod scope;
pub(super) mod token;
mod tokens;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode};
use sealift_oci::Repository;
use sealift_transport::{self as transport, Authorizer, Endpoint, Transport};

use self::challenge::Challenge;
use self::challenge_cache::ChallengeCache;
use self::disk::Disk;
pub(crate) use self::disk::Owner;
use self::host::{Host, Scheme, Word};
pub(crate) use self::realm::{Realm, is_loopback};
pub(crate) use self::scope::{Action, Scope};
use self::tokens::Tokens;
pub(crate) use self::tokens::{Ask, refusal};
use crate::credentials::{Credential, Credentials};
use crate::error::Error;

/// What is known about registries' ways to authenticate, and the tokens at hand. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Auth {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Transport,
    credentials: Credentials,
    tokens: Tokens,
    /// What earlier runs knew of endpoints.
    challenges: Option<ChallengeCache>,
    /// By [`Endpoint::key`].
    hosts: Mutex<HashMap<String, Host>>,
    /// What will be asked for soon, by registry: one token may do for all of it.
    expected: Mutex<HashMap<String, BTreeSet<Scope>>>,
    /// What went wrong with the stored credentials for a repository: shown when the registry then
    /// refuses a request.
    notes: Mutex<HashMap<Repository, String>>,
}

impl Auth {
    pub(crate) fn new(
        transport: Transport,
        credentials: Credentials,
        disk: Option<PathBuf>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                credentials,
                tokens: Tokens::new(transport.clone(), disk.clone().map(Disk::new)),
                challenges: disk.map(ChallengeCache::new),
                transport,
                hosts: Mutex::default(),
                expected: Mutex::default(),
                notes: Mutex::default(),
            }),
        }
    }

    /// Announces what will be asked of a registry, so that one token may be asked for all of it.
    pub(crate) fn expect(&self, registry: &str, scopes: impl IntoIterator<Item = Scope>) {
        let mut expected = lock(&self.inner.expected);
        expected
            .entry(registry.to_owned())
            .or_default()
            .extend(scopes);
    }

    /// Makes the authorizer of requests that do something to a repository; `label` names them in logs.
    pub(crate) fn access(&self, repository: &Repository, action: Action, label: &str) -> Access {
        Access {
            auth: self.clone(),
            repository: repository.clone(),
            label: label.to_owned(),
            scope: Scope::repository(repository.path(), action),
            other_scopes: Vec::new(),
        }
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    fn host<T>(&self, endpoint: &Endpoint, change: impl FnOnce(&mut Host) -> T) -> T {
        change(lock(&self.inner.hosts).entry(endpoint.key()).or_default())
    }
}

/// The authorizer of requests about one repository. It knows the registry that a mirror stands for.
pub(crate) struct Access {
    auth: Auth,
    repository: Repository,
    label: String,
    /// What the request needs, under the origin's name for the repository.
    scope: Scope,
    /// What it needs of other repositories.
    other_scopes: Vec<Scope>,
}

impl Access {
    /// Adds a scope that the request needs besides, such as that of a repository to mount from.
    pub(crate) fn and(mut self, scope: Scope) -> Self {
        self.other_scopes.push(scope);
        self
    }

    /// Makes the error of a request that was made with it.
    pub(crate) fn error_for(&self, action: &'static str, source: transport::Error) -> Error {
        self.error_for_part(action, &self.label, source)
    }

    /// Makes the error of a request for a part of the image.
    pub(crate) fn error_for_part(
        &self,
        action: &'static str,
        part: &str,
        source: transport::Error,
    ) -> Error {
        let note = lock(&self.auth.inner.notes).get(&self.repository).cloned();
        Error::of_request(action, part, note, source)
    }

    fn add_note(&self, text: String) {
        let mut notes = lock(&self.auth.inner.notes);
        notes.entry(self.repository.clone()).or_insert(text);
    }

    /// Returns the scope under the endpoint's name for the repository.
    fn scope_at(&self, endpoint: &Endpoint) -> Scope {
        self.scope.at(endpoint)
    }

    async fn credential(&self, endpoint: &Endpoint) -> Option<Credential> {
        let authority = endpoint.authority();
        let repository = endpoint.name(self.repository.path());
        let credentials = &self.auth.inner.credentials;
        let lookup = credentials.lookup(&authority, &repository).await;
        let failure = lookup.failures.first().map(ToString::to_string);
        if let Some(note) = lookup.withheld.or(failure) {
            self.add_note(note);
        }
        lookup.found
    }

    fn ask(&self, endpoint: &Endpoint, credential: Option<Credential>) -> Option<Ask> {
        let expected = lock(&self.auth.inner.expected)
            .get(self.repository.registry())
            .cloned();
        self.auth.host(endpoint, |host| {
            let Some(Scheme::Bearer { realm, service }) = host.scheme.clone() else {
                return None;
            };
            let own = std::iter::once(&self.scope).chain(&self.other_scopes);
            let own = own.map(|scope| host.translate(&scope.at(endpoint)));
            let scopes: Vec<Scope> = own.chain(host.besides.iter().cloned()).collect();
            let others = expected.into_iter().flatten();
            let others = others
                .map(|other| other.at(endpoint))
                .filter(|other| credential.is_none() || !host.anonymous.contains(other))
                .map(|other| host.translate(&other))
                .collect::<Vec<_>>();
            if let Some(credential) = credential.as_ref().filter(|_| !realm.is_trusted()) {
                self.add_note(format!(
                    "the stored password of {} was not sent to {}, since that is plain HTTP and another host",
                    credential.account(),
                    realm.authority(),
                ));
            }
            let credential = credential.filter(|_| realm.is_trusted());
            Some(Ask {
                owner: Owner {
                    endpoint: endpoint.key(),
                    realm: realm.url().to_string(),
                    service: service.clone(),
                    account: credential.as_ref().map(|c| c.account().to_owned()),
                },
                others: others
                    .into_iter()
                    .filter(|other| !scopes.contains(other))
                    .collect(),
                realm,
                service,
                scopes,
                credential,
                endpoint: endpoint.clone(),
                label: self.label.clone(),
                patient: false,
            })
        })
    }

    async fn header(&self, endpoint: &Endpoint) -> transport::Result<Option<HeaderValue>> {
        self.load_challenge(endpoint);
        let scope = self.scope_at(endpoint);
        let (scheme, word, anonymous) = self.auth.host(endpoint, |host| {
            let anonymous = host.anonymous.contains(&scope);
            (host.scheme.clone(), host.word, anonymous)
        });
        let Some(scheme) = scheme else {
            return Ok(None);
        };
        let credential = if anonymous {
            None
        } else {
            self.credential(endpoint).await
        };
        match (scheme, credential) {
            (Scheme::Basic, Some(Credential::Basic { username, password })) => {
                Ok(Some(realm::basic(&username, &password)))
            }
            (Scheme::Basic, _) => Ok(None),
            (Scheme::Bearer { .. }, Some(Credential::Bearer(token))) => Ok(realm::bearer(&token)),
            (Scheme::Bearer { .. }, credential) => match word {
                Word::Challenge => self.token(endpoint, credential).await,
                Word::Memory { vouched: false } if credential.is_some() => {
                    Ok(self.cached_token(endpoint, credential))
                }
                Word::Memory { .. } => self.remembered(endpoint, credential).await,
            },
        }
    }

    /// Gets a token; where the stored credentials are refused, an anonymous one if only reading is
    /// asked for.
    async fn token(
        &self,
        endpoint: &Endpoint,
        credential: Option<Credential>,
    ) -> transport::Result<Option<HeaderValue>> {
        let scope = self.scope_at(endpoint);
        let tokens = &self.auth.inner.tokens;
        let credential_less = credential.is_none();
        let Some(ask) = self.ask(endpoint, credential) else {
            return Ok(None);
        };
        let refusal = match tokens.get(&ask).await {
            Ok(token) => return Ok(realm::bearer(&token.secret)),
            Err(error) => error,
        };
        let refused = refusal.class() == transport::Class::Auth;
        if refused && credential_less {
            // Without credentials it is no better: back to them, should it be tried again.
            self.auth
                .host(endpoint, |host| host.anonymous.remove(&scope));
        }
        if !refused || credential_less || scope.writes() || tokens.is_locked(&ask) {
            return Err(refusal);
        }
        self.add_note(format!(
            "the stored credentials of {} were refused: {}",
            ask.owner.account.as_deref().unwrap_or("this host"),
            refusal.text()
        ));
        self.auth
            .host(endpoint, |host| host.anonymous.insert(scope.clone()));
        match self.ask(endpoint, None) {
            Some(ask) => {
                let token = tokens.get(&ask).await;
                // Where nobody gets in without credentials, theirs is the failure to report.
                let token = token.map_err(|error| match error.class() {
                    transport::Class::Auth => refusal,
                    _ => error,
                })?;
                Ok(realm::bearer(&token.secret))
            }
            None => Err(refusal),
        }
    }

    async fn answer(&self, challenge: transport::Challenge<'_>) -> transport::Result<bool> {
        let endpoint = challenge.endpoint;
        let scope = self.scope_at(endpoint);
        if challenge.status == StatusCode::UNAUTHORIZED {
            let changed = match Challenge::of(challenge.headers) {
                Some(offered) => self.learn(endpoint, &scope, offered)?,
                None => self.outdated(endpoint),
            };
            if changed && challenge.sent.is_some() {
                // What was shown was meant for what an earlier run knew.
                return Ok(true);
            }
        }
        let Some(sent) = challenge.sent else {
            // Nothing was shown yet: it is worth another request if there is something to show.
            return Ok(self.auth.host(endpoint, |host| host.scheme.is_some()));
        };
        let stored = self.credential(endpoint).await;
        let known_anonymous = self
            .auth
            .host(endpoint, |host| host.anonymous.contains(&scope));
        let credential = stored.clone().filter(|_| !known_anonymous);
        if let Some(ask) = self.ask(endpoint, credential) {
            let stale = challenge.status == StatusCode::UNAUTHORIZED;
            if stale && self.auth.inner.tokens.refused(&ask, sent) {
                return Ok(true);
            }
        }
        if known_anonymous {
            // That was no better: back to the credentials, should it be tried again.
            self.auth
                .host(endpoint, |host| host.anonymous.remove(&scope));
            return Ok(false);
        }
        if stored.is_none() || scope.writes() {
            return Ok(false);
        }
        // A public image may be refused because of stale credentials alone.
        self.add_note("the registry refused the stored credentials".to_owned());
        self.auth
            .host(endpoint, |host| host.anonymous.insert(scope));
        Ok(true)
    }

    /// Takes what an endpoint says of itself. Tells whether that is other than what an earlier run
    /// knew.
    fn learn(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        offered: Challenge,
    ) -> transport::Result<bool> {
        let (scheme, asked) = match offered {
            Challenge::Basic => (Scheme::Basic, Vec::new()),
            Challenge::Bearer(bearer) => {
                let realm = Realm::of(&bearer.realm, endpoint)
                    .map_err(|reason| refusal(reason, &endpoint.authority(), &self.label))?;
                let service = bearer.service.unwrap_or_default();
                let asked = bearer.scope.as_deref().map(Scope::parse_list);
                (Scheme::Bearer { realm, service }, asked.unwrap_or_default())
            }
        };
        let (news, changed) = self.auth.host(endpoint, |host| {
            let before = (
                host.scheme.clone(),
                host.rename.clone(),
                host.besides.clone(),
            );
            let name = host.translate(scope);
            let recalled = host.word != Word::Challenge;
            host.word = Word::Challenge;
            host.scheme = Some(scheme);
            host.learn(scope, asked);
            let changed = before.0 != host.scheme
                || before.2 != host.besides
                || name != host.translate(scope);
            let news = recalled || changed || before.1 != host.rename;
            (news, recalled && changed)
        });
        if news {
            self.keep(endpoint);
        }
        Ok(changed)
    }

    /// Takes note of a refusal that names no way in. Tells whether an earlier run knew one.
    fn outdated(&self, endpoint: &Endpoint) -> bool {
        let recalled = |host: &mut Host| host.word != Word::Challenge;
        let known = self.auth.host(endpoint, recalled);
        if known {
            self.forget(endpoint);
        }
        known
    }
}

impl Authorizer for Access {
    fn authorization<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, transport::Result<Option<HeaderValue>>> {
        Box::pin(self.header(endpoint))
    }

    fn challenged<'a>(
        &'a self,
        challenge: transport::Challenge<'a>,
    ) -> BoxFuture<'a, transport::Result<bool>> {
        Box::pin(self.answer(challenge))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
