//! Requests as they arrived, and answers step by step.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its number at this server, from 0.
    pub number: usize,
    /// The number of its connection, from 0.
    pub connection: usize,
    /// Its method.
    pub method: String,
    /// Its target as it stands in the request line.
    pub target: String,
    /// Headers by lower-case name.
    pub headers: HashMap<String, String>,
    /// Its body, by its length.
    pub body: Vec<u8>,
}

impl Received {
    /// Returns a header's value, by lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Returns the range asked for, its end exclusive, `None` where it is open.
    ///
    /// # Panics
    /// If it does not start with a number.
    #[must_use]
    pub fn range(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self
            .header("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        Some((
            first.parse().expect("a range starts with a number"),
            last.parse::<u64>().ok().map(|last| last + 1),
        ))
    }
}

/// A step of an answer.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends bytes at a number of bytes a second.
    Slowly(Vec<u8>, u64),
    /// Waits.
    Pause(Duration),
    /// Takes one off a count of requests in work.
    Count(Arc<AtomicUsize>),
    /// Sends the same bytes until the client goes away.
    Forever(Vec<u8>),
    /// Ends the connection by RST.
    Reset,
    /// Ends the connection in order.
    Close,
    /// Keeps the connection open without a word.
    Hang,
}

/// A whole answer with a body and its length.
#[must_use]
pub fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<Act> {
    let mut bytes = head(status, headers, Some(body.len() as u64));
    bytes.extend(body);
    vec![Act::Send(bytes)]
}

/// An answer's head.
#[must_use]
pub fn head(status: u16, headers: &[(&str, &str)], length: Option<u64>) -> Vec<u8> {
    // Programs quote the words, and are known by what they quote.
    let reason = match status {
        200 => "OK",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        429 => "Too Many Requests",
        408 => "Request Timeout",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Scripted",
    };
    let mut text = format!("HTTP/1.1 {status} {reason}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = length {
        text.push_str(&format!("Content-Length: {length}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// What a good server answers for content: 206 to ranges, 200 else.
#[must_use]
pub fn content(request: &Received, data: &[u8]) -> Vec<Act> {
    let (head, body) = parts(request, data);
    vec![Act::Send(head), Act::Send(body)]
}

/// The head and the body of a good server's answer.
///
/// # Panics
/// If the range asked for is longer than memory.
#[must_use]
pub fn parts(request: &Received, data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let size = data.len() as u64;
    match request.range() {
        None => (
            head(200, &[("Accept-Ranges", "bytes")], Some(size)),
            data.to_vec(),
        ),
        Some((first, _)) if first >= size => {
            let range = format!("bytes */{size}");
            (head(416, &[("Content-Range", &range)], Some(0)), Vec::new())
        }
        Some((first, end)) => {
            let end = end.unwrap_or(size).min(size);
            let range = format!("bytes {first}-{}/{size}", end - 1);
            let body = data[position(first)..position(end)].to_vec();
            (
                head(206, &[("Content-Range", &range)], Some(body.len() as u64)),
                body,
            )
        }
    }
}

fn position(at: u64) -> usize {
    usize::try_from(at).expect("test content fits into memory")
}
