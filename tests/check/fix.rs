//! What `panta check --fix` makes of scripts.

use crate::cli::Place;

/// The script after `--fix`, which a second time changes nothing.
fn fixed(text: &str) -> String {
    let place = Place::new(&[("w.rhai", text)]);
    place.panta(&["check", "w.rhai", "--fix"]);
    let read = || std::fs::read_to_string(place.path().join("w.rhai")).unwrap();
    let once = read();
    let again = place.panta(&["check", "w.rhai", "--fix"]);
    assert!(read() == once && !again.out.contains("fixed"), "{}", again.out);
    once
}

#[test]
fn habits_of_other_languages() {
    for (before, after) in [
        ("let a = null;\na", "let a = ();\na"),
        ("let i = 0;\ni++;\ni", "let i = 0;\ni += 1;\ni"),
        ("let a = 'it is \"so\"';\na", "let a = \"it is \\\"so\\\"\";\na"),
        ("let a = 1\nlet b = 2\na + b", "let a = 1;\nlet b = 2;\na + b"),
        (
            "if input.a === 1 and not input.b { 1 } elif input.c { 2 }",
            "if input.a == 1 && !input.b { 1 } else if input.c { 2 }",
        ),
        ("#{ default: 1, new: input.new }", "#{ \"default\": 1, \"new\": input[\"new\"] }"),
        ("var a = async f();\nfunction f() { None }\na", "let a = f();\nfn f() { () }\na"),
        (
            "let f = x => x + 1;\nlet g = (a, b) => a + b;\nf.call(g.call(1, 2))",
            "let f = |x| x + 1;\nlet g = |a, b| a + b;\nf.call(g.call(1, 2))",
        ),
        (
            "let id = 1;\nprint(\"order ${id}\");\nprint(f\"order {id}\");",
            "let id = 1;\nprint(`order ${id}`);\nprint(`order ${id}`);",
        ),
        ("# says\nprint(`a\\n`);", "// says\nprint(`a${\"\\n\"}`);"),
        ("fn f(a: int, b: int) -> int { a + b }\nf(1, 2)", "fn f(a, b) { a + b }\nf(1, 2)"),
        ("event::emit(\"a\", {id: 1});", "event::emit(\"a\", #{id: 1});"),
        ("throw new Error(\"x\");", "throw (\"x\");"),
        ("let limit = 1;\nfn main() { limit }", "const limit = 1;\nfn main() { limit }"),
    ] {
        assert_eq!(fixed(before), after);
    }
}

#[test]
fn near_names_of_texts_properties_and_workflows() {
    for (before, after) in [
        (
            "trigger::cron(\"@daily\", #{ overlap: \"skp\", catch_up: \"al\" });\n1",
            "trigger::cron(\"@daily\", #{ overlap: \"skip\", catch_up: \"all\" });\n1",
        ),
        (
            "workflow(#{ input: #{ id: \"strng\" }, upgrade: \"pined\" });\ninput.id",
            "workflow(#{ input: #{ id: \"string\" }, upgrade: \"pinned\" });\ninput.id",
        ),
        (
            "workflow(#{ input: #{ lines: [#{ price: \"int\" }] } });\nfor line in input.lines { line.prise; line[\"pricee\"]; }",
            "workflow(#{ input: #{ lines: [#{ price: \"int\" }] } });\nfor line in input.lines { line.price; line[\"price\"]; }",
        ),
    ] {
        assert_eq!(fixed(before), after);
    }
    let place = Place::new(&[
        ("s/a.rhai", "workflow::run(\"orders\", 1);\nworkflow::start(\"ordrs\", 1)"),
        ("s/orders.rhai", "1"),
    ]);
    place.panta(&["check", "s", "--fix"]).expect(0);
    let mended = std::fs::read_to_string(place.path().join("s/a.rhai")).unwrap();
    assert_eq!(mended, "workflow::run(\"orders\", 1);\nworkflow::start(\"orders\", 1)");
}

