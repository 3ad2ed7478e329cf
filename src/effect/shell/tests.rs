//! Programs that are run for real.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use super::{Input, KEY, ShellReply, ShellRequest, Written, keep};
use crate::effect::{Allow, Attempt, Failure, Field, Limits, NoSecrets, Performer, Reply, Request, Secrets, Target};

/// A shell script as the program `sh`, which is allowed.
fn script(text: &str) -> ShellRequest {
    ShellRequest { program: "sh".to_owned(), args: vec!["-c".to_owned(), text.to_owned()], ..ShellRequest::default() }
}

struct Run<'a> {
    folder: &'a Path,
    secrets: &'a dyn Secrets,
    again: bool,
    limits: Limits,
}

impl<'a> Run<'a> {
    fn at(folder: &'a Path) -> Self {
        Self { folder, secrets: &NoSecrets, again: false, limits: Limits::default() }
    }

    async fn run(&self, request: ShellRequest) -> Result<ShellReply, Failure> {
        let allow = Allow { shell: vec!["sh".to_owned(), "printf".to_owned(), "env".to_owned()], ..Allow::default() };
        let attempt = Attempt {
            number: 1,
            idempotency_key: &self.folder.display().to_string(),
            undo: None,
            again: self.again,
            allow: &allow,
            secrets: self.secrets,
            trace: None,
        };
        let performer = Performer::new(self.limits).at(self.folder);
        match performer.perform(&Request::Shell(Box::new(request)), attempt).await? {
            Reply::Shell(reply) => Ok(reply),
            other => panic!("{other:?}"),
        }
    }
}

async fn run(request: ShellRequest) -> Result<ShellReply, Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    Run::at(folder.path()).run(request).await
}

fn text(reply: &ShellReply) -> &str {
    match &reply.stdout {
        Written::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

fn field<'f>(failure: &'f Failure, name: &str) -> &'f str {
    match failure.field(name) {
        Some(Field::Text(text)) => text,
        other => panic!("`{name}` is {other:?}"),
    }
}

/// Until a process runs no more; a killed one is there until its parent has looked.
async fn is_gone(pid: &str) -> bool {
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    for _ in 0..6_000 {
        if state().is_empty() || state().contains(") Z ") {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn arguments_are_handed_over_as_they_are() {
    let args = ["%s|", "a; echo b", "$HOME", "* \"'", ""].map(str::to_owned).to_vec();
    let reply =
        run(ShellRequest { program: "printf".to_owned(), args, ..ShellRequest::default() }).await.expect("runs");
    assert_eq!((text(&reply), reply.code), ("a; echo b|$HOME|* \"'||", 0));
}

#[tokio::test]
async fn its_environment_is_what_it_was_given() {
    let env = vec![("GREETING".to_owned(), "hello".to_owned())];
    let reply = run(ShellRequest { program: "env".to_owned(), env, ..ShellRequest::default() }).await.expect("runs");
    let mut names: Vec<_> = text(&reply).lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["GREETING", "HOME", "LANG", KEY, super::MARK, "PATH"]);
}

#[tokio::test]
async fn it_works_in_the_workflows_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().canonicalize().expect("a path");
    let reply = Run::at(&own).run(script("mkdir sub; pwd; echo $HOME")).await.expect("runs");
    assert_eq!(text(&reply), format!("{0}\n{0}\n", own.display()));
    let inside = ShellRequest { cwd: Some("sub".to_owned()), ..script("pwd") };
    assert_eq!(text(&Run::at(&own).run(inside).await.expect("runs")), format!("{}/sub\n", own.display()));
    let outside = ShellRequest { cwd: Some("/etc".to_owned()), ..script("pwd") };
    assert_eq!(Run::at(&own).run(outside).await.expect_err("is outside").kind, "denied");
}

#[tokio::test]
async fn a_code_is_an_error_unless_it_is_accepted() {
    let wrong = script("echo all; echo there is no such branch >&2; exit 3");
    let failure = run(wrong.clone()).await.expect_err("it fails");
    assert_eq!(
        failure.message,
        "`sh` ended with code 3: there is no such branch; hint: `accept: [3]` where that is an answer"
    );
    assert_eq!((failure.kind, failure.retryable, failure.field("code")), ("shell", false, Some(&Field::Int(3))));
    assert_eq!((field(&failure, "stdout"), field(&failure, "stderr")), ("all\n", "there is no such branch\n"));
    let reply = run(ShellRequest { accept: vec![3], ..wrong }).await.expect("is accepted");
    assert_eq!((reply.code, reply.stderr.as_str()), (3, "there is no such branch\n"));
    let killed = run(ShellRequest { accept: vec![137], ..script("kill -9 $$") }).await.expect("is accepted");
    assert_eq!(killed.code, 137);
}

#[tokio::test]
async fn only_what_is_listed_is_run() {
    for (program, kind) in [("cat", "denied"), ("./sh", "denied"), ("/bin/sh", "denied"), ("", "denied")] {
        let request = ShellRequest { program: program.to_owned(), ..ShellRequest::default() };
        let failure = run(request).await.expect_err(program);
        assert_eq!(failure.kind, kind, "{failure}");
        let line = format!("add `allow: #{{ shell: [\"sh\", \"printf\", \"env\", {program:?}] }}`");
        assert!(failure.message.contains(&line), "{failure}");
    }
    for name in ["a/b", "../sh", "..", "/usr/../bin/sh", "a\0b"] {
        let allow = Allow { shell: vec![name.to_owned()], ..Allow::default() };
        let request = ShellRequest { program: name.to_owned(), ..ShellRequest::default() };
        assert_eq!(super::admit(&request, &allow).expect_err(name).kind, "invalid");
    }
    let allow = Allow { shell: vec!["no-such-program".to_owned()], ..Allow::default() };
    let request = ShellRequest { program: "no-such-program".to_owned(), ..ShellRequest::default() };
    assert_eq!(super::admit(&request, &allow), Ok(()));
    assert_eq!(super::find::program("no-such-program").expect_err("is not there").kind, "not_found");
}

#[tokio::test]
async fn what_takes_too_long_is_killed_with_all_that_it_started() {
    let slow = ShellRequest {
        timeout: Some(Duration::from_secs(2)),
        ..script("sleep 600 & echo $!; echo still at it >&2; wait")
    };
    let failure = run(slow).await.expect_err("it hangs");
    assert_eq!((failure.kind, field(&failure, "stderr")), ("timeout", "still at it\n"));
    assert!(failure.retryable && failure.message.contains("within 2 s"), "{failure}");
    assert!(is_gone(field(&failure, "stdout")).await);
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = Run::at(folder.path());
    let running = own.run(script("echo $$ >pid.new; mv pid.new pid; exec sleep 600"));
    let file = folder.path().join("pid");
    let started = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        ended = running => panic!("{ended:?}"),
        () = started => {}
    }
    assert!(is_gone(&std::fs::read_to_string(file).expect("an id")).await);
}

