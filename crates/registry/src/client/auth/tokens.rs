//! Tokens at hand, and the fetching of new ones: once for all who wait, for several repositories
//! at once where the realm grants that, from the disk where an earlier run left one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use futures_util::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use sealift_transport::{
    self as transport, Authorizer, Cause, Class, Endpoint, Payload, Phase, Remedy, Request, Route,
    Transport, Verdict,
};
use tokio::sync::OnceCell;

use super::disk::{Disk, Owner};
use super::lock;
use super::realm::{self, Question, Realm};
use super::refusals::Refusals;
use super::scope::Scope;
use super::token::{BODY_LIMIT, Malformed, Token};
use crate::code::Explanation;
use crate::credentials::Credential;

/// No realm is asked for more scopes at once: they travel in its URL.
const BATCH: usize = 16;

/// What a token is wanted for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) owner: Owner,
    pub(crate) realm: Realm,
    pub(crate) service: String,
    /// What the request at hand needs, all of it.
    pub(crate) scopes: Vec<Scope>,
    /// What other requests will need soon.
    pub(crate) others: Vec<Scope>,
    pub(crate) credential: Option<Credential>,
    /// Whom the realm's address came from.
    pub(crate) endpoint: Endpoint,
    pub(crate) label: String,
    /// Whether failures are retried here; else whoever asks owns the retries.
    pub(crate) patient: bool,
}

type Flight = Arc<OnceCell<Token>>;

/// All tokens of this process.
pub(crate) struct Tokens {
    transport: Transport,
    disk: Option<Disk>,
    memory: Mutex<HashMap<Owner, Vec<Token>>>,
    flights: Mutex<HashMap<(Owner, Vec<Scope>), Flight>>,
    /// Whose realm was seen not to grant several scopes at once.
    single: Mutex<HashSet<Owner>>,
    refusals: Refusals,
    /// Realms that have locked logins.
    locked: Mutex<HashMap<String, transport::Error>>,
}

impl Tokens {
    pub(crate) fn new(transport: Transport, disk: Option<Disk>) -> Self {
        Self {
            transport,
            disk,
            memory: Mutex::default(),
            flights: Mutex::default(),
            single: Mutex::default(),
            refusals: Refusals::default(),
            locked: Mutex::default(),
        }
    }

    /// Gets a token for what a request needs.
    pub(crate) async fn get(&self, ask: &Ask) -> transport::Result<Token> {
        if let Some(token) = self.find(ask) {
            return Ok(token);
        }
        let known = lock(&self.locked).get(&ask.owner.realm).cloned();
        let known = known.or_else(|| self.refusals.known(&ask.owner, &ask.scopes));
        if let Some(error) = known {
            return Err(error);
        }
        let batch = self.batch(ask);
        if batch.len() > ask.scopes.len() {
            match self.flight(ask, batch).await {
                Ok(token) if serves(&token, ask) => return Ok(token),
                Err(error) if !is_denied(&error) && error.status() != Some(500) => {
                    return Err(error);
                }
                // Granted in part, refused as a whole because one of them is not ours, or more than the
                // server can read.
                _ => {
                    lock(&self.single).insert(ask.owner.clone());
                }
            }
        }
        let result = self.flight(ask, ask.scopes.clone()).await;
        match &result {
            Ok(_) => self.refusals.granted(&ask.owner),
            Err(error) => self.remember(ask, error),
        }
        result
    }

    /// Returns a token that is at hand or on the disk, without asking anybody for one.
    pub(crate) fn kept(&self, ask: &Ask) -> Option<Token> {
        self.find(ask).or_else(|| {
            let token = self.load(ask)?;
            let mut memory = lock(&self.memory);
            memory
                .entry(ask.owner.clone())
                .or_default()
                .push(token.clone());
            Some(token)
        })
    }

    fn load(&self, ask: &Ask) -> Option<Token> {
        match (&self.disk, &ask.scopes[..]) {
            (Some(disk), [scope]) => disk.load(&ask.owner, scope, SystemTime::now()),
            _ => None,
        }
    }

