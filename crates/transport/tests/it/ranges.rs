//! Content in parts from servers that know no ranges, lie about them, or change it in between.

use std::ops::Range;
use std::sync::Mutex;

use sealift_transport::{Anonymous, Phase, Request, Route, Sink};

use crate::fetch::{Fetch, cut, serving, small_ranges};
use crate::parts::{data, hurried, plain, transport};
use crate::server::{Act, Hit, Server, answer, content, head};

#[tokio::test]
async fn servers_without_ranges_are_read_whole_and_skipped_over() {
    let bytes = data(300_000, 9);
    let served = bytes.clone();
    let server = Server::start(move |hit| match hit.number {
        0 => cut(head(200, &[], Some(300_000)), &served, 150_000, Act::Close),
        _ => answer(200, &[], &served),
    })
    .await;
    let fetch = Fetch::new(small_ranges(), &bytes);
    fetch.from(&server).await;
    assert_eq!(server.requests().len(), 2);
}

/// A server that lies about ranges in some way, and is honest about the whole.
async fn liar(
    bytes: &[u8],
    lie: impl Fn(&Hit, &[u8]) -> Vec<Act> + Send + Sync + 'static,
) -> Server {
    let served = bytes.to_vec();
    Server::start(move |hit| match hit.range() {
        None => content(hit, &served),
        Some(_) => lie(hit, &served),
    })
    .await
}

async fn survives(lie: impl Fn(&Hit, &[u8]) -> Vec<Act> + Send + Sync + 'static) {
    let bytes = data(300_000, 10);
    let server = liar(&bytes, lie).await;
    let fetch = Fetch::new(small_ranges(), &bytes);
    fetch.from(&server).await;
}

#[tokio::test]
async fn wrong_content_ranges_lead_back_to_the_whole() {
    survives(|_, data| answer(206, &[("Content-Range", "bytes 5-14/300000")], &data[5..15])).await;
    survives(|_, data| answer(206, &[("Content-Range", "bytes 0-9/77")], &data[..10])).await;
    survives(|_, data| answer(206, &[], &data[..10])).await;
    survives(|_, _| answer(416, &[], b"")).await;
}

#[tokio::test]
async fn shorter_ranges_than_asked_for_are_taken() {
    let bytes = data(300_000, 11);
    let served = bytes.clone();
    let server = Server::start(move |hit| {
        let (first, end) = hit.range().unwrap();
        let end = end.unwrap().min(first + 7_777);
        let (first, end) = (
            usize::try_from(first).unwrap(),
            usize::try_from(end).unwrap(),
        );
        let range = format!("bytes {first}-{}/300000", end - 1);
        answer(206, &[("Content-Range", &range)], &served[first..end])
    })
    .await;
    let fetch = Fetch::new(small_ranges(), &bytes);
    fetch.from(&server).await;
    assert_eq!(fetch.failures(), 0);
}

#[tokio::test]
async fn content_of_unknown_size_is_brought_whole() {
    for chunked in [false, true] {
        let bytes = data(5_000, 12);
        let served = bytes.clone();
        let server = Server::start(move |_| {
            if !chunked {
                return answer(200, &[], &served);
            }
            let mut all = head(200, &[("Transfer-Encoding", "chunked")], None);
            all.extend(b"1388\r\n");
            all.extend(&served);
            all.extend(b"\r\n0\r\n\r\n");
            vec![Act::Send(all)]
        })
        .await;
        let (transport, _) = transport(hurried());
        let sink = Open(Mutex::default());
        let route = Route::direct(plain(&server.authority()));
        let request = Request::get("file").of(Phase::Exec, "file");
        let from = transport
            .download(&route, &request, &sink, &Anonymous)
            .await
            .unwrap();
        assert_eq!((from.size(), from.bytes()), (Some(5_000), 5_000));
        assert!(*sink.0.lock().unwrap() == bytes);
    }
}

/// A sink without an end.
struct Open(Mutex<Vec<u8>>);

