//! `[secrets]`: where their key is, and what those of the environment are for. Never a value.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::file::Reader;
use crate::vault::Binding;

const KEYS: [&str; 2] = ["key_file", "for"];

/// What the section says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The file with the key; relative to the configuration.
    pub key_file: Option<PathBuf>,
    /// What secrets of the environment are for, by name.
    pub bound: BTreeMap<String, Vec<String>>,
}

impl Reader<'_> {
    pub(super) fn secrets(&mut self, value: &Spanned<DeValue<'_>>) -> Secrets {
        let mut secrets = Secrets::default();
        let Some(table) = self.table(value) else { return secrets };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "key_file" => secrets.key_file = self.text(value).map(PathBuf::from),
                "for" => secrets.bound = self.bound(value),
                other => self.unknown(other, key.span(), &KEYS),
            }
        }
        secrets
    }

    fn bound(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Vec<String>> {
        let Some(table) = self.table(value) else { return BTreeMap::new() };
        table.iter().map(|(name, targets)| (name.get_ref().to_string(), self.targets(targets))).collect()
    }

    fn targets(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<String> {
        let Some(list) = value.get_ref().as_array() else {
            self.fault("a list of hosts is expected here, such as `[\"api.example.com\"]`".to_owned(), value.span());
            return Vec::new();
        };
        let mut targets = Vec::new();
        for item in list {
            let Some(text) = self.text(item) else { continue };
            match Binding::parse(&text) {
                Ok(_) => targets.push(text),
                Err(why) => self.fault(why, item.span()),
            }
        }
        targets
    }
}
