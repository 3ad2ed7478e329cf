//! Models behind a server of our own.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::effect::http::server::{Server, answer};
use crate::effect::{Limits, NoSecrets, Performer, Request, Target};

struct Key;

impl Keeper for Key {
    fn kept(&self, _: &str) -> Option<String> {
        None
    }

    fn keep(&self, _: &str, _: &str, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn secret(&self, name: &str, _: Target<'_>) -> Result<String, Failure> {
        Ok(format!("key-{name}"))
    }
}

async fn asked(
    change: impl FnOnce(&mut Model, &mut AiRequest),
    times: usize,
) -> (Result<AiReply, Failure>, Vec<String>) {
    let body = json!({
        "model": "m-1", "choices": [{ "message": { "content": "hi" }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 10, "completion_tokens": 2 },
    });
    let server = Server::start([answer("200 OK", &["content-type: application/json"], body.to_string())]).await;
    let mut model = Model {
        url: server.url("/v1"),
        model: "m".to_owned(),
        secret: Some("llm".to_owned()),
        input_price: 150_000,
        output_price: 600_000,
        ..Model::default()
    };
    let messages = json!([{ "role": "user", "content": "hello" }]);
    let (options, spent) = (serde_json::Map::new(), Spent::default());
    let mut request = AiRequest { name: "small".to_owned(), messages, options, schema: None, spent };
    change(&mut model, &mut request);
    let folder = tempfile::tempdir().unwrap();
    let models = Models::new([("small".to_owned(), model)].into(), Arc::new(Key), folder.path().join("ai.json"));
    let performer = Performer::new(Limits::default()).with_models(Some(Arc::new(models)));
    let allow = Allow { ai: MayAsk::These(vec!["small".to_owned()]), ..Allow::default() };
    let mut last = Err(Failure::invalid("not asked"));
    for _ in 0..times {
        let attempt = Attempt {
            number: 1,
            idempotency_key: "k",
            undo: None,
            again: false,
            allow: &allow,
            secrets: &NoSecrets,
            trace: None,
        };
        last = performer.perform(&Request::Ai(Box::new(request.clone())), attempt).await;
    }
    let last = last.map(|reply| match reply {
        Reply::Ai(reply) => reply,
        _ => unreachable!("a question has an answer"),
    });
    (last, server.requests())
}

#[tokio::test]
async fn a_chat_is_answered_with_what_it_cost() {
    let (reply, requests) = asked(|_, request| drop(request.options.insert("seed".to_owned(), json!(7))), 1).await;
    let reply = reply.unwrap();
    assert_eq!((reply.text.as_str(), reply.finish.as_str(), reply.cost), ("hi", "stop", 10 * 150_000 + 2 * 600_000));
    assert!(
        requests[0].starts_with("POST /v1/chat/completions ") && requests[0].contains("Bearer key-llm"),
        "{requests:?}"
    );
    let body: Value = serde_json::from_str(requests[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&body["model"], &body["seed"]), (&json!("m"), &json!(7)));
}

#[tokio::test]
async fn watsonx_is_asked_in_its_own_words() {
    let watsonx = |model: &mut Model, request: &mut AiRequest| {
        (model.kind, model.project_id, model.json) = (Kind::Watsonx, Some("p1".to_owned()), Json::Schema);
        request.schema = Some(json!({ "type": "object" }));
    };
    let (reply, requests) = asked(watsonx, 1).await;
    assert_eq!(reply.unwrap().model, "m-1");
    assert!(requests[0].starts_with("POST /v1/ml/v1/text/chat?version=2025-02-11 "), "{requests:?}");
    let body: Value = serde_json::from_str(requests[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&body["model_id"], &body["project_id"]), (&json!("m"), &json!("p1")));
    assert_eq!(body["response_format"]["type"], "json_schema");
}

#[tokio::test]
async fn what_a_run_and_a_day_may_spend_is_a_bound() {
    let (reply, requests) = asked(|model, _| model.budget.day.tokens = 20, 3).await;
    assert_eq!((reply.unwrap_err().kind, requests.len()), ("limit", 2));
    let (reply, requests) = asked(
        |model, request| {
            model.budget.run.cost = 100;
            request.spent.cost = 100;
        },
        1,
    )
    .await;
    assert_eq!((reply.unwrap_err().kind, requests.len()), ("limit", 0));
}

#[tokio::test]
async fn who_may_not_ask_is_told_the_line() {
    let (reply, requests) = asked(|_, request| request.name = "large".to_owned(), 1).await;
    let failure = reply.unwrap_err();
    assert!(failure.message.contains("allow: #{ ai: [\"large\"] }") && requests.is_empty(), "{failure}");
}
