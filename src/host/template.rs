//! `template::render`: texts with places to fill in (`minijinja`). Pure: no includes, no clock, no chance.

use std::collections::BTreeMap;

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, escape_formatter};
use rhai::{Array, Dynamic, Map};

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, type_of};
use super::json::{bounded, check_length};
use crate::script::secret::SecretRef;
use crate::script::{guard, value};

/// What one rendering may do; a table of a thousand rows with ten cells takes a hundredth.
const FUEL: u64 = 5_000_000;
/// Macros and blocks within one another: they take native stack.
const DEEPEST: usize = 50;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "template::render",
    params: &["text: string", "data: map", "options: map?"],
    options: &[Choice::new(
        "kind",
        "string",
        "`\\\"html\\\"`: values are escaped, `\\\"text\\\"`: they are not; unless given, a text with tags (`</p>`, `<br>`) is HTML",
    )],
    returns: "string",
    nature: Nature::Pure,
    doc: "Fills a text in (MiniJinja, the language of Jinja2): `{{ name }}`, `{% for line in lines %}…{% endfor %}`, `{% if … %}`, \
          filters. In HTML, values are escaped unless they go through `|safe`. A value that is not there is an error with its line; \
          `()` shows nothing, decimals are as texts.",
    example: "template::render(\"Dear {{ name }},{% for l in lines %} {{ l.qty }} x {{ l.sku }}{% endfor %}\", #{ name: \"Ann\", lines: [#{ qty: 2, sku: \"A1\" }] })",
    call: render,
    ..Function::BASE
}];

fn render(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let text = call.text(0)?;
    let is_html = match call.options(2)?.text("kind")?.as_deref() {
        None => looks_like_html(&text),
        Some("html") => true,
        Some("text") => false,
        Some(other) => return Err(call.invalid(format!("option `kind` is \"html\" or \"text\", not {other:?}"))),
    };
    let data = &call.args[1];
    if !data.is_map() {
        return Err(call.invalid(format!("`data` must be a map, not {}", type_of(data))));
    }
    let size = value::encode(data).map_err(|bad| call.invalid(bad.to_string()).with("path", bad.path))?.text().len();
    check_length(call, size)?;
    let environment = environment(is_html);
    let rendered = environment.render_named_str("template", &text, filled(data));
    guard::raise()?;
    bounded(call, rendered.map_err(|error| refused(call, &error))?)
}

fn environment(is_html: bool) -> Environment<'static> {
    let mut environment = Environment::new();
    let escape = if is_html { AutoEscape::Html } else { AutoEscape::None };
    environment.set_auto_escape_callback(move |_| escape.clone());
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEEPEST);
    environment.set_formatter(|out, state, value| {
        guard::check().map_err(|_| minijinja::Error::new(ErrorKind::OutOfFuel, "stopped"))?;
        if value.is_none() { Ok(()) } else { escape_formatter(out, state, value) }
    });
    environment
}

/// A closing tag, one that closes itself, or a line break.
fn looks_like_html(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let closes = |(at, _): (usize, &str)| lower[at + 2..].starts_with(|c: char| c.is_ascii_alphabetic());
    lower.match_indices("</").any(closes) || lower.contains("<br") || lower.contains("<!doctype html")
}

fn refused(call: &Call<'_>, error: &minijinja::Error) -> Fail {
    let mut why = error.kind().to_string();
    if let Some(detail) = error.detail() {
        why = format!("{why}: {detail}");
    }
    if error.kind() == ErrorKind::OutOfFuel {
        why = format!("it does more than {FUEL} steps");
    }
    let Some(line) = error.line() else { return call.invalid(format!("the template: {why}")) };
    call.invalid(format!("the template, line {line}: {why}")).with("path", format!("line {line}"))
}

/// A checked value as templates have it.
fn filled(value: &Dynamic) -> Value {
    if let Some(map) = value.read_lock::<Map>() {
        return Value::from(
            map.iter().map(|(key, value)| (key.to_string(), filled(value))).collect::<BTreeMap<_, _>>(),
        );
    }
    if let Some(list) = value.read_lock::<Array>() {
        return Value::from(list.iter().map(filled).collect::<Vec<_>>());
    }
    if let Some(blob) = value.read_lock::<rhai::Blob>() {
        return Value::from_bytes(blob.clone());
    }
    if let Some(secret) = value.read_lock::<SecretRef>() {
        return Value::from(secret.placeholder());
    }
    match (value.as_bool(), value.as_int(), value.as_float()) {
        (Ok(flag), ..) => Value::from(flag),
        (_, Ok(number), _) => Value::from(number),
        (.., Ok(number)) => Value::from(number),
        _ if value.is_unit() => Value::from(()),
        _ => Value::from(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::shown;

    fn rendered(template: &str, rest: &str) -> String {
        shown(&format!(
            "template::render(`{template}`, #{{ name: \"<Ann> & co\", n: 3, d: decimal(\"1.50\"), no: (), l: [1, 2] }}{rest})"
        ))
    }

    #[test]
    fn values_are_filled_in_and_escaped_by_kind() {
        assert_eq!(
            rendered("Hi {{ name }} {{ d }}{{ no }}{% for x in l %},{{ x }}{% endfor %}", ""),
            "Hi <Ann> & co 1.50,1,2"
        );
        assert_eq!(rendered("<p>{{ name }}</p>", ""), "<p>&lt;Ann&gt; &amp; co</p>");
        assert_eq!(rendered("<p>{{ name }}</p>", ", #{ kind: \"text\" }"), "<p><Ann> & co</p>");
        assert_eq!(rendered("{{ name }}", ", #{ kind: \"html\" }"), "&lt;Ann&gt; &amp; co");
        assert_eq!(rendered("{{ name|upper }} {{ n + 1 }} {% if missing %}x{% endif %}", ""), "<ANN> & CO 4 ");
    }

    #[test]
    fn faults_have_their_line() {
        assert!(
            rendered("a\n{{ nme }}", "").contains("the template, line 2: undefined value"),
            "{}",
            rendered("a\n{{ nme }}", "")
        );
        assert!(rendered("a\n\n{% for %}", "").contains("the template, line 3: syntax error"));
        assert!(rendered("{% include \"/etc/passwd\" %}", "").contains("template not found"));
        assert!(shown("template::render(\"\", [])").contains("`data` must be a map"));
        assert!(shown("template::render(\"\", #{ f: || 1 })").contains("is a function"));
    }

    #[test]
    fn a_template_without_end_is_stopped() {
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(rendered(endless, "").contains("more than 5000000 steps"));
        let twice = "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}";
        assert!(rendered(twice, "").contains("recursion limit"), "{}", rendered(twice, ""));
        assert!(rendered("{{ (\"x\" * 100000000) * 100 }}", "").contains("the template"));
    }
}
