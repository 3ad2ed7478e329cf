//! A description as data, and what it refers to within itself.

use serde_json::Value;

/// References that lead to references, at most.
const MOST_STEPS: usize = 32;

/// An OpenAPI description.
#[derive(Debug)]
pub(super) struct Document {
    root: Value,
}

impl Document {
    /// Reads JSON or YAML.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches('\u{feff}');
        let root: Value = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|e| format!("the description is no valid JSON: {e}"))?
        } else {
            let options = serde_saphyr::options! {
                budget: serde_saphyr::budget! { max_nodes: 5_000_000, max_depth: 200 },
                // A parameter may be called `on`, and a country `no`.
                strict_booleans: true,
            };
            serde_saphyr::from_str_with_options(text, options)
                .map_err(|e| format!("the description is no valid YAML: {e}"))?
        };
        let version = ["openapi", "swagger"].iter().find_map(|key| text_of(&root[*key]));
        match version.as_deref() {
            Some(v) if v == "2.0" || v.starts_with("3.0") || v.starts_with("3.1") => Ok(Self { root }),
            Some(v) => Err(format!("the description is of version {v}; 2.0, 3.0 and 3.1 can be read")),
            None => Err("this is no OpenAPI description: it has neither `openapi` nor `swagger`; \
                         hint: take the address of the `openapi.json` or `openapi.yaml` itself, not of a page that shows it"
                .to_owned()),
        }
    }

    /// What stands at its top under a key.
    pub(super) fn at(&self, key: &str) -> &Value {
        &self.root[key]
    }

    /// The name of the API.
    pub(super) fn title(&self) -> &str {
        self.root["info"]["title"].as_str().unwrap_or("api")
    }

    /// Follows `$ref` to what is meant. One that leads nowhere, elsewhere or in a circle is an error.
    pub(super) fn follow<'a>(&'a self, value: &'a Value) -> Result<&'a Value, String> {
        let mut found = value;
        for _ in 0..MOST_STEPS {
            let Some(reference) = found.get("$ref").and_then(Value::as_str) else { return Ok(found) };
            let Some(pointer) = reference.strip_prefix('#') else {
                return Err(format!("`{reference}` is in another file; hint: bundle the description into one first"));
            };
            // A pointer in a fragment may be escaped as addresses are.
            let pointer = percent_decoded(pointer);
            found = self.root.pointer(&pointer).ok_or_else(|| format!("`{reference}` leads nowhere"))?;
        }
        Err("its references go in a circle".to_owned())
    }

    /// The first address of the service, its variables filled with their defaults; maybe relative.
    pub(super) fn server(&self) -> Option<String> {
        if let Some(host) = self.root["host"].as_str() {
            let schemes = self.root["schemes"].as_array();
            let plain = schemes.is_some_and(|s| s.iter().any(|s| s == "http") && s.iter().all(|s| s != "https"));
            let base = self.root["basePath"].as_str().unwrap_or_default();
            return Some(format!("{}://{host}{base}", if plain { "http" } else { "https" }));
        }
        if let Some(base) = self.root["basePath"].as_str() {
            return Some(base.to_owned());
        }
        let server = self.root["servers"].as_array()?.first()?;
        let mut url = server["url"].as_str()?.to_owned();
        for (name, variable) in server["variables"].as_object().into_iter().flatten() {
            url = url.replace(&format!("{{{name}}}"), variable["default"].as_str().unwrap_or_default());
        }
        Some(url)
    }

    /// How operations can be signed, by name.
    pub(super) fn schemes(&self) -> impl Iterator<Item = (&String, &Value)> {
        let modern = self.root["components"]["securitySchemes"].as_object();
        modern.or_else(|| self.root["securityDefinitions"].as_object()).into_iter().flatten()
    }
}

/// A text, also one that YAML takes for a number: `version: 1.0`.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn percent_decoded(text: &str) -> String {
    // As a form, in which `+` would be a blank: so it is escaped first.
    let form = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(form.as_bytes()).next().map_or_else(String::new, |(_, value)| value.into_owned())
}
