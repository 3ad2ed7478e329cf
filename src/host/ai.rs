//! `ai::*`: questions to language models of the config.

use std::rc::Rc;

use rhai::{Array, Dynamic, Map};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::effects::{self, Plan};
use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options, type_of};
use super::policy::Policy;
use super::schema::{Schema, sentence};
use crate::effect::ai::{AiRequest, Spent};
use crate::effect::{Reply, Request};
use crate::script::value;

/// What goes to the service as it is.
const PASSED: [&str; 5] = ["temperature", "max_tokens", "top_p", "seed", "stop"];

const OPTIONS: &[Choice] = &[
    Choice::new("system", "string", "what the model is told first"),
    Choice::new("temperature", "number", "0: as sure as it can be"),
    Choice::new("max_tokens", "int", "of the answer"),
    Choice::new("top_p", "number", "how much of what is likely is considered"),
    Choice::new("seed", "int", "the same seed may give the same answer"),
    Choice::new("stop", "string or list", "texts at which it ends"),
    Choice::new("retry", "retry policy", "attempts, as for `retry`"),
];

const ERRORS: &[&str] = &["http", "network", "timeout", "denied", "limit"];

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "ai::chat",
        params: &["model: string", "messages: string or list", "options: map?"],
        options: OPTIONS,
        returns: "map: text, model, finish, usage, cost",
        nature: Nature::Mutating,
        errors: ERRORS,
        capability: Some("ai"),
        doc: "Asks a model of the config: a text, or a list of `#{ role, content }`. Returns `#{ text, model, finish, usage: #{ input, output }, \
              cost }`; `cost` is a decimal, by the prices of the config. What a run or a day has spent beyond its `budget` is an error of kind \
              `limit`.",
        example: "ai::chat(\"small\", \"Say hello in French.\", #{ max_tokens: 20 }).text",
        call: |call| {
            let (name, options) = (call.text(0)?, call.options(2)?);
            let messages = messages(call, &options)?;
            ask(call, &name, messages, None, &options)
        },
    },
    Function {
        name: "ai::extract",
        params: &["model: string", "text: string", "schema: any", "options: map?"],
        options: OPTIONS,
        returns: "any",
        nature: Nature::Mutating,
        errors: &["http", "network", "timeout", "denied", "limit", "invalid"],
        capability: Some("ai"),
        doc: "Reads what a schema describes out of a text, with a model of the config: returns the value as `validate` would. An answer that does \
              not fit is sent back once, with its faults; a second one throws `invalid`.",
        example: "ai::extract(\"small\", \"Ann owes 12.50 EUR\", #{ who: \"string\", amount: \"decimal\" }).amount",
        call: extract,
    },
];

fn messages(call: &Call<'_>, options: &Options) -> Result<Vec<Value>, Fail> {
    let mut all: Vec<_> = options.text("system")?.map(|text| message("system", &text)).into_iter().collect();
    match call.arg(1) {
        Some(text) if text.is_string() => all.push(message("user", &text.to_string())),
        Some(list) if list.is_array() => {
            for one in list.clone().cast::<Array>() {
                let map = one.read_lock::<Map>().map(|map| map.clone());
                let has = |key: &str| map.as_ref().is_some_and(|map| map.get(key).is_some_and(Dynamic::is_string));
                if !has("role") || !(has("content") || map.as_ref().is_some_and(|map| map.contains_key("content"))) {
                    return Err(call.invalid("`messages` lists maps such as `#{ role: \"user\", content: \"…\" }`"));
                }
                all.push(json_of(call, &one)?);
            }
        }
        other => {
            let found = other.map_or("nothing", type_of);
            return Err(call.invalid(format!("`messages` must be a text or a list of messages, not {found}")));
        }
    }
    if crate::script::secret::find_placeholders(&Value::from(all.clone()).to_string()).is_empty() {
        return Ok(all);
    }
    Err(Fail::error("denied", format!("`{}`: a secret must not be part of a question", call.function.name)))
}

fn message(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content })
}

fn json_of(call: &Call<'_>, value: &Dynamic) -> Result<Value, Fail> {
    let text = value::to_json_text(value, false).map_err(|error| call.invalid(error))?;
    serde_json::from_str(&text).map_err(|error| call.invalid(error))
}

/// One question; the answer counts against what the run may spend.
fn ask(
    call: &Call<'_>,
    name: &str,
    messages: Vec<Value>,
    schema: Option<Value>,
    options: &Options,
) -> Result<Dynamic, Fail> {
    let (session, _) = call.session()?;
    let mut passed = serde_json::Map::new();
    for key in PASSED {
        if let Some(value) = options.get(key) {
            passed.insert(key.to_owned(), json_of(call, value)?);
        }
    }
    let spent = session.spent.borrow().get(name).copied().unwrap_or_default();
    let request = AiRequest { name: name.to_owned(), messages: messages.into(), options: passed, schema, spent };
    let plan = Plan {
        request: Rc::new(Request::Ai(Box::new(request))),
        policy: options.get("retry").map(|value| Policy::parse(call, value)).transpose()?,
        shape,
        key: None,
    };
    let answer = effects::run(call, &plan)?;
    let all = spent.plus(used(&answer));
    session.spent.borrow_mut().insert(name.to_owned(), all);
    Ok(answer)
}

