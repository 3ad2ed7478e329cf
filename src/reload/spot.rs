//! A look at some files of the folder alone, so that what a save costs does not grow with the number of scripts.
//!
//! It tells only what a look at the whole folder would tell, too: of regular files with one name, below folders that are none but
//! folders, and of scripts that are gone. Of all else (links, folders, what cannot be read) the whole folder is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path};

use super::folder::{DEPTH_MAX, Reader, Source, is_script, read_source};
use crate::time::{Clock as _, SystemClock};

/// What was found at each of some paths; no source where nothing is.
pub(super) type Spots = BTreeMap<String, Option<Source>>;

/// Only a look at all can tell.
struct Unsure;

/// The path below the folder, with `/` between, where a script may be that is read; nothing of any other path.
pub(super) fn name_of(root: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(root).ok()?;
    let words: Option<Vec<&str>> = below.components().map(word).collect();
    let words = words.filter(|words| (1..=DEPTH_MAX).contains(&words.len()))?;
    let (name, folders) = words.split_last()?;
    let is_read = is_script(name) && folders.iter().all(|folder| !folder.starts_with('.') && !is_script(folder));
    is_read.then(|| words.join("/"))
}

fn word(component: Component<'_>) -> Option<&str> {
    match component {
        Component::Normal(word) => word.to_str().filter(|word| !word.contains(char::is_control)),
        _ => None,
    }
}

impl Reader {
    /// What is at these paths below the folder, each as [`name_of`] has it; nothing where only a look at all can tell.
    pub(super) fn spots(&mut self, root: &Path, names: &BTreeSet<String>) -> Option<Spots> {
        // What a link leads to changes without a notice of the link's own name.
        if self.has_links {
            return None;
        }
        let real_root = root.canonicalize().ok()?;
        names.iter().map(|name| Some((name.clone(), self.spot(&real_root, name).ok()?))).collect()
    }

    fn spot(&mut self, real_root: &Path, name: &str) -> Result<Option<Source>, Unsure> {
        let at = real_root.join(name);
        let metadata = match fs::symlink_metadata(&at) {
            Ok(metadata) => metadata,
            // Gone by itself, not with the folder around it.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = at.parent().ok_or(Unsure)?;
                self.known.remove(name);
                return if is_real(folder) { Ok(None) } else { Err(Unsure) };
            }
            Err(_) => return Err(Unsure),
        };
        let is_plain = metadata.is_file() && metadata.nlink() == 1 && is_real(&at);
        let known = self.known.remove(name);
        let (stamp, source) = match read_source(real_root, &at, false, known.filter(|_| is_plain)) {
            Ok(Ok(seen)) if is_plain => seen,
            _ => return Err(Unsure),
        };
        if stamp.is_old(SystemClock.now()) {
            self.known.insert(name.to_owned(), (stamp, source.clone()));
        }
        Ok(Some(source))
    }
}

/// Whether no part of the path is a link.
fn is_real(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|real| real == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> (tempfile::TempDir, Reader) {
        let (folder, mut reader) = (tempfile::tempdir().unwrap(), Reader::default());
        for name in files {
            let at = folder.path().join(name);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, "1").unwrap();
        }
        reader.read(folder.path()).unwrap();
        (folder, reader)
    }

    /// What is found, as text; `-` where nothing is.
    fn found(folder: &tempfile::TempDir, reader: &mut Reader, names: &[&str]) -> Option<Vec<String>> {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let text = |source: Source| String::from_utf8_lossy(&source.bytes).into_owned();
        let spots = reader.spots(folder.path(), &names)?;
        Some(spots.into_values().map(|source| source.map_or_else(|| "-".to_owned(), text)).collect())
    }

    fn all(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn what_was_saved_and_what_is_gone_is_found_without_the_rest() {
        let (folder, mut reader) = folder(&["a.rhai", "orders/b.rhai", "orders/c.rhai"]);
        fs::write(folder.path().join("a.rhai"), "2").unwrap();
        fs::remove_file(folder.path().join("orders/b.rhai")).unwrap();
        assert_eq!(found(&folder, &mut reader, &["a.rhai", "orders/b.rhai"]), Some(all(&["2", "-"])));
    }

    #[test]
    fn links_folders_and_what_went_with_its_folder_need_a_look_at_all() {
        let names = ["folder.rhai", "link.rhai", "hard.rhai", "gone/a.rhai", "moved/a.rhai"];
        let (folder, mut reader) = folder(&["a.rhai", "orders/b.rhai"]);
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("folder.rhai")).unwrap();
        std::os::unix::fs::symlink("a.rhai", at("link.rhai")).unwrap();
        fs::hard_link(at("orders/b.rhai"), at("hard.rhai")).unwrap();
        std::os::unix::fs::symlink("orders", at("moved")).unwrap();
        for name in names {
            assert_eq!(found(&folder, &mut reader, &[name]), None, "{name}");
        }
        assert_eq!(found(&folder, &mut reader, &["a.rhai"]), Some(all(&["1"])));
        reader.read(folder.path()).unwrap();
        assert_eq!(found(&folder, &mut reader, &["a.rhai"]), None, "a link may lead to it");
    }

    #[test]
    fn only_scripts_that_are_read_have_a_name() {
        let name = |path: &str| name_of(Path::new("/s"), Path::new(path));
        assert_eq!(name("/s/orders/a.rhai").as_deref(), Some("orders/a.rhai"));
        for path in ["/s", "/t/a.rhai", "/s/orders", "/s/.git/a.rhai", "/s/x.rhai/a.rhai", "/s/.a.rhai", "/s/\n.rhai"] {
            assert_eq!(name(path), None, "{path}");
        }
    }
}
