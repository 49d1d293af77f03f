//! Authentication against a token-issuing proxy and against Basic registries.

use std::time::Duration;

use sealift_registry::{Client, Config, Credential, Credentials, Error, TokenRequest, Want};
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

fn registry_with(names: &[&str]) -> DockerRegistry {
    let registry = DockerRegistry::start();
    for (number, name) in names.iter().enumerate() {
        registry.push(&two_platforms(40 + number as u64, 2000), name, "1");
    }
    registry
}

fn private() -> TokenRules {
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
async fn tokens_are_kept_between_runs_and_dropped_when_refused() {
    let registry = registry_with(&["a"]);
    let faulty = FaultyRegistry::with_tokens(
        registry.address(),
        TokenRules::anonymous(),
        FaultPlan::none(),
    );
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        client(Config {
            token_folder: Some(folder.path().join("tokens")),
            ..Config::default()
        })
    };
    let text = format!("{}/a:1", faulty.host());
    TestStore::new().pull(&run(), &text, BOTH).await.unwrap();
    TestStore::new().pull(&run(), &text, BOTH).await.unwrap();
    assert_eq!(faulty.count(Kind::Token), 1);
    faulty.revoke_tokens();
    TestStore::new().pull(&run(), &text, BOTH).await.unwrap();
    TestStore::new().pull(&run(), &text, BOTH).await.unwrap();
    assert_eq!(faulty.count(Kind::Token), 2);
}

fn refused(faulty: &FaultyRegistry) -> usize {
    let seen = faulty.seen().into_iter();
    seen.filter(|one| one.status == 401).count()
}

#[tokio::test]
async fn a_later_run_is_not_refused_before_it_knows_the_realm() {
    let registry = registry_with(&["a", "b"]);
    for (rules, login) in [(TokenRules::anonymous(), false), (private(), true)] {
        let faulty = FaultyRegistry::with_tokens(registry.address(), rules, FaultPlan::none());
        let credentials = match login {
            true => basic(&faulty.host(), "u", "p"),
            false => Credentials::default(),
        };
        let folder = tempfile::tempdir().unwrap();
        let run = || {
            client(Config {
                token_folder: Some(folder.path().join("tokens")),
                credentials: credentials.clone(),
                ..Config::default()
            })
        };
        pull_all(&run(), &faulty.host(), &["a"]).await;
        assert_eq!(refused(&faulty), 1);
        faulty.forget_seen();
        // With the token of the first run, and for what needs a new one.
        for name in ["a", "b"] {
            pull_all(&run(), &faulty.host(), &[name]).await;
        }
        assert_eq!((refused(&faulty), faulty.count(Kind::Token)), (0, 1));
    }
}

