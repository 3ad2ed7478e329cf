//! Results of tests as `JUnit` XML: one suite a file, as build servers read it.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::diag::Color;
use crate::sim::{TestOutcome, TestReport};

/// The whole document.
pub(super) fn report(report: &TestReport) -> String {
    let mut files: BTreeMap<&str, Vec<&TestOutcome>> = BTreeMap::new();
    for outcome in &report.outcomes {
        files.entry(&outcome.file).or_default().push(outcome);
    }
    let (passed, failed) = report.counts();
    let errors = report.broken.len();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites tests=\"{}\" failures=\"{failed}\" errors=\"{errors}\" time=\"{:.3}\">",
        passed + failed,
        seconds(&report.outcomes.iter().collect::<Vec<_>>())
    );
    for (file, outcomes) in files {
        suite(&mut out, file, &outcomes);
    }
    for fault in &report.broken {
        let name = escaped(&fault.place.file);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"1\" failures=\"0\" errors=\"1\"><testcase name=\"{name}\">\
             <error message=\"{}\"/></testcase></testsuite>",
            escaped(&fault.to_string())
        );
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(out: &mut String, file: &str, outcomes: &[&TestOutcome]) {
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    let _ = writeln!(
        out,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{:.3}\">",
        escaped(file),
        outcomes.len(),
        seconds(outcomes)
    );
    for outcome in outcomes {
        let head = format!(
            "    <testcase name=\"{}\" classname=\"{}\" file=\"{1}\" line=\"{}\" time=\"{:.3}\"",
            escaped(&outcome.test),
            escaped(file),
            outcome.line,
            outcome.took.as_secs_f64()
        );
        let _ = match &outcome.failure {
            None => writeln!(out, "{head}/>"),
            Some(failure) => writeln!(
                out,
                "{head}><failure type=\"{}\" message=\"{}\">{}</failure>{}</testcase>",
                failure.code,
                escaped(&failure.title),
                escaped(&failure.render(Color::Plain)),
                printed(outcome)
            ),
        };
    }
    out.push_str("  </testsuite>\n");
}

fn printed(outcome: &TestOutcome) -> String {
    if outcome.printed.is_empty() {
        return String::new();
    }
    format!("<system-out>{}</system-out>", escaped(&outcome.printed.join("\n")))
}

fn seconds(outcomes: &[&TestOutcome]) -> f64 {
    outcomes.iter().map(|outcome| outcome.took.as_secs_f64()).sum()
}

/// Text for XML; characters that XML cannot hold are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' | ' '.. => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Diagnostic, Place};

    #[test]
    fn a_document() {
        let outcome = |test: &str, failure: Option<&str>| TestOutcome {
            file: "a.test.rhai".into(),
            test: test.into(),
            line: 3,
            printed: failure.iter().map(|_| "a < b".to_owned()).collect(),
            took: std::time::Duration::from_millis(2),
            failure: failure.map(|title| Diagnostic::new("E0701", title, Place::file("a.test.rhai"))),
        };
        let whole = TestReport {
            outcomes: vec![outcome("test_a", None), outcome("test_b", Some("1 < 2 & \u{1}\"x\""))],
            broken: vec![Diagnostic::new("E0201", "bad", Place::file("b.test.rhai"))],
            coverage: Vec::new(),
        };
        let xml = report(&whole);
        assert!(xml.contains("<testsuites tests=\"2\" failures=\"1\" errors=\"1\" time=\"0.004\">"), "{xml}");
        assert!(
            xml.contains(
                "<testcase name=\"test_a\" classname=\"a.test.rhai\" file=\"a.test.rhai\" line=\"3\" time=\"0.002\"/>"
            ),
            "{xml}"
        );
        assert!(xml.contains("<failure type=\"E0701\" message=\"1 &lt; 2 &amp; &quot;x&quot;\">"), "{xml}");
        assert!(xml.contains("</failure><system-out>a &lt; b</system-out></testcase>"), "{xml}");
        assert!(xml.contains("<error message=\"b.test.rhai: bad\"/>"), "{xml}");
    }
}
