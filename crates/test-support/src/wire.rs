//! HTTP/1.1 messages as they are on the wire, for proxies that spoil them: heads, body framing.

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

/// Longest head that is read.
const HEAD_LIMIT: usize = 64 * 1024;

/// The first line and the headers of a request or a response.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The request line or the status line.
    pub(crate) first: String,
    headers: Vec<(String, String)>,
}

/// How the end of a body is found (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After this many bytes; none at all where it is zero.
    Length(u64),
    Chunked,
    UntilClose,
}

impl Head {
    /// Makes a head with a first line and no headers.
    pub(crate) const fn new(first: String) -> Self {
        Self {
            first,
            headers: Vec::new(),
        }
    }

    /// Reads a head; none where the peer closed before its first byte.
    pub(crate) async fn read(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Self>> {
        let mut size = 0;
        let mut head: Option<Self> = None;
        loop {
            let mut line = Vec::new();
            let read = reader.read_until(b'\n', &mut line).await?;
            size += read;
            if read == 0 {
                return match head {
                    None => Ok(None),
                    Some(_) => Err(ErrorKind::UnexpectedEof.into()),
                };
            }
            if size > HEAD_LIMIT {
                return Err(Error::new(ErrorKind::InvalidData, "head is too long"));
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']);
            match &mut head {
                None if text.is_empty() => {}
                None => head = Some(Self::new(text.to_owned())),
                Some(head) if !text.is_empty() => head.push_line(text)?,
                Some(_) => return Ok(head),
            }
        }
    }

    fn push_line(&mut self, line: &str) -> Result<()> {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| Error::new(ErrorKind::InvalidData, "a header has no colon"))?;
        self.headers
            .push((name.to_owned(), value.trim().to_owned()));
        Ok(())
    }

    /// Returns a header's first value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Removes a header.
    pub(crate) fn remove(&mut self, name: &str) {
        self.headers
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    /// Sets a header, in place of those of that name.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Returns a request's method and target.
    pub(crate) fn request(&self) -> (&str, &str) {
        let mut parts = self.first.split(' ');
        (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        )
    }

    /// Returns a response's status code; zero where it has none.
    pub(crate) fn status(&self) -> u16 {
        let code = self.first.split(' ').nth(1);
        code.and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Returns whether the peer closes the connection after this message.
    pub(crate) fn closes(&self) -> bool {
        let closes = |value: &str| value.eq_ignore_ascii_case("close");
        self.header("connection").is_some_and(closes) || self.first.ends_with("HTTP/1.0")
    }

    /// Returns the framing of a request's body.
    pub(crate) fn request_framing(&self) -> Framing {
        self.framing().unwrap_or(Framing::Length(0))
    }

    /// Returns the framing of the body of a response to this method.
    pub(crate) fn response_framing(&self, method: &str) -> Framing {
        let status = self.status();
        if method == "HEAD" || status == 204 || status == 304 || status < 200 {
            return Framing::Length(0);
        }
        self.framing().unwrap_or(Framing::UntilClose)
    }

    fn framing(&self) -> Option<Framing> {
        let chunked = |value: &str| value.eq_ignore_ascii_case("chunked");
        if self.header("transfer-encoding").is_some_and(chunked) {
            return Some(Framing::Chunked);
        }
        let length = self.header("content-length")?;
        length.parse().ok().map(Framing::Length)
    }

    /// Sends the head.
    pub(crate) async fn write(&self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in &self.headers {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        writer.write_all(text.as_bytes()).await
    }
}

/// Reads a body piece by piece.
#[derive(Debug)]
pub(crate) struct BodyReader {
    framing: Framing,
    /// Bytes left, of the body or of the chunk.
    left: u64,
    ended: bool,
}

impl BodyReader {
    pub(crate) const fn new(framing: Framing) -> Self {
        let left = match framing {
            Framing::Length(length) => length,
            Framing::Chunked | Framing::UntilClose => 0,
        };
        Self {
            framing,
            left,
            ended: false,
        }
    }

    /// Returns the next piece, of at most `limit` bytes; none at the end.
    ///
    /// # Errors
    /// Where the peer closes in the middle of a framed body.
    pub(crate) async fn next(
        &mut self,
        reader: &mut (impl AsyncBufRead + Unpin),
        limit: usize,
    ) -> Result<Option<Vec<u8>>> {
        if self.framing == Framing::Chunked && self.left == 0 && !self.ended {
            self.chunk_size(reader).await?;
        }
        let framed = self.framing != Framing::UntilClose;
        if self.ended || (framed && self.left == 0) {
            return Ok(None);
        }
        let buffered = reader.fill_buf().await?;
        if buffered.is_empty() {
            return if framed {
                Err(ErrorKind::UnexpectedEof.into())
            } else {
                Ok(None)
            };
        }
        let mut take = buffered.len().min(limit);
        if framed {
            take = take.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        }
        let piece = buffered[..take].to_vec();
        reader.consume(take);
        if framed {
            self.left -= take as u64;
            if self.framing == Framing::Chunked && self.left == 0 {
                line(reader).await?;
            }
        }
        Ok(Some(piece))
    }

    /// Reads the next chunk's size, and the trailers after the last one.
    async fn chunk_size(&mut self, reader: &mut (impl AsyncBufRead + Unpin)) -> Result<()> {
        let text = line(reader).await?;
        let digits = text.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(digits, 16)
            .map_err(|_| Error::new(ErrorKind::InvalidData, "not a chunk's size"))?;
        if self.left == 0 {
            while !line(reader).await?.is_empty() {}
            self.ended = true;
        }
        Ok(())
    }
}

/// Sends a piece of a body as its framing asks.
pub(crate) async fn write_piece(
    writer: &mut (impl AsyncWrite + Unpin),
    framing: Framing,
    piece: &[u8],
) -> Result<()> {
    if framing == Framing::Chunked {
        let size = format!("{:x}\r\n", piece.len());
        writer.write_all(size.as_bytes()).await?;
        writer.write_all(piece).await?;
        return writer.write_all(b"\r\n").await;
    }
    writer.write_all(piece).await
}

/// Sends what ends a body of this framing.
pub(crate) async fn write_end(
    writer: &mut (impl AsyncWrite + Unpin),
    framing: Framing,
) -> Result<()> {
    if framing == Framing::Chunked {
        writer.write_all(b"0\r\n\r\n").await?;
    }
    writer.flush().await
}

async fn line(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<String> {
    let mut bytes = Vec::new();
    if reader.read_until(b'\n', &mut bytes).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
