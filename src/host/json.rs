//! `json::parse` and `json::encode`. Pure.

use rhai::Dynamic;

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};
use crate::script::guard;
use crate::script::sandbox::LONGEST_STRING;
use crate::script::value;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "json::parse",
        params: &["text: string", "options: map?"],
        options: &[Choice::new("decimals", "bool", "numbers with a fraction as exact decimals, not floats")],
        returns: "any",
        nature: Nature::Pure,
        doc: "Reads JSON: objects become maps, `null` becomes `()`, integers that do not fit 64 bits become floats. With `decimals: true` numbers \
              with a fraction or an exponent become decimals, as exact as they are written; one with more than 28 digits stays a float.",
        example: "json::parse(\"[1, 2]\").len()",
        call: parse,
        ..Function::BASE
    },
    Function {
        name: "json::encode",
        params: &["value: any", "options: map?"],
        options: &[Choice::new("pretty", "bool", "indented, on several lines")],
        returns: "string",
        nature: Nature::Pure,
        doc: "Writes JSON on one line, or indented with `pretty: true`. Decimals become texts, bytes base64.",
        example: "json::encode(#{ id: 1 }, #{ pretty: true })",
        call: encode,
        ..Function::BASE
    },
];

fn parse(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let text = call.text(0)?;
    let exactly = call.options(1)?.flag("decimals")?;
    let parsed = if exactly { value::from_json_text_exactly(&text) } else { value::from_json_text(&text) };
    guard::raise()?;
    parsed.map_err(|bad| {
        let path = format!("line {}, column {}", bad.line, bad.column);
        call.invalid(format!("the text is no JSON: {bad}")).with("path", path)
    })
}

fn encode(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let pretty = call.options(1)?.flag("pretty")?;
    let text = value::to_json_text(&call.args[0], pretty)
        .map_err(|bad| call.invalid(bad.to_string()).with("path", bad.path.trim_start_matches('.').to_owned()))?;
    bounded(call, text)
}

/// A text that a function made, unless it is too long: that ends the run.
pub(super) fn bounded(call: &Call<'_>, text: String) -> Result<Dynamic, Fail> {
    check_length(call, text.len())?;
    Ok(text.into())
}

/// An error that ends the run when a text of this many bytes would be too long.
pub(super) fn check_length(call: &Call<'_>, bytes: usize) -> Result<(), Fail> {
    if bytes <= LONGEST_STRING {
        return Ok(());
    }
    let limit = LONGEST_STRING >> 20;
    Err(guard::limit(format!("`{}`: the text would be longer than {limit} MiB (string limit)", call.function.name))
        .into())
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::run;

    fn shown(script: &str) -> String {
        run(script).map_or_else(|error| error, |value| value.to_string())
    }

    #[test]
    fn json_comes_and_goes() {
        let text = r#"json::encode(json::parse(`{"b":[1,2.5,null,true],"a":{"ü":"x\ny"}}`))"#;
        assert_eq!(shown(text), r#"{"a":{"ü":"x\ny"},"b":[1,2.5,null,true]}"#);
        assert_eq!(
            shown("json::encode(#{ a: [] , d: decimal(\"1.50\") }, #{ pretty: true })"),
            "{\n  \"a\": [],\n  \"d\": \"1.50\"\n}"
        );
        assert_eq!(shown("json::encode(`${json::parse(\"1\")}`)"), "\"1\"");
    }

    #[test]
    fn fractions_are_exact_where_they_are_asked_for() {
        let script = "json::parse(`{\"a\":[0.10,1E-8,7,1e400,12345678901234567890]}`, #{ decimals: true }).a";
        assert!(shown(script).contains("is too large"));
        let kinds = format!("({}).map(|n| `${{type_of(n)}} ${{n}}`)", script.replace("1e400", "1e-40"));
        assert_eq!(
            shown(&kinds),
            r#"["decimal 0.10", "decimal 0.00000001", "i64 7", "f64 1e-40", "decimal 12345678901234567890"]"#
        );
        assert_eq!(shown("type_of(json::parse(\"0.10\"))"), "f64");
    }

    #[test]
    fn faults_name_their_place() {
        assert_eq!(
            shown("json::parse(\"{\\n x\")"),
            "`json::parse`: the text is no JSON: line 2, column 2: expected a key in double quotes"
        );
        assert_eq!(
            shown("try { json::parse(\"[1,]\") } catch (e) { return `${e.kind} ${e.path}`; }"),
            "invalid line 1, column 4"
        );
        assert_eq!(shown("json::encode(#{ a: [|| 1] })"), "`json::encode`: `value.a[0]` is a function");
        assert!(shown("json::encode(1, #{ prety: true })").contains("did you mean `pretty`?"));
        assert!(shown("json::parse(3)").contains("`text` must be a text, not an integer"));
    }

    #[test]
    fn a_text_that_is_too_long_is_a_limit() {
        let script = "let s = \"x\"; for i in 0..20 { s += s; } try { json::encode([s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s, \
                      s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s]) } catch (e) { return e.kind; }";
        assert_eq!(shown(script), "limit");
    }
}
