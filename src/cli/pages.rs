//! The journal of a run, page by page: of a daemon, or of the store where none holds it. Nobody holds all of a long one.

use serde_json::Value;

use super::access::Access;
use super::output::Fault;
use crate::engine::pages::{Wanted, page};
use crate::id::RunId;
use crate::journal::Kind;

/// Entries of a page: as many as a daemon gives at once.
const PAGE: usize = 1_000;

/// What of a journal is still to be read.
pub(super) struct Pages<'a> {
    access: &'a Access,
    run: RunId,
    kind: Option<Kind>,
    /// The number of the next entry; `None`: all is read.
    from: Option<usize>,
}

impl Access {
    /// The journal of a run, or of one kind of entries in it.
    pub(super) fn pages(&self, run: RunId, kind: Option<Kind>) -> Pages<'_> {
        Pages { access: self, run, kind, from: Some(0) }
    }
}

impl Pages<'_> {
    /// The next entries; `None`: there are no more.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Value>>, Fault> {
        let Some(from) = self.from else { return Ok(None) };
        let entries = match self.access {
            Access::Store(store) => {
                let wanted = Wanted { from, kind: self.kind, limit: PAGE };
                let page = page(&**store, self.run, &wanted).map_err(|error| Fault::unreachable(error.to_string()))?;
                self.from = page.has_more.then_some(page.read);
                page.entries.iter().map(|(n, entry)| entry.to_json(*n)).collect()
            }
            Access::Daemon(client) => {
                let kind = self.kind.map(|kind| format!("kind={}&", kind.name())).unwrap_or_default();
                let path = format!("/api/v1/runs/{}/journal?{kind}limit={PAGE}&cursor={from}", self.run);
                let mut page = client.get(&path).await?;
                self.from = page["next"].as_str().and_then(|next| next.parse().ok());
                page["entries"].as_array_mut().map(std::mem::take).unwrap_or_default()
            }
        };
        Ok(Some(entries))
    }
}
