//! The file `secrets` of the data folder: names, what each is for, and values under XChaCha20-Poly1305.
//!
//! Name and bindings are authenticated with the value, so nobody without the key can give a secret another name, or bind it to
//! another host. The file is replaced as a whole: it is the old one or the new one. Writers wait for each other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Error;
use super::key::{Key, KeySource};

/// The file in the data folder.
const FILE: &str = "secrets";
/// The format that is written.
const FORMAT: u32 = 1;
/// Of `XChaCha20`: long enough to be drawn at random for ever.
const NONCE: usize = 24;

/// A file of secrets.
#[derive(Clone, Debug)]
pub(super) struct SecretsFile {
    path: PathBuf,
    key: KeySource,
}

/// What the file says, closed.
#[derive(Serialize, Deserialize, Debug)]
struct Closed {
    format: u32,
    secrets: BTreeMap<String, ClosedSecret>,
}

#[derive(Serialize, Deserialize, Debug)]
struct ClosedSecret {
    nonce: String,
    value: String,
    #[serde(rename = "for")]
    bound: Vec<String>,
    set_at: String,
}

/// A secret, opened.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) value: Zeroizing<String>,
    /// As it was given with `--for`.
    pub(super) bound: Vec<String>,
    /// RFC 3339.
    pub(super) set_at: String,
}

/// All of them, by name.
pub(super) type All = BTreeMap<String, Opened>;

/// What tells one state of the file from the next without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    modified: Option<std::time::SystemTime>,
    length: u64,
    inode: u64,
}

impl SecretsFile {
    pub(super) fn new(data: &Path, key: KeySource) -> Self {
        Self { path: data.join(FILE), key }
    }

    /// The present state; `None`: there is no file.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let found = std::fs::metadata(&self.path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&found);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Stamp { modified: found.modified().ok(), length: found.len(), inode })
    }

    /// All secrets; none where there is no file.
    pub(super) fn open(&self) -> Result<All, Error> {
        let Some(closed) = self.closed()? else { return Ok(All::new()) };
        if closed.secrets.is_empty() {
            return Ok(All::new());
        }
        let key =
            self.key.load()?.ok_or_else(|| Error::NoKey { file: self.path.clone(), places: self.key.places() })?;
        closed.secrets.into_iter().map(|(name, secret)| Ok((name.clone(), self.opened(&key, &name, secret)?))).collect()
    }

    /// Changes what is there. What `change` answers is the caller's.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut All) -> Result<T, Error>) -> Result<T, Error> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let failed = |error| self.unusable("cannot be written", &error);
        std::fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(folder.join("secrets.lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut all = self.open()?;
        let done = change(&mut all)?;
        let key = self.key.load_or_make()?;
        let secrets = all.iter().map(|(name, secret)| (name.clone(), closed(&key, name, secret))).collect();
        let text = serde_json::to_string_pretty(&Closed { format: FORMAT, secrets }).expect("texts and numbers");
        // Readable by its owner alone: temporary files are made so.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        sync_folder(folder).map_err(failed)?;
        Ok(done)
    }

    fn closed(&self) -> Result<Option<Closed>, Error> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unusable("cannot be read", &error)),
        };
        let closed: Closed = serde_json::from_str(&text).map_err(|error| self.unusable("is damaged", &error))?;
        if closed.format != FORMAT {
            let why = format!("it is of format {}, and this release reads {FORMAT}", closed.format);
            return Err(self.unusable("is of a later release", &why));
        }
        Ok(Some(closed))
    }

    fn opened(&self, key: &Key, name: &str, closed: ClosedSecret) -> Result<Opened, Error> {
        let damaged = || Error::Closed { file: self.path.clone(), name: name.to_owned() };
        let nonce = STANDARD.decode(&closed.nonce).map_err(|_| damaged())?;
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| damaged())?;
        let sealed = STANDARD.decode(&closed.value).map_err(|_| damaged())?;
        let beside = beside(name, &closed.bound);
        let payload = Payload { msg: &sealed, aad: beside.as_bytes() };
        let value = cipher(key).decrypt(&XNonce::from(nonce), payload).map_err(|_| damaged())?;
        let value = String::from_utf8(value).map_err(|_| damaged())?;
        Ok(Opened { value: Zeroizing::new(value), bound: closed.bound, set_at: closed.set_at })
    }

    fn unusable(&self, what: &str, why: &dyn std::fmt::Display) -> Error {
        Error::File { path: self.path.clone(), what: what.to_owned(), why: why.to_string() }
    }
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&**key).into())
}

fn closed(key: &Key, name: &str, secret: &Opened) -> ClosedSecret {
    let mut nonce = [0; NONCE];
    super::key_file::random(&mut nonce).expect("the system gives random numbers");
    let beside = beside(name, &secret.bound);
    let payload = Payload { msg: secret.value.as_bytes(), aad: beside.as_bytes() };
    let sealed = cipher(key).encrypt(&XNonce::from(nonce), payload).expect("a short text");
    ClosedSecret {
        nonce: STANDARD.encode(nonce),
        value: STANDARD.encode(sealed),
        bound: secret.bound.clone(),
        set_at: secret.set_at.clone(),
    }
}

/// What is authenticated with a value.
fn beside(name: &str, bound: &[String]) -> String {
    serde_json::json!(["panta secret 1", name, bound]).to_string()
}

/// Makes a renamed file durable.
pub(super) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}
