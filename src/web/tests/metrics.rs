//! What `/metrics` says, read as strictly as a scraper may read it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::Bench;

type Labels = BTreeMap<String, String>;

/// A text in the format, understood.
struct Scraped(Vec<(String, Labels, f64)>);

impl Scraped {
    fn of(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends");
        let (mut types, mut samples) = (BTreeMap::new(), Vec::new());
        let mut current = String::new();
        let mut finished = BTreeSet::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let name = help.split_once(' ').expect("a help text").0;
                let (typed, kind) =
                    lines.next().and_then(|l| l.strip_prefix("# TYPE ")?.split_once(' ')).expect("a type");
                assert_eq!(typed, name);
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
                finished.insert(std::mem::replace(&mut current, name.to_owned()));
                continue;
            }
            let (name, labels, value) = sample(line);
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let family = family.filter(|family| types.get(*family).is_some_and(|kind| kind == "histogram"));
            assert_eq!(family.unwrap_or(&name), current, "{line}");
            assert_eq!(types[&current] == "counter", name.ends_with("_total"), "{line}");
            assert!(!samples.iter().any(|(n, l, _)| (n, l) == (&name, &labels)), "{line} twice");
            samples.push((name, labels, value));
        }
        Self(samples)
    }

    /// What is counted is a whole number.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let wanted: Labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let found = self.0.iter().find(|(n, l, _)| n == name && *l == wanted);
        found.unwrap_or_else(|| panic!("no {name} {labels:?}")).2 as u64
    }

    /// A histogram is one: its ranges ascend and end in its count.
    fn histogram(&self, name: &str) -> u64 {
        let ranges: Vec<_> = self.0.iter().filter(|(n, ..)| *n == format!("{name}_bucket")).collect();
        let bound = |labels: &Labels| labels["le"].replace("+Inf", "inf").parse::<f64>().expect("a number");
        assert!(ranges.windows(2).all(|w| bound(&w[0].1) < bound(&w[1].1) && w[0].2 <= w[1].2), "{name}");
        let count = self.value(&format!("{name}_count"), &[]);
        assert_eq!(
            ranges.last().map(|(_, labels, below)| (labels["le"].as_str(), *below as u64)),
            Some(("+Inf", count))
        );
        self.value(&format!("{name}_sum"), &[]);
        count
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    while let Some(inner) = rest.strip_prefix('{').or_else(|| rest.strip_prefix(',')) {
        let (label, quoted) = inner.split_once("=\"").expect("a label");
        assert!(is_name(label), "{line}");
        let (said, after) = unquoted(quoted);
        assert!(labels.insert(label.to_owned(), said).is_none(), "{line}");
        rest = after;
    }
    let rest = if labels.is_empty() { rest } else { rest.strip_prefix('}').expect("the labels end") };
    (name.to_owned(), labels, rest.strip_prefix(' ').and_then(|value| value.parse().ok()).expect("a number"))
}

fn unquoted(text: &str) -> (String, &str) {
    let (mut said, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (said, &text[at + 1..]),
            '\\' => said.push(match chars.next().expect("an escape").1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                other => panic!("`\\{other}` is no escape"),
            }),
            c => said.push(c),
        }
    }
    panic!("`{text}` does not end")
}

const WORK: &str = r#"step("a", || 1); step("b", || 2); file::write("x", "y"); try { file::read("z") } catch {} if input.fails { throw "no" }"#;

#[test]
fn what_is_counted_is_what_has_happened() {
    let odd = "a \"b\\c";
    let bench = Bench::new(&[("w", WORK), (odd, "1"), ("asks", "task::ask(#{ title: `?` })")]);
    for fails in [false, false, true] {
        bench.post("/api/v1/workflows/w/runs?wait=60s", &json!({ "input": { "fails": fails } })).expect(200);
    }
    bench.post("/api/v1/workflows/a%20%22b%5Cc/runs?wait=60s", &json!({})).expect(200);
    bench.post("/api/v1/workflows/asks/runs", &json!({})).expect(202);
    bench.get("/api/v1/runs/no/journal").expect(404);
    bench.get("/no/such/address").expect(404);
    bench.until(|| (!bench.get("/api/v1/tasks").json()["tasks"].as_array().expect("tasks").is_empty()).then_some(()));
    let scraped = Scraped::of(&bench.get("/metrics").expect(200).text);
    let ended = |workflow, status| ("panta_runs_ended_total", [("workflow", workflow), ("status", status)]);
    for ((name, labels), expected) in
        [(ended("w", "completed"), 2), (ended("w", "failed"), 1), (ended(odd, "completed"), 1)]
    {
        assert_eq!(scraped.value(name, &labels), expected, "{labels:?}");
        assert_eq!(scraped.value("panta_runs", &labels), expected, "{labels:?}");
    }
    let effects = |outcome| scraped.value("panta_effects_total", &[("kind", "file"), ("outcome", outcome)]);
    assert_eq!((effects("ok"), effects("error"), scraped.value("panta_steps_total", &[])), (3, 3, 6));
    let requests = |route, status| scraped.value("panta_http_requests_total", &[("route", route), ("status", status)]);
    assert_eq!((requests("/api/v1/workflows/{name}/runs", "200"), requests("(none)", "404")), (4, 1));
    assert_eq!(requests("/api/v1/runs/{id}/journal", "404"), 1);
    assert_eq!(scraped.value("panta_runs_started_total", &[("workflow", "w")]), 3);
    assert_eq!(scraped.value("panta_tasks_open", &[]), 1);
    assert!(scraped.histogram("panta_commit_seconds") >= 5);
    assert_eq!(scraped.histogram("panta_commit_changes"), scraped.histogram("panta_commit_seconds"));
    scraped.histogram("panta_schedule_lag_seconds");
}
