//! Which runs in motion wait for which events. Those that are out of memory are found by their rows.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use super::shared::held;
use crate::id::RunId;
use crate::store::{Event, Subscription};

/// Name of an event, and its key where only that one will do.
type Wanted = (Arc<str>, Option<Arc<str>>);

/// Runs in motion that wait for an event, by what they wait for.
#[derive(Default)]
pub(super) struct Mailbox(Mutex<HashMap<Wanted, BTreeSet<RunId>>>);

impl Mailbox {
    /// A run waits for it from now on.
    pub(super) fn subscribe(&self, run: RunId, name: &Arc<str>, key: Option<&Arc<str>>) {
        held(&self.0).entry((Arc::clone(name), key.cloned())).or_default().insert(run);
    }

    /// A run does not wait for it any more.
    pub(super) fn unsubscribe(&self, run: RunId, wanted: &Subscription) {
        let wanted = (Arc::clone(&wanted.name), wanted.key.clone());
        let mut all = held(&self.0);
        if let Some(waiting) = all.get_mut(&wanted) {
            waiting.remove(&run);
            if waiting.is_empty() {
                all.remove(&wanted);
            }
        }
    }

    /// Who waits for such an event.
    pub(super) fn waiting(&self, event: &Event) -> BTreeSet<RunId> {
        let all = held(&self.0);
        let any = all.get(&(Arc::clone(&event.name), None));
        let keyed = event.key.as_ref().and_then(|key| all.get(&(Arc::clone(&event.name), Some(Arc::clone(key)))));
        any.into_iter().chain(keyed).flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Payload;
    use crate::time::Timestamp;

    fn event(name: &str, key: Option<&str>) -> Event {
        let (id, key, payload) = ("e".into(), key.map(Into::into), Payload::unit());
        Event { seq: 1, id, name: name.into(), key, payload, run: None, at: Timestamp(1) }
    }

    #[test]
    fn an_event_concerns_those_that_wait_for_its_key_or_for_any() {
        let (mailbox, runs) = (Mailbox::default(), [RunId::new(), RunId::new(), RunId::new()]);
        let keys: [Option<Arc<str>>; 3] = [None, Some("a".into()), Some("b".into())];
        for (run, key) in runs.iter().zip(&keys) {
            mailbox.subscribe(*run, &"paid".into(), key.as_ref());
        }
        let waiting = |name, key| mailbox.waiting(&event(name, key)).into_iter().collect::<Vec<_>>();
        assert_eq!(waiting("paid", Some("a")), runs[..2]);
        assert_eq!((waiting("paid", None), waiting("sent", Some("a"))), (vec![runs[0]], vec![]));
        let none = Subscription { name: "paid".into(), key: None, after: 0, since: Timestamp(0) };
        mailbox.unsubscribe(runs[0], &none);
        assert_eq!(waiting("paid", Some("b")), [runs[2]]);
    }
}
