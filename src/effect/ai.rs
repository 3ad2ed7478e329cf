//! Asking language models: a chat with an endpoint that speaks as OpenAI's does, or with watsonx.ai.
//!
//! A model is configuration ([`Model`]): where it is, who asks, what it costs, and what may be spent. Who asks spends tokens, so
//! what a run and a day have spent is looked at before each call, and counted after it ([`Ledger`]).

mod ledger;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde_json::{Value, json};

use super::http::{self, Auth, Body, Means, message};
use super::net::{HostPattern, host_and_port};
use super::oauth::Keeper;
use super::{Allow, Attempt, Failure, Field, HttpReply, HttpRequest, Reply};
use ledger::Ledger;

/// Until an answer is there, unless the configuration says otherwise. 2 min: long answers are written slowly.
const PATIENCE: Duration = Duration::from_mins(2);
/// Prices are for so many tokens.
const PER: u64 = 1_000_000;

/// What language a service speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// OpenAI's chat completions, which most speak.
    #[default]
    OpenAi,
    /// IBM's watsonx.ai.
    Watsonx,
}

/// How a service is told that JSON is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Json {
    /// By the schema.
    Schema,
    /// That it is JSON.
    #[default]
    Object,
    /// Only in words.
    Words,
}

/// A model of the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Model {
    /// The language.
    pub kind: Kind,
    /// Where it is: `https://api.openai.com/v1`, `https://eu-de.ml.cloud.ibm.com`.
    pub url: String,
    /// Its name there.
    pub model: String,
    /// The name of the secret that is the API key.
    pub secret: Option<String>,
    /// The name of the OAuth2 client whose tokens are sent.
    pub oauth2: Option<String>,
    /// watsonx.ai: the project.
    pub project_id: Option<String>,
    /// watsonx.ai: the date of the interface.
    pub version: Option<String>,
    /// What a million tokens that are sent cost, in millionths.
    pub input_price: u64,
    /// What a million tokens that come back cost, in millionths.
    pub output_price: u64,
    /// What may be spent.
    pub budget: Budget,
    /// How JSON is asked for.
    pub json: Json,
    /// Until an answer is there.
    pub timeout: Option<Duration>,
}

/// What may be spent with a model; `None`: no bound. Costs are in the prices' currency, in millionths of millionths.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Budget {
    /// By one run.
    pub run: Spent,
    /// By all runs in a day (UTC).
    pub day: Spent,
}

/// Tokens and costs; of a bound, zero is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Spent {
    /// Tokens, both ways.
    pub tokens: u64,
    /// In millionths of millionths.
    pub cost: u64,
}

impl Spent {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(other.tokens), cost: self.cost.saturating_add(other.cost) }
    }
}

/// A question to a model.
#[derive(Clone, PartialEq, Debug)]
pub struct AiRequest {
    /// `[ai.NAME]` of the configuration.
    pub name: String,
    /// `[{"role": …, "content": …}]`.
    pub messages: Value,
    /// `temperature`, `max_tokens`, `stop`, `seed`, `top_p`.
    pub options: serde_json::Map<String, Value>,
    /// The JSON Schema that the answer should fit.
    pub schema: Option<Value>,
    /// What the run has spent with this model before.
    pub spent: Spent,
}

/// What a model answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AiReply {
    /// The text.
    pub text: String,
    /// The model, as the service names it.
    pub model: String,
    /// Why it ended: `stop`, `length`, …
    pub finish: String,
    /// Tokens that were sent.
    pub input_tokens: u64,
    /// Tokens that came back.
    pub output_tokens: u64,
    /// What it cost, in millionths of millionths.
    pub cost: u64,
}

impl AiRequest {
    pub(super) fn arguments(&self) -> Value {
        json!(["ai", self.name, self.messages, self.options, self.schema])
    }
}

/// The models that a workflow may ask.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum MayAsk {
    /// None.
    #[default]
    None,
    /// Any of the configuration.
    Any,
    /// These.
    These(Vec<String>),
}

impl MayAsk {
    fn admits(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::These(names) => names.iter().any(|listed| listed == name),
        }
    }
}

/// The models of the configuration, and what was spent.
pub struct Models {
    known: BTreeMap<String, Model>,
    keeper: Arc<dyn Keeper>,
    ledger: Ledger,
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Models").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Models {
    /// These models. What a day has spent is kept in this file.
    pub fn new(models: BTreeMap<String, Model>, keeper: Arc<dyn Keeper>, file: PathBuf) -> Self {
        Self { known: models, keeper, ledger: Ledger::new(file) }
    }

