//! What imported modules of the standard library say that they need (`const ALLOW`), and the workflow that imports them does
//! not allow.
//!
//! `allow: #{ std: true }` takes over their hosts, brokers, secrets and mail. Programs, databases, models and files it does not: what a
//! module may do on this machine, the workflow says itself.

use rhai::{Array, Dynamic, Map};
use serde_json::Value;

use crate::diag::{Diagnostic, Place};
use crate::effect::net::HostPattern;
use crate::host::declare::Declaration;
use crate::script::bundle::{Bundle, imports};
use crate::script::program::Constants;
use crate::script::source::Source;

/// What `std: true` takes over.
const TAKEN_OVER: [&str; 4] = ["http", "message", "secrets", "mail"];
/// What the workflow has to say itself.
const NAMED: [&str; 4] = ["shell", "sql", "ai", "files"];

/// A warning for each thing that is needed and not allowed.
pub(super) fn missing(bundle: &Bundle, constants: &Constants, declared: &Declaration) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (path, source) in bundle.sources.iter().filter(|(path, _)| path.starts_with("std/")) {
        let needs = constants.get(path, "ALLOW").and_then(Dynamic::read_lock::<Map>);
        let Some(needs) = needs.map(|needs| needs.clone()) else { continue };
        let module = Module { name: path.trim_end_matches(".rhai"), source, needs, bundle, declared };
        found.extend(module.not_declared());
        found.extend(module.not_named());
    }
    found
}

struct Module<'a> {
    name: &'a str,
    source: &'a Source,
    needs: Map,
    bundle: &'a Bundle,
    declared: &'a Declaration,
}

impl Module<'_> {
    fn texts(&self, key: &str) -> Vec<String> {
        let list = self.needs.get(key).and_then(|list| list.clone().try_cast::<Array>());
        list.unwrap_or_default().into_iter().filter_map(|text| text.into_string().ok()).collect()
    }

    /// What the workflow has of this itself.
    fn own(&self, key: &str) -> Vec<String> {
        let list = self.declared.allow_raw.as_ref().and_then(|allow| allow[key].as_array());
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Hosts, secrets and mail without which nothing of it can work: one of several is enough, for a module may be able to
    /// do more than the workflow wants of it.
    fn not_declared(&self) -> Option<Diagnostic> {
        if self.declared.std {
            return None;
        }
        let place = self.import()?;
        let has_none = |key: &str, meets: &dyn Fn(&str, &str) -> bool| {
            let (theirs, own) = (self.texts(key), self.own(key));
            !theirs.is_empty() && !theirs.iter().any(|theirs| own.iter().any(|own| meets(own, theirs)))
        };
        let mut lacks = Vec::new();
        if self.declared.allow.http.is_some() && has_none("http", &meets) {
            lacks.push("http");
        }
        if has_none("secrets", &|own, theirs| own == theirs) {
            lacks.push("secrets");
        }
        let wants_mail = self.needs.get("mail").is_some_and(|mail| mail.as_bool() == Ok(true));
        if wants_mail && !self.declared.allow.mail {
            lacks.push("mail");
        }
        if lacks.is_empty() {
            return None;
        }
        let shown = |key: &&str| match self.texts(key) {
            texts if texts.is_empty() => format!("{key}: true"),
            texts => format!("{key}: {texts:?}"),
        };
        let needed = lacks.iter().map(shown).collect::<Vec<_>>().join(", ");
        let title = format!("`{}` needs `{needed}`, which the workflow does not allow", self.name);
        let hint = "`allow: #{ std: true }` allows what imported modules of the standard library need";
        Some(Diagnostic::new("W0410", title, place).hint(hint))
    }

    /// What `std: true` does not give: at its key, in the module.
    fn not_named(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for key in self.needs.keys().filter(|key| !TAKEN_OVER.contains(&key.as_str())) {
            if !NAMED.contains(&key.as_str()) {
                let title = format!("`ALLOW` of `{}` has no key `{key}`", self.name);
                let known = [TAKEN_OVER.as_slice(), &NAMED].concat().join("`, `");
                found.push(Diagnostic::new("W0410", title, self.key(key)).hint(format!("it has `{known}`")));
                continue;
            }
            let any = self.declared.allow_raw.as_ref().is_some_and(|allow| allow[key.as_str()] == true);
            let own = self.own(key);
            for entry in self.texts(key).iter().filter(|entry| !any && !own.contains(entry)) {
                let main = self.bundle.main();
                let title = format!("`{}` needs `{key}: [{entry:?}]`, which `{main}` does not allow", self.name);
                let hint =
                    format!("add it to `allow` in `{main}`: `std: true` is for hosts, brokers, secrets and mail alone");
                found.push(Diagnostic::new("W0410", title, self.key(key)).hint(hint));
            }
        }
        found
    }

    /// Where a file of the folder imports it.
    fn import(&self) -> Option<Place> {
        let files = self.bundle.order().iter().rev().filter(|path| !path.starts_with("std/"));
        files.filter_map(|path| self.bundle.sources.get(path)).find_map(|source| {
            imports(source)
                .into_iter()
                .find(|import| import.path.as_deref() == Some(self.name))
                .map(|import| import.place)
        })
    }

    /// Where a key of `ALLOW` stands.
    fn key(&self, key: &str) -> Place {
        let label = format!("{key}:");
        let lines = self.source.text.lines().enumerate().skip_while(|(_, line)| !line.contains("const ALLOW"));
        let at = lines.map(|(at, line)| (at + 1, line)).find_map(|(at, line)| Some((at, line, line.find(&label)?)));
        let (line, column) = at.map_or((1, 1), |(at, line, byte)| (at, line[..byte].chars().count() + 1));
        self.source.place(line, column, key.len())
    }
}

