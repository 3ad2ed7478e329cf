//! `toml::parse` and `toml::encode`. Pure.

use rhai::Dynamic;

use super::fail::Fail;
use super::function::{Call, Function, Nature, type_of};
use super::json::{bounded, check_length};
use super::tree::{Tree, Written};
use crate::script::{guard, value};

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "toml::parse",
        params: &["text: string"],
        returns: "map",
        nature: Nature::Pure,
        doc: "Reads TOML. Dates and times become texts.",
        example: "toml::parse(\"[server]\\nport = 80\").server.port",
        call: parse,
        ..Function::BASE
    },
    Function {
        name: "toml::encode",
        params: &["value: map"],
        returns: "string",
        nature: Nature::Pure,
        doc: "Writes a map as TOML, keys in order. What is `()` is left out, decimals become texts, bytes base64.",
        example: "toml::encode(#{ server: #{ port: 80 } })",
        call: encode,
        ..Function::BASE
    },
];

fn parse(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let text = call.text(0)?;
    let parsed = toml::from_str::<Tree>(&text);
    guard::raise()?;
    let mut tree = parsed.map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let place = format!("line {line}, column {column}");
        let why = error.message().replace('\n', ", ");
        call.invalid(format!("the text is no TOML: {place}: {why}")).with("path", place)
    })?;
    flatten(&mut tree.0);
    Ok(tree.0)
}

/// The key under which the reader hands over dates and times.
const DATE: &str = "$__toml_private_datetime";

/// Dates and times come as maps with a single private key.
fn flatten(value: &mut Dynamic) {
    let date = value.read_lock::<rhai::Map>().and_then(|map| map.get(DATE).filter(|_| map.len() == 1).cloned());
    if let Some(date) = date {
        *value = date;
    } else if let Some(mut map) = value.write_lock::<rhai::Map>() {
        map.values_mut().for_each(flatten);
    } else if let Some(mut list) = value.write_lock::<rhai::Array>() {
        list.iter_mut().for_each(flatten);
    }
}

fn encode(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let given = &call.args[0];
    if !given.is_map() {
        return Err(call.invalid(format!("`value` must be a map, not {}", type_of(given))));
    }
    let size = value::encode(given).map_err(|bad| call.invalid(bad.to_string()).with("path", bad.path))?.text().len();
    check_length(call, size)?;
    let text = toml::to_string(&Written { value: given, drop_nulls: true });
    guard::raise()?;
    bounded(call, text.map_err(|error| call.invalid(format!("the value cannot be written: {error}")))?)
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::shown;

    #[test]
    fn toml_comes_and_goes() {
        let text = "toml::parse(\"a = 1\\nd = 2026-12-24T08:00:00Z\\n[b]\\nc = [1.5, 2]\\n[[e]]\\nf = 'x'\")";
        let read = r#"#{"a": 1, "b": #{"c": [1.5, 2]}, "d": "2026-12-24T08:00:00Z", "e": [#{"f": "x"}]}"#;
        assert_eq!(shown(text), read);
        assert_eq!(shown(&format!("let v = {text}; toml::parse(toml::encode(v)) == v")), "true");
        assert_eq!(shown("toml::encode(#{ b: #{ x: 1 }, a: 2, no: () })"), "a = 2\n\n[b]\nx = 1\n");
    }

    #[test]
    fn faults_name_their_line() {
        assert!(shown("toml::parse(\"a = 1\\nb = \")").contains("the text is no TOML: line 2, column"));
        assert!(shown("toml::encode([1])").contains("must be a map"));
        assert!(shown("toml::encode(#{ a: [()] })").contains("cannot have `()`"));
    }
}
