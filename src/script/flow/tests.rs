//! Small sources, and what is read from them.

mod generated;
mod pictures;

use std::collections::BTreeMap;

use super::edges::{edges, visit};
use super::run::{Happened, State};
use super::*;
use crate::script::catalog::{Kind as Nature, Signature};

fn catalog() -> Catalog {
    let natures = [
        ("http::get", Nature::Reading),
        ("http::post", Nature::Mutating),
        ("http::delete", Nature::Mutating),
        ("file::read", Nature::Reading),
        ("state::add", Nature::Internal),
        ("json::parse", Nature::Pure),
        ("now", Nature::Internal),
    ];
    Catalog::new(natures.into_iter().map(|(name, nature)| Signature::new(name, 0, 4, nature)))
}

fn of(files: &[(&str, &str)]) -> Graph {
    let sources: BTreeMap<String, String> =
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let bundle = Bundle::load("w.rhai", &sources, crate::script::stdlib::STDLIB).expect("a bundle");
    graph(&super::super::sandbox::engine(), &bundle, &catalog()).expect("it parses")
}

fn drawn(text: &str) -> Graph {
    of(&[("w.rhai", text)])
}

/// Nodes as `kind what label [detail]`, indented below what they are inside of; start and end are left out.
fn nodes(graph: &Graph) -> Vec<String> {
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    let mut lines = Vec::new();
    visit(graph, &mut |node, parent| {
        let depth = parent.map_or(0, |parent| depths[parent] + 1);
        depths.insert(&node.id, depth);
        let parts = [node.kind.name(), &node.what, &node.label].into_iter().filter(|part| !part.is_empty());
        let mut line = format!("{}{}", "  ".repeat(depth), parts.collect::<Vec<_>>().join(" "));
        if !node.detail.is_empty() {
            line.push_str(&format!(" [{}]", node.detail));
        }
        if !matches!(node.kind, Kind::Start | Kind::Done) {
            lines.push(line);
        }
    });
    lines
}

/// Edges as `from -label-> to`, by the ids.
fn lines(graph: &Graph) -> Vec<String> {
    let kind = |edge: &edges::Edge| match edge.meaning {
        edges::Meaning::Next => String::new(),
        other => format!(" ({})", other.name()),
    };
    edges(graph).iter().map(|edge| format!("{} -{}-> {}{}", edge.from, edge.label, edge.to, kind(edge))).collect()
}

#[track_caller]
fn expect(text: &str, wanted: &[&str]) {
    assert_eq!(nodes(&drawn(text)), wanted);
}

#[test]
fn a_sequence_in_the_order_of_evaluation() {
    let text = "let a = http::get(`https://a.example/${input.id}`);\nhttp::post(\"b.example\", http::get(\"c.example\"));\nsleep(\"2s\");";
    let graph = drawn(text);
    assert_eq!(
        nodes(&graph),
        ["call GET a.example/{input.id}", "call GET c.example", "call POST b.example", "wait wait 2s"]
    );
    assert_eq!(lines(&graph), ["start --> n1_9", "n1_9 --> n2_25", "n2_25 --> n2_1", "n2_1 --> n3_1", "n3_1 --> done"]);
}

#[test]
fn what_only_computes_or_tells_is_not_shown() {
    expect(
        "let x = json::parse(\"1\"); if x > 0 { x += 1; } for i in 0..x { x -= i; } log::info(\"x\"); now(); print(x)",
        &[],
    );
}

#[test]
fn triggers_lead_to_the_start() {
    let graph = drawn("trigger::cron(\"0 8 * * *\");\ntrigger::event(\"a.*\");\nfn main() { sleep(\"1s\") }");
    assert_eq!(nodes(&graph), ["trigger cron 0 8 * * *", "trigger event a.*", "wait wait 1s"]);
    assert_eq!(lines(&graph)[..2], ["n1_1 --> start", "n2_1 --> start"]);
}

#[test]
fn a_condition_has_lanes_that_join_or_leave() {
    let graph = drawn("if input.a > 1 {\n  sleep(\"1s\")\n} else {\n  throw \"bad\"\n}\nsleep(\"2s\")");
    assert_eq!(nodes(&graph), ["branch if input.a > 1", "wait wait 1s", "throw throw bad", "wait wait 2s"]);
    assert_eq!(
        lines(&graph),
        ["start --> n1_1", "n1_1 -yes-> n2_3", "n1_1 -no-> n4_3", "n2_3 --> n6_1", "n6_1 --> done"]
    );
}

