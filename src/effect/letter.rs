//! A message as it came, from its bytes to plain data. Pure.
//!
//! Who writes to a mailbox may write anything: names of files lose all that leads elsewhere, texts are bounded, and what says that a
//! program wrote it is told. A message that is no message has the fields of an empty one.

use std::collections::BTreeSet;

use mail_parser::{Address, HeaderValue, Message, MessageParser, MimeHeaders as _, PartType};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::time::Timestamp;

/// Bytes of the text, and of the HTML. 1 MiB each: they become the input of a run.
const TEXT_MOST: usize = 1 << 20;
/// Files of a message; further ones are left out.
const FILES_MOST: usize = 100;
/// Parts of a message. 500: a forwarded thread of years has some dozens.
const PARTS_MOST: usize = 500;
/// Bytes of the headers of a message with more parts.
const HEAD_MOST: usize = 64 << 10;
/// Headers that are handed on, and characters of each.
const HEADERS_MOST: usize = 200;
const HEADER_MOST: usize = 4_000;
/// Addresses of one header, and identifiers.
const LIST_MOST: usize = 200;
/// Characters of a file's name: file systems take 255 bytes.
const NAME_MOST: usize = 60;

/// In place of what is no message.
const NOTHING: &[u8] = b"Subject:\r\n\r\n";

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// What a run gets, without its files: `from`, `to`, `subject`, `text`, and so on.
    pub fields: Map<String, Value>,
    /// Its files.
    pub files: Vec<Enclosed>,
    /// `In-Reply-To` and `References`, the nearest first, as `<…>`.
    pub answers: Vec<String>,
    /// The same for two copies of one message, in whatever numbering.
    pub identity: String,
}

/// A file of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enclosed {
    /// Without any folder, and unlike those of the other files.
    pub name: String,
    /// MIME type.
    pub content_type: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Letter {
    /// Reads a message, or its headers alone. `size`: bytes on the server, more than are here where it is too large.
    pub fn read(raw: &[u8], size: usize) -> Self {
        // One message must not keep the others from being read, whatever it does to the parser.
        let read = std::panic::catch_unwind(|| Self::parsed(raw, size));
        read.ok().flatten().unwrap_or_else(|| {
            let size = size.max(NOTHING.len() + usize::from(!raw.is_empty()));
            Self::parsed(NOTHING, size).expect("a message without anything is one")
        })
    }

    fn parsed(raw: &[u8], size: usize) -> Option<Self> {
        let raw = flat(raw);
        let message = MessageParser::default().parse(raw).filter(|message| !message.parts.is_empty())?;
        let (text, html) = bodies(&message);
        let (files, all_files) = files(&message);
        let (text, whole_text) = text.map_or((Value::from(""), true), cut);
        let (html, whole_html) = html.map_or((Value::Null, true), cut);
        let is_complete = raw.len() >= size && whole_text && whole_html && all_files;
        let from = message.from().map(addresses).unwrap_or_default();
        let reply_to = message.reply_to().map(addresses).unwrap_or_default();
        let nobody = || json!({ "name": null, "address": "" });
        let from = from.into_iter().next().unwrap_or_else(nobody);
        let headers = headers(&message);
        let (in_reply_to, references) = (ids(message.in_reply_to()), ids(message.references()));
        let date = message
            .date()
            .filter(|date| date.is_valid())
            .map(|date| Timestamp(date.to_timestamp().saturating_mul(1_000)));
        let fields = json!({
            "reply_to": reply_to.into_iter().next().unwrap_or_else(|| from.clone()),
            "from": from,
            "to": message.to().map(addresses).unwrap_or_default(),
            "cc": message.cc().map(addresses).unwrap_or_default(),
            "subject": message.subject().map(line).unwrap_or_default(),
            "date": date,
            "message_id": message.message_id().map(bracketed),
            "in_reply_to": in_reply_to.first(),
            "references": references,
            "text": text,
            "html": html,
            "auto": is_automatic(&headers),
            "size": size,
            "complete": is_complete,
            "headers": headers,
        });
        let Value::Object(fields) = fields else { unreachable!("a map was written") };
        let answers = in_reply_to.into_iter().chain(references.into_iter().rev()).collect();
        Some(Self { fields, files, answers, identity: identity(&message) })
    }
}

/// The message, or its headers alone where so many parts could lie within each other that reading them needs more stack than a
/// thread has: each level has a type of its own.
fn flat(raw: &[u8]) -> &[u8] {
    const TYPE: &[u8] = b"content-type";

    let types = raw.windows(TYPE.len()).filter(|name| name.eq_ignore_ascii_case(TYPE));
    if types.take(PARTS_MOST + 1).count() <= PARTS_MOST {
        return raw;
    }
    let lines = raw.windows(2).position(|two| two == b"\n\n").map(|at| at + 2);
    let ends = raw.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    &raw[..lines.into_iter().chain(ends).min().unwrap_or(raw.len()).min(HEAD_MOST)]
}

/// From what a message says of itself: its copy in another numbering has the same.
fn identity(message: &Message<'_>) -> String {
    let mut hash = Sha256::new();
    for name in ["Message-ID", "Date", "From", "To", "Subject"] {
        hash.update(message.header_raw(name).unwrap_or_default().trim());
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..16])
}

