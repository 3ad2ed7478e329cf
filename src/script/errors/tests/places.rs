//! Places where counting ends or the text was changed.

use insta::assert_snapshot;

use super::super::LAST_LINE;
use super::parse;

#[test]
fn lines_beyond_what_positions_count() {
    let blank = "\n".repeat(LAST_LINE + 5);
    assert_snapshot!(parse(&format!("{blank}let a = ;")).trim_start(), @r"
    let a = ;

    error[E0201]: unexpected `;`
     --> main.rhai
      = positions are counted up to line 65,535
    ");
    assert_snapshot!(parse(&format!("{}let a = ;", "\n".repeat(2000))).trim_start(), @r"
    let a = ;

    error[E0201]: unexpected `;`
        --> main.rhai:2001:9
         |
    2001 | let a = ;
         |         ^
         = hint: a value is missing before `;`
    ");
}

#[test]
fn line_numbers_survive_what_is_stripped() {
    assert_snapshot!(parse("\u{feff}#!/usr/bin/env panta\r\nlet a = 1;\r\nlet b = ;\r\n"), @r"
    ﻿#!/usr/bin/env panta
    let a = 1;
    let b = ;


    error[E0201]: unexpected `;`
     --> main.rhai:3:9
      |
    3 | let b = ;
      |         ^
      = hint: a value is missing before `;`
    ");
}

#[test]
fn a_closure_that_a_module_calls_is_shown_where_it_was_written() {
    let module = "// a\n// b\nfn each(list, f) {\n    for p in list { f.call(p); }\n}";
    let shown = |call: &str| {
        let main = format!("import \"lib/m\" as m;\n{call}");
        super::eval_files(&[("main.rhai", &main), ("lib/m.rhai", module)])
    };
    let told = shown("m::each([#{ x: () }], |p| p.x.filter(|y| y > 1));");
    assert!(
        told.contains(" --> main.rhai:2:31\n") && told.contains("closure called from here: lib/m.rhai:4:23"),
        "{told}"
    );
    let told = shown("m::each([#{ x: [()] }], |p| p.x.filter(|y| y.zz > 1));");
    assert!(told.contains(" --> main.rhai:2:46\n") && !told.contains("lib/m.rhai:2"), "{told}");
}
