//! Marks of placeholders: what makes a text that stands for a secret one that only this process can have written.
//!
//! A mark is a MAC over whose it is and which secret it means, under a key that the data folder keeps and that goes nowhere. With
//! another key nothing is lost but that: what a run has recorded with marks in it stands for nothing from then on.

use std::path::PathBuf;
use std::sync::OnceLock;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::key_file::{self, SIZE};
use crate::placeholder::MarkKind;

/// The file in the data folder.
pub const MARK_KEY_FILE: &str = "marks.key";
/// Makes marks and knows them again.
#[derive(Debug, Default)]
pub(super) struct Marker {
    /// Where the key is; `None`: it lives as long as this process.
    pub(super) file: Option<PathBuf>,
    key: OnceLock<[u8; SIZE]>,
}

impl Marker {
    pub(super) fn in_file(file: PathBuf) -> Self {
        Self { file: Some(file), key: OnceLock::new() }
    }

    /// Reads the key, or makes it, now.
    pub(super) fn load(&self) -> std::io::Result<()> {
        if let (Some(file), None) = (&self.file, self.key.get()) {
            let key = key_file::load_or_make(file)?;
            self.key.get_or_init(|| key);
        }
        Ok(())
    }

    pub(super) fn mark(&self, kind: MarkKind, scope: &str, name: &str) -> String {
        let mut mac = <Hmac<Sha256>>::new_from_slice(self.key()).expect("a key of any length");
        let whose = match kind {
            MarkKind::Run => "run",
            MarkKind::Declared => "declared",
        };
        for part in ["a placeholder", whose, scope, name] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        kind.mark(mac.finalize().into_bytes().into())
    }

    fn key(&self) -> &[u8; SIZE] {
        if let Err(error) = self.load() {
            tracing::error!(
                "`{}` cannot be used: {error}; what was recorded with secrets in it is not sent; hint: see that this user may read and write it",
                self.file.as_deref().unwrap_or(std::path::Path::new("")).display()
            );
        }
        self.key.get_or_init(|| *of_process())
    }
}

/// A key of this process.
fn of_process() -> &'static [u8; SIZE] {
    static KEY: OnceLock<[u8; SIZE]> = OnceLock::new();
    KEY.get_or_init(|| {
        let mut key = [0; SIZE];
        key_file::random(&mut key).expect("the system gives random numbers");
        key
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_that_of_its_kind_its_scope_and_its_secret() {
        let marker = Marker::default();
        let made = |kind, scope, name| marker.mark(kind, scope, name);
        let one = made(MarkKind::Run, "r1", "api");
        assert_eq!((MarkKind::of(&one), one.len()), (Some(MarkKind::Run), 16));
        assert_eq!(one, made(MarkKind::Run, "r1", "api"));
        let others = [
            made(MarkKind::Declared, "r1", "api"),
            made(MarkKind::Run, "r2", "api"),
            made(MarkKind::Run, "r1", "other"),
            made(MarkKind::Run, "r1a", "pi"),
        ];
        assert!(others.iter().all(|other| other[1..] != one[1..]), "{others:?}");
        for none in ["declared", "echo", "38dec1dc9cf7d07b", "", "r", "⟦", "raaaaaaaaaaaaaa1"] {
            assert_eq!(MarkKind::of(none), None, "{none}");
        }
    }

    #[test]
    fn the_key_is_that_of_the_data_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = |path: &str| {
            let marker = Marker::in_file(folder.path().join(path));
            marker.load().expect("is made");
            marker.mark(MarkKind::Run, "r1", "api")
        };
        assert_eq!(mark("a"), mark("a"));
        assert_ne!(mark("a"), mark("b"));
        std::fs::write(folder.path().join("bad"), "short").expect("writes");
        assert!(Marker::in_file(folder.path().join("bad")).load().is_err());
    }
}
