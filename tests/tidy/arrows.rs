//! Arrows between modules run one way.

use std::collections::BTreeSet;

use super::source::{Source, sources};

/// What each module may name after `crate::`, itself left out. A name covers what is below it; the longest entry that fits a
/// file is the one that counts. A line here is a decision: add a word only with a reason.
///
/// `cli, web → reload, trigger/service → engine → {host, script, effect, store} → replay → journal → {payload, id, time, diag}`
const ALLOWED: &[(&str, &[&str])] = &[
    ("id", &[]),
    ("time", &[]),
    ("diag", &[]),
    // What stands for a secret in a text, and how it is kept from being seen.
    ("placeholder", &[]),
    ("payload", &["placeholder"]),
    ("journal", &["payload", "time"]),
    ("replay", &["journal", "payload", "time"]),
    // Versions are hashes of contents; literal durations are read while compiling.
    ("script", &["diag", "id", "payload", "placeholder", "time"]),
    // Timeouts and `Retry-After` are durations. No journal, no scripts, no store.
    ("effect", &["time"]),
    // Values of secrets, and what each may be sent to. Suggestions for names.
    ("vault", &["diag", "effect", "placeholder"]),
    // Tasks as data: what a script asks, the store keeps and faces show.
    ("task", &["id", "payload", "time"]),
    // Acts of people as data: what the store keeps and faces show.
    ("audit", &["payload", "time"]),
    // To which trace a run belongs, as its trigger tells.
    ("trace", &["id", "payload"]),
    // Rows are bytes to it: it knows no entry of the journal.
    ("store", &["audit", "id", "payload", "task", "time", "trace"]),
    // Its commands are plain requests of `effect`; performing them is the engine's.
    ("host", &["diag", "effect", "id", "journal", "payload", "placeholder", "replay", "script", "task", "time"]),
    // Names and patterns of events.
    ("pattern", &[]),
    // One run, and whole tests, over virtual time: what the engine drives, with other surroundings.
    (
        "sim",
        &[
            "diag", "effect", "engine", "host", "id", "journal", "payload", "replay", "script", "store", "task",
            "time", "trigger", "vault", "audit", "diag", "effect", "engine", "host", "id", "journal", "payload",
            "replay", "script", "store", "task", "time", "trigger",
        ],
    ),
    // What a cron line, a request, a file means: pure, driven from above.
    ("trigger", &["pattern", "time"]),
    // Patterns of events: runs emit events too, and those start runs.
    (
        "engine",
        &[
            "diag",
            "effect",
            "host",
            "id",
            "journal",
            "payload",
            "placeholder",
            "replay",
            "script",
            "pattern",
            "store",
            "task",
            "time",
            "vault",
            "audit",
            "diag",
            "effect",
            "host",
            "id",
            "journal",
            "payload",
            "replay",
            "script",
            "pattern",
            "store",
            "task",
            "time",
            "trace",
        ],
    ),
    // Where what is decided below becomes a start, through the engine's handle.
    ("trigger/verify", &["pattern", "diag", "effect", "engine", "host", "script", "time"]),
    ("trigger/receive", &["script", "time", "vault"]),
    ("trigger/cycles", &["pattern", "diag", "engine", "host"]),
    // Mailboxes are followed by effects of its own, and files of messages saved.
    (
        "trigger/service",
        &["audit", "diag", "effect", "engine", "host", "id", "payload", "script", "store", "time", "trigger"],
    ),
    // What is there and what has settled: without the engine. The rest of `reload` makes versions of it.
    // Files are opened in the one way that never blocks.
    ("reload/folder", &["script", "time"]),
    ("reload/snapshot", &["time"]),
    ("reload/watch", &["time"]),
    ("reload", &["diag", "engine", "host", "id", "payload", "script", "store", "time", "trigger"]),
    // Hands on what the engine keeps for people, through its handle and by effects of its own.
    ("courier", &["placeholder", "effect", "engine", "id", "payload", "store", "time", "vault"]),
    // Settings are handed to the engine by its own trait.
    ("config", &["courier", "diag", "effect", "engine", "payload", "time", "vault"]),
    // The parent of the engine's process runs no script and opens no store: of the engine it knows the witness.
    ("supervise", &["engine", "id", "time"]),
    // Spans of runs, from the store to a collector; requests are those of `effect`.
    ("otlp", &["placeholder", "effect", "engine", "id", "journal", "payload", "script", "store", "time", "trace"]),
    // Drives engines, stores and daemons of its own, and says what they took.
    ("bench", &["effect", "engine", "id", "journal", "payload", "reload", "script", "sim", "store", "time"]),
    // From a description to the text of a module.
    ("openapi", &["diag", "effect"]),
    ("web", FACE),
    (
        "cli",
        &[
            "audit",
            "bench",
            "courier",
            "pattern",
            "web",
            "config",
            "diag",
            "effect",
            "engine",
            "host",
            "id",
            "journal",
            "openapi",
            "otlp",
            "payload",
            "placeholder",
            "reload",
            "script",
            "sim",
            "store",
            "supervise",
            "task",
            "time",
            "trace",
            "trigger",
            "vault",
        ],
    ),
    // The root names its modules, and `main` calls `cli`.
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Faces see all but how a run is evaluated.
const FACE: &[&str] = &[
    "courier",
    "pattern",
    "config",
    "diag",
    "effect",
    "engine",
    "host",
    "id",
    "journal",
    "payload",
    "placeholder",
    "reload",
    "script",
    "store",
    "task",
    "time",
    "trace",
    "trigger",
    "vault",
    "audit",
    "pattern",
    "config",
    "diag",
    "effect",
    "engine",
    "host",
    "id",
    "journal",
    "payload",
    "reload",
    "script",
    "store",
    "task",
    "time",
    "trigger",
];

fn covers(known: &str, name: &str) -> bool {
    name.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The entry of the table to which a path belongs.
fn entry(path: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    ALLOWED.iter().filter(|(module, _)| covers(module, path)).max_by_key(|(module, _)| module.len())
}

/// What a line names after `crate::` (or `panta::`, as `main` says), as paths.
fn named(line: &str) -> Vec<String> {
    let path = |rest: &str| {
        let names = rest.split("::").map(|name| name.split(|c: char| !c.is_alphanumeric() && c != '_').next());
        names.flatten().take(2).collect::<Vec<_>>().join("/")
    };
    ["crate::", "panta::"].iter().flat_map(|prefix| line.split(prefix).skip(1)).map(path).collect()
}

fn wrong_arrows(source: &Source) -> Vec<String> {
    let Some((module, known)) = entry(source.name()) else {
        return vec![format!("src/{} is not in the table", source.path)];
    };
    let mut wrong = Vec::new();
    for (number, line) in &source.lines {
        for name in named(line) {
            let target = entry(&name).map_or(name.as_str(), |(target, _)| target);
            if target != *module && !known.iter().any(|known| covers(known, target)) {
                wrong.push(format!("src/{}:{number}: `{module}` must not know `{target}`", source.path));
            }
        }
    }
    wrong
}

#[test]
fn arrows_run_one_way() {
    let wrong: Vec<_> = sources().iter().flat_map(wrong_arrows).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// No arrow of the table itself runs back: there is an order in which all of them point down.
#[test]
fn the_table_has_no_circle() {
    let mut left: Vec<_> = ALLOWED.iter().collect();
    while !left.is_empty() {
        let on_ground = |(module, known): &(&str, &[&str])| {
            let mut above = left.iter().filter(|(other, _)| other != module);
            !above.any(|(other, _)| known.iter().any(|known| covers(known, other)))
        };
        let names: Vec<_> = left.iter().map(|(module, _)| *module).collect();
        let ground = left.iter().position(|entry| on_ground(entry));
        left.remove(ground.unwrap_or_else(|| panic!("a circle among {names:?}")));
    }
}

/// The table has every module, and none that is gone.
#[test]
fn the_table_is_of_these_modules() {
    let there: BTreeSet<_> = sources().iter().map(|source| source.module().to_owned()).collect();
    let listed = ALLOWED.iter().map(|(module, _)| *module).filter(|module| !module.contains('/'));
    assert_eq!(listed.map(str::to_owned).collect::<BTreeSet<_>>(), there);
}
