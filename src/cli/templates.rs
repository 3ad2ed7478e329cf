//! Workflows to begin with, one for each way in which a run starts.

use crate::diag::suggest;

/// A template: a workflow and its tests.
pub(super) struct Template {
    /// What `--template` takes.
    pub(super) name: &'static str,
    /// What it shows, in a line.
    pub(super) about: &'static str,
    script: &'static str,
    test: &'static str,
}

macro_rules! template {
    ($name:literal, $about:literal) => {
        Template {
            name: $name,
            about: $about,
            script: include_str!(concat!("templates/", $name, ".rhai")),
            test: include_str!(concat!("templates/", $name, ".test.rhai")),
        }
    };
}

/// The one that is taken where none is named.
pub(super) const DEFAULT: &str = "hand";

pub(super) static TEMPLATES: &[Template] = &[
    template!("hand", "started by hand or from the API; steps, a wait, state"),
    template!("cron", "at fixed times: fetch a report and post it"),
    template!("every", "every few minutes: watch a service and emit events"),
    template!("webhook", "for each signed request: two steps, the first with an undo"),
    template!("file", "for each file that is dropped into a folder"),
    template!("event", "for each event: wait for another one, remind, give up"),
    template!("run", "when a run of another workflow has failed"),
    template!("startup", "when the daemon starts: requests side by side"),
    template!("task", "a person approves before something is done"),
];

/// The template of a name, or what to say.
pub(super) fn find(name: &str) -> Result<&'static Template, String> {
    TEMPLATES.iter().find(|template| template.name == name).ok_or_else(|| {
        let names: Vec<_> = TEMPLATES.iter().map(|template| template.name).collect();
        let near =
            suggest::did_you_mean(name, names.iter().copied()).map(|near| format!("{near} ")).unwrap_or_default();
        format!("there is no template `{name}`; hint: {near}there are {}", names.join(", "))
    })
}

impl Template {
    /// The script for the workflow `name`, whose file is shown as `file`.
    pub(super) fn script(&self, name: &str, file: &str) -> String {
        filled(self.script, name, file)
    }

    /// Its tests.
    pub(super) fn test(&self, name: &str, file: &str) -> String {
        filled(self.test, name, file)
    }
}

fn filled(text: &str, name: &str, file: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    let secret: String = last.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    text.replace("{{name}}", name)
        .replace("{{file}}", file)
        .replace("{{title}}", &title(last))
        .replace("{{SECRET}}", &secret.to_uppercase())
        .replace("{{secret}}", &secret.to_lowercase())
}

/// `weekly-report` as `Weekly report`.
fn title(name: &str) -> String {
    let words = name.replace(['-', '_'], " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::engine::{NoSettings, Settings, examine, flow};
    use crate::script::bundle::Bundle;
    use crate::script::flow::{edges, mermaid, svg};

    fn bundle(template: &Template) -> Bundle {
        let text = template.script("orders/weekly-report", "scripts/orders/weekly-report.rhai");
        let sources = BTreeMap::from([("orders/weekly-report.rhai".to_owned(), text)]);
        Bundle::load("orders/weekly-report.rhai", &sources, &[]).expect("it parses")
    }

    #[test]
    fn each_passes_the_check_without_findings() {
        for template in TEMPLATES {
            let settings: Arc<dyn Settings> = Arc::new(NoSettings);
            let (deployed, found) = examine(bundle(template), &settings);
            assert!(deployed.is_some() && found.is_empty(), "{}: {found:?}", template.name);
        }
    }

    #[test]
    fn each_has_tests_that_parse_and_name_its_workflow() {
        for template in TEMPLATES {
            let test = template.test("orders/weekly-report", "");
            let ast = crate::engine::script_engine().compile(&test).expect("it parses");
            assert!(ast.iter_functions().any(|function| function.name.starts_with("test_")), "{}", template.name);
            assert!(test.contains("test::workflow(\"orders/weekly-report\")"), "{}", template.name);
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for template in TEMPLATES {
            let all = format!("{}{}", template.script("a", "a.rhai"), template.test("a", "a.rhai"));
            assert!(!all.contains("{{") && !all.contains("}}\""), "{}", template.name);
        }
    }

    #[test]
    fn each_can_be_drawn() {
        for template in TEMPLATES {
            let graph = flow(&bundle(template)).expect("it parses");
            assert!(!graph.body.blocks.is_empty(), "{}", template.name);
            assert!(svg::svg(&graph).ends_with("</svg>\n") && mermaid::mermaid(&graph).starts_with("flowchart TD\n"));
            assert!(edges::json(&graph)["nodes"].as_array().expect("a list").len() > 3);
        }
    }
}
