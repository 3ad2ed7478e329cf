//! Scripts that are made from a seed: whatever they are, their pictures are well formed and always the same.

use super::pictures::{mermaid_fault, svg_fault};
use super::*;

/// A small generator of numbers: the same seed, the same scripts.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

/// Texts that no format likes.
const NASTY: &[&str] = &[
    "plain",
    "a & b < c > d",
    "it's \\\"quoted\\\"",
    "end",
    "#quot; &amp;",
    "]]> --> {{}}",
    "grüße 価格 🎉",
    "x|y`[(",
    "",
];

const SIMPLE: &[&str] = &[
    "sleep(\"T\");",
    "http::get(`https://h.example/${input.id}/a & b`); http::get(\"T\");",
    "wait_for(\"T\", #{ key: input.x, timeout: \"3d\" });",
    "event::emit(\"T\", 1);",
    "task::ask(#{ title: \"T\", to: \"a\" });",
    "state::add(\"T\", 1);",
    "if input.a { return 1; }",
    "if input.b { throw \"T\"; }",
    "helper(input);",
    "on_exit(\"T\", || http::delete(\"T\"));",
    "let x = input.x ?? http::get(\"T\");",
];

const NESTED: &[&str] = &[
    "if input.a == \"T\" { B } else { B }",
    "for i in 0..3 { B }",
    "while input.more != \"T\" { B if input.z { break; } }",
    "loop { B if input.y { break; } else { continue; } }",
    "switch input.k { \"T\" => { B } 1 | 2 => { B } _ => { B } }",
    "try { B } catch (e) { B }",
    "step(\"T\", #{ retry: 2, undo: |v| http::delete(`${v}`) }, || { B });",
    "parallel([|| { B }, || { B }]);",
    "race(#{ a: || { B }, b: || { B } });",
    "parallel_map(input.all, |x| { B });",
    "lock(\"T\", || { B });",
    "timeout(\"1h\", || retry(3, || { B }));",
    "input.list.map(|x| { B });",
];

fn block(dice: &mut Dice, depth: usize) -> String {
    let count = dice.roll(4);
    (0..count).map(|_| statement(dice, depth)).collect()
}

fn statement(dice: &mut Dice, depth: usize) -> String {
    let form = if depth == 0 || dice.roll(3) == 0 { dice.pick(SIMPLE) } else { dice.pick(NESTED) };
    let mut text = String::new();
    for c in form.chars() {
        match c {
            'T' => text.push_str(dice.pick(NASTY)),
            'B' => text.push_str(&block(dice, depth - 1)),
            c => text.push(c),
        }
    }
    text.push('\n');
    text
}

/// The script of a seed and its graph, as deep as the limits of the parser allow.
pub(super) fn script(seed: u64) -> (String, Graph) {
    let parsed = |depth| {
        let text = text(seed, depth);
        let bundle = Bundle::of_text("w.rhai", &text).ok()?;
        Some((text, graph(&super::super::super::sandbox::engine(), &bundle, &catalog()).ok()?))
    };
    (1..=1 + seed as usize % 4).rev().find_map(parsed).expect("a flat script parses")
}

fn text(seed: u64, depth: usize) -> String {
    let dice = &mut Dice(seed.wrapping_mul(0x9E37_79B9).wrapping_add(7));
    let body: String = (0..4).map(|_| statement(dice, depth)).collect();
    format!(
        "trigger::webhook(\"{}\");\nfn main(input) {{\n{body}}}\nfn helper(input) {{ {} }}\n",
        dice.pick(NASTY),
        block(dice, 2)
    )
}

#[test]
fn five_hundred_scripts_are_drawn_well_formed_and_always_the_same() {
    let mut nodes = 0;
    for seed in 0..500 {
        let (text, first) = script(seed);
        let second = drawn(&text);
        let (picture, chart) = (svg::svg(&first), mermaid::mermaid(&first));
        assert_eq!(svg_fault(&picture), None, "seed {seed}:\n{text}\n{picture}");
        assert_eq!(mermaid_fault(&chart), None, "seed {seed}:\n{text}\n{chart}");
        assert!(picture == svg::svg(&second) && chart == mermaid::mermaid(&second), "seed {seed}");
        let json = edges::json(&first);
        assert_eq!(json, edges::json(&second));
        nodes += json["nodes"].as_array().expect("a list").len();
    }
    assert!(nodes > 5_000, "{nodes} nodes: the scripts are too small to show anything");
}

#[test]
fn edges_join_nodes_that_are_there_and_ids_are_unique() {
    for seed in 0..200 {
        let graph = script(seed).1;
        let mut ids = std::collections::BTreeSet::new();
        visit(&graph, &mut |node, parent| {
            assert!(parent.is_none_or(|parent| ids.contains(parent)), "seed {seed}: a parent comes before");
            assert!(ids.insert(node.id.clone()), "seed {seed}: `{}` twice", node.id);
        });
        for edge in edges(&graph) {
            assert!(ids.contains(&edge.from) && ids.contains(&edge.to), "seed {seed}: {edge:?}");
        }
    }
}
