//! A connection to a broker: bytes that came and are not taken yet, and what is sent.

use std::path::Path;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::address::Address;
use super::brokers::Login;
use super::fault::{Fault, Reason};
use crate::effect::tls;

/// Until a connection stands: three lost SYN packets are 7 s.
const CONNECT: Duration = Duration::from_secs(10);
/// Until a broker has let us in.
const GREETING: Duration = Duration::from_secs(10);
/// Until what is sent is on its way: a broker that takes nothing for so long is as good as gone.
const SEND: Duration = Duration::from_secs(30);
/// Read at a time.
const PIECE: usize = 16 * 1024;
/// What came at once, at most: larger messages are none for workflows, and a length that is made up must not fill the memory.
pub(super) const MOST: usize = 64 << 20;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection.
pub(super) struct Pipe {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
    /// How much of the input was taken.
    taken: usize,
    /// When something came last.
    heard: tokio::time::Instant,
}

/// Waits for a greeting as long as one may take.
pub(super) async fn greeted<T>(greeting: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let silent = || Fault::new(Reason::Unreachable, format!("no greeting within {} s", GREETING.as_secs()));
    tokio::time::timeout(GREETING, greeting).await.unwrap_or_else(|_| Err(silent()))
}

impl Pipe {
    /// Connects, by TLS from the first byte where the address says so.
    pub(super) async fn to(login: &Login) -> Result<Self, Fault> {
        let address = &login.broker.address;
        let pipe = Self::open(address).await?;
        if address.tls { pipe.secure(&address.host, login.broker.ca_file.as_deref()).await } else { Ok(pipe) }
    }

    /// Connects, without TLS.
    pub(super) async fn open(address: &Address) -> Result<Self, Fault> {
        let unreachable = |why: String| Fault::new(Reason::Unreachable, why);
        let connecting = TcpStream::connect((address.host.as_str(), address.port));
        let stream = match tokio::time::timeout(CONNECT, connecting).await {
            Ok(stream) => stream.map_err(|error| unreachable(error.to_string()))?,
            Err(_) => return Err(unreachable(format!("no connection within {} s", CONNECT.as_secs()))),
        };
        // Small frames go at once.
        stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
        Ok(Self { stream: Box::new(stream), input: Vec::new(), taken: 0, heard: tokio::time::Instant::now() })
    }

    /// Goes on by TLS; what came before is no part of it.
    pub(super) async fn secure(self, host: &str, ca_file: Option<&Path>) -> Result<Self, Fault> {
        let unreachable = |why: String| Fault::new(Reason::Unreachable, why);
        let config = tls::trusting(ca_file).map_err(|bad| unreachable(bad.to_string()))?;
        if self.taken < self.input.len() {
            return Err(Fault::new(Reason::Protocol, "it speaks before TLS begins"));
        }
        let server = ServerName::try_from(host.to_owned()).map_err(|error| unreachable(error.to_string()))?;
        let connecting = tokio_rustls::TlsConnector::from(config).connect(server, self.stream);
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(Ok(stream)) => {
                Ok(Self { stream: Box::new(stream), input: Vec::new(), taken: 0, heard: tokio::time::Instant::now() })
            }
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("no TLS within {} s", CONNECT.as_secs()))),
        }
    }

    /// What came and is not taken.
    pub(super) fn input(&self) -> &[u8] {
        &self.input[self.taken..]
    }

    /// Takes so many bytes of the input, which are there.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let bytes = self.input[self.taken..self.taken + count].to_vec();
        self.taken += count;
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        } else if self.taken > MOST / 64 {
            self.input.drain(..self.taken);
            self.taken = 0;
        }
        bytes
    }

    /// Waits for more input. May be given up in between: nothing is lost.
    pub(super) async fn more(&mut self) -> Result<(), Fault> {
        if self.input().len() > MOST {
            return Err(Fault::new(Reason::Protocol, "a message of more than 64 MiB comes"));
        }
        self.input.reserve(PIECE);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => Err(Fault::new(Reason::Lost, "the broker closed the connection")),
            Ok(_) => {
                self.heard = tokio::time::Instant::now();
                Ok(())
            }
            Err(error) => Err(Fault::new(Reason::Lost, error.to_string())),
        }
    }

    /// How long nothing has come: part of a message is something, too.
    pub(super) fn quiet(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Sends all of it. Given up in between, the connection is of no use any more.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let sending = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(SEND, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Fault::new(Reason::Lost, error.to_string())),
            Err(_) => Err(Fault::new(Reason::Lost, "the broker takes nothing any more")),
        }
    }

    /// Whether it stands, as far as can be seen at once: what has come meanwhile is taken in.
    pub(super) async fn is_open(&mut self) -> bool {
        match tokio::time::timeout(Duration::ZERO, self.more()).await {
            Ok(read) => read.is_ok(),
            Err(_) => true,
        }
    }
}
