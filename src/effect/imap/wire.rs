//! Bytes between us and a server: lines out, whole responses in, within bounds.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Error;
use super::answer::{Answer, literal};

/// A line of a response. 64 KiB: the longest that is asked for is a list of capabilities.
const LINE_MOST: usize = 64 << 10;
/// Literals in one response: what is asked for has one.
const LITERALS_MOST: usize = 8;
/// Nothing comes for so long in the middle of something: the server is gone.
const SILENCE: Duration = Duration::from_mins(1);

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// What came and is not a response yet.
    buffer: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The stream by itself. What was sent before TLS begins belongs to nobody: a server that says more is refused.
    pub(super) fn into_stream(self) -> Result<Box<dyn Stream>, Error> {
        if self.buffer.is_empty() {
            return Ok(self.stream);
        }
        Err(Error::Protocol("it talks on before TLS has begun".to_owned()))
    }

    pub(super) async fn send(&mut self, line: &str) -> Result<(), Error> {
        let bytes = [line.as_bytes(), b"\r\n"].concat();
        let sent = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(SILENCE, sent).await {
            Ok(sent) => sent.map_err(|error| Error::Network(format!("the connection broke: {error}"))),
            Err(_) => Err(silent()),
        }
    }

    /// The next response; literals in it have `most` bytes at most. Dropped before it is there, it is not lost.
    pub(super) async fn answer(&mut self, most: usize, silence: Option<Duration>) -> Result<Answer, Error> {
        let (mut begin, mut literals) = (0, 0);
        loop {
            let end = self.line(begin, silence.filter(|_| begin == 0)).await?;
            let line = &self.buffer[begin..end];
            let Some(count) = literal(line.strip_suffix(b"\r").unwrap_or(line)) else { break };
            literals += 1;
            if count > most || literals > LITERALS_MOST {
                return Err(Error::Protocol(format!("a text of {count} bytes, where {most} were asked for")));
            }
            begin = end + 1 + count;
            while self.buffer.len() < begin {
                self.more(SILENCE).await?;
            }
        }
        let end = self.line(begin, None).await?;
        let rest = self.buffer.split_off(end + 1);
        let mut whole = std::mem::replace(&mut self.buffer, rest);
        whole.truncate(whole.len() - 1);
        Answer::parse(whole.strip_suffix(b"\r").unwrap_or(&whole)).map_err(Error::Protocol)
    }

    /// Where the line that begins at `begin` ends.
    async fn line(&mut self, begin: usize, silence: Option<Duration>) -> Result<usize, Error> {
        let mut looked = begin;
        loop {
            if let Some(at) = self.buffer[looked..].iter().position(|byte| *byte == b'\n') {
                return Ok(looked + at);
            }
            looked = self.buffer.len();
            if looked - begin > LINE_MOST {
                return Err(Error::Protocol(format!("a line of more than {LINE_MOST} bytes")));
            }
            self.more(silence.unwrap_or(SILENCE)).await?;
        }
    }

    async fn more(&mut self, silence: Duration) -> Result<(), Error> {
        match tokio::time::timeout(silence, self.stream.read_buf(&mut self.buffer)).await {
            Ok(Ok(0)) => Err(Error::Network("the server has closed the connection".to_owned())),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Error::Network(format!("the connection broke: {error}"))),
            Err(_) => Err(silent()),
        }
    }
}

fn silent() -> Error {
    Error::Network("the server does not answer".to_owned())
}
