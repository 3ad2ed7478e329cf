//! `[ai.NAME]`: language models. Keys are secrets, by name.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::Reader;
use crate::effect::ai::{Json, Kind, Model};

const KEYS: [&str; 12] = [
    "kind",
    "url",
    "model",
    "secret",
    "oauth2",
    "project_id",
    "version",
    "input_price",
    "output_price",
    "budget",
    "json",
    "timeout",
];
const BUDGET: [&str; 4] = ["run_tokens", "day_tokens", "run_cost", "day_cost"];
/// Prices and costs are kept in millionths.
const MILLION: f64 = 1e6;

impl Reader<'_> {
    /// All models that have no fault.
    pub(super) fn ai(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Model> {
        let mut models = BTreeMap::new();
        let Some(table) = self.table(value) else { return models };
        for (name, value) in table {
            let Some(fields) = self.table(value) else { continue };
            let known = self.faults.len();
            let mut model = Model::default();
            self.model(&mut model, fields);
            let mut missing = |what: &str| self.fault(format!("`[ai.{}]` needs {what}", name.get_ref()), name.span());
            if model.url.is_empty() {
                missing("`url`, such as `https://api.openai.com/v1`");
            }
            if model.model.is_empty() {
                missing("`model`, the name that the service has for it");
            }
            if model.secret.is_some() && model.oauth2.is_some() {
                missing("one of `secret` and `oauth2`, not both");
            }
            if model.kind == Kind::Watsonx && model.project_id.is_none() {
                missing("`project_id`");
            }
            if self.faults.len() == known {
                models.insert(name.get_ref().to_string(), model);
            }
        }
        models
    }

    fn model(&mut self, model: &mut Model, fields: &DeTable<'_>) {
        for (key, value) in fields {
            match key.get_ref().as_ref() {
                "kind" => {
                    let known = [("openai", Kind::OpenAi), ("watsonx", Kind::Watsonx)];
                    model.kind = self.one_of(value, &known).unwrap_or_default();
                }
                "url" => model.url = self.url(value).unwrap_or_default(),
                "model" => model.model = self.text(value).unwrap_or_default(),
                "secret" => model.secret = self.text(value),
                "oauth2" => model.oauth2 = self.text(value),
                "project_id" => model.project_id = self.text(value),
                "version" => model.version = self.text(value),
                "input_price" => model.input_price = self.amount(value),
                "output_price" => model.output_price = self.amount(value),
                "budget" => self.budget(model, value),
                "json" => {
                    let known = [("schema", Json::Schema), ("object", Json::Object), ("words", Json::Words)];
                    model.json = self.one_of(value, &known).unwrap_or_default();
                }
                "timeout" => model.timeout = self.duration(value),
                other => self.unknown(other, key.span(), &KEYS),
            }
        }
    }

    fn budget(&mut self, model: &mut Model, value: &Spanned<DeValue<'_>>) {
        let Some(fields) = self.table(value) else { return };
        let budget = &mut model.budget;
        for (key, value) in fields {
            match key.get_ref().as_ref() {
                "run_tokens" => budget.run.tokens = self.amount(value) / 1_000_000,
                "day_tokens" => budget.day.tokens = self.amount(value) / 1_000_000,
                "run_cost" => budget.run.cost = self.amount(value).saturating_mul(1_000_000),
                "day_cost" => budget.day.cost = self.amount(value).saturating_mul(1_000_000),
                other => self.unknown(other, key.span(), &BUDGET),
            }
        }
    }

    /// A number that is not negative, in millionths.
    fn amount(&mut self, value: &Spanned<DeValue<'_>>) -> u64 {
        let number = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| *number >= 0.0 && *number < 1e12);
        if number.is_none() {
            self.fault("a number from 0 is expected here".to_owned(), value.span());
        }
        (number.unwrap_or_default() * MILLION).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;

    #[test]
    fn prices_and_budgets_are_read_in_their_units() {
        let text = "[ai.small]\nurl = \"https://a.example/v1\"\nmodel = \"m\"\ninput_price = 0.15\n\
                    budget = { run_tokens = 1000, day_cost = 2.5 }";
        let read = parse("panta.toml", text).expect("no faults");
        let model = &read.ai["small"];
        assert_eq!((model.input_price, model.budget.run.tokens), (150_000, 1000));
        assert_eq!(model.budget.day.cost, 2_500_000_000_000);
    }

    #[test]
    fn what_is_missing_is_told() {
        let faults = parse("panta.toml", "[ai.x]\nkind = \"watsonx\"\nurl = \"https://a.example\"\nbudgt = 1")
            .expect_err("faults");
        let all: Vec<_> = faults.iter().map(|fault| fault.title.as_str()).collect();
        let all = all.join("; ");
        assert!(
            all.contains("needs `model`") && all.contains("`project_id`") && all.contains("unknown key `budgt`"),
            "{all}"
        );
    }
}
