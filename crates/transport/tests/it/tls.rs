//! The rows of the catalogue that are about TLS.

use std::net::SocketAddr;
use std::time::Duration;

use sealift_transport::settings::{HostSettings, Identity};
use sealift_transport::{Cause, Class, Endpoint, Remedy, Scheme, Settings, Stage, Tls};

use crate::authority::{Authority, names};
use crate::catalogue::is;
use crate::parts::{https, hurried, once};
use crate::server::{Server, answer};

#[tokio::test]
async fn https_to_a_plain_server_is_configuration() {
    let server = Server::start(|_| answer(400, &[], b"")).await;
    let raw = RawPlain::start().await;
    for authority in [raw.authority.clone(), server.authority()] {
        let error = once(hurried(), https(&authority)).await.unwrap_err();
        assert!(
            matches!(
                error.cause(),
                Cause::Tls { .. }
                    | Cause::Timeout {
                        stage: Stage::Tls,
                        ..
                    }
            ),
            "{error:?}"
        );
    }
    let error = once(hurried(), https(&raw.authority)).await.unwrap_err();
    is(&error, Class::Config, Remedy::Never);
    assert!(error.hint().unwrap().contains("plain HTTP"));
}

/// A server that answers anything with a plain HTTP error at once, as nginx does.
pub(crate) struct RawPlain {
    pub authority: String,
    _tasks: tokio::task::JoinSet<()>,
}

impl RawPlain {
    pub(crate) async fn start() -> Self {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut hello = [0; 16];
                let _ = stream.read(&mut hello).await;
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self {
            authority: address.to_string(),
            _tasks: tasks,
        }
    }
}

fn trusting(tls: Tls) -> Settings {
    Settings { tls, ..hurried() }
}

#[tokio::test]
async fn certificates_are_checked() {
    let authority = Authority::new();
    let server = Server::secure(authority.server(&names(&["127.0.0.1"]), None), |_| {
        answer(200, &[], b"ok")
    })
    .await;
    let end = https(&server.authority());

    let good = once(trusting(authority.trusted()), end.clone())
        .await
        .unwrap();
    assert_eq!(good.body, "ok");

    let stranger = Authority::new();
    let unknown = once(trusting(stranger.trusted()), end.clone())
        .await
        .unwrap_err();
    is(&unknown, Class::Config, Remedy::Never);
    assert!(
        unknown.hint().unwrap().contains("not trusted"),
        "{unknown:?}"
    );

    let skip = Tls {
        skip_verify: true,
        ..Tls::default()
    };
    assert!(
        once(trusting(skip.clone()), end.clone()).await.is_ok(),
        "skip_verify trusts it"
    );

    let mut hosts = hurried();
    let own = HostSettings {
        tls: authority.trusted(),
        proxy: None,
    };
    hosts.hosts.insert(server.authority(), own);
    assert!(once(hosts, end.clone()).await.is_ok(), "a host's own CA");

    let own = end.with_tls(authority.trusted());
    assert!(
        once(trusting(stranger.trusted()), own).await.is_ok(),
        "an endpoint's own CA"
    );
}

#[tokio::test]
async fn expired_and_misnamed_certificates_are_configuration() {
    let authority = Authority::new();
    let mut expired = names(&["127.0.0.1"]);
    expired.not_before = rcgen::date_time_ymd(2020, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2021, 1, 1);
    for params in [expired, names(&["other.example"])] {
        let server =
            Server::secure(authority.server(&params, None), |_| answer(200, &[], b"ok")).await;
        let end = https(&server.authority());
        let error = once(trusting(authority.trusted()), end).await.unwrap_err();
        is(&error, Class::Config, Remedy::Never);
        assert!(matches!(error.cause(), Cause::Tls { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn client_certificates_are_sent_where_asked_for() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let config = authority.server(&names(&["127.0.0.1"]), Some(&clients));
    let server = Server::secure(config, |_| answer(200, &[], b"ok")).await;
    let end = https(&server.authority());

    let error = once(trusting(authority.trusted()), end.clone())
        .await
        .unwrap_err();
    is(&error, Class::Config, Remedy::Never);
    assert!(
        error.hint().unwrap().contains("client certificate"),
        "{error:?}"
    );

    let (certificate, key) = clients.issue(&names(&["client"]));
    let tls = Tls {
        identity: Some(Identity {
            certificates: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
        }),
        ..authority.trusted()
    };
    let shown = format!("{tls:?}");
    assert!(
        !shown.contains("PRIVATE") && shown.contains("***"),
        "{shown}"
    );
    assert!(once(trusting(tls), end).await.is_ok());
}

#[tokio::test]
async fn broken_pem_is_configuration() {
    let tls = Tls {
        authorities: vec![b"not a certificate".to_vec()],
        ..Tls::default()
    };
    let error = once(trusting(tls), https("127.0.0.1:1").clone())
        .await
        .unwrap_err();
    // Nothing listens there, so the dial fails first; with a listener it is the settings.
    is(&error, Class::Network, Remedy::Few);
    let server = Server::start(|_| answer(200, &[], b"")).await;
    let tls = Tls {
        authorities: vec![b"not a certificate".to_vec()],
        ..Tls::default()
    };
    let error = once(trusting(tls), https(&server.authority()))
        .await
        .unwrap_err();
    assert!(
        matches!(error.cause(), Cause::TlsSettings { .. }),
        "{error:?}"
    );
    is(&error, Class::Config, Remedy::Never);
}

#[tokio::test]
async fn https_else_http_finds_the_plain_server_and_remembers_it() {
    let server = Server::start(|_| answer(200, &[], b"plain")).await;
    let end = Endpoint::new(Scheme::HttpsElseHttp, &server.authority()).unwrap();
    let skip = Tls {
        skip_verify: true,
        ..Tls::default()
    };
    let (transport, _) = crate::parts::transport(trusting(skip.clone()));
    let route = sealift_transport::Route::direct(end.clone());
    for _ in 0..3 {
        let request = crate::parts::get("x").once();
        let done = transport
            .document(&route, &request, 100, &sealift_transport::Anonymous)
            .await;
        assert_eq!(done.unwrap().body, "plain");
    }
    assert_eq!(server.requests().len(), 3);
    assert!(
        server.connections() <= 2,
        "TLS is tried once: {}",
        server.connections()
    );

    let authority = Authority::new();
    let config = authority.server(&names(&["other"]), None);
    let secure = Server::secure(config, |_| answer(200, &[], b"secure")).await;
    let end = Endpoint::new(Scheme::HttpsElseHttp, &secure.authority()).unwrap();
    let done = once(trusting(skip), end).await.unwrap();
    assert_eq!(done.body, "secure");
}
