//! Mailboxes through the engine on the memory store, against a server that can misbehave.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::effect::imap::fake::{Fake, PASSWORD, USER};
use crate::effect::imap::{After, MAX_BYTES, Mailbox};
use crate::effect::mail::Security;
use crate::engine::{Engine, NoSettings, Options, Settings, Start, compile};
use crate::id::RunId;
use crate::script::bundle::Bundle;
use crate::store::memory::Memory;
use crate::store::{Run, RunFilter, Status, Store};
use crate::trigger::service::{SCOPE, Service, note};

/// No test waits longer for what must come.
const BOUND: std::time::Duration = std::time::Duration::from_mins(2);

/// A daemon that follows the mailbox `desk` of a server, and can be stopped and started again over the same data.
struct Bench {
    fake: Fake,
    store: Arc<dyn Store>,
    data: tempfile::TempDir,
    script: &'static str,
    mailbox: fn(Mailbox) -> Mailbox,
    running: Option<(Service, Engine)>,
}

impl Bench {
    fn new(script: &'static str) -> Self {
        let mut bench = Self::stopped(script);
        bench.start();
        bench.settled();
        bench
    }

    fn stopped(script: &'static str) -> Self {
        let (fake, store) = (Fake::start(), Arc::new(Memory::default()));
        Self { fake, store, data: tempfile::tempdir().unwrap(), script, mailbox: |mailbox| mailbox, running: None }
    }

    fn start(&mut self) {
        let mailbox = (self.mailbox)(Mailbox {
            host: "127.0.0.1".to_owned(),
            port: self.fake.port,
            security: Security::None,
            user: USER.to_owned(),
            secret: "desk".to_owned(),
            folder: "INBOX".to_owned(),
            ca_file: None,
            every: std::time::Duration::from_millis(10),
            after: After::Seen,
            replies: false,
            max_bytes: MAX_BYTES,
        });
        let mailboxes =
            Mailboxes::new([("desk".to_owned(), mailbox)].into(), Box::new(|_, _, _| Ok(PASSWORD.to_owned())));
        let options = Options { workers: 1, mailboxes: Some(Arc::new(mailboxes)), ..Options::new(self.data.path()) };
        let engine = Engine::start(Arc::clone(&self.store), options);
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        engine.handle().deploy(compile(Bundle::of_text("w.rhai", self.script).unwrap(), &settings).unwrap());
        engine.handle().recover().unwrap();
        self.running = Some((Service::start(engine.handle()), engine));
    }

    fn stop(&mut self) {
        if let Some((service, engine)) = self.running.take() {
            service.stop();
            engine.stop();
        }
    }

    fn restarted(&mut self, meanwhile: impl FnOnce(&Fake)) {
        self.stop();
        meanwhile(&self.fake);
        self.start();
    }

    fn handle(&self) -> Handle {
        self.running.as_ref().expect("it runs").1.handle()
    }

    /// Until somebody listens.
    fn settled(&self) {
        Self::until(|| !self.noted("w/").is_empty() || !self.noted("$replies/").is_empty());
    }

