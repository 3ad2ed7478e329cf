//! Listens on this machine, once, for the browser that comes back from a sign-in.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::cli::output::{Exit, Fault};
use crate::effect::Failure;
use crate::effect::oauth::SignIn;

/// Where the browser comes back.
const PATH: &str = "/callback";
/// Bytes of a request: browsers send some hundred, with a long code some thousand.
const LONGEST: usize = 16 << 10;
/// For one request.
const PATIENCE: Duration = Duration::from_secs(10);

/// What listens.
pub(super) struct Callback {
    listener: TcpListener,
}

/// Listens on this port of this machine, or on a free one.
pub(super) async fn listen(port: Option<u16>) -> Result<Callback, Fault> {
    let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(0))).await.map_err(|error| {
        Fault::new(Exit::Failed, format!("nobody can listen for the browser: {error}; hint: another `redirect_port`"))
    })?;
    Ok(Callback { listener })
}

impl Callback {
    /// The address to which the browser is sent back.
    pub(super) fn address(&self) -> Result<String, Fault> {
        let port = self.listener.local_addr().map_err(|error| Fault::new(Exit::Failed, error.to_string()))?.port();
        Ok(format!("http://127.0.0.1:{port}{PATH}"))
    }

    /// The code, once the browser of this sign-in has come back.
    pub(super) async fn code(&self, sign_in: &SignIn) -> Result<String, Fault> {
        loop {
            let Ok((mut stream, _)) = self.listener.accept().await else { continue };
            let Ok(Some(target)) = tokio::time::timeout(PATIENCE, read(&mut stream)).await else { continue };
            if !target.starts_with(PATH) {
                answer(&mut stream, "404 Not Found", "there is nothing here").await;
                continue;
            }
            match sign_in.code(&target) {
                Ok(code) => {
                    answer(&mut stream, "200 OK", "Signed in. This window may be closed.").await;
                    return Ok(code);
                }
                // Anybody on this machine can send what is of no sign-in; a refusal is one of ours.
                Err(Failure { message, .. }) => {
                    answer(&mut stream, "400 Bad Request", "This did not sign in; the terminal says why.").await;
                    if message.contains("was refused") {
                        return Err(Fault::new(Exit::Failed, message));
                    }
                }
            }
        }
    }
}

/// The target of a `GET` request.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        if bytes.len() > LONGEST || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let rest = text.strip_prefix("GET ")?;
    rest.split(' ').next().map(str::to_owned)
}

async fn answer(stream: &mut TcpStream, status: &str, text: &str) {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    // Whoever asked may be gone.
    let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
    let _ = stream.shutdown().await;
}
