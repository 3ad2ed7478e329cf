//! A client that speaks just enough HTTP, over one connection: what it takes itself is little beside what it measures.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bench::{Error, Result};

/// More than any head, and most answers with it.
const CHUNK: usize = 16 << 10;

/// A connection.
pub(in crate::bench) struct Client {
    stream: TcpStream,
    host: SocketAddr,
    buffer: Vec<u8>,
}

/// What came back.
pub(in crate::bench) struct Answer {
    pub(in crate::bench) status: u16,
    pub(in crate::bench) body: Vec<u8>,
}

impl Answer {
    /// Its body; nothing where it is no JSON.
    pub(in crate::bench) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// An error unless it is a good one.
    pub(in crate::bench) fn good(self) -> Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body).into_owned();
        Err(Error::wrong(format!("the daemon answered {}: {text}", self.status)))
    }
}

impl Client {
    pub(in crate::bench) async fn connect(host: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host, buffer: Vec::with_capacity(CHUNK) })
    }

    pub(in crate::bench) async fn get(&mut self, path: &str) -> Result<Answer> {
        self.request("GET", path, "").await
    }

    pub(in crate::bench) async fn post(&mut self, path: &str, body: &str) -> Result<Answer> {
        self.request("POST", path, body).await
    }

    async fn request(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let Self { host, .. } = self;
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let length = body.len();
        let text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{kind}Content-Length: {length}\r\n\r\n{body}");
        self.stream.write_all(text.as_bytes()).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Answer> {
        let head = loop {
            if let Some(at) = self.buffer.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Error::wrong("an answer is no HTTP"))?;
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.and_then(|length| length.trim().parse::<usize>().ok()).unwrap_or(0);
        while self.buffer.len() < head + length {
            self.more().await?;
        }
        let body = self.buffer[head..head + length].to_vec();
        self.buffer.drain(..head + length);
        Ok(Answer { status, body })
    }

    async fn more(&mut self) -> Result<()> {
        self.buffer.reserve(CHUNK);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Error::wrong("the daemon closed the connection")),
            _ => Ok(()),
        }
    }
}
