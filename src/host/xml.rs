//! `xml::parse` and `xml::encode`: elements as maps. Pure.
//!
//! The mapping: a document is a map with one key, the root's name. An element with nothing but text is that text. Others are
//! maps: attributes under `@name`, children under their names (several of a name: a list), text under `#text`. Texts lose
//! the white space around them. Prefixes of names stay. No document types, no entities but the five and numbers.

mod read;
mod write;

use rhai::Dynamic;

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};

/// Elements within one another: each is a map, and perhaps in a list.
const MOST_NESTED: usize = 60;
/// The key of the text of an element that has attributes or children.
const TEXT: &str = "#text";

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "xml::parse",
        params: &["text: string", "options: map?"],
        options: &[Choice::new("lists", "list of string", "elements of these names are lists also where there is one")],
        returns: "map",
        nature: Nature::Pure,
        doc: "Reads XML into maps: attributes under `@name`, text beside them under `#text`, elements of one name as a list; an element \
              with text alone is that text. Document types and their entities are refused.",
        example: "xml::parse(\"<order id='7'><item>A</item><item>B</item></order>\").order.item",
        call: parse,
        ..Function::BASE
    },
    Function {
        name: "xml::encode",
        params: &["document: map", "options: map?"],
        options: &[
            Choice::new("pretty", "bool", "indented, on several lines"),
            Choice::new("declaration", "bool", "begins with `<?xml version=\\\"1.0\\\" encoding=\\\"UTF-8\\\"?>`"),
        ],
        returns: "string",
        nature: Nature::Pure,
        doc: "Writes what `xml::parse` reads: a map with one key, the root. `()` is an empty element.",
        example: "xml::encode(#{ order: #{ \"@id\": 7, item: [\"A\", \"B\"] } })",
        call: write::encode,
        ..Function::BASE
    },
];

fn parse(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let lists = call.options(1)?.list("lists")?.unwrap_or_default();
    if let Some(other) = lists.iter().find(|name| !name.is_string()) {
        return Err(call.invalid(format!("option `lists` has names, not {}", super::function::type_of(other))));
    }
    let lists: Vec<String> = lists.iter().map(ToString::to_string).collect();
    let text = call.text(0)?;
    read::document(&text, &lists).map_err(|fault| match fault {
        read::Fault::Stopped(fail) => fail,
        read::Fault::Bad { at, what } => {
            let line = text.get(..at).unwrap_or(&text).matches('\n').count() + 1;
            call.invalid(format!("the text is no XML: line {line}: {what}")).with("path", format!("line {line}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::shown;

    #[test]
    fn elements_become_maps_and_come_back() {
        let text = "<?xml version='1.0'?>\n<!-- c --><o x:id='7 &amp; 8'>\n <i>A &lt;&#66;</i><i/> tail <![CDATA[<raw>]]><e a='1'>t</e>\n</o>";
        let read = r##"#{"o": #{"#text": "tail <raw>", "@x:id": "7 & 8", "e": #{"#text": "t", "@a": "1"}, "i": ["A <B", ""]}}"##;
        assert_eq!(shown(&format!("xml::parse(`{text}`)")), read);
        assert_eq!(
            shown(&format!("let d = xml::parse(`{text}`); xml::parse(xml::encode(d, #{{ declaration: true }})) == d")),
            "true"
        );
        assert_eq!(shown("xml::parse(\"<a><i>1</i></a>\", #{ lists: [\"i\"] }).a.i"), "[\"1\"]");
        assert_eq!(
            shown("xml::encode(#{ a: #{ b: [1, ()], \"@n\": \"<\\\"&\", c: true } }, #{ pretty: true })"),
            "<a n=\"&lt;&quot;&amp;\">\n  <b>1</b>\n  <b/>\n  <c>true</c>\n</a>\n"
        );
    }

    #[test]
    fn what_is_no_xml_is_told_with_its_line() {
        for (text, fault) in [
            ("<a>\n<b></a>", "line 2"),
            ("<a/><b/>", "second root"),
            ("", "no root"),
            ("x<a/>", "outside of the root"),
            ("<a", "line 1"),
            ("<a>&x;</a>", "the entity `x` is unknown"),
            ("<!DOCTYPE a [<!ENTITY x 'y'>]><a/>", "document types are refused"),
            ("<a x='1' x='2'/>", "line 1"),
            ("<a>&#0;</a>", "no character"),
        ] {
            let message = shown(&format!("xml::parse(`{text}`)"));
            assert!(message.contains("the text is no XML") && message.contains(fault), "{text}: {message}");
        }
        let deep = "let t = \"\"; for i in 0..100 { t += \"<a>\"; } xml::parse(t)";
        assert!(shown(deep).contains("nested deeper than 60"));
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        assert!(shown("xml::encode(#{ a: 1, b: 2 })").contains("one key, the root"));
        assert!(shown("xml::encode(#{ \"a b\": 1 })").contains("`a b` is no name"));
        assert!(shown("xml::encode(#{ a: #{ \"@x\": [1] } })").contains("the attribute `x`"));
        assert!(shown("xml::encode(#{ a: \"\\x01\" })").contains("a character that XML does not have"));
        assert!(shown("xml::encode(#{ a: || 1 })").contains("is a function"));
    }
}
