//! How far somebody who listens to a mailbox has come, and which of its messages are new. Pure.
//!
//! A server numbers messages upwards, and says when it has numbered them anew (UIDVALIDITY). As long as it has not, the number of
//! the last message that was taken says it all. After that every message has another number: then those that were taken are
//! recognised by what they say of themselves, which whoever follows the mailbox has noted, and what was there before anybody
//! listened by when it came.

use serde_json::{Value, json};

/// How far one who listens has come. Noted durably after each message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Which folder of which server.
    place: String,
    /// Its numbering.
    validity: u32,
    /// The number of the last message that was looked at.
    last: u32,
    /// What came until then, in seconds since 1970 by the server's clock, was there before, or is forgotten.
    since: i64,
    /// The messages up to this number were numbered anew.
    renumbered: Option<u32>,
}

/// What a server says of a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbering {
    /// The numbering of its messages.
    pub validity: u32,
    /// The number that the next message gets, at least.
    pub next: u32,
}

/// What a list says of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its number.
    pub uid: u32,
    /// When it came, in seconds since 1970.
    pub date: i64,
}

/// Whether a message was seen under another number, perhaps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// No: its number is new.
    New,
    /// It may have been: what was noted of it counts.
    Perhaps,
}

impl Progress {
    /// One who begins to listen: with what comes from now on. `newest`: when the newest message came that is there.
    pub fn begin(place: &str, numbering: Numbering, newest: i64) -> Self {
        let last = numbering.next.saturating_sub(1);
        Self { place: place.to_owned(), validity: numbering.validity, last, since: newest, renumbered: None }
    }

    /// One who listened before. `forgotten`: of what came until then nothing is noted any more.
    #[must_use]
    pub fn meet(self, place: &str, numbering: Numbering, newest: i64, forgotten: i64) -> Self {
        if self.place != place {
            return Self::begin(place, numbering, newest);
        }
        if self.validity == numbering.validity {
            return self;
        }
        let renumbered = Some(numbering.next.saturating_sub(1));
        let since = self.since.max(forgotten);
        Self { validity: numbering.validity, last: 0, since, renumbered, ..self }
    }

    /// The lowest number that may be new.
    pub fn from(&self) -> u32 {
        self.last.saturating_add(1)
    }

    /// Whether this message is to be looked at, and what is known of it.
    pub fn wants(&self, message: Listed) -> Option<Known> {
        match self.renumbered {
            _ if message.uid <= self.last => None,
            Some(until) if message.uid <= until => (message.date > self.since).then_some(Known::Perhaps),
            _ => Some(Known::New),
        }
    }

    /// The same after this message, and all with lower numbers.
    #[must_use]
    pub fn after(&self, uid: u32) -> Self {
        let last = self.last.max(uid);
        Self { last, renumbered: self.renumbered.filter(|until| last < *until), ..self.clone() }
    }

    /// As it is noted.
    pub fn to_json(&self) -> Value {
        json!({
            "place": self.place, "validity": self.validity, "last": self.last, "since": self.since,
            "renumbered": self.renumbered,
        })
    }

    /// As it was noted; `None`: it cannot be read.
    pub fn of_json(noted: &Value) -> Option<Self> {
        let number = |name: &str| u32::try_from(noted[name].as_u64()?).ok();
        Some(Self {
            place: noted["place"].as_str()?.to_owned(),
            validity: number("validity")?,
            last: number("last")?,
            since: noted["since"].as_i64()?,
            renumbered: number("renumbered"),
        })
    }
}