impl Sink for Open {
    fn missing(&self) -> Vec<Range<u64>> {
        let at = self.0.lock().unwrap().len() as u64;
        std::iter::once(at..u64::MAX).collect()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let mut all = self.0.lock().unwrap();
        assert_eq!(all.len() as u64, offset);
        all.extend(bytes);
        Ok(())
    }

    fn discard(&self, range: Range<u64>) -> std::io::Result<()> {
        self.0
            .lock()
            .unwrap()
            .truncate(usize::try_from(range.start).unwrap());
        Ok(())
    }
}

#[tokio::test]
async fn a_whole_answer_to_a_request_for_the_whole_says_nothing_of_ranges() {
    let bytes = data(400_000, 24);
    let server = serving(&bytes, |hit, head, body| match hit.number {
        0 => cut(head, &body, 20_000, Act::Reset),
        _ => vec![Act::Send(head), Act::Send(body)],
    })
    .await;
    let fetch = Fetch::new(small_ranges(), &bytes);
    let route = Route::direct(plain(&server.authority()));
    // Content of unknown size and without a name can only be had as a whole again.
    let sink = Open(Mutex::default());
    let request = Request::get("blob").of(Phase::Blob, "file");
    let transport = &fetch.transport;
    let done = transport.download(&route, &request, &sink, &Anonymous);
    done.await.unwrap();
    let before = server.requests().len();
    fetch.by(&route).await;
    let later = server.requests().split_off(before);
    assert!(later.iter().all(|hit| hit.header("range").is_some()));
}

/// Content without a digest whose server changes it, or forgets how to name it, between two halves.
async fn continued(
    tags: [Option<&'static str>; 2],
    old: Vec<u8>,
    new: Vec<u8>,
) -> (Vec<u8>, Server) {
    let server = Server::start(move |hit| {
        let (tag, served) = match hit.number {
            0 => (tags[0], &old),
            _ => (tags[1], &new),
        };
        let mut headers: Vec<(&str, &str)> = tag.map(|tag| ("ETag", tag)).into_iter().collect();
        let half = served[..served.len() / 2].to_vec();
        let same = hit
            .header("if-range")
            .is_none_or(|asked| Some(asked) == tag);
        match hit.range() {
            _ if hit.number == 0 => {
                let start = head(200, &headers, Some(served.len() as u64));
                vec![Act::Send(start), Act::Send(half), Act::Close]
            }
            Some((first, _)) if same => {
                let size = served.len();
                let range = format!("bytes {first}-{}/{size}", size - 1);
                headers.push(("Content-Range", &range));
                answer(206, &headers, &served[usize::try_from(first).unwrap()..])
            }
            _ => answer(200, &headers, served),
        }
    })
    .await;
    let (transport, _) = transport(hurried());
    let sink = Open(Mutex::default());
    let route = Route::direct(plain(&server.authority()));
    let request = Request::get("file").of(Phase::Exec, "file");
    let from = transport
        .download(&route, &request, &sink, &Anonymous)
        .await
        .unwrap();
    let bytes = sink.0.lock().unwrap().clone();
    assert_eq!(from.size(), Some(bytes.len() as u64));
    (bytes, server)
}

#[tokio::test]
async fn content_that_changed_between_two_halves_is_begun_anew() {
    let (old, new) = (data(50_000, 30), data(60_000, 31));
    let (bytes, server) = continued([Some("\"1\""), Some("\"2\"")], old.clone(), new.clone()).await;
    assert!(bytes == new);
    assert_eq!(server.requests()[1].header("if-range"), Some("\"1\""));

    let (bytes, server) = continued([Some("\"1\""), Some("\"1\"")], old.clone(), old.clone()).await;
    assert!(bytes == old);
    assert_eq!(server.requests().len(), 2, "the same content is continued");
}

#[tokio::test]
async fn weak_names_are_not_trusted_with_halves() {
    let (old, new) = (data(50_000, 32), data(50_000, 33));
    let (bytes, server) = continued([Some("W/\"1\""), Some("W/\"1\"")], old, new).await;
    assert_eq!(server.requests()[1].header("if-range"), None);
    assert_eq!(
        server.requests()[1].range(),
        None,
        "without a name, only the whole is asked for"
    );
    assert!(bytes == data(50_000, 33));
}
