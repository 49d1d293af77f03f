//! Token servers as they are.

use std::sync::{Arc, OnceLock};

use sealift_registry::{Client, Config, Credential, Credentials};
use sealift_transport::Class;

use crate::auth::{basic, far_away, pull_all};
use crate::scripted_server::{Answer, Asked, ScriptedServer};
use crate::support::{BOTH, TestStore, client, plain, two_platforms, with_credentials};

/// A registry that is its own token server: `token` answers to it by the scopes that are asked for,
/// and `allowed` decides which token reads what.
async fn registry(
    challenge_scope: &'static str,
    token: impl Fn(&Asked, Vec<String>) -> Answer + Send + Sync + 'static,
    allowed: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
) -> ScriptedServer {
    let host = Arc::new(OnceLock::<String>::new());
    let known = Arc::clone(&host);
    let server = ScriptedServer::serving(two_platforms(97, 500), move |asked| {
        if asked.target.starts_with("/token") {
            let url = url::Url::parse(&format!("http://x{}", asked.target)).unwrap();
            let of_scope = url.query_pairs().filter(|(name, _)| name == "scope");
            return Some(token(
                asked,
                of_scope.map(|(_, scope)| scope.into_owned()).collect(),
            ));
        }
        let shown = asked.header("authorization").unwrap_or_default();
        let path = asked.target.trim_start_matches("/v2/");
        let name = path
            .split("/manifests/")
            .next()
            .and_then(|path| path.split("/blobs/").next());
        let bearer = shown.strip_prefix("Bearer ").unwrap_or_default();
        let realm = format!("http://{}/token", known.get().unwrap());
        let challenge = format!(r#"Bearer realm="{realm}",service="s"{challenge_scope}"#);
        let denied = !allowed(bearer, name.unwrap_or_default());
        denied.then(|| Answer::new(401).header("WWW-Authenticate", &challenge))
    })
    .await;
    host.set(server.host()).unwrap();
    server
}

fn granted(token: &str) -> Answer {
    Answer::ok(format!(r#"{{"token":"{token}","expires_in":"300"}}"#))
}

#[tokio::test]
async fn one_repository_that_an_account_may_not_read_forbids_no_other() {
    let server = registry(
        "",
        |asked, scopes| {
            let all = |name: &str| scopes.iter().all(|scope| scope.starts_with(name));
            match asked.header("authorization").is_some() {
                true if all("repository:team/") => granted("of-u"),
                false if all("repository:public/") => granted("of-all"),
                _ => Answer::new(401),
            }
        },
        |token, name| match name.starts_with("team/") {
            true => token == "of-u",
            false => token == "of-all",
        },
    )
    .await;
    let client = with_credentials(basic(&server.host(), "u", "p"));
    pull_all(&client, &server.host(), &["public/a"]).await;
    pull_all(&client, &server.host(), &["team/b"]).await;
    let client = with_credentials(basic(&server.host(), "u", "p"));
    pull_all(&client, &server.host(), &["team/b", "public/a", "public/c"]).await;
}

#[tokio::test]
async fn a_server_that_breaks_on_several_scopes_is_asked_for_one() {
    let server = registry(
        "",
        |_, scopes| match scopes.len() {
            1 => granted("t"),
            _ => Answer::new(500),
        },
        |token, _| token == "t",
    )
    .await;
    pull_all(&plain(), &server.host(), &["a", "b"]).await;
}

#[tokio::test]
async fn scopes_of_another_kind_are_passed_on() {
    let server = registry(
        r#",scope="aws""#,
        |_, scopes| match scopes.iter().any(|scope| scope == "aws") {
            true => granted("with-aws"),
            false => granted("without"),
        },
        |token, _| token == "with-aws",
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let client = client(Config {
            token_folder: Some(folder.path().join("tokens")),
            ..Config::default()
        });
        pull_all(&client, &server.host(), &["a"]).await;
    }
}

async fn failure(client: &Client, text: &str) -> sealift_registry::Error {
    TestStore::new().pull(client, text, BOTH).await.unwrap_err()
}

#[tokio::test]
async fn a_password_that_was_kept_back_is_said_so() {
    let refuse = |asked: &Asked| asked.header("authorization").map(|_| Answer::new(401));
    let (_server, client) = far_away("http://auth.example/token", |_| granted("t"), refuse).await;
    let error = failure(&client, "registry.example/a:1").await;
    assert_eq!(error.class(), Class::Auth);
    let note = "(the stored password of u was not sent to auth.example, since that is plain HTTP and another host)";
    assert!(error.to_string().ends_with(note), "{error}");
}

#[tokio::test]
async fn a_realm_that_is_no_url_is_shown() {
    let (_server, client) = far_away("/service/token", |_| granted("t"), |_| None).await;
    let error = failure(&client, "registry.example/a:1").await;
    let text = error.request().unwrap().text();
    assert_eq!(
        text,
        "the registry names \"/service/token\" as its token server, which is not a URL"
    );
}

#[tokio::test]
async fn storage_that_refuses_its_link_is_no_matter_of_logins() {
    let storage = ScriptedServer::start(|_| Answer::new(401)).await;
    let place = format!("http://{}/blob?signature=secret", storage.host());
    let server = ScriptedServer::serving(two_platforms(98, 500), move |asked| {
        let blob = asked.target.contains("/blobs/");
        blob.then(|| Answer::new(307).header("Location", &place))
    })
    .await;
    let error = failure(&plain(), &format!("{}/a:1", server.host())).await;
    let text = error.request().unwrap().text();
    let expected = format!(
        "{} redirected to {}, which refused: status 401 Unauthorized",
        server.host(),
        storage.host()
    );
    assert_eq!((text, error.class()), (expected, Class::Config));
    assert!(
        error
            .hint()
            .unwrap()
            .contains("to log in again does not help")
    );
}

#[tokio::test]
async fn another_registry_gets_no_token_of_the_realm_that_it_names() {
    let allowed = |token: &str, _: &str| token == "of-u";
    let own = registry("", |_, _| granted("of-u"), allowed).await;
    let realm = format!("http://{}/token", own.host());
    let challenge = format!(r#"Bearer realm="{realm}",service="s""#);
    let thief =
        ScriptedServer::start(move |_| Answer::new(401).header("WWW-Authenticate", &challenge))
            .await;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let client = client(Config {
            token_folder: Some(folder.path().join("tokens")),
            credentials: basic(&own.host(), "u", "planted-secret"),
            ..Config::default()
        });
        pull_all(&client, &own.host(), &["a"]).await;
        let before = own.count("/token");
        failure(&client, &format!("{}/a:1", thief.host())).await;
        let asked = own
            .asked()
            .into_iter()
            .filter(|one| one.target.starts_with("/token"));
        let logins: Vec<bool> = asked
            .skip(before)
            .map(|one| one.header("authorization").is_some())
            .collect();
        assert!(!logins.is_empty() && !logins.contains(&true), "{logins:?}");
    }
    // What it got is a token that it asked for itself, without the account.
    assert!(thief.asked().len() < 20);
}

#[tokio::test]
async fn refresh_tokens_are_not_repeated_at_another_host() {
    for status in [307, 308] {
        let thief = ScriptedServer::start(|_| granted("t")).await;
        let place = format!("http://{}/token", thief.host());
        let token = move |_: &Asked, _| Answer::new(status).header("Location", &place);
        let server = registry("", token, |token, _| token == "t").await;
        let identity = Credential::Identity {
            username: Some("u".to_owned()),
            token: "planted-secret".into(),
        };
        let client = with_credentials(Credentials::default().with(&server.host(), identity));
        let error = failure(&client, &format!("{}/a:1", server.host())).await;
        assert_eq!(thief.asked().len(), 0, "{error:?}");
        assert_eq!(error.class(), Class::Config);
    }
}
