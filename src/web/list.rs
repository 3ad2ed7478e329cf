//! Pages of lists that are in memory, in the order of a name that each item has alone.

use axum::http::Uri;
use serde::Deserialize;

use super::{Problem, request, runs};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Some items of a list.
pub(super) struct Page<T> {
    /// They.
    pub(super) items: Vec<T>,
    /// The cursor of the next page.
    pub(super) next: Option<String>,
}

/// The page that a request asks for, of items in the order of their names; as large as it may be unless it says otherwise.
pub(super) fn by_name<T>(uri: &Uri, all: Vec<T>, name: impl Fn(&T) -> String) -> Result<Page<T>, Problem> {
    let Parameters { limit, cursor } = request::query(uri)?;
    let limit = runs::limit(Some(limit.unwrap_or(runs::PAGE_MAX)))?;
    let after = request::cursor(cursor.as_deref(), |cursor| cursor.strip_prefix('~').map(str::to_owned))?;
    let mut rest = all.into_iter().filter(|item| after.as_ref().is_none_or(|after| name(item) > *after));
    let items: Vec<_> = rest.by_ref().take(limit).collect();
    let next = rest.next().and(items.last()).map(|last| format!("~{}", name(last)));
    Ok(Page { items, next })
}

/// The page of a line, in its order. What is at a place may change between two pages: a cursor is a place.
pub(super) fn by_place<T>(uri: &Uri, all: Vec<T>) -> Result<Page<T>, Problem> {
    let Parameters { limit, cursor } = request::query(uri)?;
    let limit = runs::limit(Some(limit.unwrap_or(runs::PAGE_MAX)))?;
    let from: usize = request::cursor(cursor.as_deref(), |cursor| cursor.parse().ok())?.unwrap_or(0);
    let has_more = all.len() > from.saturating_add(limit);
    let items = all.into_iter().skip(from).take(limit).collect();
    Ok(Page { items, next: has_more.then(|| (from + limit).to_string()) })
}