#[test]
fn a_condition_on_what_it_waits_for_says_so() {
    expect(
        "if wait_for(\"paid\", #{ key: input.id, timeout: \"3d\" }) == () { return 1; }",
        &["wait wait for event paid [key input.id · at most 3d]", "branch if nothing came in time", "return return 1"],
    );
}

#[test]
fn the_end_is_not_reached_behind_what_leaves() {
    let graph = drawn("if input { return 1; } else { throw 2; }");
    assert_eq!(graph.end, None);
    assert!(drawn("loop { sleep(\"1s\"); }").end.is_none());
    assert!(drawn("loop { sleep(\"1s\"); if input { break; } }").end.is_some());
}

#[test]
fn cases_of_a_switch_carry_what_they_stand_for() {
    let graph = drawn("switch input.kind {\n \"a\" | \"b\" => sleep(\"1s\"),\n 3 if input.x => sleep(\"2s\"),\n}");
    assert_eq!(nodes(&graph), ["branch switch input.kind", "wait wait 1s", "wait wait 2s"]);
    let labels: Vec<_> = graph.body.blocks[0].lanes.iter().map(|lane| lane.label.as_str()).collect();
    assert_eq!(labels, ["\"a\" | \"b\"", "3 if input.x", "else"]);
}

#[test]
fn loops_go_back_and_are_left() {
    let graph = drawn(
        "for x in input.items {\n  http::get(x);\n  if x == 1 { break; }\n}\nwhile state::add(\"n\", 1) < 3 { sleep(\"1s\") }",
    );
    assert_eq!(
        nodes(&graph),
        [
            "loop for each x in input.items",
            "  call GET x",
            "  branch if x == 1",
            "  break break",
            "loop while state::add(\"n\", 1) < 3",
            "  state state add n",
            "  wait wait 1s"
        ]
    );
    assert!(lines(&graph).contains(&"n3_3 -no-> n2_3 (back)".to_owned()), "{:?}", lines(&graph));
}

#[test]
fn a_step_holds_its_body_and_its_undo_stands_aside() {
    let graph = drawn(
        "let back = |made| http::delete(`x.example/${made.id}`);\nstep(\"make\", #{ retry: 3, undo: back }, || http::post(\"x.example\", 1))",
    );
    assert_eq!(
        nodes(&graph),
        ["step step make [retry 3 attempts]", "undo undo DELETE x.example/{made.id}", "  call POST x.example"]
    );
    assert!(lines(&graph).iter().any(|line| line.ends_with("(undo)")));
}

#[test]
fn branches_have_their_key_or_index() {
    expect(
        "race(#{ a: || sleep(\"1s\"), b: || wait_for(\"x\") }); parallel([|| sleep(\"2s\"), || sleep(\"3s\")]); parallel_map(input.all, #{ limit: 4 }, |x| http::get(x))",
        &[
            "race first of",
            "  lane a",
            "    wait wait 1s",
            "  lane b",
            "    wait wait for event x",
            "parallel side by side",
            "  lane branch 0",
            "    wait wait 2s",
            "  lane branch 1",
            "    wait wait 3s",
            "parallel for each, side by side input.all [limit 4]",
            "  call GET x",
        ],
    );
}

#[test]
fn errors_go_to_their_handler() {
    let graph = drawn("try { http::get(\"a.example\") } catch (e) { event::emit(\"failed\", e) }");
    assert_eq!(
        nodes(&graph),
        ["try try", "  lane try", "    call GET a.example", "  lane on error", "    emit emit event failed"]
    );
    assert!(lines(&graph).iter().any(|line| line.ends_with("(error)")));
}

#[test]
fn scopes_hold_what_is_in_them() {
    expect(
        "lock(\"stock\", || retry(#{ attempts: 4, delay: \"2s\" }, || timeout(\"30s\", || http::get(\"a.example\"))));\nattempt(|| scope(|| { on_rollback(\"take back\", || http::delete(\"b.example\")); rollback(\"no\") }))",
        &[
            "lock lock stock",
            "  retry try again on error 4 attempts, after 2s",
            "    timeout at most 30s",
            "      call GET a.example",
            "try attempt",
            "  scope scope",
            "    undo if the run fails take back [DELETE b.example]",
            "    rollback undo what was done no",
        ],
    );
}

