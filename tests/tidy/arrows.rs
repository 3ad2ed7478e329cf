//! Arrows between modules run one way.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, sources};

/// What each module may know, itself left out. A line here is a decision: add a word only with a reason beside it.
///
/// `cli, web, reload → engine → {host, script, effect, store} → replay → journal → {payload, id, time, diag}`
const ALLOWED: &[(&str, &[&str])] = &[
    ("id", &[]),
    ("time", &[]),
    ("diag", &[]),
    ("payload", &[]),
    ("journal", &["payload", "time"]),
    ("replay", &["journal", "payload", "time"]),
    // Versions are content hashes, and literal durations and cron lines are read while compiling.
    ("script", &["diag", "id", "payload", "time"]),
    // Timeouts and `Retry-After` are durations. No journal, no scripts, no store.
    ("effect", &["time"]),
    // Rows are bytes to it: it knows no entry of the journal.
    ("store", &["id", "payload", "time"]),
    // Its commands are plain requests of `effect`; performing them is the engine's.
    ("host", &["diag", "effect", "id", "journal", "payload", "replay", "script", "time"]),
    // What a cron line, a request, a file means: pure, driven by others.
    ("trigger", &["time"]),
    // When a change counts as settled is the clock's.
    ("reload", &["time"]),
    // `trigger` for what an event's pattern matches: events are emitted inside of runs too.
    ("engine", &["diag", "effect", "host", "id", "journal", "payload", "replay", "script", "store", "time", "trigger"]),
    ("config", &["diag", "payload", "time"]),
    ("web", FACE),
    ("cli", FACE),
    // The crate's root only names its modules, and `main` calls `cli`.
    ("", &["cli"]),
];

/// Faces see everything but how a run is evaluated, and never each other's insides; `cli` starts `web`.
const FACE: &[&str] = &[
    "config", "diag", "effect", "engine", "host", "id", "journal", "payload", "reload", "script", "store", "time",
    "trigger", "web",
];

fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    ALLOWED.iter().map(|(module, known)| (*module, known.iter().copied().collect())).collect()
}

/// The modules that a line names after `crate::` (or `panta::`, as `main` says).
fn named(line: &str) -> Vec<&str> {
    let after = |prefix| line.split(prefix).skip(1).map(|rest: &str| rest.split(|c: char| !c.is_alphanumeric()).next());
    after("crate::").chain(after("panta::")).flatten().filter(|name| !name.is_empty()).collect()
}

fn wrong_arrows(source: &Source, known: &BTreeSet<&str>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, line) in &source.lines {
        for name in named(line).into_iter().filter(|name| *name != source.module() && !known.contains(name)) {
            wrong.push(format!("src/{}:{number}: `{}` must not know `{name}`", source.path, source.module()));
        }
    }
    wrong
}

#[test]
fn arrows_run_one_way() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for source in sources() {
        match allowed.get(source.module()) {
            Some(known) => wrong.extend(wrong_arrows(&source, known)),
            None => wrong.push(format!("src/{}: the module `{}` is not in the table", source.path, source.module())),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// No arrow of the table itself runs back: there is an order in which all of them point down.
#[test]
fn the_table_has_no_circle() {
    let mut left = allowed();
    left.get_mut("web").expect("a face").remove("web");
    while !left.is_empty() {
        let names: BTreeSet<_> = left.keys().copied().collect();
        let ground = left.iter().find(|(_, known)| known.is_disjoint(&names)).map(|(module, _)| *module);
        let ground = ground.unwrap_or_else(|| panic!("a circle among {names:?}"));
        left.remove(ground);
    }
}

/// The table names nothing that is gone.
#[test]
fn the_table_is_of_these_modules() {
    let modules: BTreeSet<String> = sources().iter().map(|source| source.module().to_owned()).collect();
    for (module, known) in ALLOWED {
        for name in known.iter().chain([module]) {
            assert!(modules.contains(*name), "`{name}` is no module");
        }
    }
}
