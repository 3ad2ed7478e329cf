//! The last look at what is answered: whatever a handler puts together, nothing that stands for a secret leaves this server.
//!
//! Handlers show values by [`Payload::to_json`](crate::payload::Payload::to_json), which has none. Names of steps, titles of tasks,
//! keys of events and messages of errors are texts of scripts, too, and there will be more of them: so it is done here, once.

use std::borrow::Cow;

use axum::body::{Body, HttpBody as _};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use tokio_stream::StreamExt as _;

use crate::placeholder::mask_bytes;

/// Marks an answer that holds no mark of a secret, and must stay as it is: a recording is evaluated again.
#[derive(Clone, Copy)]
pub(super) struct Verbatim;

/// Bodies of text that are put together in memory are looked at as a whole; streams are by what is sent at a time.
pub(super) async fn masked(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    mask_headers(&mut parts.headers);
    if !is_text(&parts.headers) || parts.extensions.get::<Verbatim>().is_some() {
        return Response::from_parts(parts, body);
    }
    if body.size_hint().exact().is_none() {
        let chunks = body.into_data_stream().map(|chunk| {
            chunk.map(|bytes| match mask_bytes(&bytes) {
                Cow::Owned(masked) => masked.into(),
                Cow::Borrowed(_) => bytes,
            })
        });
        return Response::from_parts(parts, Body::from_stream(chunks));
    }
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let body = match mask_bytes(&bytes) {
        Cow::Owned(masked) => {
            parts.headers.remove(CONTENT_LENGTH);
            Body::from(masked)
        }
        Cow::Borrowed(_) => Body::from(bytes),
    };
    Response::from_parts(parts, body)
}

/// Files and backups are what they are.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || essence == "application/json"
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
}

fn mask_headers(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        if let Cow::Owned(masked) = mask_bytes(value.as_bytes())
            && let Ok(clean) = HeaderValue::from_bytes(&masked)
        {
            *value = clean;
        }
    }
}
