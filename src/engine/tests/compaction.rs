//! Journals of runs that have been over for a while are put together, and all that is done with such runs goes on.

use super::gate::compatible;
use super::repairs::deed;
use super::slots::until;
use super::*;
use crate::payload::Payload;
use crate::store::sqlite::{Options as Kept, Sqlite};
use crate::store::{Change, Place};
use crate::time::{Clock, SystemClock, Timestamp};

/// The clock of a later engine.
struct Later(Duration);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(self.0)
    }

    fn elapsed(&self) -> Duration {
        SystemClock.elapsed()
    }
}

const WAITS_OFTEN: &str = r#"
    for n in 0..12 { step("s" + n, || n); sleep("1ms"); }
    step("last", || if !state::get("ok", false) { throw "not yet" });
    7"#;

fn store(folder: &tempfile::TempDir) -> Arc<Sqlite> {
    Arc::new(Sqlite::open(folder.path(), &Kept { wal_bytes: 1 << 20, ..Kept::default() }).expect("opens"))
}

#[test]
fn what_has_been_over_for_an_hour_is_put_together_and_can_be_shown_tried_repaired_and_copied() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Bench::new(store(&folder), &[("w", WAITS_OFTEN)]);
    let run = first.run("w", json!(null));
    let journal = first.engine.handle().journal(run.id).expect("reads");
    first.engine.stop();

    let store = store(&folder);
    let (segments, over) =
        (store.journal(run.id).expect("reads").len(), run.ended_at.expect("it ended").plus(Duration::from_millis(1)));
    assert!(segments > 12 && store.compaction(over, Place::default()).expect("reads").is_some(), "{segments}");
    let later = |options| Options { clock: Arc::new(Later(Duration::from_hours(2))), ..options };
    let second = Bench::with(Arc::clone(&store) as Arc<dyn Store>, &[("w", WAITS_OFTEN)], later);
    let handle = second.engine.handle();
    second.block(until(|| store.compaction(over, Place::default()).expect("reads").is_none()));

    assert_eq!(store.journal(run.id).expect("reads").len(), segments);
    assert_eq!(handle.journal(run.id).expect("reads"), journal);
    let wanted = super::super::pages::Wanted { from: 5, kind: None, limit: 9 };
    let page: Vec<_> =
        handle.page(run.id, &wanted).expect("reads").entries.into_iter().map(|(_, entry)| entry).collect();
    assert_eq!(page, journal[5..14]);
    assert!(compatible(&handle.run(run.id).expect("reads"), &journal, WAITS_OFTEN));
    second.block(async {
        let ok = Change::SetState { scope: "w".into(), key: "ok".into(), value: Some(Payload::from_text("true")) };
        handle.write(vec![ok]).await.expect("writes");
        let copy = handle.fork(run.id, "s3", None, &deed()).await.expect("is copied");
        let copy = copy["run"].as_str().and_then(|copy| copy.parse().ok()).expect("a run");
        handle.retry(run.id, &Retry::default(), &deed()).await.expect("retries");
        for run in [run.id, copy] {
            let ended = handle.ended(run).await.expect("ends");
            assert_eq!(
                (ended.status, ended.output.map(|output| output.to_json())),
                (Status::Completed, Some(json!(7)))
            );
        }
    });
    assert!(store.journal(run.id).expect("reads").len() > segments);
    second.engine.stop();
}
