//! Which line of `allow` a literal argument needs and a declaration has not, as `check` asks.

use crate::effect::message::Address;
use crate::effect::missing_host;
use crate::host::declare::Declaration;
use crate::script::check::Missing;

/// What is missing for a call with this text as an argument.
pub(super) fn missing(declared: &Declaration, function: &str, index: usize, text: &str) -> Option<Missing> {
    match (function, index) {
        ("secret", 0) => secret(declared, text),
        ("oauth2", 0) => secret(declared, &format!("oauth2:{text}")),
        ("shell::run", 0) => listed(declared, "shell", "program", text),
        (name, 0) if name.starts_with("sql::") => listed(declared, "sql", "database", text),
        (name, _) if name.starts_with("http::") && text.contains("://") => {
            let (entry, why) = missing_host(text, &declared.allow)?;
            Some(Missing { title: format!("`{entry}` may not be called: {why}"), capability: "http", entry })
        }
        ("message::publish" | "trigger::message", 0) => broker(declared, text),
        (name, 0) if name.starts_with("ai::") => model(declared, text),
        (name, _) if name.starts_with("file::") && text.starts_with('/') => {
            let title = format!("`{text}` is outside of the workflow's own folder");
            let covered = declared.allow.covers(text);
            (!covered).then(|| Missing { title, capability: "files", entry: text.to_owned() })
        }
        _ => None,
    }
}

fn secret(declared: &Declaration, name: &str) -> Option<Missing> {
    let listed = declared.secrets.iter().flatten().any(|listed| listed == name);
    let title = format!("the secret `{name}` is not declared");
    (!listed).then(|| Missing { title, capability: "secrets", entry: name.to_owned() })
}

/// What is no address is told by the function itself.
fn broker(declared: &Declaration, url: &str) -> Option<Missing> {
    let (address, _) = Address::parse(url).ok()?;
    let title = format!("no messages may go to `{address}` or come from there");
    let covered = declared.allow.message.covers(&address, None);
    (!covered).then(|| Missing { title, capability: "message", entry: address.to_string() })
}

/// `ai: true` is for every model.
fn model(declared: &Declaration, name: &str) -> Option<Missing> {
    let any = declared.allow_raw.as_ref().is_some_and(|allow| allow["ai"] == true);
    if any { None } else { listed(declared, "ai", "model", name) }
}

fn listed(declared: &Declaration, capability: &'static str, what: &str, name: &str) -> Option<Missing> {
    let list = declared.allow_raw.as_ref().and_then(|allow| allow[capability].as_array());
    let listed = list.into_iter().flatten().any(|listed| listed == name);
    let title = format!("the {what} `{name}` is not declared");
    (!listed).then(|| Missing { title, capability, entry: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::super::{NoSettings, Settings, survey};
    use crate::script::bundle::Bundle;

    #[test]
    fn what_a_module_lacks_is_told_with_the_workflow_that_can_mend_it() {
        let main = "import \"lib/m\" as m;\nworkflow(#{ allow: #{ http: [\"a.example\"] } });\nfn main() { m::f() }";
        let module = "fn f() { http::get(\"https://b.example/x\") }";
        let files: BTreeMap<_, _> =
            [("w.rhai", main), ("lib/m.rhai", module)].map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        let bundle = Bundle::load("w.rhai", &files, &[]).expect("loads");
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        let found = survey(bundle, &settings).found;
        let [finding] = found.as_slice() else { panic!("one finding, not {found:?}") };
        assert!(
            finding.place.file == "lib/m.rhai" && finding.title.ends_with("`allow`, in `w.rhai`"),
            "{}",
            finding.title
        );
        assert_eq!(finding.hint.as_deref(), Some("in `w.rhai`: add \"b.example\" to `http` in `allow`"));
        assert!(finding.fix.is_none(), "another file mends it");
    }
}
