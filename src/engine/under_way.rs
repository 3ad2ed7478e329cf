//! What runs do outside at this moment, for whoever wonders: kept in memory, for no journal has what merely reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::shared::held;
use crate::effect::Request;
use crate::host::session::WaitId;
use crate::id::RunId;
use crate::script::secret::mask;
use crate::time::Timestamp;

type Known = Mutex<BTreeMap<(RunId, WaitId), Doing>>;

/// An effect that has begun.
struct Doing {
    request: Box<str>,
    since: Timestamp,
}

/// All effects that have begun and not ended.
#[derive(Clone, Default)]
pub(super) struct UnderWay(Arc<Known>);

/// The effect is under way until this is dropped, also where it is given up.
pub(super) struct Noted {
    known: Arc<Known>,
    key: (RunId, WaitId),
}

impl UnderWay {
    pub(super) fn note(&self, run: RunId, wait: WaitId, request: &Request, since: Timestamp) -> Noted {
        let key = (run, wait);
        held(&self.0).insert(key, Doing { request: request.shown().into(), since });
        Noted { known: Arc::clone(&self.0), key }
    }

    /// What a run does, the earliest first: `[#{ what, since }]`.
    pub(super) fn of(&self, run: RunId) -> Value {
        let known = held(&self.0);
        let mut all: Vec<_> = known.range((run, WaitId(0))..=(run, WaitId(u64::MAX))).map(|(_, doing)| doing).collect();
        all.sort_by_key(|doing| doing.since);
        all.into_iter().map(|doing| json!({ "what": mask(&doing.request), "since": doing.since })).collect()
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        held(&self.known).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::HttpRequest;

    #[test]
    fn what_has_begun_is_known_until_it_ends() {
        let (known, run) = (UnderWay::default(), RunId(uuid::Uuid::from_u128(7)));
        let request = Request::Http(HttpRequest::new("GET", "https://a.example/x?t=⟦secret:a:b1⟧"));
        let noted = known.note(run, WaitId(3), &request, Timestamp(5));
        let shown = known.of(run);
        assert_eq!(shown[0]["what"], "GET https://a.example/x?t=***");
        assert_eq!(known.of(RunId(uuid::Uuid::from_u128(8))), json!([]));
        drop(noted);
        assert_eq!(known.of(run), json!([]));
    }
}