/// The key of a message: no other has it, in any mailbox.
pub fn key(place: &str, validity: u32, uid: u32) -> String {
    use sha2::{Digest as _, Sha256};

    format!("{}:{validity}:{uid}", hex::encode(&Sha256::digest(place)[..8]))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn numbering(validity: u32, next: u32) -> Numbering {
        Numbering { validity, next }
    }

    fn listed(uid: u32, date: i64) -> Listed {
        Listed { uid, date }
    }

    #[test]
    fn who_begins_gets_what_comes_from_then_on() {
        let progress = Progress::begin("p", numbering(7, 11), 100);
        assert_eq!((progress.wants(listed(10, 500)), progress.wants(listed(11, 1))), (None, Some(Known::New)));
        assert_eq!((progress.from(), progress.after(12).from()), (11, 13));
        assert_eq!(Progress::begin("p", numbering(7, 1), 0).from(), 1);
        assert_eq!(Progress::of_json(&progress.to_json()), Some(progress.clone()));
        assert_eq!(progress.clone().meet("p", numbering(7, 99), 900, 0), progress);
        assert_eq!(progress.meet("q", numbering(7, 5), 3, 0), Progress::begin("q", numbering(7, 5), 3));
    }

    #[test]
    fn after_a_new_numbering_what_may_be_known_is_looked_at_again() {
        let progress = Progress::begin("p", numbering(7, 11), 100).after(12).meet("p", numbering(8, 4), 300, 0);
        let wants = |uid, date| progress.wants(listed(uid, date));
        assert_eq!((wants(1, 100), wants(2, 101), wants(4, 1)), (None, Some(Known::Perhaps), Some(Known::New)));
        assert_eq!(progress.after(2).wants(listed(3, 200)), Some(Known::Perhaps));
        assert_eq!(progress.after(3).to_json()["renumbered"], Value::Null);
        let forgetful = Progress::begin("p", numbering(7, 11), 100).meet("p", numbering(8, 4), 300, 150);
        assert_eq!(forgetful.wants(listed(2, 150)), None);
        assert_eq!(Progress::of_json(&progress.to_json()), Some(progress));
    }

    #[test]
    fn keys_tell_places_numberings_and_messages_apart() {
        let keys: BTreeSet<_> =
            [("a", 1, 2), ("b", 1, 2), ("a", 2, 2), ("a", 1, 3)].map(|(p, v, u)| key(p, v, u)).into();
        assert_eq!(keys.len(), 4);
    }

    /// What happens to a mailbox.
    #[derive(Debug, Clone)]
    enum Event {
        Arrives,
        Renumbered,
        Looks(usize),
        CrashesAfterStart,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            4 => Just(Event::Arrives),
            1 => Just(Event::Renumbered),
            3 => (1usize..4).prop_map(Event::Looks),
            1 => Just(Event::CrashesAfterStart),
        ];
        proptest::collection::vec(event, 1..60)
    }

    /// A server's folder, and one who follows it as the service does.
    struct World {
        validity: u32,
        next: u32,
        /// Numbers, with the message and when it came.
        folder: BTreeMap<u32, (u32, i64)>,
        progress: Progress,
        /// Keys that were noted of messages.
        notes: BTreeMap<u32, String>,
        /// Runs, by key.
        runs: BTreeMap<String, u32>,
    }

    impl World {
        fn renumber(&mut self) {
            self.validity += 1;
            let all: Vec<_> = self.folder.values().copied().collect();
            self.folder = (1..).zip(all).collect();
            self.next = self.folder.len() as u32 + 1;
        }

        /// Takes some messages; the last of them without noting that it did.
        fn look(&mut self, count: usize, is_noted: bool) {
            let numbering = numbering(self.validity, self.next);
            self.progress = self.progress.clone().meet("p", numbering, 0, 0);
            let heads: Vec<_> = self.folder.iter().map(|(uid, (id, date))| (listed(*uid, *date), *id)).collect();
            let wanted = heads.into_iter().filter_map(|(head, id)| Some((head, id, self.progress.wants(head)?)));
            for (head, id, known) in wanted.take(count).collect::<Vec<_>>() {
                let own = key("p", self.validity, head.uid);
                let key = match (known, self.notes.get(&id)) {
                    (Known::Perhaps, Some(noted)) => noted.clone(),
                    _ => own,
                };
                self.notes.entry(id).or_insert_with(|| key.clone());
                let started = *self.runs.entry(key).or_insert(id);
                assert_eq!(started, id, "one message takes the key of another");
                if is_noted {
                    self.progress = self.progress.after(head.uid);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn each_message_starts_one_run_whatever_happens(events in events()) {
            let folder = (1..=3).map(|id| (id, (id, i64::from(id)))).collect();
            let progress = Progress::begin("p", numbering(1, 4), 3);
            let (notes, runs) = (BTreeMap::new(), BTreeMap::new());
            let mut world = World { validity: 1, next: 4, folder, progress, notes, runs };
            let mut id = 3;
            for event in events {
                match event {
                    Event::Arrives => {
                        id += 1;
                        world.folder.insert(world.next, (id, i64::from(id)));
                        world.next += 1;
                    }
                    Event::Renumbered => world.renumber(),
                    Event::Looks(count) => world.look(count, true),
                    Event::CrashesAfterStart => world.look(1, false),
                }
            }
            world.look(usize::MAX, true);
            let mut started: Vec<_> = world.runs.values().copied().collect();
            started.sort_unstable();
            prop_assert_eq!(started, (4..=id).collect::<Vec<_>>());
        }
    }
}
