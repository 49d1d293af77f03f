//! Authentication against a token-issuing proxy and against Basic registries.

use std::time::Duration;

use sealift_registry::{Client, Config, Credential, Credentials, Error, Want};
use sealift_test_support::{
    DockerRegistry, Fault, FaultPlan, FaultyRegistry, Kind, RegistryOptions, TokenRules,
};
use sealift_transport::proxy::Proxy;
use sealift_transport::{Class, Endpoint, Route, Scheme, Transport};

use crate::scripted_server::{Answer, Asked, ScriptedServer};
use crate::support::{
    BOTH, TestStore, client, plain, platforms, reference, routed, settings, two_platforms,
    with_credentials,
};

pub(crate) fn basic(host: &str, username: &str, password: &str) -> Credentials {
    let credential = Credential::Basic {
        username: username.to_owned(),
        password: password.into(),
    };
    Credentials::default().with(host, credential)
}

pub(crate) fn registry_with(names: &[&str]) -> DockerRegistry {
    let registry = DockerRegistry::start();
    for (number, name) in names.iter().enumerate() {
        registry.push(&two_platforms(40 + number as u64, 2000), name, "1");
    }
    registry
}

pub(crate) fn private() -> TokenRules {
    TokenRules::private().account("u", "p")
}

pub(crate) async fn pull_all(client: &Client, host: &str, names: &[&str]) {
    let want = |name: &&str| Want {
        reference: reference(&format!("{host}/{name}:1")),
        platforms: platforms(BOTH),
    };
    let wants = names.iter().map(want).collect();
    let store = TestStore::new();
    let watcher = std::sync::Arc::new(sealift_registry::Silent);
    for result in client.pull_all(&store.content, wants, watcher).await {
        result.unwrap();
    }
}

#[tokio::test]
async fn one_token_request_does_for_many_repositories_where_the_realm_grants_that() {
    let names = ["a", "b", "c/d", "e"];
    let registry = registry_with(&names);
    let faulty = FaultyRegistry::with_tokens(
        registry.address(),
        TokenRules::anonymous(),
        FaultPlan::none(),
    );
    pull_all(&plain(), &faulty.host(), &names).await;
    assert_eq!(faulty.count(Kind::Token), 1);
}

#[tokio::test]
async fn a_mirror_with_a_prefix_gets_tokens_for_its_own_names() {
    let registry = registry_with(&["hub/library/a", "hub/team/b"]);
    let rules = TokenRules::anonymous();
    let faulty = FaultyRegistry::with_tokens(registry.address(), rules, FaultPlan::none());
    let mirror = Endpoint::new(Scheme::Http, &faulty.host()).unwrap();
    let origin = Endpoint::new(Scheme::Http, "127.0.0.1:9").unwrap();
    let mirror = mirror.with_base("/v2").with_prefix("hub");
    let client = client(routed(
        "docker.io",
        Route::new([mirror], origin.with_base("/v2")),
    ));
    pull_all(&client, "docker.io", &["library/a", "team/b"]).await;
    assert_eq!(faulty.count(Kind::Token), 1);
}

#[tokio::test]
async fn forty_repositories_cost_a_few_tokens() {
    let registry = registry_with(&["shared"]);
    let names: Vec<String> = (0..40).map(|number| format!("r{number:02}")).collect();
    for name in &names {
        registry.push(&two_platforms(40, 2000), name, "1");
    }
    let rules = TokenRules::anonymous();
    let faulty = FaultyRegistry::with_tokens(registry.address(), rules, FaultPlan::none());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    pull_all(&plain(), &faulty.host(), &names).await;
    let asked = faulty.count(Kind::Token);
    assert!(asked <= 8, "{asked} token requests for 40 repositories");
}

#[tokio::test]
async fn where_the_realm_grants_one_scope_only_each_repository_gets_its_token() {
    let names = ["a", "b", "c/d", "e"];
    let registry = registry_with(&names);
    let rules = TokenRules::anonymous().one_scope();
    let faulty = FaultyRegistry::with_tokens(registry.address(), rules, FaultPlan::none());
    pull_all(&plain(), &faulty.host(), &names).await;
    let asked = faulty.count(Kind::Token);
    assert!(
        (4..=6).contains(&asked),
        "{asked} token requests for 4 repositories"
    );
}

#[tokio::test]
async fn passwords_and_identity_tokens_open_private_repositories() {
    let registry = registry_with(&["a"]);
    let faulty = FaultyRegistry::with_tokens(registry.address(), private(), FaultPlan::none());
    let text = format!("{}/a:1", faulty.host());
    let identity = Credential::Identity {
        username: None,
        token: "identity-of-u".into(),
    };
    for credentials in [
        basic(&faulty.host(), "u", "p"),
        Credentials::default().with(&faulty.host(), identity),
    ] {
        let client = with_credentials(credentials);
        TestStore::new().pull(&client, &text, BOTH).await.unwrap();
    }
    let error = TestStore::new()
        .pull(&plain(), &text, BOTH)
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Auth, "{error:?}");
}

