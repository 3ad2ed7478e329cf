//! From the name of a program to the file that is run.

use std::path::{Component, Path, PathBuf};

use crate::effect::Failure;

/// Where programs are where the daemon's own environment does not say.
const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The folders of programs, without those that depend on where one stands: a script can write there.
pub(super) fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_else(|_| USUAL.to_owned());
    let absolute = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    std::env::join_paths(absolute).ok().and_then(|path| path.into_string().ok()).unwrap_or_else(|| USUAL.to_owned())
}

/// Whether this can name a program.
pub(super) fn check(name: &str) -> Result<(), Failure> {
    let is_plain = !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != "..";
    let is_absolute = || {
        let up = |part: Component<'_>| part == Component::ParentDir;
        Path::new(name).is_absolute() && !name.contains('\0') && !Path::new(name).components().any(up)
    };
    if is_plain || is_absolute() {
        return Ok(());
    }
    let shown = name.escape_debug();
    Err(Failure::invalid(format!("`{shown}` names no program; hint: write its name alone, or its absolute path")))
}

/// The file of a program.
pub(super) fn program(name: &str) -> Result<PathBuf, Failure> {
    check(name)?;
    if Path::new(name).is_absolute() {
        return Ok(PathBuf::from(name)).and_then(|found| if found.exists() { Ok(found) } else { Err(missing(name)) });
    }
    let path = path();
    let mut all = std::env::split_paths(&path).map(|folder| folder.join(name));
    all.find(|file| is_executable(file)).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Failure {
    let place = if Path::new(name).is_absolute() { String::new() } else { " in the daemon's `PATH`".to_owned() };
    let message = format!("there is no program `{name}`{place}");
    Failure::new("not_found", format!("{message}; hint: install it, or name it by its absolute path"))
}

fn is_executable(file: &Path) -> bool {
    let Ok(facts) = file.metadata() else { return false };
    #[cfg(unix)]
    let may_run = std::os::unix::fs::PermissionsExt::mode(&facts.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let may_run = true;
    facts.is_file() && may_run
}
