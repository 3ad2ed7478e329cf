//! Tokens: who has one, making one, and taking one back.

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Problem, Shared, list, request};
use crate::audit::Actor;
use crate::engine::tokens::{Role, Wish};
use crate::time::parse_duration;

/// `GET /api/v1/tokens`: by name, and never a token itself.
pub(super) async fn list(State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Problem> {
    let now = shared.app.handle.clock().now();
    let tokens = request::read(&shared, crate::engine::Handle::tokens).await?;
    let page = list::by_name(&uri, tokens, |token| token.name.to_string())?;
    let shown: Vec<_> = page.items.iter().map(|token| token.to_json(now)).collect();
    Ok(Json(json!({ "tokens": shown, "next": page.next })))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Body {
    name: String,
    #[serde(default)]
    roles: Vec<String>,
    expires: Option<String>,
    person: Option<String>,
}

/// `POST /api/v1/tokens`: the only answer that has the token in it.
pub(super) async fn create(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let Body { name, roles, expires, person } =
        request::json(&request::body(&shared.flood, &parts.headers, body).await?)?;
    let roles = roles.iter().map(|role| Role::from_name(role)).collect::<Result<_, _>>().map_err(Problem::bad)?;
    let expires = expires.as_deref().map(parse_duration).transpose();
    let expires = expires.map_err(|error| Problem::bad(format!("`expires`: {error}; hint: {}", error.hint())))?;
    let handle = &shared.app.handle;
    let wish = Wish { name, roles, expires, person };
    let (secret, token) = request::durable(handle, handle.create_token(&wish, &by)).await?;
    let mut shown = token.to_json(handle.clock().now());
    shown["token"] = secret.into();
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

/// `DELETE /api/v1/tokens/{name}`: it opens nothing any more, nor do its sessions.
pub(super) async fn revoke(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Extension(by): Extension<Actor>,
) -> Result<Json<Value>, Problem> {
    let handle = &shared.app.handle;
    request::durable(handle, handle.revoke_token(&name, &by)).await?;
    Ok(Json(json!({ "name": name, "revoked": true })))
}
