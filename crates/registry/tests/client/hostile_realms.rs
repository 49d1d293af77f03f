//! Token servers and challenges that want more than their due.

use std::sync::Arc;

use sealift_transport::Class;

use crate::hostile::{pull, words};
use crate::scripted_server::{Answer, Asked, Body, ScriptedServer};
use crate::support::{BOTH, TestStore, two_platforms, with_credentials};

/// A registry that wants a token, and its own token server under `/token`.
async fn with_realm(token: Answer) -> ScriptedServer {
    let image = two_platforms(4, 1000);
    let host = Arc::new(std::sync::OnceLock::<String>::new());
    let known = Arc::clone(&host);
    let server = ScriptedServer::serving(image, move |asked| {
        if asked.target.starts_with("/token") {
            return Some(token.clone());
        }
        let host = known.get().unwrap();
        let challenge = format!(r#"Bearer realm="http://{host}/token",service="s""#);
        let denied = asked.header("authorization").is_none();
        denied.then(|| Answer::new(401).header("WWW-Authenticate", &challenge))
    })
    .await;
    host.set(server.host()).unwrap();
    server
}

#[tokio::test]
async fn token_answers_are_bounded() {
    let megabyte = format!(r#"{{"token":"{}"}}"#, "t".repeat(1 << 20));
    let server = with_realm(Answer::ok(megabyte)).await;
    let error = pull(&server).await.unwrap_err();
    assert!(
        words(&error).contains("larger than 65536 bytes"),
        "{}",
        words(&error)
    );
    let server = with_realm(Answer::new(200).body(Body::Endless)).await;
    let error = pull(&server).await.unwrap_err();
    assert!(
        words(&error).contains("larger than 65536 bytes"),
        "{}",
        words(&error)
    );
    let server = with_realm(Answer::ok("{\"token\":\"a\\r\\nX-Evil: 1\"}")).await;
    let error = pull(&server).await.unwrap_err();
    assert_eq!(error.class(), Class::Config, "{}", words(&error));
    let server = with_realm(Answer::ok(r#"{"token":"fine"}"#)).await;
    pull(&server).await.unwrap();
}

#[tokio::test]
async fn locked_logins_end_all_authentication_to_that_host() {
    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"too many failed login attempts for username or IP address"}]}"#;
    let server = with_realm(Answer::new(429).body(Body::Whole(body.into()))).await;
    let credentials = crate::auth::basic(&server.host(), "u", "p");
    let client = with_credentials(credentials);
    for name in ["a", "b", "c"] {
        let text = format!("{}/{name}:1", server.host());
        let error = TestStore::new()
            .pull(&client, &text, BOTH)
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Auth, "{}", words(&error));
    }
    assert_eq!(server.count("/token"), 1);
}

#[tokio::test]
async fn a_registry_that_refuses_every_token_is_not_asked_for_ever() {
    let challenge = Arc::new(std::sync::OnceLock::<String>::new());
    let known = Arc::clone(&challenge);
    let server = ScriptedServer::start(move |asked| {
        if asked.target.starts_with("/token") {
            return Answer::ok(format!(r#"{{"token":"t{}"}}"#, fastrand::u64(..)));
        }
        Answer::new(401).header("WWW-Authenticate", known.get().unwrap())
    })
    .await;
    challenge
        .set(format!(
            r#"Bearer realm="http://{}/token",service="s""#,
            server.host()
        ))
        .unwrap();
    let error = pull(&server).await.unwrap_err();
    assert!(
        matches!(error.class(), Class::Auth | Class::Absent),
        "{}",
        words(&error)
    );
    assert!(
        server.asked().len() <= 12,
        "{} requests",
        server.asked().len()
    );
}

#[tokio::test]
async fn a_registry_cannot_ask_for_tokens_of_other_repositories() {
    let server = {
        let host = Arc::new(std::sync::OnceLock::<String>::new());
        let known = Arc::clone(&host);
        let server = ScriptedServer::serving(two_platforms(5, 1000), move |asked| {
            if asked.target.starts_with("/token") {
                return Some(Answer::ok(r#"{"token":"t"}"#));
            }
            let host = known.get().unwrap();
            let challenge = format!(
                r#"Bearer realm="http://{host}/token",service="s",scope="repository:victim/x:pull,push,delete""#
            );
            let denied = asked.header("authorization").is_none();
            denied.then(|| Answer::new(401).header("WWW-Authenticate", &challenge))
        })
        .await;
        host.set(server.host()).unwrap();
        server
    };
    pull(&server).await.unwrap();
    let tokens: Vec<Asked> = server
        .asked()
        .into_iter()
        .filter(|one| one.target.starts_with("/token"))
        .collect();
    assert_eq!(tokens.len(), 1);
    assert!(
        tokens[0].target.contains("repository%3Aa%3Apull"),
        "{}",
        tokens[0].target
    );
    assert!(!tokens[0].target.contains("victim"), "{}", tokens[0].target);
}
