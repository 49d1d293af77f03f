//! Whatever comes from outside: nothing panics, and paths stay where they belong.

use proptest::prelude::{ProptestConfig, any, proptest};
use sealift_failure::{Class, Phase, classify};
use sealift_transport::proxy::{NoProxy, Proxy};
use sealift_transport::{Endpoint, Scheme, Snapshot};

use crate::parts::{Memory, get, hurried, plain, transport};
use crate::server::{Act, Server};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_a_class(text in ".{0,200}", status in any::<Option<u16>>()) {
        for phase in [Phase::Token, Phase::Blob, Phase::Exec, Phase::Push] {
            let verdict = classify(phase, &text, status);
            assert!(Class::ALL.contains(&verdict.class));
        }
    }

    #[test]
    fn any_path_stays_under_its_base(path in "[a-z0-9./%?#:@\\\\ -]{0,40}") {
        let endpoint = Endpoint::new(Scheme::Https, "host.example").unwrap().with_base("/v2/hub");
        if let Ok(url) = endpoint.url(&path) {
            assert_eq!(url.host_str(), Some("host.example"));
            assert!(url.path().starts_with("/v2/hub/"), "{path:?} became {url}");
            assert!(!url.path().contains("/../"));
        }
    }

    #[test]
    fn any_configuration_is_read_or_refused(text in ".{0,60}", host in ".{0,30}", port in any::<u16>()) {
        let list = NoProxy::parse(&text);
        let _ = list.exempts(&host, port);
        let again = NoProxy::parse(&list.to_string());
        assert_eq!(list.exempts(&host, port).is_some(), again.exempts(&host, port).is_some());
        if let Ok(proxy) = Proxy::parse(&text) {
            assert!(!proxy.host.is_empty());
        }
        let _ = Endpoint::new(Scheme::Http, &text);
        let _ = Snapshot::from_json(text.as_bytes());
    }
}

/// Answers of random bytes, some after a good head: never a panic, never a hang, never a success
/// with bytes that were not sent.
#[tokio::test]
async fn random_answers_end() {
    let server = Server::start(|hit| {
        let mut random = fastrand::Rng::with_seed(hit.number as u64);
        let mut bytes: Vec<u8> = Vec::new();
        let heads: [&str; 6] = [
            "HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n",
            "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-63/64\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 302 Found\r\nLocation: ",
            "HTTP/1.1 ",
            "",
        ];
        bytes.extend(heads[random.usize(..heads.len())].as_bytes());
        bytes.extend((0..random.usize(..100)).map(|_| random.u8(..)));
        vec![Act::Send(bytes), Act::Close]
    })
    .await;
    let mut settings = hurried();
    settings.retry.attempts = Some(2);
    let (transport, _) = transport(settings);
    let route = sealift_transport::Route::direct(plain(&server.authority()));
    let mut ended = 0;
    for _ in 0..100 {
        let small = get("x");
        let document = transport.document(&route, &small, 1000, &sealift_transport::Anonymous);
        let sink = Memory::new(64);
        let request = get("x").size(64);
        let download = transport.download(&route, &request, &sink, &sealift_transport::Anonymous);
        let (_, brought) = tokio::join!(document, download);
        if brought.is_ok() {
            assert!(sealift_transport::Sink::missing(&sink).is_empty());
        }
        ended += 1;
    }
    assert_eq!(ended, 100);
}
