//! `panta functions`: what scripts can call, from the table that the calls themselves go by.

use clap::Args;
use serde_json::{Value, json};

use super::Common;
use super::output::{Exit, Fault, json as print_json, line, note};
use crate::diag::suggest;
use crate::host::function::{Function, Nature};

/// Shows the functions that scripts can call
#[derive(Args, Debug)]
pub(super) struct Functions {
    /// One of them, such as `wait_for`, or the begin of their names, such as `http`
    name: Option<String>,
}

impl Functions {
    pub(super) fn execute(&self, common: &Common) -> Exit {
        let all: Vec<&Function> = crate::host::tables().into_iter().flatten().collect();
        let wanted = self.name.as_deref().unwrap_or_default();
        let exact: Vec<_> = all.iter().copied().filter(|function| function.name == wanted).collect();
        let begins = |function: &&Function| function.name.starts_with(wanted);
        let found = if exact.is_empty() { all.iter().copied().filter(begins).collect() } else { exact };
        if found.is_empty() {
            let near = suggest::did_you_mean(wanted, all.iter().map(|function| function.name));
            Fault::usage(format!(
                "there is no function `{wanted}`; hint: {}",
                near.unwrap_or_else(|| "`panta functions` lists all".into())
            ))
            .show();
            return Exit::Usage;
        }
        if common.json {
            print_json(&json!({ "functions": found.iter().map(|function| described(function)).collect::<Vec<_>>() }));
        } else if let [function] = found.as_slice() {
            page(function);
        } else {
            list(&found);
        }
        Exit::Done
    }
}

/// What a function is, in the words of the reference.
fn nature(function: &Function) -> &'static str {
    match function.nature {
        Nature::Pure => "pure",
        Nature::Reading => "reading",
        Nature::Mutating => "mutating",
        Nature::Internal => "internal",
        Nature::Control => "control",
        Nature::Declarative => "declarative",
    }
}

fn described(function: &Function) -> Value {
    let param = |param: &&str| {
        let (name, kind) = param.split_once(": ").unwrap_or((param, "any"));
        json!({ "name": name, "type": kind.trim_end_matches('?'), "optional": kind.ends_with('?') })
    };
    let option =
        |option: &crate::host::function::Choice| json!({ "name": option.name, "type": option.kind, "doc": option.doc });
    json!({
        "name": function.name,
        "params": function.params.iter().map(param).collect::<Vec<_>>(),
        "options": function.options.iter().map(option).collect::<Vec<_>>(),
        "options_at": function.options_at(),
        "returns": function.returns,
        "kind": nature(function),
        "errors": function.errors,
        "capability": function.capability,
        "doc": function.doc,
        "example": function.example,
    })
}

fn page(function: &Function) {
    line(&format!("{}({}) -> {}", function.name, function.params.join(", "), function.returns));
    line(&format!("\n{}", function.doc));
    if !function.options.is_empty() {
        line("");
        let width = function.options.iter().map(|option| option.name.len()).max().unwrap_or(0);
        for option in function.options {
            line(&format!("  {:width$}  {} ({})", option.name, option.doc, option.kind));
        }
    }
    line(&format!("\nkind: {}", nature(function)));
    if !function.errors.is_empty() {
        line(&format!("throws: {}", function.errors.join(", ")));
    }
    if let Some(capability) = function.capability {
        line(&format!("capability: {capability}"));
    }
    line(&format!("\n{}", function.example));
}

fn list(functions: &[&Function]) {
    let width = functions.iter().map(|function| function.name.len()).max().unwrap_or(0);
    for function in functions {
        let doc = function.doc.split(". ").next().unwrap_or_default().trim_end_matches('.');
        line(&format!("{:width$}  {doc}", function.name));
    }
    note("`panta functions NAME` shows one");
}
