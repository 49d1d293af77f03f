//! What a run keeps of authentication for the next one.

use sealift_registry::{Config, Credentials};
use sealift_test_support::{FaultPlan, FaultyRegistry, Kind, TokenRules};

use crate::auth::{basic, private, pull_all, registry_with, token};
use crate::scripted_server::{Answer, Asked, ScriptedServer};
use crate::support::{BOTH, TestStore, client, two_platforms};

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