#[test]
fn a_single_file_knows_the_workflows_of_the_scripts_folder() {
    let files = [
        ("scripts/a/b.rhai", "workflow::run(\"c\", 1);\nworkflow::run(\"a/d\", 1)"),
        ("scripts/c.rhai", "1"),
        ("scripts/a/d.rhai", "1"),
    ];
    let place = Place::new(&files);
    assert_eq!(place.panta(&["check", "scripts/a/b.rhai", "--strict"]).expect(0).err, "");
    place.write("scripts/a/b.rhai", "workflow::run(\"cc\", 1)");
    assert!(place.panta(&["check", "scripts/a/b.rhai", "--strict"]).expect(1).err.contains("W0413"));
    place.panta(&["check", "scripts/a/b.rhai"]).expect(0);
}

#[test]
fn what_must_be_allowed_is_declared() {
    let script = "http::get(\"http://127.0.0.1:8080/x\");\nhttp::get(\"http://localhost/\", #{ auth: bearer(secret(\"t\")) });\nfile::read(\"/etc/hosts\")";
    let declared = fixed(script);
    let first = declared.lines().next().unwrap();
    for part in ["http: [\"*\", \"127.0.0.1:8080\", \"localhost\"]", "secrets: [\"t\"]", "files: [\"/etc/hosts\"]"] {
        assert!(first.contains(part), "{declared}");
    }
    assert!(declared.ends_with(script));
}

#[test]
fn what_needs_a_thought_stays_as_it_is() {
    for script in
        ["let a = input ? 1 : 2;\na", "slepe(\"5s\")", "let a = (1;\na", "print(\"abc);\n1", "fn f(a = 1) { a }\nf(1)"]
    {
        assert_eq!(fixed(script), script);
    }
}

#[test]
fn windows_line_ends_marks_and_permissions_stay() {
    let place = Place::new(&[
        ("w.rhai", "\u{feff}let größe = 1;\r\n"),
        ("x.rhai", "\u{feff}let a = '日本';\r\nlet b = null\r\na\r\n"),
    ]);
    let path = place.path().join("x.rhai");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    place.panta(&["check", "x.rhai", "--fix"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "\u{feff}let a = \"日本\";\r\nlet b = ();\r\na\r\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(
        std::fs::read_dir(place.path())
            .unwrap()
            .flatten()
            .filter(|e| e.file_name().to_string_lossy().starts_with(".panta"))
            .count(),
        0
    );
}

#[test]
fn it_tells_what_it_changed_and_a_module_is_mended_once() {
    let scripts = [
        ("s/a.rhai", "import \"lib/m\" as m;\nm::f()"),
        ("s/b.rhai", "import \"lib/m\" as m;\nm::f()"),
        ("s/lib/m.rhai", "fn f() { null }"),
    ];
    let place = Place::new(&scripts);
    let came = place.panta(&["check", "s", "--fix"]).expect(0);
    assert_eq!(came.out, "fixed lib/m.rhai:1:10: write `()`\n2 scripts, 0 errors, 0 warnings\n");
    let json = Place::new(&[("w.rhai", "let a = null;")]).panta(&["check", "w.rhai", "--json"]).expect(1).json();
    assert_eq!(
        json["fix"]["edits"][0],
        serde_json::json!({ "line": 1, "column": 9, "end_line": 1, "end_column": 13, "text": "()" })
    );
}

#[test]
fn fixing_the_corpus_makes_no_file_worse() {
    let folder = super::folder("tests/check/bad");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|file| file.path()).collect();
    let texts: Vec<_> = files
        .iter()
        .map(|path| {
            (format!("s/{}", path.file_name().unwrap().to_str().unwrap()), std::fs::read_to_string(path).unwrap())
        })
        .collect();
    let place = Place::new(&texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>());
    let count = |came: crate::cli::Came| {
        came.out.lines().filter(|line| line.contains("\"code\"") && !line.contains("\"fixed\"")).count()
    };
    let before = count(place.panta(&["check", "s", "--json"]));
    let after = count(place.panta(&["check", "s", "--json", "--fix"]));
    assert!(after + 50 < before, "{before} findings, {after} left");
    assert!(
        !place.panta(&["check", "s", "--json", "--fix"]).out.contains("\"fixed\""),
        "a second time changes nothing"
    );
}
