//! One source file: from bytes to text that the parser takes, and the refusal of what is no script.
//!
//! Positions are kept: a byte-order mark, `\r` and a `#!` line are removed in a way that changes no line number.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::diag::{Diagnostic, Place};

/// Largest script in bytes. Parsing costs about 8 ms for 24 KiB, and positions count lines in 16 bits: a script
/// beyond this is data, which belongs in a file that the script reads.
pub const MAX_BYTES: usize = 256 * 1024;

/// A script's text under its path below the scripts folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Relative to the scripts folder, `/` between the parts: `orders/invoice.rhai`.
    pub path: String,
    /// Line ends are `\n`, and a `#!` line is blank.
    pub text: Arc<str>,
}

impl Source {
    /// Takes the bytes of a file.
    pub fn from_bytes(path: &str, bytes: &[u8]) -> Result<Self, Diagnostic> {
        if bytes.len() > MAX_BYTES {
            return Err(too_large(path, bytes.len() as u64));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(path, bytes, error.valid_up_to()))?;
        if let Some(at) = text.find('\0') {
            let hint = "the file is not a text file, or was damaged";
            return Err(Diagnostic::new("E0102", "file contains a NUL byte", place_of_byte(path, text, at)).hint(hint));
        }
        Ok(Self { path: path.to_owned(), text: normalise(text).into() })
    }

    /// Takes text that is at hand, such as a module that is built in.
    pub fn from_text(path: &str, text: &str) -> Result<Self, Diagnostic> {
        Self::from_bytes(path, text.as_bytes())
    }

    /// A line by its number from 1, without its line end.
    pub fn line(&self, number: usize) -> Option<&str> {
        self.text.split('\n').nth(number.checked_sub(1)?)
    }

    /// A place in this source.
    pub fn place(&self, line: usize, column: usize, width: usize) -> Place {
        let source = self.line(line).unwrap_or_default().to_owned();
        Place { file: self.path.clone(), line, column: column.max(1), width: width.max(1), source }
    }
}

/// Reads a script from the folder `root`, never blocking on what is not a regular file.
pub fn read_file(root: &Path, path: &str) -> Result<Source, Diagnostic> {
    let full = resolve(root, path)?;
    let meta = std::fs::metadata(&full).map_err(|error| unreadable(path, &error))?;
    if !meta.is_file() {
        let what = if meta.is_dir() { "is a folder" } else { "is not a regular file" };
        return Err(Diagnostic::new("E0104", format!("`{path}` {what}"), Place::file(path)));
    }
    if meta.len() > MAX_BYTES as u64 {
        return Err(too_large(path, meta.len()));
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    // One byte beyond the limit tells a file that grew meanwhile from one that just fits.
    let file = open(&full).map_err(|error| unreadable(path, &error))?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    Source::from_bytes(path, &bytes)
}

/// Opens without blocking: what was a regular file a moment ago may have been replaced by a pipe.
pub(crate) fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        /// `O_NONBLOCK` on Linux; elsewhere the check of the file type has to do.
        const O_NONBLOCK: i32 = if cfg!(target_os = "linux") { 0o4000 } else { 0 };
        options.custom_flags(O_NONBLOCK);
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(ErrorKind::InvalidInput.into()) }
}

/// Follows links, and refuses those that leave the scripts folder.
fn resolve(root: &Path, path: &str) -> Result<PathBuf, Diagnostic> {
    let root = root.canonicalize().map_err(|error| unreadable(path, &error))?;
    let full = root.join(path).canonicalize().map_err(|error| unreadable(path, &error))?;
    if full.starts_with(&root) {
        return Ok(full);
    }
    let title = format!("`{path}` points outside of the scripts folder");
    Err(Diagnostic::new("E0105", title, Place::file(path))
        .hint("it is a link, or lies below one: copy the file into the scripts folder"))
}

fn normalise(text: &str) -> String {
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() };
    if !text.starts_with("#!") {
        return text;
    }
    text.find('\n').map_or_else(String::new, |end| text[end..].to_owned())
}