#[tokio::test]
async fn stale_credentials_do_not_hide_public_images() {
    let registry = registry_with(&["a", "b"]);
    let rules = TokenRules::anonymous().account("u", "right");
    let faulty = FaultyRegistry::with_tokens(registry.address(), rules, FaultPlan::none());
    let client = with_credentials(basic(&faulty.host(), "u", "wrong"));
    for name in ["a", "b"] {
        TestStore::new()
            .pull(&client, &format!("{}/{name}:1", faulty.host()), BOTH)
            .await
            .unwrap();
    }
    let with_password = faulty
        .seen()
        .into_iter()
        .filter(|one| one.kind == Kind::Token && one.authorization.is_some());
    assert_eq!(
        with_password.count(),
        1,
        "a refused password is not tried again"
    );
}

#[tokio::test]
async fn wrong_credentials_are_told_with_a_private_image() {
    let registry = registry_with(&["a"]);
    let faulty = FaultyRegistry::with_tokens(registry.address(), private(), FaultPlan::none());
    let client = with_credentials(basic(&faulty.host(), "u", "planted-secret"));
    let error = TestStore::new()
        .pull(&client, &format!("{}/a:1", faulty.host()), BOTH)
        .await
        .unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("incorrect username or password"), "{text}");
    assert!(!text.contains("planted-secret"), "{text}");
    assert_eq!(error.class(), Class::Auth);
}

#[tokio::test]
async fn a_revoked_token_is_replaced_once() {
    let registry = registry_with(&["a"]);
    let faulty = FaultyRegistry::with_tokens(
        registry.address(),
        TokenRules::anonymous(),
        FaultPlan::none(),
    );
    let client = plain();
    let text = format!("{}/a:1", faulty.host());
    TestStore::new().pull(&client, &text, BOTH).await.unwrap();
    faulty.revoke_tokens();
    faulty.forget_seen();
    TestStore::new().pull(&client, &text, BOTH).await.unwrap();
    assert_eq!(faulty.count(Kind::Token), 1);
}

#[tokio::test]
async fn short_lived_tokens_are_replaced_before_they_end() {
    let registry = registry_with(&["a"]);
    let rules = TokenRules::anonymous().lifetime(Duration::from_secs(1));
    let faulty = FaultyRegistry::with_tokens(registry.address(), rules, FaultPlan::none());
    let client = plain();
    let text = format!("{}/a:1", faulty.host());
    for _ in 0..3 {
        TestStore::new().pull(&client, &text, BOTH).await.unwrap();
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    let refused = faulty
        .seen()
        .into_iter()
        .filter(|one| one.status == 401)
        .count();
    assert_eq!(
        refused, 1,
        "but for the first challenge, no request came with a token too old"
    );
}

#[tokio::test]
async fn basic_registries_are_shown_the_password_that_is_theirs() {
    let registry = DockerRegistry::with(RegistryOptions {
        password: true,
        ..RegistryOptions::default()
    });
    registry.push(&two_platforms(50, 2000), "a", "1");
    let text = format!("{}/a:1", registry.host());
    let right = basic(
        &registry.host(),
        DockerRegistry::USER,
        DockerRegistry::PASSWORD,
    );
    TestStore::new()
        .pull(&with_credentials(right), &text, BOTH)
        .await
        .unwrap();
    let elsewhere = basic(
        "other.example",
        DockerRegistry::USER,
        DockerRegistry::PASSWORD,
    );
    for credentials in [elsewhere, basic(&registry.host(), "u", "wrong")] {
        let error = TestStore::new()
            .pull(&with_credentials(credentials), &text, BOTH)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::Request { .. }) && error.class() == Class::Auth,
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_captive_portal_in_place_of_the_token_server_is_told() {
    let registry = registry_with(&["a"]);
    let plan = FaultPlan::none().first(Kind::Token, 1000, Fault::Html);
    let faulty = FaultyRegistry::with_tokens(registry.address(), TokenRules::anonymous(), plan);
    let error = TestStore::new()
        .pull(&plain(), &format!("{}/a:1", faulty.host()), BOTH)
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Config, "{error:?}");
    let request = error.request().unwrap();
    assert!(
        request.text().contains("HTML instead of JSON"),
        "{}",
        request.text()
    );
    assert!(faulty.count(Kind::Token) <= 2, "asking again does not help");
}

/// A registry whose token server has rules of its own, both far away.
pub(crate) async fn far_away(
    realm: &'static str,
    token: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    registry: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static,
) -> (ScriptedServer, Client) {
    let image = two_platforms(51, 500);
    let server = ScriptedServer::serving(image, move |asked| {
        if asked.target.starts_with("/token") {
            return Some(token(asked));
        }
        let challenge = format!(r#"Bearer realm="{realm}",service="s""#);
        let denied = || Answer::new(401).header("WWW-Authenticate", &challenge);
        registry(asked).or_else(|| asked.header("authorization").is_none().then(denied))
    })
    .await;
    let mut settings = settings();
    let proxy = Proxy::parse(&format!("http://{}", server.host())).unwrap();
    settings.proxies.http = Some(proxy);
    let endpoint = Endpoint::new(Scheme::Http, "registry.example")
        .unwrap()
        .with_base("/v2");
    let config = Config {
        credentials: basic("registry.example", "u", "planted-secret"),
        ..routed("registry.example", Route::direct(endpoint))
    };
    let transport = Transport::new(settings, std::sync::Arc::new(sealift_transport::Silent));
    (server, Client::new(transport, config))
}

pub(crate) fn token() -> Answer {
    Answer::ok(r#"{"token":"t"}"#)
}