/// What an answer cost, live or recorded.
fn used(answer: &Dynamic) -> Spent {
    let Some(map) = answer.read_lock::<Map>() else { return Spent::default() };
    let usage =
        map.get("usage").and_then(|usage| usage.read_lock::<Map>().map(|usage| usage.clone())).unwrap_or_default();
    let count =
        |key: &str| usage.get(key).and_then(|n| n.as_int().ok()).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let cost = map.get("cost").and_then(|cost| cost.as_decimal().ok()).unwrap_or_default();
    let cost = (cost * Decimal::from(1_000_000_000_000_u64)).round();
    Spent { tokens: count("input") + count("output"), cost: u64::try_from(cost).unwrap_or(0) }
}

fn shape(reply: Reply) -> Dynamic {
    let Reply::Ai(reply) = reply else { unreachable!("a question gets an answer") };
    let tokens = |count: u64| Dynamic::from(i64::try_from(count).unwrap_or(i64::MAX));
    let usage = [("input", tokens(reply.input_tokens)), ("output", tokens(reply.output_tokens))];
    let usage = usage.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>();
    let cost = i64::try_from(reply.cost).unwrap_or(i64::MAX);
    let fields = [
        ("text", reply.text.into()),
        ("model", reply.model.into()),
        ("finish", reply.finish.into()),
        ("usage", Dynamic::from_map(usage)),
        ("cost", Dynamic::from_decimal(Decimal::new(cost, 12).normalize())),
    ];
    Dynamic::from_map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>())
}

fn extract(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (name, text, options) = (call.text(0)?, call.text(1)?, call.options(3)?);
    let schema = Schema::from_dynamic(&call.args[2]).map_err(|fault| call.invalid(format!("`schema`: {fault}")))?;
    let described = schema.to_json_schema();
    let told = format!(
        "Read the text of the user, and answer with one JSON value that fits this JSON Schema, and with nothing else. Take only what the \
         text says.\n\n{described}"
    );
    let system = options.text("system")?.map_or(told.clone(), |first| format!("{first}\n\n{told}"));
    let mut messages = vec![message("system", &system), message("user", &text)];
    let first = ask(call, &name, messages.clone(), Some(described.clone()), &options)?;
    let (said, faults) = match read(&schema, &first) {
        Ok(value) => return Ok(value),
        Err(faults) => faults,
    };
    let again = format!("This does not fit: {faults}. Answer with the JSON value alone, corrected.");
    messages.extend([message("assistant", &said), message("user", &again)]);
    let second = ask(call, &name, messages, Some(described), &options)?;
    read(&schema, &second).map_err(|(said, faults)| {
        let message = format!("`{}`: what `{name}` read does not fit, also when told so: {faults}", call.function.name);
        let mut error =
            Fail::error("invalid", format!("{message}; hint: a simpler schema, or a larger model")).into_map();
        error.insert("text".into(), said.into());
        Fail::Thrown(error)
    })
}

/// The value in an answer; else what it says, and what is wrong with it.
fn read(schema: &Schema, answer: &Dynamic) -> Result<Dynamic, (String, String)> {
    let said = answer.read_lock::<Map>().and_then(|map| map.get("text").map(ToString::to_string));
    let json = if let Some(text) = &said {
        found(text).ok_or_else(|| (text.clone(), "it is no JSON".to_owned()))?
    } else {
        // A test's own answer is the value.
        let text = value::to_json_text(answer, false).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    };
    let fitting = schema.accept(&json).map_err(|faults| (said.unwrap_or_default(), sentence(&faults)))?;
    Ok(value::decode(&fitting))
}

/// The JSON value in what a model says: all of it, or what stands between fences or among words.
fn found(text: &str) -> Option<Value> {
    let text = text.trim();
    let whole = serde_json::from_str(text).ok();
    whole.or_else(|| {
        let begin = text.find(['{', '['])?;
        let end = text.rfind(['}', ']'])?;
        serde_json::from_str(text.get(begin..=end)?).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_among_words() {
        for text in ["{\"a\":1}", "```json\n{\"a\":1}\n```", "Here it is: {\"a\":1}. Anything else?"] {
            assert_eq!(found(text), Some(json!({ "a": 1 })), "{text}");
        }
        assert_eq!((found("no"), found("} {")), (None, None));
    }
}
