//! How lists go on, where a description says so: a `Link` header, the address of the next page, or a mark to ask for.

use serde_json::{Map, Value};

use super::document::Document;
use super::shape::gather;

/// What leads from a page to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Paging {
    /// A `Link` header with `rel="next"`.
    Link,
    /// The address of the next page, at this place of the body: `links.next`.
    Address(String),
    /// A mark at a place of the body, which goes into a parameter of the query.
    Mark {
        /// Where it is: `meta.next_cursor`.
        at: String,
        /// The parameter that takes it.
        parameter: String,
    },
}

/// Properties with the address of the next page.
const ADDRESSES: &[&str] = &["next", "next_page_url", "nextLink", "@odata.nextLink", "next_url", "next_href"];
/// Properties with a mark, and the parameters that take it.
const MARKS: &[(&str, &[&str])] = &[
    ("nextPageToken", &["pageToken"]),
    ("next_page_token", &["page_token"]),
    ("nextToken", &["nextToken"]),
    ("next_token", &["next_token", "pagination_token"]),
    ("next_cursor", &["cursor", "start_cursor", "starting_after"]),
    ("nextCursor", &["cursor"]),
    ("end_cursor", &["cursor", "after"]),
    ("next_batch", &["from", "since"]),
    ("cursor", &["cursor"]),
];
/// Where a list says such things, beside at its top.
const INNER: &[&str] = &["links", "_links", "meta", "pagination", "paging", "page_info", "response_metadata"];

/// How the answers of an operation go on; `None`: nothing is declared.
pub(super) fn paging(document: &Document, response: &Value, schema: Option<&Value>, query: &[&str]) -> Option<Paging> {
    let headers = response["headers"].as_object();
    if headers.is_some_and(|headers| headers.keys().any(|name| name.eq_ignore_ascii_case("link"))) {
        return Some(Paging::Link);
    }
    let top = properties(document, schema?);
    within(&top, "", query).or_else(|| {
        INNER.iter().find_map(|inner| {
            let below = properties(document, top.get(*inner)?);
            within(&below, &format!("{inner}."), query)
        })
    })
}

fn properties(document: &Document, schema: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    gather(document, schema, &mut found, &mut Vec::new(), 8);
    found
}

fn within(properties: &Map<String, Value>, prefix: &str, query: &[&str]) -> Option<Paging> {
    let mark = MARKS.iter().find_map(|(name, parameters)| {
        let parameter = parameters.iter().find(|parameter| query.contains(*parameter))?;
        properties
            .contains_key(*name)
            .then(|| Paging::Mark { at: format!("{prefix}{name}"), parameter: (*parameter).to_owned() })
    });
    let address = || ADDRESSES.iter().find(|name| properties.get(**name).is_some_and(is_text));
    mark.or_else(|| address().map(|name| Paging::Address(format!("{prefix}{name}"))))
}

fn is_text(schema: &Value) -> bool {
    let texts =
        |kind: &Value| kind == "string" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "string"));
    texts(&schema["type"])
        || schema["anyOf"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| texts(&kind["type"])))
}
