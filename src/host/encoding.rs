//! `base64::*`: bytes in the letters that other formats allow; and the escapes of addresses. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use rhai::Dynamic;

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};
use super::hash::with_bytes;
use super::json::check_length;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "base64::encode",
        params: &["data: string or blob", "options: map?"],
        options: &[
            Choice::new("url", "bool", "in the letters for URLs, without padding"),
            Choice::new("padding", "bool", "with `=` at the end; `true` unless `url` is"),
        ],
        returns: "string",
        nature: Nature::Pure,
        doc: "Bytes, or the UTF-8 of a text, as base64; with `url: true` in the letters for URLs, without padding \
              unless `padding: true`.",
        example: "base64::encode(\"hello\")",
        call: |call| {
            super::declare::refuse(call)?;
            let options = call.options(1)?;
            let url = options.flag("url")?;
            let padding = options.flag("padding")? || !url && options.get("padding").is_none();
            let engine = match (url, padding) {
                (true, true) => URL_SAFE,
                (true, false) => URL_SAFE_NO_PAD,
                (false, true) => STANDARD,
                (false, false) => STANDARD_NO_PAD,
            };
            with_bytes(call, 0, |bytes| {
                check_length(call, bytes.len().div_ceil(3) * 4)?;
                Ok(engine.encode(bytes).into())
            })
        },
        ..Function::BASE
    },
    Function {
        name: "base64::decode",
        params: &["text: string"],
        returns: "blob",
        nature: Nature::Pure,
        doc: "The bytes of a base64 text, in either alphabet, with or without padding; `as_string()` makes a text of them.",
        example: "base64::decode(\"aGVsbG8=\").as_string()",
        call: decode,
        ..Function::BASE
    },
];

fn decode(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let text = call.text(0)?;
    let text = text.trim();
    let engine: GeneralPurpose = match (text.contains(['-', '_']), text.ends_with('=')) {
        (true, true) => URL_SAFE,
        (true, false) => URL_SAFE_NO_PAD,
        (false, false) if text.len() % 4 != 0 => STANDARD_NO_PAD,
        (false, _) => STANDARD,
    };
    engine.decode(text).map(Dynamic::from_blob).map_err(|error| call.invalid(format!("the text is no base64: {error}")))
}

/// Escaped as one part of an address.
pub(super) fn percent(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push_str(&hex::encode_upper([byte]));
        }
    }
    text
}

/// Unescaped; `None`: an escape is none, or makes no text.
pub(super) fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        bytes.extend(hex::decode(part.get(..2)?).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::run;

    fn shown(script: &str) -> String {
        run(script).map_or_else(|error| error, |value| value.to_string())
    }

    #[test]
    fn base64_comes_and_goes() {
        assert_eq!(shown("base64::encode(\"hi?>\")"), "aGk/Pg==");
        assert_eq!(shown("base64::encode(\"hi?>\", #{ url: true })"), "aGk_Pg");
        assert_eq!(shown("base64::encode(\"hi?>\", #{ url: true, padding: true })"), "aGk_Pg==");
        assert_eq!(shown("base64::encode(\"hi?>\", #{ padding: false })"), "aGk/Pg");
        for text in ["aGk/Pg==", "aGk_Pg", "aGk/Pg", "aGk_Pg=="] {
            assert_eq!(shown(&format!("base64::decode(\"{text}\").as_string()")), "hi?>");
        }
        assert!(shown("base64::decode(\"a!\")").contains("the text is no base64"));
    }
}
