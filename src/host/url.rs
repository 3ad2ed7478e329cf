//! `url::*`: addresses and their parts. Pure.

use rhai::{Array, Dynamic, Map};
use url::Url;

use super::encoding::{percent, unescape};
use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};
use super::hash::with_bytes;
use super::json::bounded;
use super::lists::plain;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "url::parse",
        params: &["text: string"],
        returns: "map: scheme, user, host, port, path, query, fragment",
        nature: Nature::Pure,
        doc: "The parts of an address; `()` for what it does not have. `query` is a map, unescaped; of a name that is there twice, a list.",
        example: "url::parse(\"https://example.com:8443/orders?id=7&tag=a&tag=b\").query.tag",
        call: parse,
        ..Function::BASE
    },
    Function {
        name: "url::build",
        params: &["parts: map"],
        options: &[
            Choice::new("scheme", "string", "`https` unless given"),
            Choice::new("user", "string", "in front of the host"),
            Choice::new("host", "string", "needed"),
            Choice::new("port", "int", "where it is not the scheme's own"),
            Choice::new("path", "string or list of string", "a list: parts, each escaped"),
            Choice::new("query", "map", "as for `url::query`"),
            Choice::new("fragment", "string", "behind `#`"),
        ],
        returns: "string",
        nature: Nature::Pure,
        doc: "An address from its parts, escaped where they need it.",
        example: "url::build(#{ host: \"example.com\", path: [\"orders\", \"a/b\"], query: #{ page: 2 } })",
        call: build,
        ..Function::BASE
    },
    Function {
        name: "url::query",
        params: &["values: map"],
        returns: "string",
        nature: Nature::Pure,
        doc: "A map as the query of an address, escaped, in the order of its keys; a list gives its key several times, `()` none.",
        example: "url::query(#{ q: \"a b\", tag: [\"x\", \"y\"] })",
        call: |call| {
            super::declare::refuse(call)?;
            let values =
                call.args[0].clone().try_cast::<Map>().ok_or_else(|| call.invalid("`values` must be a map"))?;
            bounded(call, query(call, values)?)
        },
        ..Function::BASE
    },
    Function {
        name: "url::encode",
        params: &["text: string"],
        returns: "string",
        nature: Nature::Pure,
        doc: "A text as one part of a path or query: all but letters, digits, `-`, `_`, `.` and `~` is escaped.",
        example: "url::encode(\"a b/c\")",
        call: |call| {
            super::declare::refuse(call)?;
            with_bytes(call, 0, |bytes| bounded(call, percent(bytes)))
        },
        ..Function::BASE
    },
    Function {
        name: "url::decode",
        params: &["text: string"],
        returns: "string",
        nature: Nature::Pure,
        doc: "The text that was escaped. `+` stays `+`.",
        example: "url::decode(\"a%20b\")",
        call: |call| {
            super::declare::refuse(call)?;
            let text = call.text(0)?;
            unescape(&text)
                .map(Dynamic::from)
                .ok_or_else(|| call.invalid("the text has an escape that is none, or that makes no text"))
        },
        ..Function::BASE
    },
];

fn parse(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let text = call.text(0)?;
    let url = Url::parse(text.trim()).map_err(|error| call.invalid(format!("this is no address: {error}")))?;
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map_or(Dynamic::UNIT, Into::into);
    let mut query = Map::new();
    for (name, value) in url.query_pairs() {
        let value: Dynamic = value.into_owned().into();
        match query.get_mut(&*name) {
            None => drop(query.insert((&*name).into(), value)),
            Some(known) if known.is_array() => {
                known.write_lock::<Array>().expect("it is a list").push(value);
            }
            Some(known) => *known = Dynamic::from_array(vec![known.take(), value]),
        }
    }
    let parts = [
        ("scheme", url.scheme().into()),
        ("user", text(Some(url.username()))),
        ("host", text(url.host_str())),
        ("port", url.port_or_known_default().map_or(Dynamic::UNIT, |port| i64::from(port).into())),
        ("path", url.path().into()),
        ("query", Dynamic::from_map(query)),
        ("fragment", text(url.fragment())),
    ];
    Ok(Dynamic::from_map(parts.into_iter().map(|(key, value)| (key.into(), value)).collect()))
}

