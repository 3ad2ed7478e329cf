//! Secrets: names, and what each may be sent to. Values come in and never go out.

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Problem, Shared, list, request};
use crate::audit::Actor;
use crate::engine::Handle;
use crate::vault::{Error, Listed, Vault};

/// `GET /api/v1/secrets`
pub(super) async fn list(State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Problem> {
    let mut all = in_vault(&shared, |vault, _| Ok(vault.list())).await?;
    // One name may be there twice: in the file and in the environment.
    let place = |secret: &Listed| format!("{} {}", secret.secret, json!(secret.origin));
    all.sort_by_cached_key(place);
    let page = list::by_name(&uri, all, place)?;
    Ok(Json(json!({ "secrets": page.items, "next": page.next })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    value: Option<Zeroizing<String>>,
    #[serde(rename = "for")]
    bound: Option<Vec<String>>,
}

/// `PUT /api/v1/secrets/{name}`: a value, what it is for, or both.
pub(super) async fn set(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = request::body(&shared.flood, &parts.headers, body).await?;
    // The fault must not quote what was sent.
    let Body { value, bound } = serde_json::from_slice(&bytes).map_err(|_| {
        Problem::bad("the body is not `{\"value\": \"…\", \"for\": [\"host\"]}`; hint: `value`, `for`, or both")
    })?;
    let names = std::iter::once(&name).chain(bound.iter().flatten());
    if names.into_iter().any(|name| shared.app.handle.names_a_secret(name)) {
        let detail =
            "a name, or what it is for, is the value of a secret; hint: these are shown, give the value as `value`";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let named = name.clone();
    let details = json!({ "value": value.is_some(), "for": bound });
    in_vault(&shared, move |vault, at| match (value, bound) {
        (Some(value), bound) => vault.set(&named, value, bound, at),
        (None, Some(bound)) => vault.bind(&named, &bound),
        (None, None) => Err(Error::Invalid("nothing is said; hint: `value`, `for`, or both".to_owned())),
    })
    .await?;
    noted(&shared, &by, "secret.set", &name, &details).await?;
    let all = in_vault(&shared, |vault, _| Ok(vault.list())).await?;
    Ok(Json(json!(all.into_iter().find(|secret| secret.secret == name && secret.set_at.is_some()))))
}

/// `DELETE /api/v1/secrets/{name}`
pub(super) async fn remove(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Extension(by): Extension<Actor>,
) -> Result<Json<Value>, Problem> {
    let named = name.clone();
    in_vault(&shared, move |vault, _| vault.remove(&named)).await?;
    noted(&shared, &by, "secret.remove", &name, &Value::Null).await?;
    Ok(Json(json!({ "secret": name, "removed": true })))
}

/// Keeps a record of what was done: the secrets are no part of the store.
async fn noted(shared: &Shared, by: &Actor, act: &str, name: &str, details: &Value) -> Result<(), Problem> {
    let handle = &shared.app.handle;
    request::durable(handle, handle.note_act(by, act, name, details)).await
}

/// Does something with the secrets where waiting for the disk is allowed.
async fn in_vault<T: Send + 'static>(
    shared: &Shared,
    act: impl FnOnce(&Vault, &str) -> Result<T, Error> + Send + 'static,
) -> Result<T, Problem> {
    let handle: Handle = shared.app.handle.clone();
    let at = handle.clock().now().to_string();
    let done = tokio::task::spawn_blocking(move || act(handle.secrets(), &at)).await;
    done.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "an internal error; hint: see the daemon's log"))?
        .map_err(|error| problem(&error))
}

fn problem(error: &Error) -> Problem {
    let status = match error {
        Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Unknown { .. } => StatusCode::NOT_FOUND,
        Error::Key { .. } | Error::NoKey { .. } | Error::Closed { .. } | Error::File { .. } => {
            tracing::error!("{error}");
            return Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the secrets cannot be opened or written; hint: see the daemon's log",
            );
        }
    };
    Problem::new(status, error.to_string())
}