#[test]
fn people_children_and_polls() {
    expect(
        "task::ask(#{ title: \"Ok?\", to: \"ops\", due: \"2d\" }); workflow::run(\"child\", 1); wait_until(#{ every: \"1m\" }, || http::get(\"a.example\").ok)",
        &[
            "task ask a person Ok? [to ops · due 2d]",
            "child run workflow child",
            "wait poll [every 1m]",
            "  call GET a.example",
        ],
    );
}

#[test]
fn functions_are_followed_once_and_named_then() {
    expect(
        "fn main() { note(1); note(2); down(3) }\nfn note(n) { http::post(\"a.example\", n) }\nfn down(n) { if n > 0 { sleep(\"1s\"); down(n - 1) } }",
        &[
            "function function note(n)",
            "  call POST a.example",
            "again function note [as drawn above]",
            "function function down(n)",
            "  branch if n > 0",
            "  wait wait 1s",
            "  again call again down",
        ],
    );
}

#[test]
fn functions_of_modules_are_followed_and_keep_their_file() {
    let graph = of(&[
        ("w.rhai", "import \"lib/crm\" as crm;\nfn main() { crm::push([1]) }"),
        ("lib/crm.rhai", "const URL = \"https://crm.example\";\nfn push(all) { http::post(`${URL}/x`, all) }"),
    ]);
    assert_eq!(nodes(&graph), ["function function push(all)", "  call POST crm.example/x"]);
    let inner = &graph.body.blocks[0].lanes[0].blocks[0].node;
    assert_eq!((inner.file.as_str(), inner.line, inner.id.as_str()), ("lib/crm.rhai", 2, "lib_crm_2_16"));
}

#[test]
fn closures_given_to_methods_are_loops() {
    expect(
        "input.items.filter(|x| x > 1).map(|x| http::get(x))",
        &["loop for each input.items.filter(|x| x > 1)", "  call GET x"],
    );
}

#[test]
fn operators_that_stop_early_are_choices() {
    expect(
        "let a = input.name ?? http::get(\"a.example\").body;",
        &["branch is there input.name", "call GET a.example"],
    );
}

#[test]
fn ids_stay_where_the_place_stays() {
    let ids = |text: &str| {
        let mut ids = Vec::new();
        visit(&drawn(text), &mut |node, _| ids.push(node.id.clone()));
        ids
    };
    assert_eq!(ids("sleep(\"1s\");\nsleep(\"2s\")"), ids("sleep(\"5s\");\nhttp::get(\"x\")"));
}

#[test]
fn a_file_that_does_not_parse_says_why() {
    let bundle = Bundle::of_text("w.rhai", "let = 1");
    let faults = bundle.and_then(|bundle| graph(&super::super::sandbox::engine(), &bundle, &catalog())).unwrap_err();
    assert_eq!(faults[0].place.line, 1);
}

#[test]
fn a_run_marks_what_it_reached() {
    let mut graph = drawn(
        "step(\"a\", || http::get(\"x\"));\nfor i in 0..3 { sleep(\"1s\") }\nhttp::post(\"y\", 1);\ntask::ask(#{ title: \"Pay?\" });\nlock(\"till\", || 1)",
    );
    let happened = |kind: &str, name: &str, line, state| Happened {
        kind: kind.to_owned(),
        name: name.to_owned(),
        line,
        attempt: 2,
        state,
        took_ms: 10,
    };
    let all = [
        happened("step", "a", 1, State::Done),
        happened("timer", "sleep", 2, State::Done),
        happened("timer", "sleep", 2, State::Open),
        happened("effect", "http::put", 3, State::Done),
        happened("task", "Pay?", 4, State::Open),
        happened("wait", "lock:till", 5, State::Open),
    ];
    run::mark(&mut graph, &all);
    let mut marks = Vec::new();
    visit(&graph, &mut |node, _| {
        marks.extend(
            node.mark.map(|mark| format!("{} {} {}x {}ms", node.label, mark.state.name(), mark.times, mark.took_ms)),
        );
    });
    assert_eq!(marks, ["w done 1x 0ms", "a done 1x 10ms", "1s open 2x 20ms", "Pay? open 1x 10ms", "till open 1x 10ms"]);
}
