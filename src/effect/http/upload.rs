//! A body as it is sent: bytes, or pieces of which some are files, read as they are taken. A file is never held whole.

use std::fs::File;
use std::io::{self, Read as _};

use reqwest::Url;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Body, message};
use crate::effect::file::{self, Place};
use crate::effect::{Failure, Secrets};

/// Bytes that are read at a time: few enough to hold for each upload, enough to be worth a change of thread.
const CHUNK: u64 = 256 << 10;
/// Pieces that wait to be taken. 2: one is sent while the next is read.
const AHEAD: usize = 2;

/// A file of the workflow that is sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SentFile {
    /// Which.
    pub path: String,
    /// Its SHA-256 in hex, as it was when it was opened.
    pub sha256: Option<String>,
    /// Its bytes, as they were then.
    pub size: Option<u64>,
}

/// A part of a form with files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// The field.
    pub name: String,
    /// The name that the file has for the receiver; a plain field has none.
    pub file_name: Option<String>,
    /// MIME type.
    pub content_type: Option<String>,
    /// What is in it.
    pub contents: PartContents,
}

/// What is in a part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PartContents {
    /// Text, which may hold placeholders for secrets.
    Text(String),
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file.
    File(SentFile),
}

impl SentFile {
    pub(super) fn arguments(&self) -> Value {
        json!([self.path, self.sha256])
    }
}

impl Part {
    pub(super) fn arguments(&self) -> Value {
        let contents = match &self.contents {
            PartContents::Text(text) => json!({ "text": text }),
            PartContents::Bytes(bytes) => json!({ "bytes": file::digest(bytes) }),
            PartContents::File(file) => json!({ "file": file.arguments() }),
        };
        json!([self.name, self.file_name, self.content_type, contents])
    }
}

/// A body that is ready to be sent.
pub(super) struct Outgoing {
    pub(super) content_type: String,
    pub(super) length: u64,
    /// The SHA-256 in hex, where it is known: of bytes, and of a file that was opened.
    pub(super) hash: Option<String>,
    pieces: Vec<Piece>,
}

enum Piece {
    Bytes(Vec<u8>),
    File(File, u64),
}

impl Outgoing {
    /// The body of a request to `url`; `None`: there is none.
    pub(super) async fn new(
        body: &Body,
        url: &Url,
        secrets: &dyn Secrets,
        place: &Place,
    ) -> Result<Option<Self>, Failure> {
        match body {
            Body::File(file) => {
                let (piece, length) = opened(file, place).await?;
                let content_type = "application/octet-stream".to_owned();
                Ok(Some(Self { content_type, length, hash: file.sha256.clone(), pieces: vec![piece] }))
            }
            Body::Multipart(parts) => Self::multipart(parts, url, secrets, place).await.map(Some),
            plain => {
                let Some((bytes, content_type)) = message::body(plain, url, secrets)? else { return Ok(None) };
                let (length, hash) = (bytes.len() as u64, Some(file::digest(&bytes)));
                let pieces = vec![Piece::Bytes(bytes)];
                Ok(Some(Self { content_type: content_type.to_owned(), length, hash, pieces }))
            }
        }
    }

    async fn multipart(parts: &[Part], url: &Url, secrets: &dyn Secrets, place: &Place) -> Result<Self, Failure> {
        // Random, so that nobody can write contents that end their part.
        let boundary = format!("panta-{}", uuid::Uuid::now_v7().simple());
        let (mut pieces, mut length) = (Vec::new(), 0);
        let mut text = String::new();
        for part in parts {
            text.push_str(&head(part, &boundary));
            let (piece, size) = match &part.contents {
                PartContents::Text(value) => {
                    let value = secrets.resolve(value, message::target(url))?.into_owned().into_bytes();
                    let size = value.len() as u64;
                    (Piece::Bytes(value), size)
                }
                PartContents::Bytes(bytes) => (Piece::Bytes(bytes.clone()), bytes.len() as u64),
                PartContents::File(file) => opened(file, place).await?,
            };
            length += text.len() as u64 + size;
            pieces.extend([Piece::Bytes(std::mem::take(&mut text).into_bytes()), piece]);
            text.push_str("\r\n");
        }
        text.push_str(&format!("--{boundary}--\r\n"));
        length += text.len() as u64;
        pieces.push(Piece::Bytes(text.into_bytes()));
        let content_type = format!("multipart/form-data; boundary={boundary}");
        Ok(Self { content_type, length, hash: None, pieces })
    }

    /// What the client sends. Files are read while it does.
    pub(super) fn into_body(mut self) -> reqwest::Body {
        if let [Piece::Bytes(bytes)] = self.pieces.as_mut_slice() {
            return std::mem::take(bytes).into();
        }
        let (sender, receiver) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            for piece in self.pieces {
                let goes_on = match piece {
                    Piece::Bytes(bytes) => sender.send(Ok(bytes)).await.is_ok(),
                    Piece::File(file, size) => feed(file, size, &sender).await,
                };
                if !goes_on {
                    return;
                }
            }
        });
        reqwest::Body::wrap_stream(ReceiverStream::new(receiver))
    }

    /// Whether it is read while it is sent, so that its length must be said beforehand.
    pub(super) fn is_streamed(&self) -> bool {
        !matches!(self.pieces.as_slice(), [Piece::Bytes(_)])
    }
}

/// Sends so much of a file. Whether there is somebody who takes it.
async fn feed(mut file: File, mut left: u64, sender: &mpsc::Sender<io::Result<Vec<u8>>>) -> bool {
    while left > 0 {
        let most = left.min(CHUNK);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; most as usize];
            let read = file.read(&mut bytes)?;
            bytes.truncate(read);
            Ok::<_, io::Error>((file, bytes))
        });
        let read = read.await.map_err(io::Error::other).and_then(|read| read);
        let chunk = match read {
            Ok((same, bytes)) => {
                file = same;
                left -= bytes.len() as u64;
                if bytes.is_empty() {
                    Err(io::Error::other("the file became shorter while it was sent"))
                } else {
                    Ok(bytes)
                }
            }
            Err(error) => {
                let _ = sender.send(Err(error)).await;
                return false;
            }
        };
        let is_over = chunk.is_err();
        if sender.send(chunk).await.is_err() || is_over {
            return false;
        }
    }
    true
}

/// A file as it is now. One that has changed since it was opened is not what was meant.
async fn opened(sent: &SentFile, place: &Place) -> Result<(Piece, u64), Failure> {
    let spot = place.target(&sent.path)?;
    let (file, size) = file::off_thread(move || file::open_regular(&spot)).await?;
    if sent.size.is_some_and(|before| before != size) {
        let why = format!("the file `{}` has changed since it was opened", sent.path);
        return Err(Failure::new("file", format!("{why}; hint: open it again with `file::open`")));
    }
    Ok((Piece::File(file, size), size))
}

/// The lines before the contents of a part.
fn head(part: &Part, boundary: &str) -> String {
    let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(&part.name));
    if let Some(file_name) = &part.file_name {
        head.push_str(&format!("; filename=\"{}\"", quoted(file_name)));
    }
    let usual = part.file_name.as_ref().map(|_| "application/octet-stream");
    if let Some(content_type) = part.content_type.as_deref().or(usual) {
        let plain: String = content_type.chars().filter(|c| !c.is_control()).collect();
        head.push_str(&format!("\r\nContent-Type: {plain}"));
    }
    head + "\r\n\r\n"
}

/// A name between quotes, as browsers write it.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
