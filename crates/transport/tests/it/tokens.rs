//! Requests that need tokens, and tokens that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use http::HeaderValue;
use sealift_transport::{
    Anonymous, Authorizer, Challenge, Class, Endpoint, Event, Phase, Request, Result, Route,
    Transport,
};

use crate::parts::{get, hurried, plain, transport};
use crate::server::{Act, Server, answer};

/// Hands out tokens: the first is stale.
struct Tokens {
    fetched: AtomicUsize,
    asked: AtomicUsize,
}

impl Authorizer for Tokens {
    fn authorization<'a>(
        &'a self,
        _endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<Option<HeaderValue>>> {
        let token = format!("Bearer t{}", self.fetched.load(Ordering::SeqCst));
        Box::pin(async move { Ok(Some(HeaderValue::from_str(&token).unwrap())) })
    }

    fn challenged<'a>(&'a self, challenge: Challenge<'a>) -> BoxFuture<'a, Result<bool>> {
        assert_eq!(challenge.headers["www-authenticate"], "Bearer realm=\"r\"");
        self.asked.fetch_add(1, Ordering::SeqCst);
        let more = self.fetched.load(Ordering::SeqCst) < 1;
        if more {
            self.fetched.fetch_add(1, Ordering::SeqCst);
        }
        Box::pin(async move { Ok(more) })
    }
}

fn tokens() -> Arc<Tokens> {
    Arc::new(Tokens {
        fetched: AtomicUsize::new(0),
        asked: AtomicUsize::new(0),
    })
}

#[tokio::test]
async fn a_challenge_is_answered_once_for_each_new_token() {
    let server = Server::start(|hit| match hit.header("authorization") {
        Some("Bearer t1") => answer(200, &[], b"in"),
        _ => answer(401, &[("WWW-Authenticate", "Bearer realm=\"r\"")], b""),
    })
    .await;
    let route = Route::direct(plain(&server.authority()));
    let (transport, seen) = transport(hurried());
    let tokens = tokens();
    let request = get("x");
    let done = transport
        .document(&route, &request, 100, &*tokens)
        .await
        .unwrap();
    assert_eq!(done.body, "in");
    assert_eq!(server.requests().len(), 2);
    assert_eq!(
        seen.count(|event| matches!(event, Event::AttemptFailed { .. })),
        0
    );
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_is_the_end() {
    let server =
        Server::start(|_| answer(401, &[("WWW-Authenticate", "Bearer realm=\"r\"")], b"")).await;
    let route = Route::direct(plain(&server.authority()));
    let (transport, _) = transport(hurried());
    let tokens = tokens();
    let request = get("x");
    let error = transport
        .document(&route, &request, 100, &*tokens)
        .await
        .unwrap_err();
    assert_eq!((error.class(), server.requests().len()), (Class::Auth, 2));
    assert_eq!(tokens.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn too_many_failed_logins_stop_all_logins_at_that_host() {
    let server = Server::start(|_| {
        answer(
            429,
            &[("Retry-After", "1")],
            b"toomanyrequests: too many failed login attempts",
        )
    })
    .await;
    let route = Route::direct(plain(&server.authority()));
    let (transport, _) = transport(hurried());
    let tokens = tokens();
    let request = get("x");
    for _ in 0..4 {
        let error = transport
            .document(&route, &request, 100, &*tokens)
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Auth, "{error:?}");
    }
    assert_eq!(server.requests().len(), 1, "one is enough");
}

/// Fetches each token from a server of its own, as registries do.
struct FromRealm {
    transport: Transport,
    realm: Route,
}

impl Authorizer for FromRealm {
    fn authorization<'a>(
        &'a self,
        _endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<Option<HeaderValue>>> {
        Box::pin(async {
            let request = Request::get("token").of(Phase::Token, "image").once();
            let token = self
                .transport
                .document(&self.realm, &request, 1000, &Anonymous)
                .await?;
            Ok(Some(HeaderValue::from_bytes(&token.body).unwrap()))
        })
    }

    fn challenged<'a>(&'a self, _: Challenge<'a>) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async { Ok(false) })
    }
}

#[tokio::test]
async fn failing_tokens_are_retried_by_the_request_that_waits_for_them() {
    let realm = Server::start(|hit| match hit.number {
        0..8 => vec![Act::Reset],
        _ => answer(200, &[], b"Bearer fresh"),
    })
    .await;
    let registry = Server::start(|hit| match hit.header("authorization") {
        Some("Bearer fresh") => answer(200, &[], b"in"),
        _ => answer(401, &[], b""),
    })
    .await;
    let (transport, seen) = transport(hurried());
    let tokens = FromRealm {
        transport: transport.clone(),
        realm: Route::direct(plain(&realm.authority())),
    };
    let route = Route::direct(plain(&registry.authority()));
    let done = transport
        .document(&route, &get("x"), 100, &tokens)
        .await
        .unwrap();
    assert_eq!(done.body, "in");
    assert_eq!((realm.requests().len(), registry.requests().len()), (9, 1));
    let host = realm.authority();
    let told = seen.count(|event| match event {
        Event::AttemptFailed { subject, .. } => {
            subject.phase == Phase::Token && *subject.host == *host
        }
        _ => false,
    });
    assert_eq!(
        told, 8,
        "each failure is told once, with its own phase and host"
    );
    assert_eq!(transport.totals()[&host].failures[&Class::Network], 8);
}