    fn model(&self, name: &str) -> Result<&Model, Failure> {
        self.known.get(name).ok_or_else(|| {
            let known: Vec<_> = self.known.keys().map(|known| format!("`{known}`")).collect();
            let hint = if known.is_empty() {
                format!("add `[ai.{name}]` to `panta.toml`, and start anew")
            } else {
                format!("there are {}", known.join(", "))
            };
            Failure::denied(format!("there is no model `{name}`; hint: {hint}"))
        })
    }
}

/// Whether a workflow may ask this model.
pub(super) fn admit(name: &str, allow: &Allow) -> Result<(), Failure> {
    if allow.ai.admits(name) {
        return Ok(());
    }
    let line = format!("allow: #{{ ai: [{name:?}] }}");
    Err(Failure::denied(format!("the workflow may not ask `{name}`; hint: add `{line}` to its `workflow(…)`")))
}

/// Asks.
pub(super) async fn perform(
    request: &AiRequest,
    attempt: &Attempt<'_>,
    models: Option<&Arc<Models>>,
    means: &Means<'_>,
) -> Result<AiReply, Failure> {
    admit(&request.name, attempt.allow)?;
    let none =
        || Failure::denied(format!("there is no model `{0}`; hint: add `[ai.{0}]` to `panta.toml`", request.name));
    let models = models.ok_or_else(none)?;
    let model = models.model(&request.name)?;
    within(&request.name, "this run", model.budget.run, request.spent)?;
    within(&request.name, "this day", model.budget.day, models.ledger.today(&request.name))?;
    let call = wire::call(model, request);
    let url = message::parse(&call.url)?;
    let exchange = HttpRequest {
        body: Body::Json(call.body.to_string()),
        auth: auth(models, model, &url)?,
        timeout: Some(model.timeout.unwrap_or(PATIENCE)),
        ..HttpRequest::new("POST", call.url)
    };
    // The operator wrote where it is and who asks.
    let allow = Allow { http: Some(vec![pattern(&url)?]), secrets: oauth_entry(model), ..Allow::default() };
    let attempt = Attempt { allow: &allow, ..*attempt };
    let Reply::Http(reply) = http::perform(&exchange, &attempt, means).await? else {
        unreachable!("an HTTP request has an HTTP reply")
    };
    let answer = wire::answer(&reply).ok_or_else(|| unreadable(&request.name, &reply))?;
    let cost = answer.input_tokens.saturating_mul(model.input_price);
    let cost = cost.saturating_add(answer.output_tokens.saturating_mul(model.output_price));
    let answer = AiReply { cost, ..answer };
    models.ledger.add(&request.name, Spent { tokens: answer.input_tokens + answer.output_tokens, cost });
    Ok(answer)
}

fn auth(models: &Models, model: &Model, url: &Url) -> Result<Option<Auth>, Failure> {
    if let Some(client) = &model.oauth2 {
        return Ok(Some(Auth::OAuth2(client.clone())));
    }
    let value = model.secret.as_deref().map(|secret| models.keeper.secret(secret, message::target(url))).transpose()?;
    Ok(value.map(Auth::Bearer))
}

fn oauth_entry(model: &Model) -> Vec<String> {
    model.oauth2.iter().map(|client| format!("oauth2:{client}")).collect()
}

fn pattern(url: &Url) -> Result<HostPattern, Failure> {
    let (host, port) = host_and_port(url).ok_or_else(|| Failure::invalid("the address of the model has no host"))?;
    let text = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    HostPattern::parse(&text).map_err(Failure::invalid)
}

/// Refuses what goes beyond a bound.
fn within(name: &str, who: &str, bound: Spent, spent: Spent) -> Result<(), Failure> {
    let over = |bound: u64, spent: u64| bound > 0 && spent >= bound;
    let shown = |cost: u64| format!("{:.4}", cost as f64 / (PER * PER) as f64);
    let what = if over(bound.tokens, spent.tokens) {
        format!("{} of {} tokens", spent.tokens, bound.tokens)
    } else if over(bound.cost, spent.cost) {
        format!("{} of {}", shown(spent.cost), shown(bound.cost))
    } else {
        return Ok(());
    };
    let message = format!("{who} has spent what it may with `{name}`: {what}");
    Err(Failure::limit(format!("{message}; hint: raise `budget` of `[ai.{name}]`, or ask less")))
}

fn unreadable(name: &str, reply: &HttpReply) -> Failure {
    let message = format!("what `{name}` answered is no answer of a chat");
    let failure = Failure::new("http", format!("{message}; hint: check `url` and `kind` of `[ai.{name}]`"));
    failure.with("status", Field::Int(reply.status.into())).maybe_sent()
}
