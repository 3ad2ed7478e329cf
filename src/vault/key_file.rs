//! Keys that a data folder keeps: 32 random bytes in a file of their own, for its owner alone.

use std::io::Write as _;
use std::path::Path;

use super::file::sync_folder;

/// Bytes of a key.
pub const SIZE: usize = 32;

/// Fills bytes at random. An error where the system gives no random numbers.
pub fn random(bytes: &mut [u8]) -> std::io::Result<()> {
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(bytes).map_err(|_| std::io::Error::other("the system gives no random numbers"))
}

/// The key in a file, which is made where there is none. Of several that make it at once, all get the same. A crash leaves the
/// file whole or not there; once this returns, it is durable. An error where it is of another length, or cannot be read or made.
pub fn load_or_make(path: &Path) -> std::io::Result<[u8; SIZE]> {
    match std::fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|_| std::io::Error::other(format!("it does not hold {SIZE} bytes"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
}

/// Only its owner reads it: temporary files are made so.
fn make(path: &Path) -> std::io::Result<[u8; SIZE]> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut key = [0; SIZE];
    random(&mut key)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_folder(folder).map(|()| key),
        // Somebody was quicker.
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => load_or_make(path),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_one_of_another_length_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("below").join("key");
        let made = load_or_make(&path).expect("is made");
        assert_eq!(load_or_make(&path).expect("is read"), made);
        assert_ne!(load_or_make(&folder.path().join("other")).expect("is made"), made);
        std::fs::write(&path, "short").expect("writes");
        assert_eq!(load_or_make(&path).expect_err("refused").to_string(), "it does not hold 32 bytes");
    }
}
