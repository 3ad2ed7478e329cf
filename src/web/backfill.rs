//! Runs for times of a schedule that have passed.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Problem, Shared, request, workflows};
use crate::audit::Actor;
use crate::engine;
use crate::id::RunId;
use crate::time::{Timestamp, parse_time};
use crate::trigger::service::backfill::{Error, MOST, Outcome, Plan, Wish, plan};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Body {
    from: Option<String>,
    to: Option<String>,
    trigger: Option<String>,
    #[serde(default)]
    only_missing: bool,
    limit: Option<usize>,
    #[serde(default)]
    dry_run: bool,
}

/// `POST /api/v1/workflows/{name}/backfill`
pub(super) async fn backfill(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (parts, body) = request.into_parts();
    let batch = request::idempotency_key(&parts.headers)?.unwrap_or_else(|| RunId::new().to_string());
    let body: Body = request::json(&request::body(&shared.flood, &parts.headers, body).await?)?;
    let wish = wish(&body)?;
    let handle = shared.app.handle.clone();
    handle.workflow(&name).map_err(|error| workflows::absent(&shared, error))?;
    let planned = request::read(&shared, move |handle| match plan(handle, &name, &wish) {
        Ok(plan) => Ok(Ok(plan)),
        Err(Error::Wish(problem)) => Ok(Err(problem)),
        Err(Error::Engine(error)) => Err(error),
    });
    let plan = planned.await?.map_err(|problem| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, problem))?;
    let mut shown = planned_json(&plan);
    if !body.dry_run {
        // Goes on when the client is gone: what was begun is told in the audit log.
        let work = tokio::spawn(async move {
            let (outcomes, problem) = plan.perform(&handle, &by, &batch).await;
            performed_json(&mut shown, &outcomes, problem);
            shown
        });
        shown = work.await.map_err(|error| Problem::from(engine::Error::Stopped(error.to_string())))?;
    }
    Ok(Json(shown))
}

fn wish(body: &Body) -> Result<Wish, Problem> {
    let time = |name: &str, given: &Option<String>| -> Result<Timestamp, Problem> {
        let given = given.as_deref().ok_or_else(|| Problem::bad(format!("`{name}` is missing; hint: a time")))?;
        parse_time(given).map_err(|error| Problem::bad(format!("`{name}`: {error}; hint: {}", error.hint())))
    };
    let limit = body.limit.unwrap_or(MOST);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::bad(format!("`limit` is from 1 to {MOST}; hint: go on from `next` in another request")));
    }
    Ok(Wish {
        from: time("from", &body.from)?,
        to: time("to", &body.to)?,
        trigger: body.trigger.clone(),
        only_missing: body.only_missing,
        limit,
    })
}

fn planned_json(plan: &Plan) -> Value {
    let times: Vec<_> = plan.slots.iter().map(|slot| json!({ "at": slot.at, "run": slot.run })).collect();
    json!({
        "trigger": plan.trigger(), "count": times.len(), "existing": plan.existing, "times": times, "next": plan.next,
    })
}

/// With what came of each time: `started`, `there` and `refused`, and `problem` where it ended early.
fn performed_json(shown: &mut Value, outcomes: &[(Timestamp, Outcome)], problem: Option<String>) {
    let mut lists: Map<String, Value> =
        ["started", "there", "refused"].map(|list| (list.to_owned(), json!([]))).into_iter().collect();
    for (at, outcome) in outcomes {
        let (list, entry) = match outcome {
            Outcome::Started(run) => ("started", json!({ "at": at, "run": run })),
            Outcome::There(run) => ("there", json!({ "at": at, "run": run })),
            Outcome::Refused(reason) => ("refused", json!({ "at": at, "reason": reason })),
        };
        lists[list].as_array_mut().expect("lists were made above").push(entry);
    }
    lists.insert("problem".to_owned(), problem.map_or(Value::Null, Value::from));
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("times");
        shown.extend(lists);
    }
}
