//! A program as a channel: it gets the message as JSON on its standard input, and as variables; nothing else of this process.
//!
//! It runs without a shell, in a process group of its own, which is killed when the time is over.

use std::io::{Read as _, Seek as _};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::message::Message;

/// How long a program may take.
pub(super) const TIME: Duration = Duration::from_secs(30);
/// Bytes of its complaint that are shown.
const SHOWN: usize = 400;
/// Bytes of its complaint that are read: a secret in it is to be recognised before it is cut.
const READ: u64 = 1 << 20;

/// Takes secrets out of what was said, of which more may have followed.
pub(super) type Hide<'a> = &'a (dyn Fn(&str) -> String + Sync);

/// Runs it; what is wrong where it does not end well within `time`.
pub(super) async fn run(
    command: &[String],
    channel: &str,
    message: &Message,
    time: Duration,
    hide: Hide<'_>,
) -> Result<(), String> {
    let [program, arguments @ ..] = command else { return Err("no program is named".to_owned()) };
    let complaint = tempfile::tempfile().map_err(|error| format!("there is no place for its output: {error}"))?;
    let written = complaint.try_clone().map_err(|error| format!("there is no place for its output: {error}"))?;
    let mut prepared = Command::new(program);
    prepared.args(arguments).env_clear().envs(message.variables(channel));
    prepared.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(written).kill_on_drop(true);
    #[cfg(unix)]
    prepared.process_group(0);
    let mut child = prepared.spawn().map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    let input = message.to_json(channel).to_string();
    let ended = tokio::time::timeout(time, async {
        if let Some(mut stdin) = child.stdin.take() {
            // It need not read it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait().await
    });
    match ended.await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("`{program}` ended with {status}{}", said(complaint, hide))),
        Ok(Err(error)) => Err(format!("`{program}` cannot be waited for: {error}")),
        Err(_) => {
            kill(&mut child);
            Err(format!("`{program}` did not end within {} s, and was killed{}", time.as_secs(), said(complaint, hide)))
        }
    }
}

/// The program and all that it has started.
fn kill(child: &mut Child) {
    #[cfg(unix)]
    {
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
    let _ = child.start_kill();
}

/// What it wrote to its standard error, as the end of a sentence.
fn said(mut complaint: std::fs::File, hide: Hide<'_>) -> String {
    let mut bytes = Vec::new();
    let read = complaint.rewind().and_then(|()| complaint.take(READ).read_to_end(&mut bytes));
    let clean = hide(&String::from_utf8_lossy(&bytes));
    let text = clean[..clean.floor_char_boundary(SHOWN)].trim().replace('\n', " ");
    if read.is_err() || text.is_empty() { String::new() } else { format!(": {text}") }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    async fn script(text: &str, time: Duration) -> (Result<(), String>, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let told = folder.path().join("told");
        let command = ["/bin/sh", "-c", text, "page", &told.display().to_string()].map(str::to_owned);
        let done = run(&command, "pager", &Message::test("wake up", Timestamp(5)), time, &str::to_owned).await;
        (done, std::fs::read_to_string(told).unwrap_or_default())
    }

    #[tokio::test]
    async fn it_gets_the_message_and_nothing_else() {
        let (done, told) = script("cat >\"$1\"; echo >>\"$1\"; env >>\"$1\"", TIME).await;
        assert_eq!(done, Ok(()));
        let (json, variables) = told.split_once('\n').expect("two parts");
        let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert_eq!((&json["title"], &json["channel"]), (&"wake up".into(), &"pager".into()));
        assert!(variables.contains("PANTA_TITLE=wake up\n") && !variables.contains("CARGO"), "{variables}");
    }

    #[tokio::test]
    async fn a_failure_says_what_it_complained_of() {
        let (done, _) = script("echo no line >&2; exit 3", TIME).await;
        assert_eq!(done, Err("`/bin/sh` ended with exit status: 3: no line".to_owned()));
        let message = Message::test("", Timestamp(5));
        let missing = run(&["/nonexistent/page".to_owned()], "pager", &message, TIME, &str::to_owned).await;
        assert!(missing.expect_err("is not there").starts_with("`/nonexistent/page` cannot be started"));
    }

    #[tokio::test]
    async fn a_secret_is_hidden_before_what_it_says_is_cut() {
        let command = ["/bin/sh", "-c", "printf %0390d 0 >&2; echo hunter2-hunter2 >&2; exit 3"].map(str::to_owned);
        let hide = |text: &str| text.replace("hunter2-hunter2", "***");
        let done = run(&command, "pager", &Message::test("", Timestamp(5)), TIME, &hide).await.expect_err("it fails");
        assert!(done.ends_with("000***"), "{done}");
    }

    #[tokio::test]
    async fn what_hangs_is_killed_with_all_that_it_started() {
        let (done, told) = script("sleep 600 & echo $! >\"$1\"; wait", Duration::from_secs(2)).await;
        assert!(done.expect_err("it hangs").contains("was killed"));
        let pid = told.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
        // A killed process is there until its parent has looked; it runs no more.
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        for _ in 0..6_000 {
            if state().is_empty() || state().contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it still runs: {}", state());
    }
}