/// Removes what is kept but for challenges.
fn drop_tokens(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().contains("challenge-") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test]
async fn a_realm_that_moved_is_noticed_and_its_successor_kept() {
    let place = std::sync::Arc::new(std::sync::Mutex::new("one"));
    let host = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let (now, known) = (std::sync::Arc::clone(&place), std::sync::Arc::clone(&host));
    let server = ScriptedServer::serving(two_platforms(54, 500), move |asked| {
        let place = *now.lock().unwrap();
        if let Some(asked_at) = asked.target.strip_prefix("/token/") {
            let here = asked_at.starts_with(place);
            let token = format!(r#"{{"token":"of-{place}"}}"#);
            return Some(if here {
                Answer::ok(token)
            } else {
                Answer::new(Answer::NONE)
            });
        }
        let right = format!("Bearer of-{place}");
        let realm = format!("http://{}/token/{place}", known.get().unwrap());
        let challenge = format!(r#"Bearer realm="{realm}",service="s""#);
        let denied = asked.header("authorization") != Some(&right);
        denied.then(|| Answer::new(401).header("WWW-Authenticate", &challenge))
    })
    .await;
    host.set(server.host()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    let text = format!("{}/a:1", server.host());
    // Where the realm is; whether a token of the last run is at hand; requests to /token/one,
    // to /token/two, and without any token in their header.
    for (realm, at_hand, expected) in [
        ("one", true, [1, 0, 1]),
        ("one", true, [0, 0, 0]),
        // The token of the old realm is refused, which says where the new one is.
        ("two", true, [0, 1, 0]),
        ("two", true, [0, 0, 0]),
        // The old realm does not answer: the registry is asked where the new one is.
        ("one", false, [1, 1, 1]),
        ("one", false, [1, 0, 0]),
    ] {
        if !at_hand {
            drop_tokens(&tokens);
        }
        *place.lock().unwrap() = realm;
        let before = server.asked().len();
        let client = client(Config {
            token_folder: Some(tokens.clone()),
            ..Config::default()
        });
        TestStore::new().pull(&client, &text, BOTH).await.unwrap();
        let asked = server.asked().split_off(before);
        let count =
            |wanted: &dyn Fn(&Asked) -> bool| asked.iter().filter(|one| wanted(one)).count();
        let found = [
            count(&|one| one.target.starts_with("/token/one")),
            count(&|one| one.target.starts_with("/token/two")),
            count(&|one| one.target.starts_with("/v2") && one.header("authorization").is_none()),
        ];
        assert_eq!(found, expected, "{realm}, token at hand: {at_hand}");
    }
}

#[tokio::test]
async fn a_registry_that_took_to_passwords_or_became_open_is_noticed() {
    let way = std::sync::Arc::new(std::sync::Mutex::new("bearer"));
    let host = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let (now, known) = (std::sync::Arc::clone(&way), std::sync::Arc::clone(&host));
    let server = ScriptedServer::serving(two_platforms(53, 500), move |asked| {
        let way = *now.lock().unwrap();
        let shown = asked.header("authorization");
        let denied = |challenge: &str| Answer::new(401).header("WWW-Authenticate", challenge);
        match way {
            "bearer" if asked.target.starts_with("/token") => Some(token()),
            _ if asked.target.starts_with("/token") => Some(Answer::new(404)),
            "bearer" if shown.is_none() => {
                let realm = format!("http://{}/token", known.get().unwrap());
                Some(denied(&format!(r#"Bearer realm="{realm}",service="s""#)))
            }
            "basic" if shown != Some("Basic dTpw") => Some(denied(r#"Basic realm="r""#)),
            _ => None,
        }
    })
    .await;
    host.set(server.host()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    let kept = || {
        let names = std::fs::read_dir(&tokens).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("challenge-")).count()
    };
    let text = format!("{}/a:1", server.host());
    for (next, challenges) in [("bearer", 1), ("basic", 0), ("bearer", 1), ("open", 0)] {
        *way.lock().unwrap() = next;
        let client = client(Config {
            token_folder: Some(tokens.clone()),
            credentials: basic(&server.host(), "u", "p"),
            ..Config::default()
        });
        TestStore::new().pull(&client, &text, BOTH).await.unwrap();
        assert_eq!(kept(), challenges, "{next}");
        // None is at hand in the next run, so that it has to ask for one.
        drop_tokens(&tokens);
    }
}

#[tokio::test]
async fn a_login_that_is_refused_is_not_tried_again_for_what_an_earlier_run_knew() {
    let registry = registry_with(&["a"]);
    let rules = TokenRules::anonymous().account("u", "right");
    let faulty = FaultyRegistry::with_tokens(registry.address(), rules, FaultPlan::none());
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}/a:1", faulty.host());
    for password in ["right", "wrong"] {
        faulty.forget_seen();
        let client = client(Config {
            token_folder: Some(folder.path().join(password)),
            credentials: basic(&faulty.host(), "u", password),
            ..Config::default()
        });
        if password == "wrong" {
            // The realm is known, and no token.
            let (from, to) = (folder.path().join("right"), folder.path().join("wrong"));
            std::fs::create_dir(&to).unwrap();
            for entry in std::fs::read_dir(from).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if name.starts_with("challenge-") {
                    std::fs::copy(&path, to.join(name)).unwrap();
                }
            }
        }
        TestStore::new().pull(&client, &text, BOTH).await.unwrap();
        let logins = faulty.seen().into_iter();
        let logins = logins.filter(|one| one.kind == Kind::Token && one.authorization.is_some());
        assert_eq!(logins.count(), 1, "{password}");
    }
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

fn token() -> Answer {
    Answer::ok(r#"{"token":"t"}"#)
}

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