/// `a=1&b=x%20y`.
fn query(call: &Call<'_>, values: Map) -> Result<String, Fail> {
    let mut pairs = Vec::new();
    for (name, value) in values {
        let values = if value.is_array() { value.cast::<Array>() } else { vec![value] };
        for value in values.iter().filter(|value| !value.is_unit()) {
            pairs.push(format!("{}={}", percent(name.as_bytes()), percent(plain(call, value)?.as_bytes())));
        }
    }
    Ok(pairs.join("&"))
}

fn build(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let parts = call.options(0)?;
    let scheme = parts.text("scheme")?.unwrap_or_else(|| "https".to_owned());
    let host = parts.text("host")?.ok_or_else(|| call.invalid("needs `host`"))?;
    let bad = |what: &str| call.invalid(format!("{what} cannot be part of an address"));
    let mut url = Url::parse(&format!("{scheme}://host/")).map_err(|_| bad(&format!("the scheme `{scheme}`")))?;
    url.set_host(Some(&host)).map_err(|_| bad(&format!("the host `{host}`")))?;
    if let Some(user) = parts.text("user")? {
        url.set_username(&user).map_err(|()| bad("the user"))?;
    }
    if let Some(port) = parts.int("port")? {
        let number = u16::try_from(port).map_err(|_| bad(&format!("the port {port}")))?;
        url.set_port(Some(number)).map_err(|()| bad("a port"))?;
    }
    match parts.get("path") {
        Some(path) if path.is_array() => {
            let path = path.clone().cast::<Array>();
            let path =
                path.iter().map(|part| Ok(percent(plain(call, part)?.as_bytes()))).collect::<Result<Vec<_>, Fail>>()?;
            url.set_path(&path.join("/"));
        }
        Some(_) => url.set_path(&parts.text("path")?.unwrap_or_default()),
        None => {}
    }
    if let Some(values) = parts.map("query")? {
        let query = query(call, values)?;
        url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
    }
    url.set_fragment(parts.text("fragment")?.as_deref());
    bounded(call, url.into())
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::shown;

    #[test]
    fn addresses_are_taken_apart_and_built() {
        let parsed = "let u = url::parse(\"https://ann@Example.com/a%20b?x=1&x=2&y=%C3%A4#end\"); ";
        let parts = "[u.scheme, u.user, u.host, u.port, u.path, u.query.x, u.query.y, u.fragment]";
        assert_eq!(
            shown(&format!("{parsed}{parts}")),
            r#"["https", "ann", "example.com", 443, "/a%20b", ["1", "2"], "ä", "end"]"#
        );
        let built = "url::build(#{ host: \"example.com\", port: 81, path: [\"a/b\", \"ü\"], query: #{ n: 1, l: [1, 2], no: () } })";
        assert_eq!(shown(built), "https://example.com:81/a%2Fb/%C3%BC?l=1&l=2&n=1");
        assert_eq!(shown("url::query(#{ q: \"a b&c\" })"), "q=a%20b%26c");
    }

    #[test]
    fn what_is_no_address_is_told() {
        assert!(shown("url::parse(\"example\")").contains("this is no address"));
        assert!(shown("url::build(#{ host: \"a b\" })").contains("the host `a b` cannot be part"));
        assert!(shown("url::build(#{ host: \"a\", port: 70000 })").contains("the port 70000"));
        assert!(shown("url::build(#{ hots: \"a\" })").contains("did you mean `host`?"));
    }

    #[test]
    fn parts_of_urls_come_and_go() {
        assert_eq!(shown("url::encode(\"ä b/c~\")"), "%C3%A4%20b%2Fc~");
        assert_eq!(shown("url::decode(\"%C3%a4%20b+\")"), "ä b+");
        for bad in ["%", "%2", "%zz", "%ff", "%€"] {
            assert!(shown(&format!("url::decode(\"{bad}\")")).contains("an escape that is none"), "{bad}");
        }
    }
}
