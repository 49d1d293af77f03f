//! Every row of the catalogue that has a behaviour on the wire, met on the wire.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sealift_transport::settings::{HostSettings, Identity};
use sealift_transport::{Cause, Class, Endpoint, Error, Remedy, Scheme, Settings, Stage, Tls};

use crate::parts::{https, hurried, once, plain};
use crate::server::{Act, Server, Silent, answer, head, nobody};

/// What one attempt at a server with this script fails with.
async fn fails(acts: Vec<Act>) -> Error {
    let server = Server::start(move |_| acts.clone()).await;
    once(hurried(), plain(&server.authority()))
        .await
        .unwrap_err()
}

fn is(error: &Error, class: Class, remedy: Remedy) {
    let verdict = error.verdict();
    assert_eq!(
        (verdict.class, verdict.remedy),
        (class, remedy),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_reset_before_the_answer_is_the_network() {
    is(&fails(vec![Act::Reset]).await, Class::Net, Remedy::Backoff);
}

#[tokio::test]
async fn a_close_before_the_answer_is_the_network() {
    is(&fails(vec![Act::Close]).await, Class::Net, Remedy::Backoff);
}

#[tokio::test]
async fn a_cut_body_is_the_network() {
    let acts = vec![Act::Send(head(200, &[], Some(100))), Act::Send(vec![1; 10])];
    let closed = fails([acts.clone(), vec![Act::Close]].concat()).await;
    is(&closed, Class::Net, Remedy::Backoff);
    assert!(
        closed.text().contains("unexpected EOF"),
        "{}",
        closed.text()
    );
    is(
        &fails([acts, vec![Act::Reset]].concat()).await,
        Class::Net,
        Remedy::Backoff,
    );
}

#[tokio::test]
async fn a_cut_chunked_body_is_the_network() {
    let mut bytes = head(200, &[("Transfer-Encoding", "chunked")], None);
    bytes.extend(b"a\r\n0123456789\r\n");
    let error = fails(vec![Act::Send(bytes), Act::Close]).await;
    is(&error, Class::Net, Remedy::Backoff);
}

#[tokio::test]
async fn a_silent_answer_times_out() {
    let error = fails(vec![Act::Hang]).await;
    is(&error, Class::Net, Remedy::Backoff);
    assert!(
        matches!(
            error.cause(),
            Cause::Timeout {
                stage: Stage::FirstByte,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_stalled_body_times_out() {
    let error = fails(vec![Act::Send(head(200, &[], Some(100))), Act::Hang]).await;
    is(&error, Class::Net, Remedy::Backoff);
    assert!(
        matches!(
            error.cause(),
            Cause::Timeout {
                stage: Stage::Body,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_dripping_body_is_a_stall() {
    let drop = [Act::Send(vec![0]), Act::Pause(Duration::from_millis(150))];
    let drops = std::iter::repeat_n(drop, 100).flatten();
    let acts = std::iter::once(Act::Send(head(200, &[], Some(1000)))).chain(drops);
    let error = fails(acts.collect()).await;
    assert!(
        matches!(
            error.cause(),
            Cause::Timeout {
                stage: Stage::Body,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_host_that_swallows_connections_times_out() {
    let silent = Silent::start().await;
    let error = once(hurried(), plain(&silent.authority)).await.unwrap_err();
    is(&error, Class::Net, Remedy::Backoff);
    assert!(
        matches!(
            error.cause(),
            Cause::Timeout {
                stage: Stage::Connect,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_closed_port_gets_a_few_tries() {
    let error = once(hurried(), plain(&nobody().await)).await.unwrap_err();
    is(&error, Class::Net, Remedy::Few);
}

#[tokio::test]
async fn an_unknown_name_gets_one_more_try() {
    let error = once(hurried(), plain("no-such-host.invalid"))
        .await
        .unwrap_err();
    assert!(matches!(error.cause(), Cause::Lookup { .. }), "{error:?}");
    // A machine without a resolver says that it is a temporary failure, and it is right.
    let verdict = (error.class(), error.verdict().remedy);
    let known = [(Class::Config, Remedy::Once), (Class::Net, Remedy::Backoff)];
    assert!(known.contains(&verdict), "{error:?}");
}

#[tokio::test]
async fn garbage_is_no_http() {
    let error = fails(vec![
        Act::Send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
        Act::Hang,
    ])
    .await;
    is(&error, Class::Net, Remedy::Few);
    assert!(error.hint().unwrap().contains("does not speak HTTP"));
}

#[tokio::test]
async fn statuses_have_their_classes() {
    let network = [408, 499, 500, 502, 503, 504, 520, 522, 524, 527];
    for status in network {
        is(
            &fails(answer(status, &[], b"")).await,
            Class::Net,
            Remedy::Backoff,
        );
    }
    let others = [
        (429, Class::Rate, Remedy::Pace),
        (401, Class::Auth, Remedy::NewToken),
        (403, Class::Auth, Remedy::Anonymous),
        (404, Class::Absent, Remedy::NextEndpoint),
        (407, Class::Config, Remedy::Never),
        (410, Class::Absent, Remedy::NextEndpoint),
        (416, Class::Corrupt, Remedy::Once),
        (418, Class::Config, Remedy::NextEndpoint),
        (501, Class::Config, Remedy::NextEndpoint),
        (304, Class::Config, Remedy::NextEndpoint),
    ];
    for (status, class, remedy) in others {
        let error = fails(answer(status, &[], b"")).await;
        is(&error, class, remedy);
        assert_eq!(error.status(), Some(status));
    }
}

#[tokio::test]
async fn bodies_of_failures_decide_where_statuses_do_not() {
    let cases: [(u16, &str, Class, Remedy); 6] = [
        (
            429,
            "toomanyrequests: You have reached your pull rate limit.",
            Class::Rate,
            Remedy::Pace,
        ),
        (
            429,
            "toomanyrequests: too many failed login attempts",
            Class::Auth,
            Remedy::Never,
        ),
        (
            401,
            "{\"errors\":[{\"message\":\"incorrect username or password\"}]}",
            Class::Auth,
            Remedy::Never,
        ),
        (
            401,
            "insufficient_scope: authorization failed",
            Class::Absent,
            Remedy::NextEndpoint,
        ),
        (
            403,
            "denied: permission_denied: write_package",
            Class::Auth,
            Remedy::Never,
        ),
        (
            400,
            "Client sent an HTTP request to an HTTPS server.\n",
            Class::Config,
            Remedy::NextEndpoint,
        ),
    ];
    for (status, body, class, remedy) in cases {
        let error = fails(answer(status, &[], body.as_bytes())).await;
        is(&error, class, remedy);
        assert_eq!(error.body(), Some(body));
    }
}

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
    is(&error, Class::Config, Remedy::NextEndpoint);
    assert!(error.hint().unwrap().contains("plain HTTP"));
}

/// A server that answers anything with a plain HTTP error at once, as nginx does.
struct RawPlain {
    authority: String,
    _tasks: tokio::task::JoinSet<()>,
}

impl RawPlain {
    async fn start() -> Self {
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

/// An authority of the tests' own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server's configuration with a certificate for these names.
    pub(crate) fn server(
        &self,
        params: &CertificateParams,
        clients: Option<&Self>,
    ) -> ServerConfig {
        let (certificate, key) = self.issue(params);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                let der = rustls::pki_types::pem::PemObject::from_pem_slice(clients.pem.as_bytes());
                roots.add(der.unwrap()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }

    pub(crate) fn trusted(&self) -> Tls {
        Tls {
            authorities: vec![self.pem.clone().into_bytes()],
            ..Tls::default()
        }
    }
}

pub(crate) fn names(list: &[&str]) -> CertificateParams {
    let list: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(list).unwrap()
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
    is(&unknown, Class::Config, Remedy::NextEndpoint);
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
        is(&error, Class::Config, Remedy::NextEndpoint);
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
    is(&error, Class::Config, Remedy::NextEndpoint);
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
    is(&error, Class::Net, Remedy::Few);
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
    is(&error, Class::Config, Remedy::NextEndpoint);
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
    assert_eq!(server.hits().len(), 3);
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
