//! Every row of the catalogue that has a behaviour on the wire, met on the wire.

use std::time::Duration;

use sealift_transport::{Cause, Class, Error, Remedy, Stage};

use crate::parts::{hurried, once, plain};
use crate::server::{Act, Server, Silent, answer, head, nobody};

/// What one attempt at a server with this script fails with.
async fn fails(acts: Vec<Act>) -> Error {
    let server = Server::start(move |_| acts.clone()).await;
    once(hurried(), plain(&server.authority()))
        .await
        .unwrap_err()
}

pub(crate) fn is(error: &Error, class: Class, remedy: Remedy) {
    let verdict = error.verdict();
    assert_eq!(
        (verdict.class, verdict.remedy),
        (class, remedy),
        "{error:?}"
    );
}

fn timed_out(error: &Error, wanted: Stage) {
    let stage = match error.cause() {
        Cause::Timeout { stage, .. } => *stage,
        other => panic!("{other:?}"),
    };
    assert_eq!(stage, wanted, "{error:?}");
}

#[tokio::test]
async fn a_reset_before_the_answer_is_the_network() {
    is(
        &fails(vec![Act::Reset]).await,
        Class::Network,
        Remedy::Backoff,
    );
}

#[tokio::test]
async fn a_close_before_the_answer_is_the_network() {
    is(
        &fails(vec![Act::Close]).await,
        Class::Network,
        Remedy::Backoff,
    );
}

#[tokio::test]
async fn a_cut_body_is_the_network() {
    let acts = vec![Act::Send(head(200, &[], Some(100))), Act::Send(vec![1; 10])];
    let closed = fails([acts.clone(), vec![Act::Close]].concat()).await;
    is(&closed, Class::Network, Remedy::Backoff);
    assert!(
        closed.text().contains("unexpected EOF"),
        "{}",
        closed.text()
    );
    is(
        &fails([acts, vec![Act::Reset]].concat()).await,
        Class::Network,
        Remedy::Backoff,
    );
}

#[tokio::test]
async fn a_cut_chunked_body_is_the_network() {
    let mut bytes = head(200, &[("Transfer-Encoding", "chunked")], None);
    bytes.extend(b"a\r\n0123456789\r\n");
    let error = fails(vec![Act::Send(bytes), Act::Close]).await;
    is(&error, Class::Network, Remedy::Backoff);
}

#[tokio::test]
async fn a_silent_answer_times_out() {
    let error = fails(vec![Act::Hang]).await;
    is(&error, Class::Network, Remedy::Backoff);
    timed_out(&error, Stage::FirstByte);
}

#[tokio::test]
async fn a_stalled_body_times_out() {
    let error = fails(vec![Act::Send(head(200, &[], Some(100))), Act::Hang]).await;
    is(&error, Class::Network, Remedy::Backoff);
    timed_out(&error, Stage::Body);
}

#[tokio::test]
async fn a_dripping_body_is_a_stall() {
    let drop = [Act::Send(vec![0]), Act::Pause(Duration::from_millis(150))];
    let drops = std::iter::repeat_n(drop, 100).flatten();
    let acts = std::iter::once(Act::Send(head(200, &[], Some(1000)))).chain(drops);
    let error = fails(acts.collect()).await;
    timed_out(&error, Stage::Body);
}

#[tokio::test]
async fn a_host_that_swallows_connections_times_out() {
    let silent = Silent::start().await;
    let error = once(hurried(), plain(&silent.authority)).await.unwrap_err();
    is(&error, Class::Network, Remedy::Backoff);
    timed_out(&error, Stage::Connect);
}

#[tokio::test]
async fn a_closed_port_gets_a_few_tries() {
    let error = once(hurried(), plain(&nobody().await)).await.unwrap_err();
    is(&error, Class::Network, Remedy::Few);
}

#[tokio::test]
async fn an_unknown_name_gets_one_more_try() {
    let error = once(hurried(), plain("no-such-host.invalid"))
        .await
        .unwrap_err();
    assert!(matches!(error.cause(), Cause::Lookup { .. }), "{error:?}");
    // A machine without a resolver says that it is a temporary failure, and it is right.
    let verdict = (error.class(), error.verdict().remedy);
    let known = [
        (Class::Config, Remedy::Once),
        (Class::Network, Remedy::Backoff),
    ];
    assert!(known.contains(&verdict), "{error:?}");
}

#[tokio::test]
async fn garbage_is_no_http() {
    let error = fails(vec![
        Act::Send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
        Act::Hang,
    ])
    .await;
    is(&error, Class::Network, Remedy::Few);
    assert!(error.hint().unwrap().contains("does not speak HTTP"));
}

#[tokio::test]
async fn statuses_have_their_classes() {
    let network = [408, 499, 500, 502, 503, 504, 520, 522, 524, 527];
    for status in network {
        is(
            &fails(answer(status, &[], b"")).await,
            Class::Network,
            Remedy::Backoff,
        );
    }
    let others = [
        (429, Class::Rate, Remedy::Pace),
        (401, Class::Auth, Remedy::Never),
        (403, Class::Auth, Remedy::Never),
        (404, Class::Absent, Remedy::Never),
        (407, Class::Config, Remedy::Never),
        (410, Class::Absent, Remedy::Never),
        (416, Class::Corrupt, Remedy::Once),
        (418, Class::Config, Remedy::Never),
        (501, Class::Config, Remedy::Never),
        (304, Class::Config, Remedy::Never),
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
            Remedy::Never,
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
            Remedy::Never,
        ),
    ];
    for (status, body, class, remedy) in cases {
        let error = fails(answer(status, &[], body.as_bytes())).await;
        is(&error, class, remedy);
        assert_eq!(error.body(), Some(body));
    }
}
