//! The audit log: looking at it, and walking along its chain.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Problem, Shared, listing, request, runs};
use crate::audit::{Broken, Head, Record};
use crate::store::AuditFilter;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    since: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /api/v1/audit`: newest first.
pub(super) async fn list(State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let given: Parameters = request::query(&uri)?;
    let now = shared.app.handle.clock().now();
    let filter = AuditFilter {
        since: given.since.map(|since| runs::earlier(&since, now)).transpose()?,
        limit: runs::limit(given.limit)?,
        before: request::cursor(given.cursor.as_deref(), |cursor| cursor.parse().ok())?,
    };
    let page = move |handle: &crate::engine::Handle| {
        let read = |last: Option<&Record>, limit| {
            let before = last.map(|record| record.seq).or(filter.before);
            handle.audit(&AuditFilter { limit, before, ..filter.clone() })
        };
        listing::gather(filter.limit, read, |record| Ok(record.to_json()))
    };
    listing::answer(&shared, "acts", page, |last| last.seq.to_string()).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    expect: Option<String>,
}

/// `GET /api/v1/audit/verify?expect=HEAD`: whether the log is whole, and its head; else the first record that is wrong.
pub(super) async fn verify(State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Problem> {
    let Expected { expect } = request::query(&uri)?;
    let wrong = || Problem::bad("`expect` is no head of an audit log; hint: `head` of an earlier answer");
    let known = expect.map(|text| Head::from_text(&text).ok_or_else(wrong)).transpose()?;
    let verdict = request::read(&shared, move |handle| handle.verify_audit(known)).await?;
    Ok(Json(verdict_json(&verdict)))
}

/// What came of a walk: `{"ok","records","head"}`, or `{"ok","seq","problem"}`.
pub fn verdict_json(verdict: &Result<Head, Broken>) -> Value {
    match verdict {
        Ok(head) => json!({ "ok": true, "records": head.seq, "head": head.to_string() }),
        Err(broken) => json!({ "ok": false, "seq": broken.seq(), "problem": broken.to_string() }),
    }
}
