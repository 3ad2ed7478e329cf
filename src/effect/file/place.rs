//! Where a workflow's files are: from the path in a script to the one on disk, or a refusal.
//!
//! Symbolic links are followed here, one part of the path after the other, and where they lead must be allowed too.
//! Between this check and the act a link could be swapped by another program; only programs that run as the same user
//! can do that, and they need no script to reach the file.

use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use globset::{GlobBuilder, GlobMatcher};

use crate::effect::allow::allow_line;
use crate::effect::{Failure, Limits};

/// Names that begin so are our own, and in no list.
pub(super) const OWN_PREFIX: &str = ".panta";

/// The files that one workflow may touch.
#[derive(Clone)]
pub(in crate::effect) struct Place {
    folder: PathBuf,
    globs: Vec<String>,
    limits: Limits,
    /// Looked up when first needed, as looking takes time.
    root: OnceLock<PathBuf>,
    matchers: OnceLock<Vec<GlobMatcher>>,
}

/// A path that was checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::effect) struct Spot {
    /// On disk; no part of it but the last is a link.
    pub(in crate::effect) real: PathBuf,
    /// As the script wrote it.
    pub(in crate::effect) shown: String,
}

/// What to do with a link at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastLink {
    Follow,
    Keep,
}

impl Place {
    pub(in crate::effect) fn new(folder: &Path, globs: &[String], limits: Limits) -> Self {
        Self {
            folder: folder.to_owned(),
            globs: globs.to_vec(),
            limits,
            root: OnceLock::new(),
            matchers: OnceLock::new(),
        }
    }

    /// The workflow's folder, without links. One that is not there yet has none in it.
    fn root(&self) -> &Path {
        self.root.get_or_init(|| self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone()))
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The file that a path means: a link at its end stands for where it leads.
    pub(in crate::effect) fn target(&self, path: &str) -> Result<Spot, Failure> {
        self.check(path, self.resolve(path, LastLink::Follow)?)
    }

    /// The directory entry that a path means: a link at its end stands for itself.
    pub(super) fn entry(&self, path: &str) -> Result<Spot, Failure> {
        let spot = self.check(path, self.resolve(path, LastLink::Keep)?)?;
        if spot.real == self.root() {
            let message = format!("`{path}` is the workflow's own folder; hint: name something in it");
            return Err(Failure::denied(message));
        }
        Ok(spot)
    }

    /// The temporary folder of a run.
    pub(super) fn temp(&self, run: &str) -> Result<Spot, Failure> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if run.is_empty() || !run.chars().all(plain) {
            return Err(Failure::invalid(format!("`{run}` is no run id; hint: ids have letters, digits, `-` and `_`")));
        }
        self.target(&format!("{OWN_PREFIX}/temp/{run}"))
    }

    /// The folder in which a list begins. Outside of the own folder it need not be allowed itself, but something in it
    /// must be; what is found is checked one by one.
    pub(super) fn list_root(&self, path: &str) -> Result<Spot, Failure> {
        let real = self.resolve(if path.is_empty() { "." } else { path }, LastLink::Follow)?;
        let overlaps = |glob: &String| {
            let base = fixed_part(glob).0;
            base.starts_with(&real) || real.starts_with(&base)
        };
        if real.starts_with(self.root()) || self.globs.iter().any(overlaps) {
            return Ok(Spot { real, shown: path.to_owned() });
        }
        Err(self.outside(&format!("{path}/*"), &real.join("*")))
    }

    /// Whether a path on disk may be touched.
    pub(super) fn permits(&self, real: &Path) -> bool {
        let matchers = || self.matchers.get_or_init(|| self.globs.iter().filter_map(|glob| matcher(glob)).collect());
        real.starts_with(self.root()) || matchers().iter().any(|glob| glob.is_match(real))
    }

    fn check(&self, path: &str, real: PathBuf) -> Result<Spot, Failure> {
        if self.permits(&real) { Ok(Spot { real, shown: path.to_owned() }) } else { Err(self.outside(path, &real)) }
    }

    fn outside(&self, path: &str, real: &Path) -> Failure {
        let leads =
            if Path::new(path) == real { String::new() } else { format!(" leads to `{}`, which", real.display()) };
        let line = allow_line("files", self.globs.iter().cloned(), &real.to_string_lossy());
        Failure::denied(format!(
            "`{path}`{leads} is outside the workflow's folder; hint: add `{line}` to `workflow(…)`"
        ))
    }

    fn resolve(&self, path: &str, last: LastLink) -> Result<PathBuf, Failure> {
        let parts = parts(path)?;
        let mut real = if Path::new(path).is_absolute() {
            PathBuf::from("/")
        } else if self.folder.as_os_str().is_empty() {
            return Err(Failure::denied(
                "files have no folder here; hint: use absolute paths that `allow.files` covers",
            ));
        } else {
            self.root().to_owned()
        };
        for (index, part) in parts.iter().enumerate() {
            real.push(part);
            let is_last = index + 1 == parts.len();
            let is_link = real.symlink_metadata().is_ok_and(|found| found.is_symlink());
            if is_link && (!is_last || last == LastLink::Follow) {
                real = real.canonicalize().map_err(|_| {
                    let message = format!("`{path}` goes through a link that leads nowhere");
                    Failure::new("not_found", format!("{message}; hint: remove or repair the link"))
                })?;
            }
        }
        Ok(real)
    }
}

