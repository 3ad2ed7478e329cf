//! Which systems there are: `systems.toml`, as data.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A system, and what is driven against it. What is called a command is a line for `bash` in the system's folder, with `REAL_PKG`, and
/// `FIXTURES` for the files of ours.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct System {
    /// What the table calls it.
    pub(crate) name: String,
    /// The programs that run it, in the order in which they are started. The folder of the first is that of the commands; the others
    /// have theirs beside it.
    pub(crate) programs: Vec<String>,
    /// Where it listens on this machine: waited for, while something else is there.
    pub(crate) ports: Vec<u16>,
    /// How long `start` may take, in minutes, where that is longer than usual.
    pub(crate) start_minutes: Option<u32>,
    /// Variables for the programs.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    /// A command before it is started.
    pub(crate) before: Option<String>,
    /// A command once it is there and seeded.
    pub(crate) after: Option<String>,
    /// A command that goes on while it is driven.
    pub(crate) beside: Option<String>,
    /// A command that prints its version.
    pub(crate) version: Option<String>,
    #[serde(default)]
    pub(crate) drive: Vec<Drive>,
    /// What is driven from Rust, by name; before the rest.
    pub(crate) code: Option<String>,
}

/// A workflow that drives a connector, and what it needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drive {
    /// Its name in `tests/connectors/`.
    pub(crate) workflow: String,
    /// Others of that folder that answer it: they are deployed in a daemon, where it is started.
    #[serde(default)]
    pub(crate) with: Vec<String>,
    /// A command that returns once that daemon listens to the system.
    pub(crate) ready: Option<String>,
    #[serde(default)]
    pub(crate) input: toml::Table,
    /// `[config]` of `panta.toml`; `{folder}` is that of the first program, as in `config`.
    #[serde(default)]
    pub(crate) settings: toml::Table,
    /// The rest of `panta.toml`.
    #[serde(default)]
    pub(crate) config: toml::Table,
    /// Secrets, each with a command that prints it.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, String>,
    /// What the secrets are for.
    #[serde(default = "here")]
    pub(crate) hosts: Vec<String>,
    /// The same with a wrong credential: the workflow says whether it was refused as it ought to be.
    pub(crate) wrong: Option<Wrong>,
}

fn here() -> Vec<String> {
    vec!["127.0.0.1".to_owned()]
}

/// A run with a credential that the system does not know.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wrong {
    pub(crate) input: toml::Table,
    /// The secrets that have this value instead.
    pub(crate) secrets: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct File {
    system: Vec<System>,
}

/// All systems, or those that `PANTA_REAL_ONLY` lists by name or program.
pub(crate) fn chosen() -> Vec<System> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/systems.toml");
    let text = std::fs::read_to_string(file).expect("the list of systems");
    let all: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let only = std::env::var("PANTA_REAL_ONLY").unwrap_or_default();
    let only: Vec<&str> = only.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let is_chosen = |system: &System| {
        only.is_empty() || only.iter().any(|name| system.name == *name || system.programs[0] == *name)
    };
    all.system.into_iter().filter(is_chosen).collect()
}
