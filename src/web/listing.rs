//! Pages of lists that the store keeps: read a few rows at a time, and ended where they are large enough, so that one request takes
//! little memory, whatever the rows bear.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use super::{Problem, Shared, request};
use crate::engine::{Error, Handle};
use crate::payload::Payload;
use crate::store::Run;

/// Bytes of a page: what is beyond comes with the next one. A single row that is larger comes alone.
const PAGE_BYTES: usize = 4 << 20;
/// Rows that are read at once: each may bear some megabytes.
const READ: usize = 8;
/// Bytes of an input or output in a list: what is larger is asked for with its run.
const VALUE_MAX: usize = 8 << 10;
/// Characters of the message of an error that is larger: as much as a line of a table shows, several times.
const MESSAGE_MAX: usize = 1_000;

/// Some rows as JSON.
pub(super) struct Page<T> {
    rows: String,
    count: usize,
    /// The last of them.
    last: Option<T>,
    has_more: bool,
}

/// Reads a page. `read` gives so many rows at most behind one, or from the first; `shown` is a row as the list has it.
pub(super) fn gather<T>(
    limit: usize,
    read: impl Fn(Option<&T>, usize) -> Result<Vec<T>, Error>,
    shown: impl Fn(&T) -> Result<Value, Error>,
) -> Result<Page<T>, Error> {
    let mut page = Page { rows: String::new(), count: 0, last: None, has_more: false };
    loop {
        // One more than fits tells whether there is a next page.
        let wanted = READ.min(limit - page.count + 1);
        let rows = read(page.last.as_ref(), wanted)?;
        let is_end = rows.len() < wanted;
        for row in rows {
            if page.count == limit || !page.take(&shown(&row)?.to_string()) {
                page.has_more = true;
                return Ok(page);
            }
            page.last = Some(row);
        }
        if is_end {
            return Ok(page);
        }
    }
}

impl<T> Page<T> {
    /// Adds a row where it fits; the first one does.
    fn take(&mut self, row: &str) -> bool {
        if self.count > 0 {
            if self.rows.len() + row.len() > PAGE_BYTES {
                return false;
            }
            self.rows.push(',');
        }
        self.rows.push_str(row);
        self.count += 1;
        true
    }
}

/// Answers with a page that is read while few others are. `cursor`: how the next page is asked for behind a row.
pub(super) async fn answer<T: Send + 'static>(
    shared: &Shared,
    field: &str,
    read: impl FnOnce(&Handle) -> Result<Page<T>, Error> + Send + 'static,
    cursor: impl Fn(&T) -> String,
) -> Result<Response, Problem> {
    let _turn = shared.flood.reading().await;
    let page = request::read(shared, read).await?;
    let next = page.last.as_ref().filter(|_| page.has_more).map(cursor);
    let body = format!("{{\"{field}\":[{}],\"next\":{}}}", page.rows, json!(next));
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// A run as lists and the stream of everything have it: `left_out` names what is too large for them, with its bytes.
pub(super) fn run(handle: &Handle, row: &Run) -> Result<Value, Error> {
    let mut row = row.clone();
    let mut left_out = Map::new();
    let mut cut = |field: &str, value: &mut Payload| {
        if value.text().len() > VALUE_MAX {
            left_out.insert(field.to_owned(), value.text().len().into());
            return Some(std::mem::take(value));
        }
        None
    };
    cut("input", &mut row.input);
    row.output.as_mut().and_then(|output| cut("output", output));
    let error = row.error.as_mut().and_then(|error| cut("error", error));
    let large_trigger = cut("trigger", &mut row.trigger.clone()).is_some();
    let mut shown = handle.run_json(&row)?;
    if let Some(error) = error {
        let message = error.to_json()["message"].as_str().unwrap_or_default().chars().take(MESSAGE_MAX).collect();
        shown["error"] = json!({ "message": Value::String(message) });
    }
    if large_trigger {
        shown["trigger"] = json!({ "kind": shown["trigger"]["kind"] });
    }
    if !left_out.is_empty() {
        shown["left_out"] = left_out.into();
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages over `rows` numbers, each shown with so many bytes.
    fn pages(rows: usize, limit: usize, bytes: usize) -> Vec<usize> {
        let (mut after, mut counts) = (None, Vec::new());
        loop {
            let read = |last: Option<&usize>, most: usize| {
                let from = last.or(after.as_ref()).map_or(0, |last| last + 1);
                assert!(most <= READ);
                Ok((from..rows).take(most).collect())
            };
            let page = gather(limit, read, |_| Ok("x".repeat(bytes).into())).expect("reads");
            counts.push(page.count);
            if !page.has_more {
                return counts;
            }
            after = page.last;
        }
    }

    #[test]
    fn a_page_ends_where_it_is_asked_to() {
        assert_eq!(pages(0, 10, 1), [0]);
        assert_eq!(pages(10, 10, 1), [10]);
        assert_eq!(pages(21, 10, 1), [10, 10, 1]);
        assert_eq!(pages(8, 8, 1), [8]);
        assert_eq!(pages(9, 8, 1), [8, 1]);
    }

    #[test]
    fn a_page_ends_where_it_is_large_and_has_one_row_at_least() {
        assert_eq!(pages(10, 1_000, 1_000_000), [4, 4, 2]);
        assert_eq!(pages(3, 1_000, PAGE_BYTES + 1), [1, 1, 1]);
    }
}
