//! `yaml::parse` and `yaml::encode`: YAML 1.2. Pure.

use rhai::Dynamic;
use serde_saphyr::{Options, from_multiple_with_options};

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};
use super::json::{bounded, check_length};
use super::tree::{Tree, Written};
use crate::script::{guard, value};

/// Values of one text, aliases followed: a small text must not become an endless value.
const MOST_VALUES: usize = 250_000;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "yaml::parse",
        params: &["text: string", "options: map?"],
        options: &[Choice::new("all", "bool", "a list of all documents of the text; else there must be one")],
        returns: "any",
        nature: Nature::Pure,
        doc: "Reads YAML. Keys become texts, dates stay texts. At most 250,000 values, 64 levels deep.",
        example: "yaml::parse(\"name: Ann\\ntags: [a, b]\").tags",
        call: parse,
        ..Function::BASE
    },
    Function {
        name: "yaml::encode",
        params: &["value: any"],
        returns: "string",
        nature: Nature::Pure,
        doc: "Writes YAML, keys in order. Decimals become texts, bytes base64.",
        example: "yaml::encode(#{ name: \"Ann\", tags: [\"a\", \"b\"] })",
        call: encode,
        ..Function::BASE
    },
];

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: MOST_VALUES, max_depth: 64 },
    }
}

fn parse(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let all = call.options(1)?.flag("all")?;
    let text = call.text(0)?;
    let parsed = from_multiple_with_options::<Tree>(&text, options());
    guard::raise()?;
    let mut documents = parsed.map_err(|error| {
        let place = error.location().map(|at| format!("line {}, column {}", at.line(), at.column()));
        let whole = error.to_string();
        let first = whole.lines().next().unwrap_or_default();
        let at = place.clone().map_or_else(String::new, |place| format!("{place}: "));
        call.invalid(format!("the text is no YAML: {at}{first}")).with("path", place.unwrap_or_default())
    })?;
    if all {
        return Ok(Dynamic::from_array(documents.into_iter().map(|document| document.0).collect()));
    }
    match documents.len() {
        0 => Ok(Dynamic::UNIT),
        1 => Ok(documents.remove(0).0),
        count => {
            Err(call
                .invalid(format!("the text has {count} documents; hint: `#{{ all: true }}` returns a list of them")))
        }
    }
}

fn encode(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let given = &call.args[0];
    let size = value::encode(given).map_err(|bad| call.invalid(bad.to_string()).with("path", bad.path))?.text().len();
    check_length(call, size)?;
    let text = serde_saphyr::to_string(&Written { value: given, drop_nulls: false });
    guard::raise()?;
    bounded(call, text.map_err(|error| call.invalid(format!("the value cannot be written: {error}")))?)
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::shown;

    #[test]
    fn yaml_comes_and_goes() {
        let value = "#{ a: [1, 2.5, true, ()], b: #{ c: \"no\", d: \"1\", e: \"x: y\\nz\" }, t: decimal(\"1.50\") }";
        let there = format!(
            "let v = {value}; let w = yaml::parse(yaml::encode(v)); w.t == \"1.50\" && w.a == v.a && w.b == v.b"
        );
        assert_eq!(shown(&there), "true");
        assert_eq!(shown("yaml::encode(#{ b: 1, a: [\"x\"] })"), "a:\n- x\nb: 1\n");
        assert_eq!(
            shown("yaml::parse(\"a: &x [1]\\nb: *x\\n3: 2020-01-01\")"),
            "#{\"3\": \"2020-01-01\", \"a\": [1], \"b\": [1]}"
        );
        assert_eq!(shown("yaml::parse(\"a: 1\\n---\\nb: 2\", #{ all: true }).len()"), "2");
        assert!(shown("yaml::parse(\"a: 1\\n---\\nb: 2\")").contains("the text has 2 documents"));
    }

    #[test]
    fn faults_name_their_line_and_floods_are_refused() {
        assert!(
            shown("yaml::parse(\"a: 1\\nb: [\")").contains("the text is no YAML: line "),
            "{}",
            shown("yaml::parse(\"a: 1\\nb: [\")")
        );
        assert!(shown("yaml::parse(\"a: 1\\na: 2\")").contains("no YAML"));
        let bomb = "let t = \"a: &a [1,1,1,1,1,1,1,1,1,1]\\n\"; let last = \"a\"; for i in 0..9 { let n = \"b\" + i; \
                    t += `${n}: &${n} [*${last},*${last},*${last},*${last},*${last},*${last},*${last},*${last},*${last},*${last}]\\n`; last = n; } yaml::parse(t)";
        assert!(shown(bomb).contains("no YAML"), "{}", shown(bomb));
        assert!(shown("let t = \"\"; for i in 0..1000 { t += \"[\"; } yaml::parse(t)").contains("no YAML"));
        assert!(shown("yaml::encode(#{ a: [|| 1] })").contains("`value.a[0]` is a function"));
    }
}