#[tokio::test]
async fn nothing_that_it_started_stays_behind() {
    let reply = run(script("sleep 600 >/dev/null & echo $!")).await.expect("runs");
    assert!(is_gone(text(&reply)).await);
}

#[tokio::test]
async fn what_an_earlier_try_left_is_ended_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut left = tokio::process::Command::new("sh");
    left.args(["-c", "sleep 600"]).env(KEY, folder.path()).process_group(0);
    let mut left = left.spawn().expect("starts");
    let next = Run { again: true, ..Run::at(folder.path()) };
    let again = tokio::spawn(async move { left.wait().await });
    assert_eq!(text(&next.run(script("echo done")).await.expect("runs")), "done\n");
    let status = again.await.expect("is waited for").expect("has ended");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
}

#[tokio::test]
async fn only_what_a_signal_ended_says_so_and_the_error_line_is_the_reason() {
    let said = async |text: &str| run(script(text)).await.expect_err("it fails").message;
    assert!(said("exit 255").await.starts_with("`sh` ended with code 255; hint"));
    assert!(said("kill -9 $$").await.starts_with("`sh` ended with code 137 (signal 9); hint"));
    let git = "echo 'fatal: no repository' >&2; echo '' >&2; echo 'see the manual' >&2; exit 129";
    assert!(said(git).await.starts_with("`sh` ended with code 129: fatal: no repository; hint"));
}

#[tokio::test]
async fn output_is_bounded_and_bytes_stay_bytes() {
    let much = ShellRequest { max_bytes: Some(1_000), ..script("head -c 1000000 /dev/zero; sleep 600") };
    let failure = run(much).await.expect_err("is too much");
    assert_eq!(failure.kind, "limit");
    assert!(failure.message.contains("1000 bytes to its standard output"), "{failure}");
    let reply = run(script("printf '\\377\\000'; printf '\\377' >&2")).await.expect("runs");
    assert_eq!((reply.stdout, reply.stderr.as_str()), (Written::Bytes(vec![255, 0]), "\u{fffd}"));
}

