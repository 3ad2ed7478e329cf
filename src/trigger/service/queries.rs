//! `trigger::sql`, over time: a query is asked again and again, and starts a run with the rows that are new.
//!
//! What it found is noted, with the cursor behind it, before a run is started for it, and the key of the start is the number of
//! the find. So after a crash the same rows start the same run, or none if it is there, and no row is asked for twice or passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{AGAIN, Begun, Cause, LOOK_MAX, SCOPE, begin, note, write};
use crate::engine::{Deployed, Handle, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::time::parse_duration;

/// How often a query is asked unless `every` says so.
const EVERY: Duration = Duration::from_mins(1);
/// How long the key of a start counts.
const KEY_KEPT: Duration = Duration::from_hours(30 * 24);

/// One trigger's query.
struct Query {
    deployed: Arc<Deployed>,
    spec: TriggerSpec,
    known: Known,
    /// When it is asked next, by the clock that only goes on.
    next: Duration,
    /// Why it could not be asked the last time.
    problem: Option<String>,
}

/// What the store remembers of it.
#[derive(Clone, Default)]
struct Known {
    /// How many finds there were.
    number: u64,
    /// The value behind which rows are new.
    cursor: Value,
    /// Without a cursor: what was found the last time.
    seen: Value,
    /// Rows for which no run is known yet.
    found: Option<Vec<Value>>,
}

/// All queries of what is deployed, by workflow and trigger.
pub(super) struct Queries {
    handle: Handle,
    queries: BTreeMap<(Arc<str>, String), Query>,
}

impl Queries {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, queries: BTreeMap::new() }
    }

    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut deployments = self.handle.deployments();
        let mut is_complete = false;
        loop {
            if !is_complete || deployments.has_changed().unwrap_or(false) {
                deployments.mark_unchanged();
                is_complete = self.sync();
            }
            for query in self.queries.values_mut() {
                if query.next <= self.handle.clock().elapsed() {
                    tokio::select! {
                        () = query.ask(&self.handle) => {}
                        _ = stop.changed() => return,
                    }
                }
            }
            let now = self.handle.clock().elapsed();
            let next = self.queries.values().map(|query| query.next.saturating_sub(now)).min().unwrap_or(LOOK_MAX);
            tokio::select! {
                _ = stop.changed() => return,
                _ = deployments.changed() => is_complete = false,
                () = tokio::time::sleep(next.min(if is_complete { LOOK_MAX } else { AGAIN })) => {}
            }
        }
    }

    /// Takes in what is deployed. False: not all could be read, and it is to be done again.
    fn sync(&mut self) -> bool {
        let mut found = BTreeSet::new();
        let mut is_complete = true;
        for deployed in self.handle.workflows() {
            for spec in deployed.triggers.iter().filter(|spec| spec.kind == TriggerKind::Sql) {
                let id = (Arc::clone(&deployed.name), spec.id.clone());
                found.insert(id.clone());
                if let Some(query) = self.queries.get_mut(&id) {
                    (query.deployed, query.spec) = (Arc::clone(&deployed), spec.clone());
                    continue;
                }
                match self.handle.store().state(SCOPE, &state_key(&deployed, spec)) {
                    Ok(known) => {
                        let known = Known::of(known.map(|known| known.to_json()).as_ref(), spec);
                        let query = Query {
                            deployed: Arc::clone(&deployed),
                            spec: spec.clone(),
                            known,
                            next: Duration::ZERO,
                            problem: None,
                        };
                        self.queries.insert(id, query);
                    }
                    Err(error) => {
                        tracing::warn!("the state of {} of `{}` cannot be read: {error}", spec.id, deployed.name);
                        is_complete = false;
                    }
                }
            }
        }
        // What the store has of it stays: rows are not taken anew because their trigger was away.
        self.queries.retain(|id, _| found.contains(id));
        is_complete
    }
}

impl Known {
    fn of(stored: Option<&Value>, spec: &TriggerSpec) -> Self {
        let start = || spec.options.get("start").cloned().unwrap_or(json!(0));
        let Some(stored) = stored else { return Self { cursor: start(), ..Self::default() } };
        Self {
            number: stored["number"].as_u64().unwrap_or_default(),
            cursor: stored.get("cursor").cloned().unwrap_or_else(start),
            seen: stored["seen"].clone(),
            found: stored["found"].as_array().cloned(),
        }
    }

