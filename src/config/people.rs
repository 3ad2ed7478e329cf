//! `[people.NAME]`: who can be asked, with email, groups and substitute.

use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::file::Reader;
use crate::diag::{Diagnostic, suggest};
use crate::engine::people::{Directory, Person};

const KEYS: [&str; 3] = ["email", "groups", "substitute"];

impl Reader<'_> {
    /// All people; a substitute must be one of them.
    pub(super) fn people(&mut self, value: &Spanned<DeValue<'_>>) -> Directory {
        let mut directory = Directory::default();
        let mut substitutes = Vec::new();
        let Some(table) = self.table(value) else { return directory };
        for (name, value) in table {
            let Some(fields) = self.table(value) else { continue };
            let mut person = Person::default();
            for (key, value) in fields {
                match key.get_ref().as_ref() {
                    "email" => person.email = self.email(value),
                    "groups" => person.groups = self.groups(value),
                    "substitute" => {
                        person.substitute = self.text(value).map(Into::into);
                        substitutes.extend(person.substitute.clone().map(|name| (name, value.span())));
                    }
                    other => self.unknown(other, key.span(), &KEYS),
                }
            }
            directory.people.insert(name.get_ref().as_ref().into(), person);
        }
        for (name, span) in substitutes.into_iter().filter(|(name, _)| !directory.people.contains_key(name)) {
            let known: Vec<_> = directory.people.keys().map(|name| &**name).collect();
            let hint = suggest::did_you_mean(&name, known.iter().copied())
                .unwrap_or_else(|| format!("a substitute is a person of this file: {}", known.join(", ")));
            let place = self.place(span);
            self.faults.push(Diagnostic::new("E0601", format!("there is no person `{name}`"), place).hint(hint));
        }
        self.distinct(&directory, value);
        directory
    }

    /// A name is of one person or of a group: which one a task is for must be certain.
    fn distinct(&mut self, directory: &Directory, value: &Spanned<DeValue<'_>>) {
        let groups = directory.people.values().flat_map(|person| &person.groups);
        if let Some(both) = groups.clone().find(|group| directory.people.contains_key(*group)) {
            self.fault(format!("`{both}` is the name of a person and of a group"), value.span());
        }
    }

    fn email(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let email = self.text(value)?;
        if !email.contains('@') {
            self.fault(format!("`{email}` is no email address"), value.span());
        }
        Some(email)
    }

    fn groups(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Arc<str>> {
        let Some(list) = value.get_ref().as_array() else {
            self.fault("a list of groups is expected here; hint: `groups = [\"finance\"]`".to_owned(), value.span());
            return Vec::new();
        };
        list.iter().filter_map(|group| self.text(group).map(Into::into)).collect()
    }

    /// Names by which the daemon may be called.
    pub(super) fn hosts(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<String> {
        let Some(list) = value.get_ref().as_array() else {
            self.fault(
                "a list of names is expected here; hint: `hosts = [\"panta.internal\"]`".to_owned(),
                value.span(),
            );
            return Vec::new();
        };
        let mut hosts = Vec::new();
        for item in list {
            let Some(host) = self.text(item) else { continue };
            if host.is_empty() || host.contains(['/', ' ', '*', '@']) {
                self.fault(format!("`{host}` is no name of a host; hint: `panta.internal`"), item.span());
            }
            hosts.push(host);
        }
        hosts
    }

    /// Where others reach the daemon: `https://panta.example.com`, perhaps with a path.
    pub(super) fn url(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let url = self.text(value)?;
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let is_base =
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', ' ']));
        if !is_base {
            self.fault(format!("`{url}` is no URL; hint: `url = \"https://panta.example.com\"`"), value.span());
        }
        Some(url)
    }
}
