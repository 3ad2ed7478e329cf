//! Files, done once and done twice, inside and outside of the folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{FileReply, FileRequest};
use crate::effect::{Allow, Attempt, Failure, Kind, Limits, NoSecrets, Performer, Reply, Request, Sent};

/// A workflow's folder in a folder with other things.
struct Bench {
    outer: tempfile::TempDir,
    performer: Performer,
    allow: Allow,
}

impl Bench {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        let limits = Limits { listed_files: 20, ..Limits::default() };
        let performer = Performer::new(limits).at(outer.path().join("work"));
        let bench = Self { outer, performer, allow: Allow::default() };
        bench.put("../secret.txt", "secret");
        bench
    }

    /// Puts a file where the workflow did not.
    fn put(&self, path: &str, text: &str) {
        let path = self.outer.path().join("work").join(path);
        fs::create_dir_all(self.outer.path().join("work")).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn get(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.outer.path().join("work").join(path)).ok()
    }

    fn link(&self, at: &str, to: impl AsRef<Path>) {
        symlink(to, self.outer.path().join("work").join(at)).unwrap();
    }

    fn prepare(&self, request: &FileRequest) -> Result<Option<String>, Failure> {
        self.performer.prepare(&Request::File(request.clone()), &self.allow)
    }

    /// What a first try does.
    fn act(&self, request: FileRequest) -> Result<FileReply, Failure> {
        let undo = self.prepare(&request)?;
        self.attempt(request, undo.as_deref(), false)
    }

    /// What a second try does, with what the first recorded.
    fn redo(&self, request: FileRequest, undo: Option<&str>) -> Result<FileReply, Failure> {
        self.attempt(request, undo, true)
    }

    fn attempt(&self, request: FileRequest, undo: Option<&str>, again: bool) -> Result<FileReply, Failure> {
        let request = Request::File(request);
        let attempt = Attempt {
            number: 1 + u32::from(again),
            idempotency_key: "k",
            undo,
            again,
            allow: &self.allow,
            secrets: &NoSecrets,
            trace: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        match runtime.block_on(self.performer.perform(&request, attempt))? {
            Reply::File(reply) => Ok(reply),
            _ => unreachable!("a file request has a file reply"),
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.outer.path().join("work")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn read(path: &str) -> FileRequest {
    FileRequest::Read { path: path.to_owned(), max_bytes: Some(100), encoding: None }
}

fn write(path: &str, text: &str) -> FileRequest {
    FileRequest::Write { path: path.to_owned(), contents: text.as_bytes().into() }
}

fn append(path: &str, text: &str) -> FileRequest {
    FileRequest::Append { path: path.to_owned(), contents: text.as_bytes().into() }
}

fn copy(from: &str, to: &str) -> FileRequest {
    FileRequest::Copy { from: from.to_owned(), to: to.to_owned() }
}

fn rename(from: &str, to: &str) -> FileRequest {
    FileRequest::Move { from: from.to_owned(), to: to.to_owned() }
}

fn remove(path: &str) -> FileRequest {
    FileRequest::Remove { path: path.to_owned() }
}

fn list(glob: &str) -> FileRequest {
    FileRequest::List { glob: glob.to_owned() }
}

fn exists(path: &str) -> FileRequest {
    FileRequest::Exists { path: path.to_owned() }
}

fn stat(path: &str) -> FileRequest {
    FileRequest::Stat { path: path.to_owned(), hash: true }
}

fn temp(run: &str) -> FileRequest {
    FileRequest::Temp { run: run.to_owned() }
}

#[track_caller]
fn refused(outcome: Result<FileReply, Failure>, kind: &str) -> String {
    let failure = outcome.unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains("; hint: "), "{failure}");
    failure.message
}

#[test]
fn a_file_is_written_read_described_and_removed() {
    let bench = Bench::new();
    assert_eq!(bench.act(exists("a/b.txt")), Ok(FileReply::Flag(false)));
    assert_eq!(bench.act(write("a/b.txt", "größe")), Ok(FileReply::Done));
    assert_eq!(bench.act(read("a/b.txt")), Ok(FileReply::Text("größe".to_owned())));
    assert_eq!(
        bench.act(FileRequest::ReadBlob { path: "a/b.txt".to_owned(), max_bytes: None }),
        Ok(FileReply::Blob("größe".into()))
    );
    let Ok(FileReply::Stat(facts)) = bench.act(stat("a/b.txt")) else { panic!("no facts") };
    assert_eq!((facts.path.as_str(), facts.name.as_str(), facts.size, facts.is_folder), ("a/b.txt", "b.txt", 7, false));
    assert!(facts.modified.0 > 1_700_000_000_000 && facts.sha256.as_ref().unwrap().len() == 64);
    assert_eq!(bench.act(FileRequest::Open { path: "a/b.txt".to_owned() }), Ok(FileReply::Stat(facts)));
    assert_eq!(bench.act(remove("a/b.txt")), Ok(FileReply::Done));
    assert_eq!(bench.act(remove("a")), Ok(FileReply::Done));
    assert_eq!(bench.act(exists("a/b.txt")), Ok(FileReply::Flag(false)));
}

#[test]
fn a_text_is_read_in_its_encoding() {
    let bench = Bench::new();
    fs::create_dir_all(bench.outer.path().join("work")).unwrap();
    fs::write(bench.outer.path().join("work/latin"), b"gr\xf6\xdfe \x80").unwrap();
    let read = |encoding: &str| FileRequest::Read {
        path: "latin".to_owned(),
        max_bytes: None,
        encoding: Some(encoding.to_owned()),
    };
    assert_eq!(bench.act(read("windows-1252")).unwrap(), FileReply::Text("größe €".to_owned()));
    assert!(refused(bench.act(read("utf-8")), "invalid").contains("it is no text in `utf-8`"));
    let old = Request::File(FileRequest::Read { path: "a".to_owned(), max_bytes: None, encoding: None });
    assert_eq!(old.arguments(), r#"["read","a",null]"#, "as journals have it");
    assert!(super::knows_encoding("latin1") && !super::knows_encoding("latin-x"));
}

#[test]
fn what_cannot_be_done_says_why() {
    let bench = Bench::new();
    bench.put("a/b.txt", &"x".repeat(101));
    fs::write(bench.outer.path().join("work/latin"), b"gr\xf6").unwrap();
    assert!(
        refused(bench.act(read("none.txt")), "not_found").starts_with("`none.txt` cannot be read: it does not exist")
    );
    assert!(refused(bench.act(read("a/b.txt")), "limit").contains("more than 100 bytes"));
    assert!(refused(bench.act(read("latin")), "invalid").contains("byte 2 does not fit); hint: say what it is"));
    assert!(refused(bench.act(read("a")), "file").contains("it is a folder"));
    assert!(refused(bench.act(write("a", "x")), "file").contains("it is a folder"));
    assert!(refused(bench.act(write("a/b.txt/c", "x")), "file").contains("is a file"));
    assert!(refused(bench.act(remove("a")), "file").contains("not empty"));
    assert!(refused(bench.act(append("a", "x")), "file").contains("it is a folder"));
    for request in [remove("none"), rename("none", "x"), copy("none", "x"), stat("none")] {
        refused(bench.act(request), "not_found");
    }
}

#[test]
fn pipes_and_devices_are_not_opened() {
    let mut bench = Bench::new();
    bench.allow.files = vec!["/dev/*".to_owned()];
    for request in [
        read("/dev/zero"),
        append("/dev/null", "x"),
        copy("/dev/zero", "x"),
        FileRequest::Open { path: "/dev/zero".to_owned() },
    ] {
        assert!(refused(bench.act(request), "file").contains("a device or a pipe"));
    }
}

#[test]
fn no_path_leads_out() {
    let bench = Bench::new();
    bench.put("in/a.txt", "a");
    bench.link("out", bench.outer.path());
    bench.link("in/secret", "../../secret.txt");
    bench.link("nowhere", "../missing/x");
    let absolute = bench.outer.path().join("secret.txt").to_str().unwrap().to_owned();
    for path in ["../secret.txt", "in/../../secret.txt", "out/secret.txt", "in/secret", "/etc/passwd", &absolute, ".."]
    {
        for request in [
            read(path),
            write(path, "x"),
            append(path, "x"),
            exists(path),
            stat(path),
            copy(path, "x"),
            copy("in/a.txt", path),
        ] {
            refused(bench.act(request), "denied");
        }
    }
    for path in ["../secret.txt", "out/secret.txt", "/etc/passwd", ".", "./", "in/.."] {
        for request in [remove(path), rename(path, "x"), rename("in/a.txt", path)] {
            refused(bench.act(request), "denied");
        }
    }
    for path in ["", "a\0b"] {
        refused(bench.act(read(path)), "invalid");
    }
    refused(bench.act(write("nowhere", "x")), "not_found");
    assert_eq!(bench.get("../secret.txt").unwrap(), "secret");
}

#[test]
fn a_link_within_is_followed_and_a_link_itself_is_moved_and_removed() {
    let bench = Bench::new();
    bench.put("real/a.txt", "a");
    bench.link("folder", "real");
    bench.link("real/link", "a.txt");
    assert_eq!(bench.act(read("folder/link")), Ok(FileReply::Text("a".to_owned())));
    assert_eq!(bench.act(write("folder/link", "b")), Ok(FileReply::Done));
    assert_eq!(bench.get("real/a.txt").unwrap(), "b");
    bench.link("out", bench.outer.path());
    assert_eq!(bench.act(rename("out", "away")), Ok(FileReply::Done));
    assert_eq!(bench.act(remove("away")), Ok(FileReply::Done));
    assert_eq!(bench.get("../secret.txt").unwrap(), "secret");
}

#[test]
fn a_glob_opens_what_it_covers_and_nothing_else() {
    let mut bench = Bench::new();
    let outer = bench.outer.path().to_str().unwrap().to_owned();
    bench.put("../inbox/a.csv", "a");
    bench.put("../inbox/sub/b.csv", "b");
    bench.put("../inbox/a.txt", "t");
    symlink(format!("{outer}/inbox"), format!("{outer}/alias")).unwrap();
    symlink(format!("{outer}/secret.txt"), format!("{outer}/inbox/evil.csv")).unwrap();
    bench.allow = Allow::parse(None, &[format!("{outer}/alias/*.csv")]).unwrap();
    assert_eq!(bench.act(read(&format!("{outer}/alias/a.csv"))), Ok(FileReply::Text("a".to_owned())));
    assert_eq!(bench.act(write(&format!("{outer}/inbox/new.csv"), "n")), Ok(FileReply::Done));
    for path in ["inbox/a.txt", "inbox/sub/b.csv", "inbox/evil.csv", "secret.txt", "inbox"] {
        let message = refused(bench.act(read(&format!("{outer}/{path}"))), "denied");
        assert!(message.contains(&format!("add `allow: #{{ files: [\"{outer}/alias/*.csv\", \"{outer}/")), "{message}");
    }
    let listed = [format!("{outer}/inbox/a.csv"), format!("{outer}/inbox/new.csv")];
    assert_eq!(bench.act(list(&format!("{outer}/inbox/*"))), Ok(FileReply::List(listed.to_vec())));
    refused(bench.act(list("/etc/*")), "denied");
    assert_eq!(bench.act(rename(&listed[0], "mine.csv")), Ok(FileReply::Done));
}

#[test]
fn globs_of_a_declaration_are_checked() {
    for glob in ["inbox/*.csv", "/srv/../etc/*", "/srv/[", ""] {
        let message = Allow::parse(None, &[glob.to_owned()]).unwrap_err();
        assert!(message.contains("; hint: "), "{message}");
    }
    assert!(Allow::parse(Some(&["https://x".to_owned()]), &[]).is_err());
}

#[test]
fn lists_are_sorted_and_bounded() {
    let bench = Bench::new();
    let listed = |glob: &str| match bench.act(list(glob)) {
        Ok(FileReply::List(paths)) => paths.join(" "),
        other => panic!("no list: {other:?}"),
    };
    for path in ["b.csv", "a.csv", "c.txt", "in/d.csv", "in/deep/e.csv", ".panta-x.tmp", ".panta/temp/r/t.csv"] {
        bench.put(path, "");
    }
    bench.link("out", bench.outer.path());
    bench.link("secret.csv", "../secret.txt");
    bench.link("l.csv", "a.csv");
    let globs = [
        ("*.csv", "a.csv b.csv l.csv"),
        ("**/*.csv", "a.csv b.csv in/d.csv in/deep/e.csv l.csv"),
        ("in", "in/d.csv"),
        ("in/**", "in/d.csv in/deep/e.csv"),
        ("*/*.csv", "in/d.csv"),
        ("{a,c}.*", "a.csv c.txt"),
        ("a.csv", "a.csv"),
        ("none/*", ""),
        ("none", ""),
    ];
    for (glob, expected) in globs {
        assert_eq!(listed(glob), expected, "{glob}");
    }
    refused(bench.act(list("[")), "invalid");
    refused(bench.act(list("../*")), "denied");
    (0..30).for_each(|n| bench.put(&format!("many/{n}"), ""));
    refused(bench.act(list("many/*")), "limit");
}

#[test]
fn a_write_replaces_whole_keeps_permissions_and_clears_what_a_crash_left() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.put("a.sh", "old");
    let path = bench.outer.path().join("work/a.sh");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(bench.redo(write("a.sh", "new"), None), Ok(FileReply::Done));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o750);
    let place = super::Place::new(&bench.outer.path().join("work"), &[], Limits::default());
    let mut half = super::Staged::create(&place.target("a.sh").unwrap(), "k").unwrap();
    half.write(b"half").unwrap();
    std::mem::forget(half);
    assert_eq!((bench.get("a.sh").as_deref(), bench.names().len()), (Some("new"), 2));
    assert_eq!(bench.redo(write("a.sh", "newer"), None), Ok(FileReply::Done));
    assert_eq!((bench.get("a.sh").as_deref(), bench.names()), (Some("newer"), vec!["a.sh".to_owned()]));
}

#[test]
fn an_append_is_done_once_whatever_the_first_try_did() {
    let states = [
        ("old\n", "old\nnew\n"),
        ("old\nne", "old\nnew\n"),
        ("old\nnew\n", "old\nnew\n"),
        ("old\nne\0\0", "old\nnew\n"),
        ("old\nnew\nother\n", "old\nnew\nother\n"),
        ("old\nother\nnew\n", "old\nother\nnew\n"),
        ("old\nother\n", "old\nother\nnew\n"),
    ];
    for (found, expected) in states {
        let bench = Bench::new();
        bench.put("log", "old\n");
        let undo = bench.prepare(&append("log", "new\n")).unwrap();
        bench.put("log", found);
        for _ in 0..2 {
            let redone = bench.redo(append("log", "new\n"), undo.as_deref());
            assert_eq!(redone, Ok(FileReply::Done));
        }
        assert_eq!(bench.get("log").unwrap(), expected, "{found:?}");
    }
}

#[test]
fn an_append_makes_the_file_and_is_cut_back_to_nothing() {
    let bench = Bench::new();
    let undo = bench.prepare(&append("new/log", "ab")).unwrap();
    assert_eq!(undo.as_deref(), Some(r#"{"length":0}"#));
    assert_eq!(bench.act(append("new/log", "ab")), Ok(FileReply::Done));
    assert_eq!(bench.act(append("new/log", "ab")), Ok(FileReply::Done));
    assert_eq!(bench.get("new/log").unwrap(), "abab");
    bench.put("new/log", "a");
    assert_eq!(bench.redo(append("new/log", "ab"), undo.as_deref()), Ok(FileReply::Done));
    assert_eq!(bench.get("new/log").unwrap(), "ab");
}

#[test]
fn a_move_that_is_done_is_done() {
    let bench = Bench::new();
    bench.put("in/a.csv", "first");
    let undo = bench.prepare(&rename("in/a.csv", "done/a.csv")).unwrap();
    let redo = || bench.redo(rename("in/a.csv", "done/a.csv"), undo.as_deref());
    assert_eq!(redo(), Ok(FileReply::Done), "nothing had happened");
    assert_eq!(redo(), Ok(FileReply::Done), "it had happened");
    bench.put("in/a.csv", "second");
    assert_eq!(redo(), Ok(FileReply::Done), "another file has come since");
    assert_eq!(
        (bench.get("in/a.csv").unwrap(), bench.get("done/a.csv").unwrap()),
        ("second".to_owned(), "first".to_owned())
    );
    assert_eq!(bench.redo(rename("in/a.csv", "done/a.csv"), None), Ok(FileReply::Done), "a new move replaces");
    assert_eq!(bench.get("done/a.csv").unwrap(), "second");
    refused(bench.act(rename("in/a.csv", "done/a.csv")), "not_found");
}

#[test]
fn a_move_across_disks_that_was_copied_is_finished() {
    let bench = Bench::new();
    bench.put("a", "text");
    let undo = bench.prepare(&rename("a", "b")).unwrap();
    assert_eq!(bench.act(copy("a", "b")), Ok(FileReply::Done));
    assert_eq!(bench.redo(rename("a", "b"), undo.as_deref()), Ok(FileReply::Done), "copied, not yet removed");
    assert_eq!(bench.names(), ["b"]);
    assert_eq!(bench.act(copy("b", "c")), Ok(FileReply::Done));
    let undo = bench.prepare(&rename("b", "d")).unwrap();
    bench.act(copy("b", "d")).unwrap();
    bench.act(remove("b")).unwrap();
    bench.put("b", "another");
    assert_eq!(bench.redo(rename("b", "d"), undo.as_deref()), Ok(FileReply::Done), "copied and removed, then replaced");
    assert_eq!((bench.get("b").unwrap(), bench.get("d").unwrap()), ("another".to_owned(), "text".to_owned()));
}

#[test]
fn a_file_is_moved_to_another_disk() {
    let mut bench = Bench::new();
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
    bench.put("a", "text");
    let there = other.path().join("b").to_str().unwrap().to_owned();
    bench.allow.files = vec![format!("{}/*", other.path().display())];
    assert_eq!(bench.act(rename("a", &there)), Ok(FileReply::Done));
    assert_eq!((bench.names().len(), fs::read_to_string(&there).unwrap()), (0, "text".to_owned()));
    assert_eq!(bench.redo(rename("a", &there), None), Ok(FileReply::Done));
}

#[test]
fn a_removal_that_is_done_is_done_and_takes_no_other_file() {
    let bench = Bench::new();
    bench.put("a", "first");
    let undo = bench.prepare(&remove("a")).unwrap();
    let redo = || bench.redo(remove("a"), undo.as_deref());
    assert_eq!(redo(), Ok(FileReply::Done));
    assert_eq!(redo(), Ok(FileReply::Done));
    bench.put("keep", "so that the inode is not reused");
    bench.put("a", "another");
    assert_eq!(redo(), Ok(FileReply::Done));
    assert_eq!(bench.get("a").as_deref(), Some("another"));
}

#[test]
fn a_copy_is_repeatable_and_a_folder_moves() {
    let bench = Bench::new();
    bench.put("a/x", "text");
    for _ in 0..2 {
        assert_eq!(bench.redo(copy("a/x", "b/y"), None), Ok(FileReply::Done));
    }
    let undo = bench.prepare(&rename("a", "c/a")).unwrap();
    assert_eq!(bench.redo(rename("a", "c/a"), undo.as_deref()), Ok(FileReply::Done));
    assert_eq!(bench.redo(rename("a", "c/a"), undo.as_deref()), Ok(FileReply::Done));
    assert_eq!((bench.get("c/a/x").unwrap(), bench.get("b/y").unwrap()), ("text".to_owned(), "text".to_owned()));
    assert!(refused(bench.act(rename("b/y", "c")), "file").contains("it is a folder"));
}

#[test]
fn a_run_has_a_temporary_folder_of_its_own() {
    let bench = Bench::new();
    let path = ".panta/temp/0198-a".to_owned();
    assert_eq!(bench.act(temp("0198-a")), Ok(FileReply::Path(path.clone())));
    assert_eq!(bench.act(temp("0198-a")), Ok(FileReply::Path(path.clone())));
    assert_eq!(bench.act(write(&format!("{path}/x"), "1")), Ok(FileReply::Done));
    assert_eq!(bench.act(list(&path)), Ok(FileReply::List(vec![format!("{path}/x")])));
    assert_eq!(bench.performer.remove_temp("0198-a"), Ok(()));
    assert_eq!(bench.performer.remove_temp("0198-a"), Ok(()));
    assert_eq!(bench.act(exists(&path)), Ok(FileReply::Flag(false)));
    refused(bench.act(temp("../x")), "invalid");
}

#[test]
fn kinds_and_arguments() {
    for request in [read("a"), list("a"), exists("a"), stat("a"), FileRequest::Open { path: "a".to_owned() }] {
        assert_eq!(Request::File(request).kind(), Kind::Reading);
    }
    for request in [write("a", ""), append("a", ""), copy("a", "b"), rename("a", "b"), remove("a"), temp("a")] {
        assert_eq!(Request::File(request).kind(), Kind::Mutating);
    }
    assert_eq!(Request::File(copy("a", "b")).arguments(), r#"["copy","a","b"]"#);
    assert_ne!(Request::File(write("a", "x")).arguments(), Request::File(write("a", "y")).arguments());
}

#[test]
fn a_failure_halfway_may_have_changed_something() {
    let bench = Bench::new();
    bench.put("a/b", "");
    assert_eq!(bench.act(remove("a")).unwrap_err().sent, Sent::Maybe);
    assert_eq!(bench.act(remove("../a")).unwrap_err().sent, Sent::No);
    let nowhere = Performer::new(Limits::default());
    let failure = nowhere.prepare(&Request::File(write("a", "")), &Allow::default()).unwrap_err();
    assert_eq!(failure.kind, "denied");
}
