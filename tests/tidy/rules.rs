//! What must not be where.

use super::source::{Source, sources};

/// Modules that compute: what they get is all that they know of the world.
const PURE: &[&str] = &["journal", "replay", "payload", "id", "diag", "task", "audit", "trace"];

/// What a pure module must not name.
const WORLD: &[&str] =
    &["tokio::", "rusqlite::", "rhai::", "Instant", "SystemTime", "std::fs", "std::net", "std::thread", "std::env"];

/// Files that may have `unsafe` code, each for a reason that is at its head.
const UNSAFE: &[&str] = &[
    // Coroutines: the stack guard, and resuming what a running fiber left behind.
    "script/fiber.rs",
    // An allocator that counts.
    "script/memory.rs",
    // The type of a script function's body cannot be named outside of Rhai.
    "script/rewrite.rs",
];

/// Lines of a file without its tests. Whoever needs more has two concepts in one file.
const LONGEST: usize = 800;

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn places(sources: &[Source], texts: &[&str]) -> Vec<String> {
    sources.iter().flat_map(|source| texts.iter().flat_map(|text| source.places(text))).collect()
}

#[test]
fn pure_modules_touch_nothing() {
    let pure: Vec<_> = sources().into_iter().filter(|source| PURE.contains(&source.module())).collect();
    assert!(pure.len() > 10);
    none(&places(&pure, WORLD));
}

#[test]
fn who_performs_knows_no_script_and_who_scripts_knows_no_runtime() {
    let of = |module: &str| sources().into_iter().filter(|source| source.module() == module).collect::<Vec<_>>();
    none(&places(&of("effect"), &["rhai::"]));
    // A database that scripts ask may be a SQLite file.
    let but_files = of("effect").into_iter().filter(|source| source.path != "effect/sql/sqlite.rs").collect::<Vec<_>>();
    none(&places(&but_files, &["rusqlite::"]));
    none(&places(&of("store"), &["rhai::", "tokio::"]));
    none(&places(&of("script"), &["tokio::", "rusqlite::"]));
    none(&places(&of("host"), &["tokio::", "rusqlite::", "reqwest::"]));
    none(&places(&of("engine"), &["rusqlite::", "axum::", "reqwest::"]));
}

#[test]
fn only_time_reads_the_wall_clock() {
    let others: Vec<_> = sources().into_iter().filter(|source| source.module() != "time").collect();
    none(&places(&others, &["SystemTime::now", "Utc::now", "Zoned::now", "jiff::Timestamp::now"]));
}

#[test]
fn files_are_short() {
    let long = sources().into_iter().filter(|source| source.lines.len() > LONGEST);
    none(&long.map(|source| format!("src/{} has {} lines", source.path, source.lines.len())).collect::<Vec<_>>());
}

#[test]
fn unsafe_code_stays_where_it_is() {
    let others: Vec<_> = sources().into_iter().filter(|source| !UNSAFE.contains(&source.path.as_str())).collect();
    none(&places(&others, &["unsafe {", "unsafe fn", "unsafe impl", "unsafe_code"]));
}

#[test]
fn nothing_is_allowed_for_a_whole_file() {
    none(&places(&sources(), &["#![allow"]));
}

#[test]
fn nothing_is_left_to_do() {
    let mut wrong = Vec::new();
    for source in sources() {
        let path = format!("{}/src/{}", env!("CARGO_MANIFEST_DIR"), source.path);
        let text = std::fs::read_to_string(path).expect("a source");
        let marks = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];
        let hits = text.lines().enumerate().filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)));
        wrong.extend(hits.map(|(index, line)| format!("src/{}:{}: {}", source.path, index + 1, line.trim())));
    }
    none(&wrong);
}

/// What people are told to run is what the checks run.
#[test]
fn the_readme_and_the_checks_run_the_same_tests() {
    let read = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect("a file");
    assert!(read("README.md").lines().any(|line| line == "cargo test"));
    assert!(read(".ci/run").lines().any(|line| line.starts_with("cargo test 2>&1")));
}
