//! Servers that mean harm, or are broken as if they did.

use std::time::Duration;

use sealift_transport::{Anonymous, Cause, Class, Phase, Refusal, Request, Route};

use crate::parts::{Memory, get, hurried, plain, transport};
use crate::server::{Act, Server, answer, head};

async fn document(limit: u64, acts: Vec<Act>) -> sealift_transport::Error {
    let server = Server::start(move |_| acts.clone()).await;
    let (transport, _) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    let request = get("x");
    let asked = transport.document(&route, &request, limit, &Anonymous);
    let asked = tokio::time::timeout(Duration::from_secs(20), asked).await;
    let error = asked.expect("it ends").unwrap_err();
    assert_eq!(server.requests().len(), 1, "it is not asked again");
    error
}

async fn blob(size: u64, acts: Vec<Act>) -> sealift_transport::Error {
    let server = Server::start(move |_| acts.clone()).await;
    let (transport, _) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    let sink = Memory::new(usize::try_from(size).unwrap());
    let request = Request::get("blob").of(Phase::Blob, "image").size(size);
    let asked = transport.download(&route, &request, &sink, &Anonymous);
    let asked = tokio::time::timeout(Duration::from_secs(20), asked).await;
    asked.expect("it ends").unwrap_err()
}

#[tokio::test]
async fn an_endless_document_is_cut_off() {
    let chunk = [b"1000\r\n".to_vec(), vec![b'x'; 4096], b"\r\n".to_vec()].concat();
    let start = head(200, &[("Transfer-Encoding", "chunked")], None);
    let error = document(4 << 20, vec![Act::Send(start), Act::Forever(chunk)]).await;
    assert!(matches!(error.cause(), Cause::TooLarge { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Corrupt);
}

#[tokio::test]
async fn a_gigantic_document_is_refused_by_its_length() {
    let error = document(
        4 << 20,
        vec![Act::Send(head(200, &[], Some(1 << 40))), Act::Hang],
    )
    .await;
    assert!(
        matches!(error.cause(), Cause::TooLarge { limit: 4_194_304 }),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_endless_blob_is_cut_off() {
    let chunk = [b"1000\r\n".to_vec(), vec![b'x'; 4096], b"\r\n".to_vec()].concat();
    let start = head(200, &[("Transfer-Encoding", "chunked")], None);
    let error = blob(100_000, vec![Act::Send(start), Act::Forever(chunk)]).await;
    assert!(
        matches!(error.cause(), Cause::Long { expected: 100_000 }),
        "{error:?}"
    );
    assert_eq!(error.class(), Class::Corrupt);
}

#[tokio::test]
async fn wrong_lengths_are_corrupt() {
    let longer = blob(100, answer(200, &[], &[0; 150])).await;
    assert!(
        matches!(longer.cause(), Cause::Long { expected: 100 }),
        "{longer:?}"
    );
    let shorter = blob(100, answer(200, &[], &[0; 50])).await;
    assert_eq!(shorter.class(), Class::Corrupt, "{shorter:?}");
}

#[tokio::test]
async fn compressed_content_is_refused_and_never_unpacked() {
    let bomb = answer(200, &[("Content-Encoding", "gzip")], &[0x1f, 0x8b, 8, 0]);
    for error in [document(1 << 20, bomb.clone()).await, blob(4, bomb).await] {
        assert!(matches!(error.cause(), Cause::Encoded { .. }), "{error:?}");
        assert_eq!(error.class(), Class::Corrupt);
    }
}

#[tokio::test]
async fn a_document_that_its_check_accepts_may_be_said_to_be_coded() {
    for coding in ["x-gzip", "aws-chunked", "identity, weird"] {
        let server =
            Server::start(move |_| answer(200, &[("Content-Encoding", coding)], b"right")).await;
        let (transport, _) = transport(hurried());
        let route = Route::direct(plain(&server.authority()));
        let ask = async |wanted: &'static [u8]| {
            let request = get("x")
                .once()
                .check(move |document| match document.body == wanted {
                    true => Ok(()),
                    false => Err(Refusal::corrupt("other bytes")),
                });
            transport.document(&route, &request, 100, &Anonymous).await
        };
        assert_eq!(ask(b"right").await.unwrap().body, "right");
        let error = ask(b"wrong").await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Encoded { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_portals_page_instead_of_a_blob_is_configuration() {
    let page = answer(
        200,
        &[("Content-Type", "text/html; charset=utf-8")],
        b"<html>Log in</html>",
    );
    let error = blob(5000, page).await;
    assert_eq!(error.class(), Class::Config);
    assert!(
        error.hint().unwrap().contains("captive portal"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_failures_gigantic_body_is_cut_and_cleaned() {
    let body = [b"\x1b[31mred\x07\n".to_vec(), vec![b'x'; 1 << 20]].concat();
    let error = document(1 << 20, answer(404, &[], &body)).await;
    let kept = error.body().unwrap();
    assert!(kept.len() <= 64 << 10);
    assert!(!kept.contains('\x1b') && !kept.contains('\x07'));
    assert!(error.text().len() < 1000, "its text is one line");
}

#[tokio::test]
async fn a_head_without_an_end_is_refused() {
    let start = b"HTTP/1.1 200 OK\r\n".to_vec();
    let line = [b"X-Fill: ".to_vec(), vec![b'x'; 4000], b"\r\n".to_vec()].concat();
    let server =
        Server::start(move |_| vec![Act::Send(start.clone()), Act::Forever(line.clone())]).await;
    let (transport, _) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    let request = get("x").once();
    let asked = transport.document(&route, &request, 1000, &Anonymous);
    let error = tokio::time::timeout(Duration::from_secs(20), asked)
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error.cause(), Cause::Http(_)), "{error:?}");
}
