//! A relay in front of a daemon that lets no large headers through, as proxies do: it ends such an
//! answer's stream.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Frame types and a flag of HTTP/2 (RFC 9113, 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// A relay on a socket of its own; it ends with the test's process.
pub(crate) struct Relay(Arc<AtomicUsize>);

impl Relay {
    pub(crate) fn start(path: &Path, daemon: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let cuts = Arc::new(AtomicUsize::new(0));
        let (count, daemon) = (Arc::clone(&cuts), daemon.to_owned());
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), UnixStream::connect(&daemon).unwrap());
                let (up, down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let count = Arc::clone(&count);
                thread::spawn(move || {
                    // Either side may end the connection.
                    let _ = io::copy(&mut &up, &mut &down);
                    let _ = down.shutdown(Shutdown::Both);
                });
                thread::spawn(move || {
                    let _ = filter(&server, &client, &count);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self(cuts)
    }

    /// Returns how many answers it has cut.
    pub(crate) fn cuts(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn filter(mut from: &UnixStream, mut to: &UnixStream, cuts: &AtomicUsize) -> io::Result<()> {
    loop {
        let mut head = [0; 9];
        from.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        from.read_exact(&mut payload)?;
        match (head[3], head[4] & END_HEADERS) {
            (HEADERS, 0) => {
                cuts.fetch_add(1, Ordering::SeqCst);
                let stream = [head[5], head[6], head[7], head[8]];
                to.write_all(&[&[0, 0, 4, RST_STREAM, 0][..], &stream, &[0, 0, 0, 2]].concat())?;
            }
            (CONTINUATION, _) => {}
            _ => {
                to.write_all(&head)?;
                to.write_all(&payload)?;
            }
        }
    }
}
