//! Which realm is shown which credential.

use std::time::Duration;

use sealift_registry::{Credential, Credentials, TokenRequest};
use sealift_test_support::{Fault, FaultPlan, FaultyRegistry, Kind, TokenRules};
use sealift_transport::Class;

use crate::auth::{basic, far_away, private, registry_with, token};
use crate::scripted_server::{Answer, Asked, ScriptedServer};
use crate::support::{BOTH, TestStore, two_platforms, with_credentials};

fn logins(server: &ScriptedServer) -> Vec<bool> {
    let asked = server
        .asked()
        .into_iter()
        .filter(|one| one.target.starts_with("/token"));
    asked
        .map(|one| one.header("authorization").is_some())
        .collect()
}

#[tokio::test]
async fn a_password_goes_to_the_registrys_own_realm_and_to_no_other_in_clear() {
    for (realm, shown) in [
        ("http://registry.example/token", true),
        ("http://auth.example/token", false),
    ] {
        let (server, client) = far_away(realm, |_| token(), |_| None).await;
        TestStore::new()
            .pull(&client, "registry.example/a:1", BOTH)
            .await
            .unwrap();
        assert_eq!(logins(&server), [shown], "{realm}");
        assert!(!format!("{client:?}").contains("planted-secret"));
    }
}

#[tokio::test]
async fn a_registry_that_refuses_stored_credentials_is_asked_without_them_once() {
    let refuse = |asked: &Asked| {
        let with_password = asked.header("authorization") == Some("Bearer of-u");
        with_password.then(|| Answer::new(403))
    };
    let by_account = |asked: &Asked| {
        let anonymous = asked.header("authorization").is_none();
        Answer::ok(if anonymous {
            r#"{"token":"of-all"}"#
        } else {
            r#"{"token":"of-u"}"#
        })
    };
    let (server, client) = far_away("http://registry.example/token", by_account, refuse).await;
    TestStore::new()
        .pull(&client, "registry.example/a:1", BOTH)
        .await
        .unwrap();
    assert_eq!(logins(&server), [true, false]);
    // Where nobody is let in, it ends.
    let nobody = |asked: &Asked| asked.header("authorization").map(|_| Answer::new(403));
    let (server, client) = far_away("http://registry.example/token", by_account, nobody).await;
    let error = TestStore::new()
        .pull(&client, "registry.example/a:1", BOTH)
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Auth, "{error:?}");
    assert!(
        error
            .to_string()
            .contains("the registry refused the stored credentials"),
        "{error}"
    );
    assert!(
        server.asked().len() < 16,
        "{} requests",
        server.asked().len()
    );
}

#[tokio::test]
async fn an_identity_token_is_a_password_where_the_realm_knows_no_post() {
    let image = two_platforms(52, 500);
    let host = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let known = std::sync::Arc::clone(&host);
    let server = ScriptedServer::serving(image, move |asked| {
        if asked.target.starts_with("/token") {
            let right =
                asked.method == "GET" && asked.header("authorization") == Some("Basic dTppZA==");
            return Some(if right { token() } else { Answer::new(405) });
        }
        let challenge = format!(
            r#"Bearer realm="http://{}/token",service="s""#,
            known.get().unwrap()
        );
        let denied = asked.header("authorization").is_none();
        denied.then(|| Answer::new(401).header("WWW-Authenticate", &challenge))
    })
    .await;
    host.set(server.host()).unwrap();
    let credential = Credential::Identity {
        username: Some("u".to_owned()),
        token: "id".into(),
    };
    let client = with_credentials(Credentials::default().with(&server.host(), credential));
    TestStore::new()
        .pull(&client, &format!("{}/a:1", server.host()), BOTH)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_broken_helper_is_told_when_the_registry_refuses_and_only_then() {
    let registry = registry_with(&["a"]);
    let broken = || {
        let mut file = sealift_registry::CredentialFile::default();
        file.set_store("there-is-no-such-helper", "config.json:1");
        Credentials::new(
            vec![file],
            sealift_registry::credentials::Helpers::default(),
        )
    };
    let open = FaultyRegistry::with_tokens(
        registry.address(),
        TokenRules::anonymous(),
        FaultPlan::none(),
    );
    let client = with_credentials(broken());
    TestStore::new()
        .pull(&client, &format!("{}/a:1", open.host()), BOTH)
        .await
        .unwrap();
    let closed = FaultyRegistry::with_tokens(registry.address(), private(), FaultPlan::none());
    let client = with_credentials(broken());
    let error = TestStore::new()
        .pull(&client, &format!("{}/a:1", closed.host()), BOTH)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("docker-credential-there-is-no-such-helper failed"),
        "{error}"
    );
}

#[tokio::test]
async fn tokens_for_others_come_over_the_worst_network() {
    let registry = registry_with(&["a"]);
    let plan = FaultPlan::seeded(9).chance(Kind::Token, 0.8, Fault::Reset);
    let rules = TokenRules::anonymous().account("u", "right");
    let faulty = FaultyRegistry::with_tokens(registry.address(), rules, plan);
    let wanted = |scope: &str| TokenRequest {
        host: faulty.host(),
        realm: format!("http://{}/token", faulty.token_address()),
        service: "sealift-test".to_owned(),
        scopes: vec![scope.to_owned()],
    };
    for (credentials, push) in [
        (Credentials::default(), false),
        (basic(&faulty.host(), "u", "wrong"), false),
        (basic(&faulty.host(), "u", "right"), true),
    ] {
        let client = with_credentials(credentials);
        let token = client.token(&wanted("repository:a:pull")).await.unwrap();
        assert!(token.life > Duration::from_secs(200), "{token:?}");
        assert!(!format!("{token:?}").contains(token.token.expose()));
        let bearer = format!("Bearer {}", token.token.expose());
        let http = sealift_test_support::Http::new(faulty.address());
        let answer = http
            .header("Authorization", &bearer)
            .get("/v2/a/manifests/1");
        assert_ne!(answer.status, 401);
        let pushing = client.token(&wanted("repository:a:pull,push")).await;
        assert!(pushing.is_ok() || !push, "{pushing:?}");
    }
}