    /// Takes note that a registry refused a request with this header. Tells whether another token
    /// may do better: not where this one was fetched just for that.
    pub(crate) fn refused(&self, ask: &Ask, sent: &HeaderValue) -> bool {
        let is_sent = |token: &Token| realm::bearer(&token.secret).as_ref() == Some(sent);
        let dropped = {
            let mut memory = lock(&self.memory);
            let tokens = memory.entry(ask.owner.clone()).or_default();
            let at = tokens.iter().position(is_sent);
            at.map(|at| tokens.swap_remove(at))
        };
        let Some(token) = dropped else {
            // A newer one took its place, or it was anonymous and credentials are there now.
            return true;
        };
        if let Some(disk) = &self.disk {
            token
                .scopes
                .iter()
                .for_each(|scope| disk.remove(&ask.owner, scope));
        }
        let batched = token.scopes.len() > ask.scopes.len();
        if batched {
            lock(&self.single).insert(ask.owner.clone());
        }
        batched || token.reused
    }

    /// Tells whether the realm has locked logins.
    pub(crate) fn is_locked(&self, ask: &Ask) -> bool {
        lock(&self.locked).contains_key(&ask.owner.realm)
    }

    fn find(&self, ask: &Ask) -> Option<Token> {
        let now = SystemTime::now();
        let mut memory = lock(&self.memory);
        let tokens = memory.get_mut(&ask.owner)?;
        tokens.retain(|token| token.is_fresh(now));
        let token = tokens.iter_mut().find(|token| serves(token, ask))?;
        token.reused = true;
        Some(token.clone())
    }

    /// Chooses the scopes to ask for at once: the request's own first.
    fn batch(&self, ask: &Ask) -> Vec<Scope> {
        let mut batch = ask.scopes.clone();
        if lock(&self.single).contains(&ask.owner) {
            return batch;
        }
        let writes = ask.scopes.iter().any(Scope::writes);
        let now = SystemTime::now();
        let memory = lock(&self.memory);
        let own = memory
            .get(&ask.owner)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let is_open = |other: &&Scope| {
            other.writes() == writes
                && !own
                    .iter()
                    .any(|token| token.is_fresh(now) && token.covers(other))
        };
        for other in ask.others.iter().filter(is_open) {
            if batch.len() < BATCH && !batch.contains(other) {
                batch.push(other.clone());
            }
        }
        // All who wait for the same set must name it the same.
        batch.sort();
        batch
    }

    async fn flight(&self, ask: &Ask, scopes: Vec<Scope>) -> transport::Result<Token> {
        let key = (ask.owner.clone(), scopes.clone());
        let cell = Arc::clone(lock(&self.flights).entry(key.clone()).or_default());
        let token = cell
            .get_or_try_init(|| self.fetch(ask, scopes))
            .await?
            .clone();
        let mut flights = lock(&self.flights);
        if flights
            .get(&key)
            .is_some_and(|current| Arc::ptr_eq(current, &cell))
        {
            flights.remove(&key);
        }
        Ok(token)
    }

    async fn fetch(&self, ask: &Ask, scopes: Vec<Scope>) -> transport::Result<Token> {
        if let Some(token) = self.find(ask) {
            return Ok(token);
        }
        let token = match self.load(ask) {
            Some(token) => token,
            None => self.fetch_new(ask, scopes).await?,
        };
        lock(&self.memory)
            .entry(ask.owner.clone())
            .or_default()
            .push(token.clone());
        Ok(token)
    }

    async fn fetch_new(&self, ask: &Ask, scopes: Vec<Scope>) -> transport::Result<Token> {
        let question = ask
            .realm
            .question(&ask.service, &scopes, ask.credential.as_ref());
        let posted = matches!(question, Question::Post { .. });
        let mut answer = self.exchange(ask, question).await;
        if let (true, Err(error), Some(login)) = (posted, &answer, login(ask)) {
            // Some registries know only the older form, with the identity token as password.
            if matches!(error.status(), Some(404 | 405)) {
                let question = ask.realm.get(&ask.service, &scopes, Some(login));
                answer = self.exchange(ask, question).await;
            }
        }
        let host = ask.realm.authority();
        let token = Token::parse(&answer?, scopes, SystemTime::now()).map_err(|malformed| {
            let reason = match malformed {
                Malformed::Html => {
                    "HTML instead of JSON: a web page was returned instead of a token"
                }
                Malformed::NoToken => "the token server's answer holds no token",
                Malformed::Unprintable => {
                    "the token server's token has characters that no token has"
                }
            };
            refusal(reason.to_owned(), &host, &ask.label)
        })?;
        if let Some(disk) = &self.disk {
            disk.store(&ask.owner, &token);
        }
        Ok(token)
    }

