//! What is sent to a model's service, and what its answer says.

use serde_json::{Map, Value, json};

use super::{AiReply, AiRequest, Json, Kind, Model};
use crate::effect::HttpReply;
use crate::effect::http::HttpBody;

/// The date of the interface of watsonx.ai that is asked for unless the configuration says another.
const VERSION: &str = "2025-02-11";

pub(super) struct Call {
    pub(super) url: String,
    pub(super) body: Value,
}

/// The request to a model's service.
pub(super) fn call(model: &Model, request: &AiRequest) -> Call {
    let mut body = Map::new();
    body.insert("messages".to_owned(), request.messages.clone());
    body.extend(request.options.clone());
    if let Some(schema) = &request.schema {
        body.extend(format(model.json, schema).map(|format| ("response_format".to_owned(), format)));
    }
    let base = model.url.trim_end_matches('/');
    let url = match model.kind {
        Kind::OpenAi => {
            body.insert("model".to_owned(), json!(model.model));
            format!("{base}/chat/completions")
        }
        Kind::Watsonx => {
            body.insert("model_id".to_owned(), json!(model.model));
            body.extend(model.project_id.as_ref().map(|id| ("project_id".to_owned(), json!(id))));
            format!("{base}/ml/v1/text/chat?version={}", model.version.as_deref().unwrap_or(VERSION))
        }
    };
    Call { url, body: body.into() }
}

fn format(json: Json, schema: &Value) -> Option<Value> {
    match json {
        Json::Words => None,
        Json::Object => Some(json!({ "type": "json_object" })),
        Json::Schema => Some(json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema } })),
    }
}

/// The answer, without its cost; `None`: it is none.
pub(super) fn answer(reply: &HttpReply) -> Option<AiReply> {
    let HttpBody::Json(text) = &reply.body else { return None };
    let json: Value = serde_json::from_str(text).ok()?;
    let choice = json["choices"].get(0)?;
    // A refusal has words of its own.
    let message = &choice["message"];
    let said = message["content"].as_str().or_else(|| message["refusal"].as_str()).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tokens = |key: &str| json["usage"][key].as_u64().unwrap_or_default();
    Some(AiReply {
        text: said.to_owned(),
        model: text(json.get("model").or_else(|| json.get("model_id")).unwrap_or(&Value::Null)),
        finish: text(&choice["finish_reason"]),
        input_tokens: tokens("prompt_tokens"),
        output_tokens: tokens("completion_tokens"),
        cost: 0,
    })
}
