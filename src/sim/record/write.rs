//! The text of a recorded test.

use std::fmt::Write as _;

use super::rehearsal::{Rehearsal, Setting};
use crate::engine::recording::Recorded;
use crate::payload::Payload;
use crate::script::literal::{WHOLE, literal, quoted};
use crate::store::Status;

/// A longer list of answers has a line for each.
const LINE: usize = 90;

pub(super) fn test(run: &Recorded, setting: &Setting, rehearsal: &Rehearsal) -> String {
    let id = run.run.to_string();
    let short: String = run.version.0.chars().take(12).collect();
    let mut out = format!(
        "//! Recorded from run {id} of `{}`, version {short}.\n//! Mocks give what services answered then, in the order of the calls.\n\n",
        run.workflow
    );
    let mut lines = vec![format!("let t = test::workflow({});", quoted(&run.workflow))];
    for (name, value) in &setting.config {
        lines.push(format!("t.config({}, {});", quoted(name), literal(value, WHOLE)));
    }
    for name in &setting.secrets {
        lines.push(format!("t.secret({}, \"placeholder\");", quoted(name)));
    }
    for (key, value) in &setting.state {
        lines.push(format!("t.state({}, {});", quoted(key), literal(value, WHOLE)));
    }
    for (function, answers) in &rehearsal.answers {
        mock(&mut lines, function, answers);
    }
    lines.extend(rehearsal.acts.iter().cloned());
    asserts(&mut lines, run, rehearsal);
    let name = id.rsplit('-').next().unwrap_or_default();
    let _ = writeln!(out, "fn test_run_{name}() {{");
    for line in &lines {
        let _ = writeln!(out, "    {line}");
    }
    out.push_str("}\n");
    out
}

/// One answer for all calls, or a list that is used up.
fn mock(lines: &mut Vec<String>, function: &str, answers: &[String]) {
    let quoted = quoted(function);
    if answers.iter().all(|answer| *answer == answers[0]) {
        lines.push(format!("t.mock({quoted}, {});", answers[0]));
        return;
    }
    let list = function.replace("::", "_");
    let width: usize = answers.iter().map(String::len).sum();
    if width < LINE {
        lines.push(format!("let {list} = [{}];", answers.join(", ")));
    } else {
        lines.push(format!("let {list} = ["));
        lines.extend(answers.iter().map(|answer| format!("    {answer},")));
        lines.push("];".to_owned());
    }
    lines.push(format!("t.mock({quoted}, || {list}.shift());"));
}

fn asserts(lines: &mut Vec<String>, run: &Recorded, rehearsal: &Rehearsal) {
    lines.push(format!("assert_eq(t.status(), {});", quoted(run.status.name())));
    match (&run.outcome, &rehearsal.run.output, &rehearsal.run.error) {
        (Some(Ok(was)), Some(is), _) if run.status == Status::Completed => compare(lines, "t.output()", was, is),
        (Some(Err(was)), _, Some(is)) => {
            let only = |error: &Payload| {
                let error = error.to_json();
                Payload::from_json(&serde_json::json!({ "kind": error["kind"], "message": error["message"] }))
            };
            let (parts, _) = Rehearsal::agreed(&only(was), &only(is));
            match parts.first() {
                Some((path, _)) if path.is_empty() => {
                    let error = was.to_json();
                    for field in ["kind", "message"] {
                        let text = error[field].as_str().unwrap_or_default();
                        lines.push(format!("assert_eq(t.error().{field}, {});", quoted(text)));
                    }
                }
                _ => lines.extend(parts.iter().map(|(path, text)| format!("assert_eq(t.error(){path}, {text});"))),
            }
        }
        _ => {}
    }
}

fn compare(lines: &mut Vec<String>, of: &str, was: &Payload, is: &Payload) {
    let (parts, all) = Rehearsal::agreed(was, is);
    lines.extend(parts.iter().map(|(path, text)| format!("assert_eq({of}{path}, {text});")));
    if !all {
        lines.push("// The rest of the output is another one each time: times, ids, chance, secrets.".to_owned());
    }
}