/// Whether one entry for hosts has to do with another: they are the same, or one is a part of the other.
fn meets(own: &str, theirs: &str) -> bool {
    let within = |pattern: &str, host: &str| {
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "443"));
        HostPattern::parse(pattern).is_ok_and(|pattern| pattern.matches(name, port.parse().unwrap_or(443)))
    };
    own == "*" || own == theirs || theirs.starts_with("config:") || within(own, theirs) || within(theirs, own)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::super::{NoSettings, Settings};
    use crate::script::bundle::Bundle;

    fn found(module: &str, allow: &str) -> String {
        let main = format!("import \"std/x\" as x;\nworkflow(#{{ allow: #{{ {allow} }} }});\nfn main() {{ x::f() }}");
        let module = format!("const ALLOW = #{{ {module} }};\nfn f() {{ 1 }}");
        let files: BTreeMap<_, _> = [("w.rhai".to_owned(), main), ("lib/std/x.rhai".to_owned(), module)].into();
        let bundle = Bundle::load("w.rhai", &files, &[]).expect("loads");
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        let found = super::super::deploy::survey(bundle, &settings).found;
        found
            .iter()
            .map(|it| format!("{}:{}:{}", it.place.file, it.place.line, it.title))
            .collect::<Vec<_>>()
            .join("; ")
    }

    #[test]
    fn what_a_module_cannot_work_without_is_told_where_it_is_imported() {
        let needs = "http: [\"a.example\", \"b.example\"], secrets: [\"a\"]";
        let told = found(needs, "http: []");
        assert!(
            told.starts_with("w.rhai:1:`std/x` needs `http: [\"a.example\", \"b.example\"], secrets: [\"a\"]`"),
            "{told}"
        );
        for enough in
            ["std: true", "http: [\"*.example\"], secrets: [\"a\"]", "http: [\"b.example\"], secrets: [\"a\"]"]
        {
            assert_eq!(found(needs, enough), "", "{enough}");
        }
    }

    #[test]
    fn what_std_does_not_give_is_told_in_the_module() {
        let told = found("secrets: [\"a\"], shell: [\"git\"]", "std: true");
        assert!(told.contains("x.rhai:1:`std/x` needs `shell: [\"git\"]`, which `w.rhai` does not allow"), "{told}");
        assert_eq!(found("shell: [\"git\"]", "std: true, shell: [\"git\"]"), "");
        assert!(found("programs: [\"git\"]", "std: true").contains("has no key `programs`"));
    }
}