fn not_utf8(path: &str, bytes: &[u8], at: usize) -> Diagnostic {
    let valid = String::from_utf8_lossy(&bytes[..at]);
    let line = valid.matches('\n').count() + 1;
    let before = valid.rsplit('\n').next().unwrap_or_default();
    let rest = bytes[at..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let source = format!("{before}{}", String::from_utf8_lossy(rest)).trim_end_matches('\r').to_owned();
    let column = before.chars().count() + 1;
    let place = Place { file: path.to_owned(), line, column, width: 1, source };
    Diagnostic::new("E0101", "file is not UTF-8 text", place).hint("save it with the encoding UTF-8")
}

fn place_of_byte(path: &str, text: &str, at: usize) -> Place {
    let line = text[..at].matches('\n').count() + 1;
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let source = text[start..].lines().next().unwrap_or_default().to_owned();
    Place { file: path.to_owned(), line, column: text[start..at].chars().count() + 1, width: 1, source }
}

fn too_large(path: &str, bytes: u64) -> Diagnostic {
    let title = format!("file is too large: {} KiB, at most {} KiB", bytes.div_ceil(1024), MAX_BYTES / 1024);
    let hint = "move data into a file that the script reads with `file::read`, and functions into modules";
    Diagnostic::new("E0103", title, Place::file(path)).hint(hint)
}

fn unreadable(path: &str, error: &std::io::Error) -> Diagnostic {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            Diagnostic::new("E0107", format!("there is no file `{path}`"), Place::file(path))
        }
        ErrorKind::InvalidInput => {
            Diagnostic::new("E0104", format!("`{path}` is not a regular file"), Place::file(path))
        }
        _ => Diagnostic::new("E0106", format!("`{path}` cannot be read: {error}"), Place::file(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        Source::from_bytes("a.rhai", bytes).unwrap().text.to_string()
    }

    fn fault(bytes: &[u8]) -> (String, usize, usize) {
        let diagnostic = Source::from_bytes("a.rhai", bytes).unwrap_err();
        (diagnostic.code, diagnostic.place.line, diagnostic.place.column)
    }

    #[test]
    fn accepted_oddities_keep_line_numbers() {
        assert_eq!(text(b"\xef\xbb\xbflet a = 1;\r\nlet b = 2;\r\n"), "let a = 1;\nlet b = 2;\n");
        assert_eq!(text(b"\xef\xbb\xbf#!/usr/bin/env panta\nlet b = 2;"), "\nlet b = 2;");
        assert_eq!(text(b"#!x"), "");
        assert_eq!(text(b"1;\r2;"), "1;\n2;");
        assert_eq!(text(b""), "");
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_line() {
        assert_eq!(fault(b"let a = 1;\nlet b = \"\xff\";"), ("E0101".into(), 2, 10));
        assert_eq!(fault(b"a\n\nb\0"), ("E0102".into(), 3, 2));
        assert_eq!(fault(&vec![b' '; MAX_BYTES + 1]).0, "E0103");
    }

    #[test]
    fn the_largest_file_is_accepted() {
        assert_eq!(text(&vec![b'\n'; MAX_BYTES]).len(), MAX_BYTES);
    }

    #[cfg(unix)]
    #[test]
    fn files_that_are_no_scripts() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("scripts");
        std::fs::create_dir_all(root.join("folder.rhai")).unwrap();
        std::fs::write(dir.path().join("outside.rhai"), "1").unwrap();
        std::fs::write(root.join("fine.rhai"), "1").unwrap();
        std::os::unix::fs::symlink(dir.path().join("outside.rhai"), root.join("link.rhai")).unwrap();
        std::os::unix::fs::symlink("fine.rhai", root.join("inner.rhai")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(root.join("pipe.rhai")).status().unwrap().success());
        let code = |path: &str| read_file(&root, path).map_or_else(|d| d.code, |s| s.text.to_string());
        let codes = ["fine.rhai", "inner.rhai", "folder.rhai", "pipe.rhai", "link.rhai", "none.rhai"].map(code);
        assert_eq!(codes, ["1", "1", "E0104", "E0104", "E0105", "E0107"]);
    }
}
