//! Who looks, and what they are shown: a signed address does what it says without a token, so it is hidden from those whose
//! role does not.

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio_stream::StreamExt as _;

use super::Problem;
use crate::engine::Handle;
use crate::engine::links::{Entitled, Hides};
use crate::engine::tokens::Role;

/// Somebody whom the guard has let in.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    person: Option<String>,
    may: Vec<Role>,
}

impl Viewer {
    /// Who may do what these roles may, and the person that they stand for.
    pub(super) fn new(person: Option<&str>, allows: impl Fn(Role) -> bool) -> Self {
        Self { person: person.map(str::to_owned), may: Role::ALL.into_iter().filter(|role| allows(*role)).collect() }
    }

    /// Refuses a part of an act that takes more than its route; `what`: `setting an outcome`.
    pub(super) fn needs(&self, role: Role, what: &str) -> Result<(), Problem> {
        if self.may.contains(&role) {
            return Ok(());
        }
        let role = role.name();
        let detail = format!("{what} takes the role `{role}`; hint: ask for a token made with `--role {role}`");
        Err(Problem::new(StatusCode::FORBIDDEN, detail).with("role", role))
    }

    /// Whose address of a task they are given.
    pub(super) fn entitled(&self) -> Entitled<'_> {
        match &self.person {
            _ if !self.may.contains(&Role::Approve) => Entitled::Nobody,
            Some(person) => Entitled::Person(person),
            None => Entitled::Anybody,
        }
    }

    /// An answer as they are shown it.
    pub(super) async fn shown(&self, handle: &Handle, response: Response) -> Response {
        let hides = Hides { tasks: !self.may.contains(&Role::Approve), events: !self.may.contains(&Role::Run) };
        if !hides.tasks && !hides.events {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        if is_stream(&parts.headers) {
            let handle = handle.clone();
            // Each piece of a stream is a whole event.
            let pieces =
                body.into_data_stream().map(move |piece| piece.map(|bytes| hidden(&handle, bytes.into(), hides)));
            return Response::from_parts(parts, Body::from_stream(pieces));
        }
        match to_bytes(body, usize::MAX).await {
            Ok(bytes) => {
                parts.headers.remove(CONTENT_LENGTH);
                Response::from_parts(parts, hidden(handle, bytes.into(), hides).into())
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

fn hidden(handle: &Handle, bytes: Vec<u8>, hides: Hides) -> Vec<u8> {
    match std::str::from_utf8(&bytes).map(|text| handle.links().hidden(text, hides)) {
        Ok(std::borrow::Cow::Owned(shown)) => shown.into_bytes(),
        Ok(std::borrow::Cow::Borrowed(_)) | Err(_) => bytes,
    }
}