fn bodies<'m>(message: &'m Message<'_>) -> (Option<String>, Option<&'m str>) {
    let html = message.html_bodies().find_map(|part| match &part.body {
        PartType::Html(html) => Some(html.as_ref()),
        _ => None,
    });
    (message.body_text(0).map(|text| text.replace("\r\n", "\n")), html)
}

/// At most so much as a run's input should hold, and whether it is all.
fn cut(text: impl AsRef<str>) -> (Value, bool) {
    let text = text.as_ref();
    let end = text.floor_char_boundary(TEXT_MOST);
    (text[..end].into(), end == text.len())
}

fn addresses(address: &Address<'_>) -> Vec<Value> {
    let one = |one: &mail_parser::Addr<'_>| {
        let address = one.address().map(line).filter(|address| !address.is_empty())?;
        Some(json!({ "name": one.name().map(line), "address": address }))
    };
    address.iter().filter_map(one).take(LIST_MOST).collect()
}

/// A text on one line, of a length that a header has.
fn line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(HEADER_MOST).collect::<String>().trim().to_owned()
}

fn bracketed(id: &str) -> String {
    format!("<{}>", line(id))
}

fn ids(value: &HeaderValue<'_>) -> Vec<String> {
    let all = match value {
        HeaderValue::Text(id) => vec![bracketed(id)],
        HeaderValue::TextList(ids) => ids.iter().map(|id| bracketed(id)).collect(),
        _ => Vec::new(),
    };
    // The last ones are the nearest.
    let begin = all.len().saturating_sub(LIST_MOST);
    all[begin..].to_vec()
}

/// Names in lower case. Of several the first counts: it is the one that the last server wrote.
fn headers(message: &Message<'_>) -> Map<String, Value> {
    let mut headers = Map::new();
    for (name, value) in message.headers_raw().take(HEADERS_MOST) {
        headers.entry(name.to_lowercase()).or_insert_with(|| line(&value.replace("\r\n", "")).into());
    }
    headers
}

/// Whether a program wrote it: an absence note, a bounce, a list. To answer such a message may go on for ever.
fn is_automatic(headers: &Map<String, Value>) -> bool {
    let text = |name: &str| headers.get(name).and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let submitted = text("auto-submitted");
    let says_so = !submitted.is_empty() && !submitted.starts_with("no");
    let many = ["bulk", "list", "junk", "auto_reply"].contains(&text("precedence").as_str());
    let marks =
        ["list-id", "list-unsubscribe", "x-auto-response-suppress", "x-autoreply", "x-autorespond", "feedback-id"];
    let is_bounce = text("return-path") == "<>" || text("content-type").starts_with("multipart/report");
    says_so || many || is_bounce || marks.iter().any(|name| headers.contains_key(*name))
}

/// The files, and whether it is all of them.
fn files(message: &Message<'_>) -> (Vec<Enclosed>, bool) {
    let mut names = BTreeSet::new();
    let one = |part: &mail_parser::MessagePart<'_>| {
        let kind = part.content_type();
        let content_type = kind.map_or_else(
            || "application/octet-stream".to_owned(),
            |kind| line(&format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("octet-stream")).to_lowercase()),
        );
        let given = part.attachment_name().map(str::to_owned);
        let given =
            given.or_else(|| part.message().map(|inner| format!("{}.eml", inner.subject().unwrap_or("message"))));
        let name = unlike(&safe(given.as_deref().unwrap_or_default()), &mut names);
        Enclosed { name, content_type, bytes: part.contents().to_vec() }
    };
    let files: Vec<_> = message.attachments().take(FILES_MOST).map(one).collect();
    (files, message.attachment_count() <= FILES_MOST)
}

/// A name without folders, without what hides it, and without what systems and shells take for something else.
fn safe(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '(' | ')' | '+' | ',' | '@');
    let name: String = last.chars().filter(|c| !c.is_control()).map(|c| if plain(c) { c } else { '_' }).collect();
    let name = name.trim().trim_start_matches(['.', '-']).trim_end_matches(['.', ' ']);
    if name.chars().count() <= NAME_MOST {
        return if name.is_empty() { "file".to_owned() } else { name.to_owned() };
    }
    let (stem, ending) = parts(name);
    let ending: String = ending.chars().take(12).collect();
    stem.chars().take(NAME_MOST - ending.chars().count()).chain(ending.chars()).collect()
}

/// The name, and its ending with the dot.
fn parts(name: &str) -> (&str, &str) {
    name.rfind('.').filter(|at| *at > 0).map_or((name, ""), |at| name.split_at(at))
}

/// Numbered where there is one of this name, whatever its capitals.
fn unlike(name: &str, names: &mut BTreeSet<String>) -> String {
    let (stem, ending) = parts(name);
    let numbered = (2..).map(|number| format!("{stem}-{number}{ending}"));
    let name = std::iter::once(name.to_owned()).chain(numbered).find(|name| names.insert(name.to_lowercase()));
    name.expect("there are more numbers than files")
}

#[cfg(test)]
mod tests;
