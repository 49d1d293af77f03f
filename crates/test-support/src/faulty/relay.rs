//! Passes a request on to the real registry and its answer back, with what fate does to the bodies.

use std::io::Result;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::connection::{After, Connection, PIECE, Request};
use super::plan::{Kind, Ranges};
use super::spoiler::{Spoiler, Verdict};
use crate::wire::{BodyReader, Framing, Head, write_end, write_piece};

/// A part of a blob that a client asked for and that is not to come as asked.
#[derive(Debug, Clone, Copy)]
struct Twist {
    start: u64,
    end: Option<u64>,
    honest_header: bool,
}

impl Connection {
    /// Has the real registry answer. Each request has a connection of its own there, so that the
    /// registry may be stopped and started at any time.
    pub(super) async fn forward(&mut self, mut request: Request) -> Result<After> {
        let twist = match twist(&mut request) {
            Ok(twist) => twist,
            Err(status) => return self.refuse(&request, status, None).await,
        };
        let Ok(upstream) = TcpStream::connect(self.shared.upstream).await else {
            return self.refuse(&request, 502, None).await;
        };
        let (reader, mut writer) = upstream.into_split();
        if let Some(after) = self.send_request(&mut request, &mut writer).await? {
            return Ok(after);
        }
        let mut upstream = BufReader::with_capacity(PIECE, reader);
        let head = loop {
            match Head::read(&mut upstream).await? {
                Some(head) if head.status() >= 200 => break head,
                Some(_) => {}
                None => return self.refuse(&request, 502, None).await,
            }
        };
        let head = match twist {
            Some(twist) => twist.apply(head),
            None => head,
        };
        self.send_answer(request, head, upstream).await
    }

    /// Sends the request; what follows where the connection ended in the middle of its body.
    async fn send_request(
        &mut self,
        request: &mut Request,
        writer: &mut OwnedWriteHalf,
    ) -> Result<Option<After>> {
        let framing = request.head.request_framing();
        request.head.remove("expect");
        request.head.remove("authorization");
        request.head.set("Connection", "close");
        request.head.write(writer).await?;
        let mut body = BodyReader::new(framing);
        let mut spoiler = Spoiler::new(&mut request.fate, length(framing));
        while let Some(mut piece) = body.next(&mut self.client, PIECE).await? {
            self.pace.hold(request.fate.rate, piece.len()).await;
            match spoiler.judge(&mut piece) {
                Verdict::Pass => write_piece(writer, framing, &piece).await?,
                Verdict::Close(place) => {
                    write_piece(writer, framing, &piece[..place]).await?;
                    return Ok(Some(After::End));
                }
                Verdict::Reset(place) => {
                    write_piece(writer, framing, &piece[..place]).await?;
                    self.client.get_ref().set_zero_linger()?;
                    return Ok(Some(After::End));
                }
                Verdict::Stall(place) => {
                    write_piece(writer, framing, &piece[..place]).await?;
                    return Ok(Some(self.silence().await));
                }
            }
        }
        write_end(writer, framing).await?;
        Ok(None)
    }

    async fn send_answer(
        &mut self,
        mut request: Request,
        mut head: Head,
        mut upstream: BufReader<OwnedReadHalf>,
    ) -> Result<After> {
        let framing = head.response_framing(request.head.request().0);
        head.remove("connection");
        let after = if framing == Framing::UntilClose {
            head.set("Connection", "close");
            After::End
        } else {
            After::Next
        };
        let spoilable = if matches!(head.status(), 200 | 206) {
            length(framing)
        } else {
            0
        };
        let mut spoiler = Spoiler::new(&mut request.fate, spoilable);
        self.shared.answered(request.number, head.status());
        head.write(self.client.get_mut()).await?;
        let rate = request.fate.rate;
        let limit = rate.map_or(PIECE, |rate| {
            usize::try_from(rate / 50)
                .unwrap_or(PIECE)
                .clamp(1024, PIECE)
        });
        let mut body = BodyReader::new(framing);
        while let Some(mut piece) = body.next(&mut upstream, limit).await? {
            self.pace.hold(rate, piece.len()).await;
            let verdict = spoiler.judge(&mut piece);
            let take = match verdict {
                Verdict::Pass => piece.len(),
                Verdict::Close(place) | Verdict::Reset(place) | Verdict::Stall(place) => place,
            };
            write_piece(self.client.get_mut(), framing, &piece[..take]).await?;
            self.shared.sent(request.number, take);
            match verdict {
                Verdict::Pass => {}
                Verdict::Close(_) => return Ok(After::End),
                Verdict::Reset(_) => {
                    self.client.get_ref().set_zero_linger()?;
                    return Ok(After::End);
                }
                Verdict::Stall(_) => {
                    self.client.get_mut().flush().await?;
                    return Ok(self.silence().await);
                }
            }
        }
        write_end(self.client.get_mut(), framing).await?;
        Ok(after)
    }
}

impl Twist {
    /// Declares the bytes from the blob's start to be what was asked for, or what they are.
    fn apply(self, mut head: Head) -> Head {
        let total = head
            .header("content-range")
            .and_then(|text| text.rsplit('/').next())
            .and_then(|text| text.parse::<u64>().ok());
        let (206, Some(total)) = (head.status(), total) else {
            return head;
        };
        let last = self.end.map_or(total - 1, |end| end.min(total - 1));
        let size = (last + 1).saturating_sub(self.start);
        let first = if self.honest_header { 0 } else { self.start };
        let declared = format!("bytes {first}-{}/{total}", (first + size).saturating_sub(1));
        head.set("Content-Range", &declared);
        head.set("Content-Length", &size.to_string());
        head
    }
}

/// Changes a request for a part of a blob as the plan says; an error is the status to answer.
fn twist(request: &mut Request) -> std::result::Result<Option<Twist>, u16> {
    let (method, target) = request.head.request();
    let plain = target.strip_prefix("/storage").unwrap_or(target);
    let asked = request.head.header("range").and_then(parse_range);
    let Some((start, end)) = asked.filter(|_| Kind::of(method, plain) == Kind::Blob) else {
        return Ok(None);
    };
    match request.fate.ranges {
        Ranges::Honest => return Ok(None),
        Ranges::Refused => return Err(416),
        Ranges::Ignored => {
            request.head.remove("range");
            return Ok(None);
        }
        Ranges::Lying | Ranges::Shifted if start == 0 => return Ok(None),
        Ranges::Lying | Ranges::Shifted => {}
    }
    let from_start = match end {
        Some(end) => format!("bytes=0-{}", end.saturating_sub(start)),
        None => "bytes=0-".to_owned(),
    };
    request.head.set("Range", &from_start);
    Ok(Some(Twist {
        start,
        end,
        honest_header: request.fate.ranges == Ranges::Shifted,
    }))
}

/// Reads `bytes=FIRST-LAST` and `bytes=FIRST-`.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()))
}

/// The length of a body where it is known; one byte stands for an unknown one.
const fn length(framing: Framing) -> u64 {
    match framing {
        Framing::Length(length) => length,
        Framing::Chunked | Framing::UntilClose => 1,
    }
}
