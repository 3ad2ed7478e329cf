use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::id::RunId;
use crate::payload::Payload;
use crate::time::Timestamp;
use crate::trace::TraceId;

/// What was written.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn vault() -> Arc<Vault> {
    let secrets = [("PANTA_SECRET_API".to_owned(), "open sesame".to_owned())];
    Arc::new(Vault::from_pairs(secrets.into_iter()))
}

/// Closes a log and waits until all is written.
fn close(log: &Log) {
    *log.queue.sender.lock().unwrap() = None;
    log.done.recv_timeout(Duration::from_mins(1)).unwrap();
}

/// What comes out when this is said to a log.
fn logged(format: LogFormat, level: &str, say: impl FnOnce(&Arc<dyn Lines>)) -> String {
    let (page, settings) = (Page::default(), LogSettings { format: Some(format), level: Some(level.to_owned()) });
    let (log, collector) = Log::to(Box::new(page.clone()), &settings, false, vault()).unwrap();
    let subscriber = tracing_subscriber::registry().with(log.sink.levels.clone()).with(collector);
    tracing::subscriber::with_default(subscriber, || say(&log.lines()));
    close(&log);
    let bytes = page.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn line(message: &str, fields: &Value) -> Line {
    Line {
        at: Timestamp(0),
        level: Level::Warn,
        writer: Writer::Script,
        run: RunId(uuid::Uuid::nil()),
        workflow: "orders".into(),
        trace: TraceId([7; 16]),
        step: Some("pay".into()),
        line: 3,
        message: Payload::from_json(&json!(message)),
        fields: Some(Payload::from_json(fields)),
    }
}

const EVIL: &str = "a\nERROR fake\u{1b}[2J\u{9b}31m\u{202e}\r";

#[test]
fn people_get_one_line_whatever_is_in_it() {
    let fields = json!({ "n": 1, "x y": EVIL, "run": "forged \"id\"" });
    let shown = logged(LogFormat::People, "info", |log| log.take(vec![line(EVIL, &fields)]));
    assert_eq!(
        shown,
        "1970-01-01T00:00:00.000Z WARN  a\\nERROR fake\\u{1b}[2J\\u{9b}31m\\u{202e}\\r n=1 run=\"forged \\\"id\\\"\" \
         \"x y\"=\"a\\nERROR fake\\u{1b}[2J\\u{9b}31m\\u{202e}\\r\" run=00000000-0000-0000-0000-000000000000 workflow=orders \
         step=pay line=3 trace=07070707070707070707070707070707\n"
    );
}

#[test]
fn json_stays_json_and_fields_of_scripts_stay_apart() {
    let fields = json!({ "run": "forged", "deep": [EVIL] });
    let shown = logged(LogFormat::Json, "info", |log| log.take(vec![line(EVIL, &fields)]));
    assert!(shown.trim_end_matches('\n').chars().all(|c| !c.is_control() && c != '\u{202e}'), "{shown}");
    let read: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&read["message"], &read["fields"]), (&json!(EVIL), &fields));
    assert_eq!((&read["workflow"], &read["step"], &read["line"]), (&json!("orders"), &json!("pay"), &json!(3)));
    assert_eq!((&read["run"], &read["level"]), (&json!("00000000-0000-0000-0000-000000000000"), &json!("warn")));
}

#[test]
fn what_the_engine_says_has_the_same_fields() {
    let shown = logged(LogFormat::Json, "info", |_| {
        tracing::warn!(run = %RunId(uuid::Uuid::nil()), workflow = "orders", rows = 2, "slow");
        tracing::debug!("not this");
    });
    let read: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&read["workflow"], &read["fields"]["rows"], &read["message"]),
        (&json!("orders"), &json!(2), &json!("slow"))
    );
    assert_eq!(read["run"], "00000000-0000-0000-0000-000000000000");
}

#[test]
fn values_of_secrets_and_placeholders_are_hidden() {
    let fields = json!({ "open sesame": "b3BlbiBzZXNhbWU=", "x": "⟦secret:api:n1⟧" });
    for format in [LogFormat::Json, LogFormat::People] {
        let shown = logged(format, "info", |log| {
            log.take(vec![line("it is open sesame", &fields)]);
            tracing::error!(text = "open%20sesame", "open sesame");
        });
        for hidden in ["sesame", "b3BlbiBz", "secret:api"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
        assert!(shown.contains("it is ***"), "{shown}");
    }
}

#[test]
fn the_level_of_scripts_is_set_by_itself() {
    let wants = |level: &str, writer, of| {
        let mut found = false;
        logged(LogFormat::People, level, |log| found = log.wants(writer, of));
        found
    };
    assert!(wants("info", Writer::Script, Level::Info) && !wants("info", Writer::Script, Level::Debug));
    assert!(
        !wants("info,script=warn", Writer::Script, Level::Info)
            && wants("info,script=warn", Writer::Engine, Level::Info)
    );
    assert!(
        Log::to(
            Box::new(Page::default()),
            &LogSettings { level: Some("loud=x=y".into()), format: None },
            false,
            vault()
        )
        .is_err()
    );
}

/// Takes nothing until it is let go.
struct Stuck(Receiver<()>, Page);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_that_nobody_takes_are_dropped_counted_and_told_of() {
    let (free, stuck) = sync_channel(0);
    let page = Page::default();
    let (log, _) = Log::to(Box::new(Stuck(stuck, page.clone())), &LogSettings::default(), false, vault()).unwrap();
    let one = line("x", &json!({}));
    for _ in 0..3 {
        log.lines().take(vec![one.clone(); QUEUE]);
    }
    let dropped = log.lines().dropped();
    assert!(dropped >= QUEUE as u64, "{dropped}");
    drop(free);
    close(&log);
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    let said = text.lines().filter_map(|line| line.split_once(" lines of this log were dropped")?.0.rsplit(' ').next());
    assert_eq!(said.map(|number| number.parse::<u64>().unwrap()).sum::<u64>(), dropped);
    assert_eq!(text.matches("WARN  x ").count() as u64 + dropped, 3 * QUEUE as u64);
}