    fn to_json(&self) -> Value {
        json!({ "number": self.number, "cursor": self.cursor, "seen": self.seen, "found": self.found })
    }
}

fn state_key(deployed: &Deployed, spec: &TriggerSpec) -> String {
    format!("{}/{}", deployed.name, spec.id)
}

/// How far a row is.
fn value(row: &Map<String, Value>, column: &str) -> Result<Value, Option<String>> {
    let hint = "`cursor` names a column of the rows that is never `null`";
    let found = row.get(column).filter(|value| !value.is_null()).cloned();
    found.ok_or_else(|| Some(format!("the last row has no `{column}`; hint: {hint}")))
}

impl Query {
    fn cursor(&self) -> Option<&str> {
        self.spec.options["cursor"].as_str()
    }

    /// Asks once, and starts a run for what is new.
    async fn ask(&mut self, handle: &Handle) {
        let every = self.spec.options["every"].as_str().and_then(|text| parse_duration(text).ok()).unwrap_or(EVERY);
        let pause = match self.step(handle).await {
            // There may be more where that came from.
            Ok(true) if self.cursor().is_some() => Duration::ZERO,
            Ok(_) => {
                self.problem = None;
                every
            }
            Err(None) => AGAIN,
            Err(Some(problem)) => {
                self.told(handle, problem);
                every
            }
        };
        self.next = handle.clock().elapsed() + pause;
    }

    /// Whether rows were found. `None` as the error: the engine cannot do it now.
    async fn step(&mut self, handle: &Handle) -> Result<bool, Option<String>> {
        if self.known.found.is_none() && !self.look(handle).await? {
            return Ok(false);
        }
        if let Begun::NotNow(_) = begin(handle, self.cause()).await {
            return Err(None);
        }
        self.noted(handle, Known { found: None, ..self.known.clone() }).await?;
        Ok(true)
    }

    /// Looks for rows, and notes what it found.
    async fn look(&mut self, handle: &Handle) -> Result<bool, Option<String>> {
        let text = self.spec.options["query"].as_str().unwrap_or_default();
        let cursor = self.cursor().map(|_| &self.known.cursor);
        let rows = handle.rows(&self.deployed, &self.spec.subject, text, cursor).await.map_err(Some)?;
        let Some(last) = rows.last() else {
            // What is found again after nothing was there is new.
            if !self.known.seen.is_null() {
                self.noted(handle, Known { seen: Value::Null, ..self.known.clone() }).await?;
            }
            return Ok(false);
        };
        let mut known = Known { number: self.known.number + 1, ..self.known.clone() };
        if let Some(column) = self.cursor() {
            known.cursor = value(last, column)?;
            if known.cursor == self.known.cursor {
                let hint = format!("write `where {column} > :cursor order by {column}`");
                let cursor = &known.cursor;
                return Err(Some(format!("the rows are not behind the cursor {cursor}; hint: {hint}")));
            }
        } else {
            let list = Value::from(rows.iter().cloned().map(Value::Object).collect::<Vec<_>>());
            known.seen = hex::encode(Sha256::digest(list.to_string())).into();
            if known.seen == self.known.seen {
                return Ok(false);
            }
        }
        known.found = Some(rows.into_iter().map(Value::Object).collect());
        self.noted(handle, known).await?;
        Ok(true)
    }

    async fn noted(&mut self, handle: &Handle, known: Known) -> Result<(), Option<String>> {
        let change = note(&state_key(&self.deployed, &self.spec), Some(&known.to_json()));
        if !write(handle, vec![change]).await {
            return Err(None);
        }
        self.known = known;
        Ok(())
    }

    fn cause(&self) -> Cause<'_> {
        let rows = self.known.found.clone().unwrap_or_default();
        let digest = hex::encode(Sha256::digest(Value::from(rows.clone()).to_string()));
        Cause {
            key: Some(format!("{}-{digest}", self.known.number)),
            within: Some(KEY_KEPT),
            info: json!({ "database": self.spec.subject, "rows": rows.len() }),
            seen: Some(rows.clone().into()),
            input: rows.into(),
            ..Cause::of(&self.deployed.name, &self.spec)
        }
    }

    /// Says once what is wrong.
    fn told(&mut self, handle: &Handle, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::warn!("{} of `{}` cannot be asked: {problem}", self.spec.id, self.deployed.name);
            handle.refuse(&self.deployed.name, &self.spec.id, problem.as_str());
        }
        self.problem = Some(problem);
    }
}
