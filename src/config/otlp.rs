//! `[otlp]`: the collector that gets the spans of runs.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use super::file::Reader;

const KEYS: [&str; 2] = ["endpoint", "headers"];

/// The collector as it is written: values of headers are secrets, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// The base address: `http://localhost:4318`.
    pub endpoint: String,
    /// The name of the secret that is the value, by the name of the header.
    pub headers: BTreeMap<String, String>,
}

impl Reader<'_> {
    /// The section; `None` where it is no table, or has faults.
    pub(super) fn otlp(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Otlp> {
        let (mut endpoint, mut headers) = (None, BTreeMap::new());
        for (key, value) in self.table(value)? {
            match key.get_ref().as_ref() {
                "endpoint" => endpoint = self.url(value),
                "headers" => {
                    for (name, secret) in self.table(value).into_iter().flatten() {
                        headers.extend(self.text(secret).map(|secret| (name.get_ref().to_string(), secret)));
                    }
                }
                other => self.unknown(other, key.span(), &KEYS),
            }
        }
        if endpoint.is_none() {
            self.fault("`[otlp]` needs `endpoint`, such as `http://localhost:4318`".to_owned(), value.span());
        }
        Some(Otlp { endpoint: endpoint?, headers })
    }
}