    fn until(condition: impl Fn() -> bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let waiting = async {
            while !condition() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        runtime.block_on(async { tokio::time::timeout(BOUND, waiting).await }).expect("in time");
    }

    fn noted(&self, prefix: &str) -> Vec<Value> {
        self.store.states(SCOPE, prefix).unwrap().iter().map(|(_, noted)| noted.to_json()).collect()
    }

    /// Until the first trigger, or who waits for replies, has looked at the message with this number.
    fn looked_at(&self, uid: u32) {
        Self::until(|| self.noted("w/").iter().chain(&self.noted("$replies/")).all(|noted| noted["last"] == uid));
    }

    fn runs(&self) -> Vec<Run> {
        let mut runs = self.store.runs(&RunFilter { limit: 1_000, ..RunFilter::default() }).unwrap();
        runs.reverse();
        runs
    }

    /// Subjects of the messages that started runs, oldest first.
    fn subjects(&self) -> Vec<String> {
        let subject = |run: &Run| run.input.to_json()["subject"].as_str().unwrap_or_default().to_owned();
        self.runs().iter().map(subject).collect()
    }

    fn started(&self, subjects: &[&str]) {
        Self::until(|| self.subjects().len() >= subjects.len());
        assert_eq!(self.subjects(), subjects);
    }

    fn refusal(&self) -> String {
        self.handle().refusal("w", "mail:desk").map(|refusal| refusal.reason).unwrap_or_default()
    }

    fn output(&self, run: RunId) -> Value {
        Self::until(|| self.store.run(run).unwrap().is_some_and(|run| run.status == Status::Completed));
        self.store.run(run).unwrap().unwrap().output.unwrap().to_json()
    }

    /// The identifier of a message that this run has sent, as it would have gone out.
    fn sent_by(&self, run: RunId) -> String {
        let ids = crate::engine::links::Links::new("http://x", self.data.path());
        format!("<{}@mail.example.com>", Arc::new(ids).message_ids()(&format!("{run}-0")).unwrap())
    }

    fn begin(&self) -> RunId {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(self.handle().start("w", Start::default())).unwrap().run
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop();
    }
}

const DESK: &str = "trigger::mail(\"desk\");\nfn main(m) { m.attachments.map(|file| file::read(file.path)) }";

fn message(subject: &str) -> String {
    format!(
        "From: Ann <ann@example.com>\nTo: desk@example.com\nMessage-ID: <{subject}@example.com>\nSubject: {subject}\n\nHello\n"
    )
}

#[test]
fn what_arrives_starts_one_run_also_when_the_daemon_was_down() {
    let mut bench = Bench::stopped(DESK);
    bench.fake.deliver(&message("of old"));
    bench.start();
    bench.settled();
    bench.fake.deliver(&message("a"));
    bench.started(&["a"]);
    bench.looked_at(2);
    bench.restarted(|fake| fake.deliver(&message("b")));
    bench.started(&["a", "b"]);
    bench.looked_at(3);
    bench.restarted(|_| {});
    bench.fake.deliver(&message("c"));
    bench.started(&["a", "b", "c"]);
    assert_eq!(bench.runs()[0].trigger.to_json()["from"], "ann@example.com");
    let seen: Vec<_> = bench.fake.state().messages.iter().map(|message| message.is_seen).collect();
    assert_eq!(seen[..3], [false, true, true]);
}

#[test]
fn a_server_that_tells_nothing_by_itself_is_asked() {
    let bench = Bench::stopped(DESK);
    bench.fake.state().has_idle = false;
    let mut bench = bench;
    bench.start();
    bench.settled();
    bench.fake.deliver(&message("a"));
    bench.started(&["a"]);
}

#[test]
fn a_crash_between_start_and_note_starts_no_message_twice() {
    let mut bench = Bench::new(DESK);
    bench.fake.deliver(&message("a"));
    bench.looked_at(1);
    bench.stop();
    // The run is there, and that the message was taken is not noted.
    for (key, noted) in bench.store.states(SCOPE, "").unwrap() {
        let mut noted = noted.to_json();
        match noted.get("last") {
            Some(_) => noted["last"] = json!(0),
            None => noted["done"] = json!(false),
        }
        bench.store.commit(&[note(&key, Some(&noted))]).unwrap();
    }
    bench.start();
    bench.fake.deliver(&message("b"));
    bench.started(&["a", "b"]);
}

#[test]
fn new_numbers_start_nothing_twice_and_lose_nothing() {
    let mut bench = Bench::stopped(DESK);
    ["of old", "older"].iter().for_each(|subject| bench.fake.deliver(&message(subject)));
    bench.start();
    bench.settled();
    bench.fake.deliver(&message("a"));
    bench.looked_at(3);
    bench.restarted(|fake| {
        fake.state().messages.remove(0);
        fake.deliver(&message("b"));
        fake.renumber();
    });
    bench.started(&["a", "b"]);
    bench.looked_at(3);
    bench.restarted(Fake::renumber);
    bench.fake.deliver(&message("c"));
    bench.started(&["a", "b", "c"]);
}

#[test]
fn copies_are_messages_of_their_own() {
    let bench = Bench::new(DESK);
    bench.fake.deliver(&message("a"));
    bench.fake.deliver(&message("a"));
    bench.fake.deliver("Subject: no id\n\n");
    bench.started(&["a", "a", "no id"]);
}

#[test]
fn a_connection_that_breaks_in_a_message_is_made_again() {
    let bench = Bench::new(DESK);
    bench.fake.state().cuts = 2;
    bench.fake.deliver(&message("a"));
    bench.started(&["a"]);
    assert_eq!(bench.fake.state().sessions, 3);
    assert!(bench.refusal().contains("closed"), "{}", bench.refusal());
}

#[test]
fn a_wrong_password_is_told_and_tried_again() {
    let mut bench = Bench::stopped(DESK);
    bench.fake.state().password = "another";
    bench.start();
    Bench::until(|| bench.refusal().contains("does not let `desk` in"));
    assert!(!bench.refusal().contains(PASSWORD));
    bench.fake.state().password = PASSWORD;
    bench.settled();
    bench.fake.deliver(&message("a"));
    bench.started(&["a"]);
}

#[test]
fn one_message_that_cannot_be_read_does_not_stop_the_others() {
    let mut bench = Bench::stopped(DESK);
    bench.mailbox = |mailbox| Mailbox { max_bytes: 300, ..mailbox };
    bench.start();
    bench.settled();
    // Its size is not what the server says of it, so it is an error until its headers alone are asked for.
    bench.fake.state().grows = Some(1);
    bench.fake.deliver(&message("bad"));
    bench.fake.deliver(&message("good"));
    bench.started(&["bad", "good"]);
    assert_eq!(bench.runs()[0].input.to_json()["complete"], false);
    assert!(bench.refusal().contains("were asked for"), "{}", bench.refusal());
}

#[test]
fn one_message_of_which_nothing_can_be_read_is_passed_over() {
    let bench = Bench::new(DESK);
    bench.fake.state().nonsense = Some((1, "* 1 FETCH (((("));
    bench.fake.deliver(&message("bad"));
    bench.fake.deliver(&message("good"));
    bench.started(&["good"]);
    assert!(bench.refusal().contains("passed over"), "{}", bench.refusal());
}

const MULTI: &str = "From: ann@example.com\nMessage-ID: <m@example.com>\nSubject: files\nMIME-Version: 1.0\n\
    Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nsee there\n\
    --b\nContent-Type: text/csv\nContent-Disposition: attachment; filename=\"../../a.csv\"\n\n1,2\n\
    --b\nContent-Type: text/csv\nContent-Disposition: attachment; filename=\"a.csv\"\n\n3,4\n--b--\n";

#[test]
fn attachments_are_files_in_the_workflows_folder() {
    let bench = Bench::new(DESK);
    bench.fake.deliver(MULTI);
    bench.started(&["files"]);
    assert_eq!(bench.output(bench.runs()[0].id), json!(["1,2", "3,4"]));
    let file = &bench.runs()[0].input.to_json()["attachments"][1];
    let path = PathBuf::from(file["path"].as_str().unwrap());
    assert!(path.starts_with("mail/desk") && path.ends_with("a-2.csv"), "{}", path.display());
    assert_eq!(std::fs::read(bench.data.path().join("workspace/w").join(path)).unwrap(), b"3,4");
}

#[test]
fn what_is_declined_leaves_nothing_and_stays_unread() {
    let bench = Bench::new("trigger::mail(\"desk\", #{ when: |m| m.subject != \"files\" });\nfn main(m) { 1 }");
    bench.fake.deliver(MULTI);
    bench.fake.deliver(&message("a"));
    bench.started(&["a"]);
    bench.looked_at(2);
    assert!(!bench.fake.state().messages[0].is_seen && bench.fake.state().messages[1].is_seen);
    let left: Vec<_> = walk(&bench.data.path().join("workspace"));
    assert_eq!(left, Vec::<PathBuf>::new());
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn of_a_message_that_is_too_large_come_the_headers() {
    let mut bench = Bench::stopped(DESK);
    bench.mailbox = |mailbox| Mailbox { max_bytes: 200, after: After::Move("Done".to_owned()), ..mailbox };
    bench.start();
    bench.settled();
    bench.fake.deliver(&format!("{}{}", message("large"), "x".repeat(500)));
    bench.started(&["large"]);
    let input = bench.runs()[0].input.to_json();
    assert_eq!((&input["complete"], &input["text"]), (&json!(false), &json!("")));
    assert!(bench.refusal().contains("max_bytes"));
    Bench::until(|| bench.fake.state().moved.len() == 1);
}

#[test]
fn a_folder_that_takes_no_marks_is_read_all_the_same() {
    let bench = Bench::new(DESK);
    bench.fake.state().is_read_only = true;
    bench.fake.deliver(&message("a"));
    bench.fake.deliver(&message("b"));
    bench.started(&["a", "b"]);
    Bench::until(|| bench.refusal().contains("UID STORE"));
}

const ASKS: &str = "trigger::mail(\"desk\");\n\
    fn main(m) { if m == () || m == #{} { let got = wait_for(\"mail.reply\"); [got.text, got.auto] } else { m.subject } }";

fn reply(to: &str, text: &str) -> String {
    format!("From: ann@example.com\nMessage-ID: <{text}@example.com>\nIn-Reply-To: {to}\nSubject: Re: it\n\n{text}\n")
}

#[test]
fn a_reply_wakes_the_run_that_has_sent_and_starts_none() {
    let bench = Bench::new(ASKS);
    let run = bench.begin();
    let id = bench.sent_by(run);
    bench.fake.deliver(&reply("<made.00112233445566778899aabbccddeeff@mail.example.com>", "forged"));
    bench.fake.deliver(&reply(&id, "yes"));
    assert_eq!(bench.output(run), json!(["yes\n", false]));
    bench.looked_at(2);
    assert_eq!(bench.runs().len(), 2, "the run that asked, and one for what is no reply");
    let events = bench.store.events(0, 10).unwrap();
    assert_eq!(events.iter().map(|event| event.key.as_deref()).collect::<Vec<_>>(), [Some(&*id)]);
}

#[test]
fn a_reply_is_emitted_once_whatever_happens() {
    let mut bench = Bench::new(ASKS);
    let run = bench.begin();
    let id = bench.sent_by(run);
    bench.restarted(|fake| fake.deliver(&reply(&id, "yes")));
    assert_eq!(bench.output(run), json!(["yes\n", false]));
    bench.looked_at(1);
    bench.restarted(Fake::renumber);
    bench.fake.deliver(&message("last"));
    bench.looked_at(2);
    assert_eq!(bench.store.events(0, 10).unwrap().len(), 1);
}

#[test]
fn a_mailbox_for_replies_alone_needs_no_trigger() {
    let mut bench = Bench::stopped("fn main() { wait_for(\"mail.reply\").attachments[0].name }");
    bench.mailbox = |mailbox| Mailbox { replies: true, ..mailbox };
    bench.start();
    bench.settled();
    let run = bench.begin();
    let answer = MULTI.replace("Subject:", &format!("References: <x@y> {}\nSubject:", bench.sent_by(run)));
    bench.fake.deliver(&message("other"));
    bench.fake.deliver(&answer);
    assert_eq!(bench.output(run), "a.csv");
    bench.looked_at(2);
    assert!(!bench.fake.state().messages[0].is_seen && bench.fake.state().messages[1].is_seen);
    assert_eq!(walk(&bench.data.path().join("workspace/w")).len(), 2);
}

#[test]
fn a_mailbox_that_nobody_has_configured_is_told() {
    let mut bench = Bench::stopped("trigger::mail(\"desc\");\nfn main(m) { 1 }");
    bench.start();
    let refusal = || bench.handle().refusal("w", "mail:desc").map(|refusal| refusal.reason).unwrap_or_default();
    Bench::until(|| refusal() == "there is no mailbox `desc`; hint: did you mean `desk`?");
    assert_eq!(bench.fake.state().connections, 0, "nobody listens to the other");
}
