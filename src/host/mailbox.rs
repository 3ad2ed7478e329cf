//! What a run, or a chain of runs that continue each other, has taken of the events that came since it was accepted.
//!
//! For a single run it is the set of events that it took. A chain hands it on: what lies in front of a *mark* (all events of
//! that name and key up to there are taken) is left out, so that a loop without end hands on a few numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::payload::Payload;
use crate::time::Timestamp;

/// Single events that a chain hands on at most. Beyond it the oldest count as taken, with all before them: a chain that
/// leaves so many of its events behind does not want them.
const MOST: usize = 4_096;

/// A name, and a key where only events with it are meant.
type Subject = (Arc<str>, Option<Arc<str>>);

/// An event as the mailbox knows it.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// Place in the order of events.
    pub seq: u64,
    /// Its name.
    pub name: &'a Arc<str>,
    /// Its own key.
    pub key: Option<&'a Arc<str>>,
}

/// What was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailbox {
    /// When the first run of the chain was accepted; `None`: the run itself is the first.
    pub since: Option<Timestamp>,
    /// Nothing up to this place is looked at any more.
    pub floor: u64,
    marks: BTreeMap<Subject, u64>,
    taken: BTreeMap<u64, Subject>,
}

impl Mailbox {
    /// An event was taken by a wait for this name and key.
    pub fn take(&mut self, seq: u64, name: &Arc<str>, key: Option<&Arc<str>>) {
        self.taken.insert(seq, (name.clone(), key.cloned()));
    }

    /// The place after which a wait for this name and key looks: all before was taken.
    pub fn begin(&self, name: &Arc<str>, key: Option<&Arc<str>>) -> u64 {
        let mark = |key: Option<&Arc<str>>| self.marks.get(&(name.clone(), key.cloned())).copied().unwrap_or(0);
        self.floor.max(mark(None)).max(mark(key))
    }

    /// Whether an event was taken before.
    pub fn has(&self, letter: Letter<'_>) -> bool {
        let below = |key: Option<&Arc<str>>| {
            self.marks.get(&(letter.name.clone(), key.cloned())).is_some_and(|mark| letter.seq <= *mark)
        };
        letter.seq <= self.floor
            || self.taken.contains_key(&letter.seq)
            || below(None)
            || (letter.key.is_some() && below(letter.key))
    }

    /// What the next run of the chain gets. `next` answers the first event after a place that fits name and key, and its
    /// own key.
    pub fn hand_on<E>(
        mut self,
        since: Timestamp,
        mut next: impl FnMut(&str, Option<&Arc<str>>, u64) -> Result<Option<(u64, Option<Arc<str>>)>, E>,
    ) -> Result<Self, E> {
        self.since.get_or_insert(since);
        let subjects: BTreeSet<_> = self.taken.values().cloned().chain(self.marks.keys().cloned()).collect();
        for (name, key) in subjects {
            let mut mark = self.marks.get(&(name.clone(), key.clone())).copied().unwrap_or(self.floor);
            while let Some((seq, own)) = next(&name, key.as_ref(), mark)?
                && self.has(Letter { seq, name: &name, key: own.as_ref() })
            {
                mark = seq;
            }
            if mark > self.floor {
                self.marks.insert((name, key), mark);
            }
        }
        self.tidy();
        Ok(self)
    }

    /// Drops what marks say already, and the oldest beyond the bound.
    fn tidy(&mut self) {
        let whole = self.marks.clone();
        let covered = |(name, key): &Subject, seq: u64| {
            let below = |key: Option<Arc<str>>| whole.get(&(name.clone(), key)).is_some_and(|mark| seq <= *mark);
            below(None) || key.clone().is_some_and(|key| below(Some(key)))
        };
        self.taken.retain(|seq, subject| !covered(subject, *seq));
        self.marks.retain(|(name, key), mark| key.is_none() || !covered(&(name.clone(), None), *mark));
        while self.taken.len() > MOST {
            let Some((seq, _)) = self.taken.pop_first() else { break };
            self.floor = self.floor.max(seq);
        }
        while self.marks.len() > MOST {
            let Some((subject, mark)) = self.marks.iter().min_by_key(|(_, mark)| **mark).map(|(s, m)| (s.clone(), *m))
            else {
                break;
            };
            self.marks.remove(&subject);
            self.floor = self.floor.max(mark);
        }
        let floor = self.floor;
        self.marks.retain(|_, mark| *mark > floor);
        self.taken.retain(|seq, _| *seq > floor);
    }

