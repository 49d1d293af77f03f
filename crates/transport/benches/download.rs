//! How fast downloads are: over loopback, and from a server that gives each connection 8 MB/s and
//! each request 50 ms. `cargo bench -p sealift-transport --bench download`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its result and may panic"
)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealift_transport::{
    Anonymous, Endpoint, Phase, Request, Route, Scheme, Settings, Silent, Sink, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const MIB: u64 = 1 << 20;
/// Blobs of a generated image: 600 MB, the largest 200 MB.
const BLOBS: [u64; 8] = [200, 120, 80, 70, 60, 40, 20, 10];

/// Writes to a file, as the store does, without its book-keeping.
struct Disk {
    /// `None` writes nowhere: what remains is the network's part.
    file: Option<File>,
    size: u64,
}

impl Sink for Disk {
    fn missing(&self) -> Vec<Range<u64>> {
        std::iter::once(0..self.size).collect()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match &self.file {
            Some(file) => file.write_all_at(bytes, offset),
            None => Ok(()),
        }
    }

    fn discard(&self, _range: Range<u64>) -> io::Result<()> {
        Ok(())
    }
}

/// Serves `/SIZE` with ranges.
async fn serve(mut stream: TcpStream, delay: Duration, rate: Option<u64>) -> io::Result<()> {
    let zeros = vec![7_u8; 1 << 20];
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let size: u64 = head[5..].split(' ').next().unwrap().parse().unwrap();
        let range = head.lines().find_map(|line| {
            let (first, last) = line.strip_prefix("range: bytes=")?.split_once('-')?;
            Some((first.parse::<u64>().unwrap(), last.parse::<u64>().unwrap()))
        });
        tokio::time::sleep(delay).await;
        let (first, last) = range.unwrap_or((0, size - 1));
        let length = last - first + 1;
        let status = match range {
            None => "200 OK\r\n".to_owned(),
            Some(_) => format!("206 Partial\r\nContent-Range: bytes {first}-{last}/{size}\r\n"),
        };
        let head = format!("HTTP/1.1 {status}Content-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let start = Instant::now();
        let mut sent = 0;
        while sent < length {
            let piece = (length - sent).min(if rate.is_some() { 64 << 10 } else { MIB });
            stream
                .write_all(&zeros[..usize::try_from(piece).unwrap()])
                .await?;
            sent += piece;
            if let Some(rate) = rate {
                let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                tokio::time::sleep(due.saturating_sub(start.elapsed())).await;
            }
        }
    }
}

async fn server(delay: Duration, rate: Option<u64>) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            open.spawn(async move { serve(stream, delay, rate).await.unwrap_or_default() });
        }
    });
    (authority, tasks)
}

async fn pull(authority: &str, side_by_side: usize, written: bool) -> Duration {
    let transport = Transport::new(Settings::default(), Arc::new(Silent));
    let route = Route::direct(Endpoint::new(Scheme::Http, authority).unwrap());
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    let mut blobs = BLOBS.iter();
    loop {
        while tasks.len() < side_by_side
            && let Some(size) = blobs.next()
        {
            let (transport, route, size) = (transport.clone(), route.clone(), size * MIB);
            tasks.spawn(async move {
                let sink = Disk {
                    file: written.then(|| tempfile::tempfile().unwrap()),
                    size,
                };
                let request = Request::get(size.to_string())
                    .of(Phase::Blob, "image")
                    .size(size);
                transport
                    .download(&route, &request, &sink, &Anonymous)
                    .await
                    .unwrap();
            });
        }
        match tasks.join_next().await {
            None => return start.elapsed(),
            Some(done) => done.unwrap(),
        }
    }
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    peak.unwrap_or_default().to_owned()
}

#[tokio::main]
async fn main() {
    let total: u64 = BLOBS.iter().sum();
    let (fast, _fast) = server(Duration::ZERO, None).await;
    for (width, written) in [(1, false), (4, false), (1, true), (4, true)] {
        let time = pull(&fast, width, written).await;
        let rate = total as f64 / time.as_secs_f64();
        let to = if written { "a file" } else { "nowhere" };
        println!("loopback to {to}, {width} blobs side by side: {time:.2?}, {rate:.0} MiB/s");
    }
    let (slow, _slow) = server(Duration::from_millis(50), Some(8 * MIB)).await;
    let time = pull(&slow, 4, true).await;
    let alone = BLOBS[0] as f64 / 8.0;
    println!(
        "8 MiB/s a connection, 50 ms a request: {time:.2?}; the largest blob on one connection: {alone:.1} s"
    );
    println!("{}", memory());
}
