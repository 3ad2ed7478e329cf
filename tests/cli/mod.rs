//! The command as people use it: files, arguments, and what comes out.

mod audit;
mod bench;
mod connect;
mod control;
mod daemon;
mod errors;
mod gate;
mod graph;
mod import;
mod locks;
mod logs;
mod look;
mod mistakes;
mod new;
mod newcomers;
mod outside;
mod replay;
mod run;
mod secrets;
mod service;
mod simulate;
mod tasks;
mod tested;
mod token;
mod upkeep;
mod watch;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of files, and the command in it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

/// What came out.
pub(crate) struct Came {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            place.write(name, text);
        }
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_panta"));
        command.current_dir(self.path()).args(arguments).env("PANTA_DATA", self.path().join("data"));
        command.env("HOME", self.path()).env_remove("PANTA_SERVER").env_remove("PANTA_TOKEN");
        command
    }

    pub(crate) fn panta(&self, arguments: &[&str]) -> Came {
        Came::from(self.command(arguments).output().unwrap())
    }
}

impl From<Output> for Came {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Came {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {}\n{}", self.out, self.err))
    }

    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }
}