    /// As the store keeps it.
    pub fn to_payload(&self) -> Payload {
        let subject = |(name, key): &Subject, seq: u64| json!([seq, &**name, key.as_deref()]);
        Payload::from_json(&json!({
            "since": self.since.map(|since| since.0),
            "floor": self.floor,
            "marks": self.marks.iter().map(|(of, mark)| subject(of, *mark)).collect::<Vec<_>>(),
            "taken": self.taken.iter().map(|(seq, of)| subject(of, *seq)).collect::<Vec<_>>(),
        }))
    }

    /// From what the store keeps; empty where that is not what [`Mailbox::to_payload`] made.
    pub fn from_payload(payload: &Payload) -> Self {
        let stored = payload.to_json();
        let listed = |field: &str| -> Vec<(u64, Subject)> {
            let of =
                |item: &Value| Some((item[0].as_u64()?, (item[1].as_str()?.into(), item[2].as_str().map(Arc::from))));
            stored[field].as_array().into_iter().flatten().filter_map(of).collect()
        };
        Self {
            since: stored["since"].as_i64().map(Timestamp),
            floor: stored["floor"].as_u64().unwrap_or_default(),
            marks: listed("marks").into_iter().map(|(mark, of)| (of, mark)).collect(),
            taken: listed("taken").into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events 1, 2, …, by name and key.
    type Events<'a> = &'a [(&'a str, Option<&'a str>)];

    fn handed_on(mailbox: Mailbox, events: Events<'_>) -> Mailbox {
        let next = |name: &str, key: Option<&Arc<str>>, after: u64| {
            let fits = |(at, (n, k)): (usize, &(&str, Option<&str>))| {
                let seq = at as u64 + 1;
                let wanted = *n == name && key.is_none_or(|key| *k == Some(&**key)) && seq > after;
                wanted.then(|| (seq, k.map(Arc::from)))
            };
            Ok::<_, ()>(events.iter().enumerate().find_map(fits))
        };
        mailbox.hand_on(Timestamp(5), next).expect("cannot fail")
    }

    fn took(events: Events<'_>, taken: &[(u64, Option<&str>)]) -> Mailbox {
        let mut mailbox = Mailbox::default();
        for (seq, key) in taken {
            mailbox.take(*seq, &events[*seq as usize - 1].0.into(), key.map(Arc::from).as_ref());
        }
        mailbox
    }

    fn has(mailbox: &Mailbox, seq: u64, events: Events<'_>) -> bool {
        let (name, key) = events[seq as usize - 1];
        mailbox.has(Letter { seq, name: &name.into(), key: key.map(Arc::from).as_ref() })
    }

    #[test]
    fn what_was_taken_in_order_is_one_mark() {
        let events = [("a", None), ("b", None), ("a", None), ("a", None)];
        let next = handed_on(took(&events, &[(1, None), (3, None)]), &events);
        assert!(next.taken.is_empty() && next.marks.len() == 1);
        assert_eq!([1, 2, 3, 4].map(|seq| has(&next, seq, &events)), [true, false, true, false]);
    }

    #[test]
    fn what_was_passed_over_is_seen_by_the_next() {
        let events = [("a", Some("x")), ("a", Some("y")), ("a", Some("x"))];
        let next = handed_on(took(&events, &[(1, None), (3, Some("x"))]), &events);
        assert_eq!([1, 2, 3].map(|seq| has(&next, seq, &events)), [true, false, true]);
        let begin = |name: &str, key: Option<&str>| next.begin(&name.into(), key.map(Arc::from).as_ref());
        assert_eq!([begin("a", None), begin("a", Some("x")), begin("b", None)], [1, 3, 0]);
        let mut later = Mailbox::from_payload(&next.to_payload());
        assert_eq!((&later, later.since), (&next, Some(Timestamp(5))));
        later.take(2, &"a".into(), None);
        assert!(handed_on(later, &events).taken.is_empty());
    }

    #[test]
    fn it_stays_small() {
        let keys: Vec<_> = (0..6_000).map(|n| n.to_string()).collect();
        let events: Vec<_> = keys.iter().flat_map(|key| [("a", Some(&**key)), ("a", None)]).collect();
        let taken: Vec<_> = keys.iter().enumerate().map(|(n, key)| (n as u64 * 2 + 1, Some(&**key))).collect();
        let next = handed_on(took(&events, &taken), &events);
        assert_eq!(next.marks.len() + next.taken.len(), MOST);
        assert_eq!(
            [has(&next, 2, &events), has(&next, 11_999, &events), has(&next, 12_000, &events)],
            [true, true, false]
        );
    }
}