    async fn exchange(&self, ask: &Ask, question: Question) -> transport::Result<Vec<u8>> {
        let (url, authorization, form) = match question {
            Question::Get { url, authorization } => (url, authorization, None),
            Question::Post { url, form } => (url, None, Some(form)),
        };
        let failed =
            |cause| transport::Error::new(cause, Phase::Token, &ask.realm.authority(), &ask.label);
        let endpoint = ask.realm.endpoint(&ask.endpoint).map_err(failed)?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let (request, payload) = match form {
            None => (Request::get(path), Payload::Empty),
            Some(form) => {
                let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
                let request = Request::new(Method::POST, path).header(CONTENT_TYPE, form_type);
                let request = request.confidential();
                let body = form.expose().as_bytes().to_vec();
                (request, Payload::Bytes(body.into()))
            }
        };
        let request = request.of(Phase::Token, &ask.label).repeatable(true);
        let request = if ask.patient { request } else { request.once() };
        let (route, login) = (Route::direct(endpoint), Fixed(authorization));
        let document = match payload {
            Payload::Empty => {
                self.transport
                    .document(&route, &request, BODY_LIMIT, &login)
                    .await?
            }
            _ => {
                self.transport
                    .upload(&route, &request, &payload, &login)
                    .await?
            }
        };
        Ok(document.body.to_vec())
    }

    /// Keeps what must not be tried again: refused logins, and realms that lock them.
    fn remember(&self, ask: &Ask, error: &transport::Error) {
        let explanation = Explanation::parse(error.body().unwrap_or_default().as_bytes());
        if explanation.mentions("too many failed login attempts") {
            lock(&self.locked).insert(ask.owner.realm.clone(), error.clone());
        } else if error.class() == Class::Auth
            && error.status() == Some(401)
            && ask.credential.is_some()
        {
            self.refusals.add(&ask.owner, &ask.scopes, error);
        }
    }
}

/// Tells whether a realm said no to what was asked for, as opposed to not now.
fn is_denied(error: &transport::Error) -> bool {
    let status = error.status().unwrap_or_default();
    (400..500).contains(&status) && !matches!(status, 407 | 408 | 425 | 429)
}

/// Tells whether a token does for all that a request needs.
fn serves(token: &Token, ask: &Ask) -> bool {
    token.scopes == ask.scopes || ask.scopes.iter().all(|scope| token.covers(scope))
}

fn login(ask: &Ask) -> Option<(&str, &crate::Secret)> {
    match &ask.credential {
        Some(Credential::Identity {
            username: Some(username),
            token,
        }) if ask.realm.is_trusted() => Some((username, token)),
        _ => None,
    }
}

/// A failure of a realm that its status does not tell.
pub(crate) fn refusal(reason: String, host: &str, label: &str) -> transport::Error {
    let verdict = Verdict::new(Class::Config, Remedy::Never)
        .hint("Something between us and the registry's token server answers in its place, or the registry names a wrong one.");
    transport::Error::new(
        Cause::Refused { reason, verdict },
        Phase::Token,
        host,
        label,
    )
}

/// Sends one header, whatever is asked.
struct Fixed(Option<HeaderValue>);

impl Authorizer for Fixed {
    fn authorization<'a>(
        &'a self,
        _endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, transport::Result<Option<HeaderValue>>> {
        Box::pin(async { Ok(self.0.clone()) })
    }

    fn challenged<'a>(
        &'a self,
        _challenge: transport::Challenge<'a>,
    ) -> BoxFuture<'a, transport::Result<bool>> {
        Box::pin(async { Ok(false) })
    }
}
