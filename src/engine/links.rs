//! Signed addresses: where a person answers a task, and where a system outside emits an event.
//!
//! What an address allows is written in it, under an HMAC-SHA256 with a key of this node; the key is made once and kept in the
//! data folder, for its owner alone. A link to a task may name the person whom it was sent to: then it answers as nobody
//! else.

mod hide;
mod replies;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::shared::held;
use crate::id::{RunId, TaskId};
use crate::time::Timestamp;
use crate::vault::key_file;
pub use hide::Hides;
pub use replies::Sender;

/// The name of the key's file in the data folder.
const FILE: &str = "links.key";
/// Bytes of the key, and of a signature.
const SIZE: usize = 32;

/// What an address is for. Part of what is signed, so that none passes for the other.
#[derive(Clone, Copy)]
enum Purpose {
    Task,
    Event,
    Mail,
}

impl Purpose {
    fn mark(self) -> &'static [u8] {
        match self {
            Self::Task => b"task\0",
            Self::Event => b"event\0",
            Self::Mail => b"mail\0",
        }
    }
}

/// What a signed address of an event says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EventLink {
    /// The event's name.
    pub name: String,
    /// Its correlation key.
    pub key: Option<String>,
    /// When the address ends.
    pub expires: Option<Timestamp>,
}

/// What a signed address of a task says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskLink {
    /// The task.
    pub task: TaskId,
    /// Whom it was sent to.
    pub person: Option<String>,
}

/// Who is given the address of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entitled<'a> {
    /// Nobody: who asks may not answer.
    Nobody,
    /// This person: with it they answer as nobody else.
    Person(&'a str),
    /// Whoever has it.
    Anybody,
}

/// Makes and reads signed addresses.
#[derive(Debug)]
pub struct Links {
    base: String,
    folder: PathBuf,
    key: Mutex<Option<[u8; SIZE]>>,
}

impl Links {
    /// Below this URL, with the key of this data folder, which is read or made when it is first needed.
    pub fn new(base: &str, data: &Path) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), folder: data.to_owned(), key: Mutex::new(None) }
    }

    /// Below this URL, with this key.
    pub fn with_key(base: &str, key: [u8; SIZE]) -> Self {
        Self { key: Mutex::new(Some(key)), ..Self::new(base, Path::new("")) }
    }

    /// The page of a run. It is not signed.
    pub fn run(&self, run: RunId) -> String {
        format!("{}/runs/{run}", self.base)
    }

    /// The address of a task, for anybody or for one person. The error says why there is no key.
    pub fn task(&self, task: TaskId, person: Option<&str>) -> Result<String, String> {
        let body = [task.0.as_bytes().as_slice(), person.unwrap_or_default().as_bytes()].concat();
        Ok(format!("{}/t/{}", self.base, self.sign(Purpose::Task, body)?))
    }

    /// The task that an address means; `None`: it is not signed by this node.
    pub fn read_task(&self, token: &str) -> Option<TaskLink> {
        let body = self.verify(Purpose::Task, token)?;
        let (id, person) = body.split_at_checked(16)?;
        let person = String::from_utf8(person.to_vec()).ok()?;
        let task = TaskId(uuid::Uuid::from_slice(id).ok()?);
        Some(TaskLink { task, person: Some(person).filter(|person| !person.is_empty()) })
    }

    /// The address of an event.
    pub fn event(&self, link: &EventLink) -> Result<String, String> {
        let body = serde_json::to_vec(link).map_err(|error| error.to_string())?;
        Ok(format!("{}/e/{}", self.base, self.sign(Purpose::Event, body)?))
    }

    /// The event that an address means; `None`: it is not signed by this node. Whether it has ended is the caller's to see.
    pub fn read_event(&self, token: &str) -> Option<EventLink> {
        serde_json::from_slice(&self.verify(Purpose::Event, token)?).ok()
    }

    fn sign(&self, purpose: Purpose, mut body: Vec<u8>) -> Result<String, String> {
        let mac = mac(&self.key()?, purpose, &body).finalize().into_bytes();
        body.extend(mac);
        Ok(URL_SAFE_NO_PAD.encode(body))
    }

    fn verify(&self, purpose: Purpose, token: &str) -> Option<Vec<u8>> {
        let mut body = URL_SAFE_NO_PAD.decode(token).ok()?;
        let signature = body.split_off(body.len().checked_sub(SIZE)?);
        let key = self.key().map_err(|problem| tracing::error!("{problem}")).ok()?;
        // In constant time.
        mac(&key, purpose, &body).verify_slice(&signature).ok()?;
        Some(body)
    }

    fn key(&self) -> Result<[u8; SIZE], String> {
        let mut kept = held(&self.key);
        if let Some(key) = *kept {
            return Ok(key);
        }
        let path = self.folder.join(FILE);
        let key = key_file::load_or_make(&path)
            .map_err(|error| format!("the key of signed addresses `{}` cannot be read: {error}", path.display()))?;
        Ok(*kept.insert(key))
    }
}

fn mac(key: &[u8; SIZE], purpose: Purpose, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(purpose.mark());
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(url: &str) -> &str {
        url.rsplit('/').next().expect("a path")
    }

    #[test]
    fn an_address_says_what_was_signed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let links = Links::new("https://panta.example.com/", folder.path());
        let task = TaskId(uuid::Uuid::from_u128(7));
        let url = links.task(task, Some("ann")).expect("a key");
        assert!(url.starts_with("https://panta.example.com/t/"), "{url}");
        assert_eq!(links.read_task(token(&url)), Some(TaskLink { task, person: Some("ann".into()) }));
        assert_eq!(links.read_event(token(&url)), None, "it passes for no address of an event");
        for at in 0..token(&url).len() {
            let mut forged = token(&url).to_owned().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(links.read_task(std::str::from_utf8(&forged).expect("text")), None, "changed at {at}");
        }
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = EventLink { name: "paid".into(), key: None, expires: Some(Timestamp(5)) };
        let url = Links::new("http://x", folder.path()).event(&link).expect("a key");
        assert_eq!(Links::new("http://x", folder.path()).read_event(token(&url)), Some(link));
        let other = tempfile::tempdir().expect("a folder");
        assert_eq!(Links::new("http://x", other.path()).read_event(token(&url)), None);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(folder.path().join(FILE)).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::write(folder.path().join(FILE), "short").expect("is written");
        assert!(Links::new("http://x", folder.path()).task(TaskId(uuid::Uuid::nil()), None).is_err());
    }
}