#[tokio::test]
async fn output_goes_to_a_file_when_it_ended_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = Run { limits: Limits { body_bytes: 10, ..Limits::default() }, ..Run::at(folder.path()) };
    let save_to = Some("out/zeros".to_owned());
    let reply =
        own.run(ShellRequest { save_to: save_to.clone(), ..script("head -c 3000000 /dev/zero") }).await.expect("runs");
    let Written::Saved(stat) = reply.stdout else { panic!("{reply:?}") };
    assert_eq!((stat.size, stat.path.as_str()), (3_000_000, "out/zeros"));
    assert_eq!(std::fs::read(folder.path().join("out/zeros")).expect("is there").len(), 3_000_000);
    own.run(ShellRequest { save_to, ..script("echo x; exit 1") }).await.expect_err("it fails");
    assert_eq!(std::fs::read(folder.path().join("out/zeros")).expect("is there").len(), 3_000_000);
}

#[tokio::test]
async fn it_gets_what_it_reads_and_need_not_read_it() {
    let cat = ShellRequest { stdin: Some(Input::Text("Grüße\n".to_owned())), ..script("cat") };
    assert_eq!(text(&run(cat).await.expect("runs")), "Grüße\n");
    let deaf = ShellRequest { stdin: Some(Input::Bytes(vec![1; 1 << 20])), ..script("exit 0") };
    assert_eq!(run(deaf).await.expect("runs").code, 0);
    assert_eq!(text(&run(script("wc -c")).await.expect("without any")).trim(), "0");
}

/// One secret, for `sh` alone.
struct OneSecret;

impl Secrets for OneSecret {
    fn resolve<'t>(&self, text: &'t str, target: Target<'_>) -> Result<Cow<'t, str>, Failure> {
        if text.contains("PLACE") && target != Target::Program("sh") {
            return Err(Failure::denied("not for this"));
        }
        Ok(text.replace("PLACE", "hunter2").into())
    }

    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        text.replace("hunter2", "PLACE").into()
    }
}

#[tokio::test]
async fn secrets_go_to_their_program_alone_and_do_not_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = Run { secrets: &OneSecret, ..Run::at(folder.path()) };
    let mut request = script("cat; echo $0 $TOKEN >&2; echo ${#0}${#TOKEN}; exit $CODE");
    request.args.push("PLACE".to_owned());
    request.env = vec![("TOKEN".to_owned(), "PLACE".to_owned()), ("CODE".to_owned(), "0".to_owned())];
    request.stdin = Some(Input::Text("PLACE ".to_owned()));
    let reply = own.run(request.clone()).await.expect("runs");
    assert_eq!((text(&reply), reply.stderr.as_str()), ("PLACE 77\n", "PLACE PLACE\n"));
    request.env[1].1 = "1".to_owned();
    let failure = own.run(request).await.expect_err("it fails");
    assert!(!format!("{failure:?}").contains("hunter2") && failure.message.contains("PLACE PLACE"), "{failure:?}");
    let args = vec!["PLACE".to_owned()];
    let other = ShellRequest { program: "printf".to_owned(), args, ..ShellRequest::default() };
    assert_eq!(own.run(other).await.expect_err("is not for it").kind, "denied");
}

#[test]
fn the_keeper_kills_what_is_left_when_the_pipe_ends() {
    let sleeping = || {
        let mut command = std::process::Command::new("sleep");
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.arg("600").spawn().expect("starts")
    };
    let (mut left, mut over) = (sleeping(), sleeping());
    keep(Cursor::new(format!("+{0}\n+{1}\n-{1}\n+nothing\n?nothing\n", left.id(), over.id())));
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&left.wait().expect("has ended")), Some(9));
    assert_eq!(over.try_wait().expect("can be looked at"), None);
    over.kill().expect("ends");
    over.wait().expect("has ended");
}

#[test]
#[cfg(target_os = "linux")]
fn the_keeper_kills_what_was_announced_and_never_told() {
    let sleeping = |mark: &str| {
        let mut command = std::process::Command::new("sleep");
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.arg("600").env(super::MARK, mark).spawn().expect("starts")
    };
    let own = std::process::id();
    let (left, over) = (format!("left-{own}"), format!("over-{own}"));
    let (mut killed, mut alive) = (sleeping(&left), sleeping(&over));
    // It waits until what it has killed is gone, for which somebody has to look: this is its parent.
    std::thread::scope(|scope| {
        scope.spawn(|| keep(Cursor::new(format!("?{left}\n?{over}\n!{over}\n"))));
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&killed.wait().expect("has ended")), Some(9));
    });
    assert_eq!(alive.try_wait().expect("can be looked at"), None);
    alive.kill().expect("ends");
    alive.wait().expect("has ended");
}