/// The names in a path, of which none leads up.
fn parts(path: &str) -> Result<Vec<&str>, Failure> {
    if path.is_empty() || path.contains('\0') {
        return Err(Failure::invalid(format!("`{}` is no path; hint: give a file's name", path.escape_debug())));
    }
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => parts.extend(name.to_str()),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                let hint = "name it from the workflow's folder down, or by an absolute path that `allow.files` covers";
                return Err(Failure::denied(format!("`{path}` leads out of the workflow's folder; hint: {hint}")));
            }
        }
    }
    Ok(parts)
}

/// Whether an entry of `allow.files` can be used; the error says why not.
pub(in crate::effect) fn check_allowed_glob(glob: &str) -> Result<(), String> {
    let hint = "hint: write an absolute path such as `/srv/inbox/*.csv`";
    if !Path::new(glob).is_absolute() {
        return Err(format!(
            "`{glob}` in `files` is not absolute, and the workflow's own folder is open to it; {hint}"
        ));
    }
    if Path::new(glob).components().any(|part| part == Component::ParentDir) {
        return Err(format!("`{glob}` in `files` has `..` in it; {hint}"));
    }
    pattern(glob).map(|_| ()).map_err(|error| format!("`{glob}` in `files` is no glob: {error}; {hint}"))
}

/// A compiled glob: `*` and `?` stay within a name.
pub(super) fn pattern(glob: &str) -> Result<GlobMatcher, globset::Error> {
    GlobBuilder::new(glob).literal_separator(true).build().map(|glob| glob.compile_matcher())
}

/// The folders at the beginning of a glob that are plain names, and the rest.
pub(super) fn split_glob(glob: &str) -> (&str, &str) {
    let first = glob.find(['*', '?', '[', '{', '\\']).unwrap_or(glob.len());
    if first == glob.len() {
        return (glob, "");
    }
    let cut = glob[..first].rfind('/').map_or(0, |slash| slash + 1);
    (&glob[..cut], &glob[cut..])
}

/// The fixed part of a glob of `allow.files` on disk, its links followed (`/var/run` is one on many machines).
fn fixed_part(glob: &str) -> (PathBuf, &str) {
    let (base, rest) = split_glob(glob);
    let path = Path::new(base);
    let real = path.canonicalize().or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => parent.canonicalize().map(|parent| parent.join(name)),
        _ => Ok(path.to_owned()),
    });
    (real.unwrap_or_else(|_| path.to_owned()), rest)
}

fn matcher(glob: &str) -> Option<GlobMatcher> {
    let (base, rest) = fixed_part(glob);
    let base = globset::escape(base.to_str()?);
    let whole = if rest.is_empty() { base } else { format!("{}/{rest}", base.trim_end_matches('/')) };
    pattern(&whole).ok()
}
