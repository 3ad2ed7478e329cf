//! The key under which secrets lie in the file: 32 bytes, from the environment, a credential of the service, or a file that
//! only its owner reads.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Error;
use super::key_file::{self, SIZE};

/// The variable that holds the key, in base64.
pub const VARIABLE: &str = "PANTA_SECRETS_KEY";
/// The file in the data folder, and the name of the credential.
pub const FILE: &str = "secrets.key";
/// Where the service manager puts credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// A key; gone from memory when it is dropped.
pub(super) type Key = Zeroizing<[u8; SIZE]>;

/// Where the key comes from.
#[derive(Clone, Debug)]
pub struct KeySource {
    /// The value of [`VARIABLE`].
    variable: Option<Zeroizing<String>>,
    /// The credential, when the service manager gives one.
    credential: Option<PathBuf>,
    /// The file.
    file: PathBuf,
}

impl KeySource {
    /// From the environment, else from this file (by default `secrets.key` in the data folder).
    pub fn new(variable: &dyn Fn(&str) -> Option<String>, data: &Path, file: Option<PathBuf>) -> Self {
        let credential =
            variable(CREDENTIALS).map(|folder| Path::new(&folder).join(FILE)).filter(|path| path.is_file());
        let file = file.unwrap_or_else(|| data.join(FILE));
        Self { variable: variable(VARIABLE).map(Zeroizing::new), credential, file }
    }

    /// The key, where there is one.
    pub(super) fn load(&self) -> Result<Option<Key>, Error> {
        if let Some(text) = &self.variable {
            return decoded(text.trim().as_bytes()).map(Some).ok_or_else(|| Error::Key {
                place: format!("the variable `{VARIABLE}`"),
                why: "it is not 32 bytes in base64".to_owned(),
                hint: "make one with `head -c 32 /dev/urandom | base64`".to_owned(),
            });
        }
        // The service manager gives it to the service alone, by its own means.
        if let Some(path) = &self.credential {
            return read(path).map(Some);
        }
        if !self.file.exists() {
            return Ok(None);
        }
        owner_only(&self.file)?;
        read(&self.file).map(Some)
    }

    /// The key, made in the file where there is none.
    pub(super) fn load_or_make(&self) -> Result<Key, Error> {
        match self.load()? {
            Some(key) => Ok(key),
            None => make(&self.file),
        }
    }

    /// Where a key is looked for, for messages.
    pub(super) fn places(&self) -> String {
        format!("the variable `{VARIABLE}`, the credential `{FILE}` and the file `{}`", self.file.display())
    }
}

/// 32 bytes as they are, or in base64.
fn decoded(bytes: &[u8]) -> Option<Key> {
    if let Ok(key) = bytes.try_into() {
        return Some(Zeroizing::new(key));
    }
    let text = bytes.trim_ascii();
    let decoded = Zeroizing::new(STANDARD.decode(text).ok()?);
    decoded.as_slice().try_into().ok().map(Zeroizing::new)
}

fn read(path: &Path) -> Result<Key, Error> {
    let unusable = |why: String, hint: &str| Error::Key {
        place: format!("the key file `{}`", path.display()),
        why,
        hint: hint.to_owned(),
    };
    let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string(), "see that this user can read it"))?;
    let bytes = Zeroizing::new(bytes);
    decoded(&bytes)
        .ok_or_else(|| unusable("it does not hold 32 bytes".to_owned(), "restore it: without it the secrets are lost"))
}

/// A key that others can read protects nothing.
fn owner_only(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map(|found| found.permissions().mode() & 0o777).unwrap_or_default();
        if mode & 0o077 != 0 {
            return Err(Error::Key {
                place: format!("the key file `{}`", path.display()),
                why: format!("others may read it (mode {mode:04o})"),
                hint: format!("`chmod 600 {}`, and change the secrets if others were there", path.display()),
            });
        }
    }
    Ok(())
}

fn make(path: &Path) -> Result<Key, Error> {
    key_file::load_or_make(path).map(Zeroizing::new).map_err(|error| Error::Key {
        place: format!("the key file `{}`", path.display()),
        why: format!("it cannot be made: {error}"),
        hint: "see that this user may write there".to_owned(),
    })
}
