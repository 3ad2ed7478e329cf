//! The machine that is measured.

use std::path::Path;

use serde::Serialize;

/// What figures depend on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The file system of the folder that is written to, where the system tells: `ext4`.
    pub file_system: Option<String>,
    /// The kernel: `linux`.
    pub system: &'static str,
    /// Panta's version.
    pub version: &'static str,
}

impl Machine {
    /// This one, with the file system of that folder.
    pub fn of(folder: &Path) -> Self {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            file_system: file_system(&mounts, &folder),
            system: std::env::consts::OS,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// The type of the innermost mount that a folder is below.
fn file_system(mounts: &str, folder: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (place, kind) = (words.nth(1)?, words.next()?);
        // The table writes a space in a path as `\040`.
        let place = place.replace("\\040", " ");
        folder.starts_with(&place).then(|| (place.len(), kind.to_owned()))
    });
    // Of two at one place, the later one covers the earlier.
    mounts.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_on_its_innermost_mount() {
        let mounts =
            "proc /proc proc rw 0 0\n/dev/a / ext4 rw 0 0\ntmpfs /data\\040x tmpfs rw 0 0\n/dev/b /data xfs rw 0 0";
        let of = |folder: &str| file_system(mounts, Path::new(folder));
        let all = [of("/data/bench"), of("/database"), of("/data x/y")];
        assert_eq!(all, ["xfs", "ext4", "tmpfs"].map(|kind| Some(kind.to_owned())));
        assert_eq!(file_system("", Path::new("/")), None);
    }
}
