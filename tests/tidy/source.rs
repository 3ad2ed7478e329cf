//! Reading `src/`.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of `src/`.
pub(super) struct Source {
    /// From `src/` down, with `/`.
    pub(super) path: String,
    /// Number and code of each line, without line comments, in front of the file's tests.
    pub(super) lines: Vec<(usize, String)>,
}

impl Source {
    /// The module's path: `trigger/cron` for `trigger/cron.rs`, `trigger` for `trigger/mod.rs`.
    pub(super) fn name(&self) -> &str {
        let path = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        path.strip_suffix("/mod").unwrap_or(path)
    }

    /// The module below the crate's root that it belongs to.
    pub(super) fn module(&self) -> &str {
        self.name().split('/').next().unwrap_or_default()
    }

    /// Whether it holds nothing but tests.
    pub(super) fn is_test(&self) -> bool {
        self.path.split(['/', '.']).any(|part| ["tests", "testing"].contains(&part))
    }

    /// Places where the code has `text`, as `path:line: code`.
    pub(super) fn places(&self, text: &str) -> Vec<String> {
        let hits = self.lines.iter().filter(|(_, line)| line.contains(text));
        hits.map(|(number, line)| format!("src/{}:{number}: {}", self.path, line.trim())).collect()
    }
}

/// Every file of `src/` that is not a test.
pub(super) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let read = |file: &PathBuf| {
        let path = file.strip_prefix(&root).expect("below the root").to_string_lossy().replace('\\', "/");
        Source { path, lines: code(&fs::read_to_string(file).expect("a source")) }
    };
    files.iter().map(read).filter(|source| !source.is_test()).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The lines in front of `#[cfg(test)] mod …`, without what follows `//`.
fn code(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<_> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].contains("mod "));
    let code = lines[..tests.unwrap_or(lines.len())].iter().enumerate();
    code.map(|(index, line)| (index + 1, strip(line).to_owned())).collect()
}

fn strip(line: &str) -> &str {
    match line.split_once("//") {
        // `https://` in a string is no comment.
        Some((before, _)) if !before.ends_with(':') => before,
        _ => line,
    }
}
