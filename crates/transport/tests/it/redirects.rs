//! Redirects: followed, limited, without credentials.

use futures_util::future::BoxFuture;
use http::HeaderValue;
use sealift_transport::{
    Authorizer, Cause, Challenge, Class, Endpoint, Event, Result, Route, Settings,
};

use crate::authority::{Authority, names};
use crate::fetch::blob;
use crate::parts::{Memory, get, https, hurried, plain, transport};
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
    assert_eq!(other.requests().len(), 1);
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
    assert_eq!((error.class(), server.requests().len()), (Class::Config, 3));
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
    assert_eq!(server.requests().len(), 11, "the request and ten redirects");
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
                reason: "it points to this machine",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(inside.requests().is_empty());
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

#[tokio::test]
async fn content_with_a_digest_may_be_led_to_plain_http_without_credentials_and_with_a_warning() {
    let bytes = crate::parts::data(5000, 3);
    let content = bytes.clone();
    let storage = Server::start(move |hit| {
        assert_eq!(hit.header("authorization"), None);
        answer(200, &[("Content-Encoding", "x-gzip")], &content)
    })
    .await;
    let location = format!("http://{}/blob?signature=1", storage.authority());
    let authority = Authority::new();
    let config = authority.server(&names(&["127.0.0.1"]), None);
    let registry = Server::secure(config, move |hit| {
        assert_eq!(hit.header("authorization"), Some("Bearer secret"));
        answer(307, &[("Location", &location)], b"")
    })
    .await;
    let settings = Settings {
        tls: authority.trusted(),
        ..hurried()
    };
    let (transport, seen) = transport(settings);
    let route = Route::direct(https(&registry.authority()));
    for known in [true, false] {
        let sink = Memory::new(bytes.len());
        let request = blob(bytes.len()).once();
        let request = if known { request.verified() } else { request };
        let done = transport.download(&route, &request, &sink, &Secret).await;
        if known {
            done.unwrap();
            assert!(
                sink.bytes() == bytes,
                "the digest decides, not the coding's name"
            );
        } else {
            let error = done.unwrap_err();
            assert!(matches!(error.cause(), Cause::Redirect { .. }), "{error:?}");
        }
    }
    let warned = |event: &Event| match event {
        Event::Downgraded { from, host } => {
            (&**from, &**host) == (&*registry.authority(), &*storage.authority())
        }
        _ => false,
    };
    assert_eq!(seen.count(warned), 1);
}

#[tokio::test]
async fn addresses_that_came_with_other_content_never_reach_this_machine() {
    let server = Server::start(|_| answer(200, &[], b"metadata")).await;
    let (transport, _) = transport(hurried());
    for name in ["127.0.0.1", "localhost"] {
        let route = Route::direct(plain(&format!("{name}:{}", server.port)));
        let request = get("x").once().outside();
        let done = transport.document(&route, &request, 100, &Secret).await;
        let error = done.unwrap_err();
        assert!(matches!(error.cause(), Cause::Redirect { .. }), "{error:?}");
    }
    assert_eq!(server.connections(), 0);
}
