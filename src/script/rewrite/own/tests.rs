//! Which function is called, where files have functions of the same name.

use std::collections::BTreeMap;

use crate::script::bundle::Bundle;
use crate::script::catalog::Catalog;
use crate::script::program::{Constants, Program, install};
use crate::script::rewrite::rewrite;
use crate::script::sandbox;

const MODULE: &str = "const K = 100; fn find(r) { \"module\" } fn create(x) { find(x) } fn seek(l) { l.find(|x| x == 2) } \
    fn tax(x) { x * K } fn taxed(x) { tax(x) } fn each(l) { l.map(tax) } fn named(l) { l.map(Fn(\"tax\")) } \
    fn apply(x, f) { tax(x); tax(x); f.call(x) } fn mapped(l, f) { tax(1); l.map(f) } fn closure() { [1].map(|x| tax(x)) } \
    fn rate() { 7 } fn wrong(x) { tax(x); missing_part(x) } private fn missing_part(x) { x.nothing }";

/// What `main` of this text gives, with [`MODULE`] and two more beside it.
fn run(main: &str) -> String {
    let other =
        "import \"lib/more\" as h; fn tax(x) { x * 1000 } fn taxed(x) { tax(x) } fn via(f) { h::who() + f.call() }";
    let more = "fn who() { \"more\" }";
    let files = [("lib/m.rhai", MODULE), ("lib/other.rhai", other), ("lib/more.rhai", more), ("main.rhai", main)];
    let files: BTreeMap<_, _> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let mut engine = sandbox::engine();
    install(&mut engine);
    let bundle = Bundle::load("main.rhai", &files, &[]).unwrap();
    let program = Program::compile_with(&engine, &bundle, rewrite).unwrap();
    let constants = program.declare(&engine).unwrap();
    let once = |constants: &Constants| match program.run(&engine, constants, ().into()) {
        Ok(value) => value.to_string(),
        Err(error) => program.diagnose(&engine, &error, &Catalog::default()).render(crate::diag::Color::Plain),
    };
    let first = once(&constants);
    assert_eq!(first, once(&Constants::from_map(constants.to_map())));
    first
}

/// The same for the body of a `main` that imports the module, in a file with a `tax` of its own.
fn main(body: &str) -> String {
    run(&format!("import \"lib/m\" as m; fn tax(x) {{ x * 2 }} fn main() {{ {body} }}"))
}

#[test]
fn a_function_of_a_module_takes_no_method_of_its_importer() {
    assert_eq!(
        run("import \"lib/m\" as m; fn main() { [m::create(1), m::create(1), [1, 2].find(|x| x == 2)] }"),
        r#"["module", "module", 2]"#
    );
    assert_eq!(run("import \"lib/m\" as m; fn main() { [1, 2].find(|x| x == 2) + m::seek([1, 2]) }"), "4");
}

#[test]
fn a_function_of_an_importer_takes_none_of_its_module() {
    assert_eq!(
        run("import \"lib/m\" as m; fn find(x) { 0 } fn main() { [find(1), find(1), m::seek([1, 2])] }"),
        "[0, 0, 2]"
    );
    assert_eq!(main("[tax(1), tax(1), m::taxed(1), m::taxed(1), m::closure(), tax(1)]"), "[2, 2, 100, 100, [100], 2]");
    assert_eq!(
        main("[m::taxed(1), m::taxed(1), tax(1), m::each([1]), m::named([1]), [1].map(tax)]"),
        "[100, 100, 2, [100], [100], [2]]"
    );
}

#[test]
fn two_modules_and_their_importer_have_their_own() {
    let text = "import \"lib/m\" as m; import \"lib/other\" as o; fn tax(x) { x } \
        fn main() { let all = []; for i in 0..3 { all += [m::taxed(1), o::taxed(1), tax(1), m::tax(1), o::tax(1)]; } all }";
    assert_eq!(run(text), "[100, 1000, 1, 100, 1000, 100, 1000, 1, 100, 1000, 100, 1000, 1, 100, 1000]");
}

#[test]
fn a_closure_that_is_handed_over_stays_of_its_file() {
    assert_eq!(
        main("[m::apply(1, |x| tax(x)), m::apply(1, tax), m::mapped([1], |x| tax(x)), m::mapped([1], Fn(\"tax\"))]"),
        "[2, 2, [2], [2]]"
    );
    assert_eq!(main("m::mapped([[1, 2]], |l| l.find(|x| x == 2))"), "[2]");
    assert_eq!(
        run("import \"lib/m\" as m; const K = 5; fn rate() { 1 } fn main() { m::apply(1, |x| x + K + rate()) }"),
        "7"
    );
}

#[test]
fn an_alias_means_what_its_file_imports() {
    let text = "import \"lib/m\" as h; import \"lib/other\" as o; fn main() { o::via(|| h::rate() + h::K) }";
    assert_eq!(run(text), "more107");
    assert_eq!(
        run("import \"lib/m\" as h; import \"lib/other\" as o; [o::via(|| 1), h::rate(), o::h::who()]"),
        r#"["more1", 7, "more"]"#
    );
}

#[test]
fn a_method_is_the_file_s_own_where_that_uses_this() {
    assert_eq!(run("fn find(x) { 0 } fn main() { [[1, 2].find(|x| x == 2), find(1)] }"), "[2, 0]");
    assert_eq!(run("fn find(x) { `${this.len()}${x}` } fn main() { [1, 2].find(3) }"), "23");
    assert_eq!(run("fn int.double() { this * 2 } fn double() { 0 } fn main() { [4.double(), double()] }"), "[8, 0]");
    assert_eq!(run("fn shout(x) { x } fn main() { \"a\".shout(1) }"), "1");
}

#[test]
fn a_value_that_is_called_as_a_function_hides_it() {
    assert_eq!(
        main("let tax = |x| 9; [m::taxed(1), tax.call(1), [1].map(tax), #{ tax: |x| 8 }.tax(1)]"),
        "[100, 9, [9], 8]"
    );
}

#[test]
fn errors_name_functions_as_they_are_written() {
    let text = "import \"lib/m\" as m; fn wrong(x) { m::wrong(x) } fn tax(x) { x } fn main() { wrong(1) }";
    let said = run(text);
    assert!(said.contains("wrong") && said.contains("lib/m.rhai") && !said.contains("__of_file_"), "{said}");
    assert_eq!(main("`${tax} ${Fn(\"tax\")}`"), "Fn(tax) Fn(tax)");
}
