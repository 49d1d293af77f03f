//! Redirects: followed, limited, without credentials.

use futures_util::future::BoxFuture;
use http::HeaderValue;
use sealift_transport::{Authorizer, Cause, Challenge, Class, Endpoint, Result, Route};

use crate::parts::{get, hurried, plain, transport};
use crate::server::{Server, answer};

struct Secret;

impl Authorizer for Secret {
    fn authorization<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, Result<Option<HeaderValue>>> {
        Box::pin(async { Ok(Some(HeaderValue::from_static("Bearer secret"))) })
    }

    fn challenged<'a>(&'a self, _: Challenge<'a>) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async { Ok(false) })
    }
}

async fn ask(server: &Server) -> Result<sealift_transport::Document> {
    let (transport, _) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    transport
        .document(&route, &get("start"), 1000, &Secret)
        .await
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    let other = Server::start(|hit| {
        assert_eq!(
            hit.header("authorization"),
            None,
            "another port is another host"
        );
        answer(200, &[], b"content")
    })
    .await;
    let target = other.authority();
    let home = Server::start(move |hit| {
        assert_eq!(hit.header("authorization"), Some("Bearer secret"));
        match hit.target.as_str() {
            "/start" => answer(302, &[("Location", "/next")], b"moved"),
            _ => answer(
                307,
                &[("Location", &format!("http://{target}/x?signature=1"))],
                b"",
            ),
        }
    })
    .await;
    let done = ask(&home).await.unwrap();
    assert_eq!(done.body, "content");
    assert_eq!(done.url.path(), "/x");
    assert_eq!(other.hits().len(), 1);
}

#[tokio::test]
async fn circles_are_seen() {
    let server = Server::start(|hit| match hit.target.as_str() {
        "/start" => answer(302, &[("Location", "/a")], b""),
        "/a" => answer(302, &[("Location", "/b")], b""),
        _ => answer(302, &[("Location", "/a")], b""),
    })
    .await;
    let error = ask(&server).await.unwrap_err();
    assert!(
        matches!(
            error.cause(),
            Cause::Redirect {
                reason: "it leads in a circle",
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!((error.class(), server.hits().len()), (Class::Config, 3));
}

#[tokio::test]
async fn endless_redirects_end() {
    let server =
        Server::start(|hit| answer(302, &[("Location", &format!("/{}", hit.number))], b"")).await;
    let error = ask(&server).await.unwrap_err();
    assert!(
        matches!(
            error.cause(),
            Cause::Redirect {
                reason: "too many redirects",
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(server.hits().len(), 11, "the request and ten redirects");
}

#[tokio::test]
async fn other_schemes_are_refused() {
    for target in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "unix:///run/x.sock",
    ] {
        let server = Server::start(move |_| answer(302, &[("Location", target)], b"")).await;
        let error = ask(&server).await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Redirect { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn names_of_this_machine_are_refused_from_elsewhere() {
    // The proxy plays the outside: whatever is asked for, it answers with a redirect here.
    let inside = Server::start(|_| answer(200, &[], b"metadata")).await;
    let target = format!("http://{}/latest", inside.authority());
    let proxy = Server::start(move |_| answer(302, &[("Location", &target)], b"")).await;
    let mut settings = hurried();
    let address = sealift_transport::proxy::Proxy::parse(&proxy.authority()).unwrap();
    settings.proxies.http = Some(address);
    let (transport, _) = transport(settings);
    let route = Route::direct(plain("registry.example"));
    let error = transport
        .document(&route, &get("x"), 1000, &Secret)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error.cause(),
            Cause::Redirect {
                reason: "it leads to this machine",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(inside.hits().is_empty());
}

#[tokio::test]
async fn a_redirects_signature_is_in_no_error() {
    let dead = crate::server::nobody().await;
    let place = format!("http://{dead}/x?X-Amz-Signature=verysecret");
    let server = Server::start(move |_| answer(307, &[("Location", &place)], b"")).await;
    let (transport, seen) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    let error = transport
        .document(&route, &get("x").once(), 1000, &Secret)
        .await
        .unwrap_err();
    let shown = format!("{error} {error:?} {} {:?}", error.text(), seen.events());
    assert!(
        !shown.contains("verysecret") && !shown.contains("Bearer secret"),
        "{shown}"
    );
    assert_eq!(error.host(), dead, "the host that failed is named");
}
