//! `mail::send`: a message through the configured mail server.

use std::rc::Rc;

use rhai::{Array, Blob, Dynamic, Map};

use super::effects::{self, Plan};
use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options, type_of};
use super::policy::Policy;
use crate::effect::mail::{Attached, Contents};
use crate::effect::{MailRequest, Reply, Request};

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "mail::send",
    params: &["message: map"],
    options: &[
        Choice::new("to", "string or list", "addresses: `ann@example.com` or `Ann <ann@example.com>`"),
        Choice::new("cc", "string or list", "addresses that get a copy"),
        Choice::new("bcc", "string or list", "addresses that get a copy unseen"),
        Choice::new("from", "string", "the sender, in place of the configured one"),
        Choice::new("reply_to", "string", "where answers go"),
        Choice::new("in_reply_to", "string", "the `message_id` of the message that this one answers"),
        Choice::new("subject", "string", "one line"),
        Choice::new("text", "string", "the plain text"),
        Choice::new("html", "string", "the formatted text"),
        Choice::new("attach", "list", "paths, what `file::open` returns, or `#{ name, content, type }`"),
        Choice::new("retry", "retry policy", "attempts, as for `retry`"),
        Choice::new("idempotency_key", "string", "in place of the derived one"),
    ],
    returns: "map: id, message_id",
    nature: Nature::Mutating,
    errors: &["mail", "denied", "file", "not_found", "limit"],
    capability: Some("mail"),
    doc: "Sends a message through the mail server of the config; returns its `Message-ID` as `#{ message_id }` (and as `id`). A second \
          try of the same send has the same one. A reply to it, in a mailbox that is followed, is the event `mail.reply` with this key: \
          `wait_for(\"mail.reply\", #{ key: sent.message_id })`.",
    example: "mail::send(#{ to: \"ann@example.com\", subject: \"Your invoice\", text: \"It is attached.\" })",
    call: send,
}];

fn send(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let options = call.options(0)?;
    let subject = options.text("subject")?.unwrap_or_default();
    if subject.contains(['\n', '\r']) {
        return Err(call.invalid("option `subject` is one line"));
    }
    let request = MailRequest {
        to: addresses(call, &options, "to")?,
        cc: addresses(call, &options, "cc")?,
        bcc: addresses(call, &options, "bcc")?,
        from: options.text("from")?,
        reply_to: options.text("reply_to")?,
        in_reply_to: answered(call, &options)?,
        subject,
        text: options.text("text")?,
        html: options.text("html")?,
        attach: options
            .list("attach")?
            .unwrap_or_default()
            .iter()
            .map(|one| attached(call, one))
            .collect::<Result<_, _>>()?,
    };
    if request.to.is_empty() && request.cc.is_empty() && request.bcc.is_empty() {
        return Err(call.invalid("needs somebody to send to; hint: `#{ to: \"ann@example.com\", … }`"));
    }
    no_secrets(call, &request)?;
    let plan = Plan {
        request: Rc::new(Request::Mail(Box::new(request))),
        policy: options.get("retry").map(|value| Policy::parse(call, value)).transpose()?,
        shape,
        key: options.text("idempotency_key")?,
    };
    effects::run(call, &plan)
}

/// An identifier is one word in brackets: a header cannot be begun in it.
fn answered(call: &Call<'_>, options: &Options) -> Result<Option<String>, Fail> {
    let id = options.text("in_reply_to")?;
    let is_word = |id: &str| id.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    match id.filter(|id| !(id.starts_with('<') && id.ends_with('>') && is_word(id))) {
        Some(_) => Err(call.invalid("option `in_reply_to` is a `message_id` such as `<1@example.com>`")),
        None => options.text("in_reply_to"),
    }
}

fn shape(reply: Reply) -> Dynamic {
    let Reply::Mail(id) = reply else { unreachable!("a message gets the reply to a message") };
    let id = Dynamic::from(id);
    Dynamic::from_map(Map::from_iter([("id".into(), id.clone()), ("message_id".into(), id)]))
}

/// Mail is read by people, anywhere: no secret belongs into it.
fn no_secrets(call: &Call<'_>, request: &MailRequest) -> Result<(), Fail> {
    let texts = [
        Some(&request.subject),
        request.text.as_ref(),
        request.html.as_ref(),
        request.from.as_ref(),
        request.in_reply_to.as_ref(),
    ];
    let lists = request.to.iter().chain(&request.cc).chain(&request.bcc).chain(&request.reply_to);
    let has = |text: &String| !crate::script::secret::find_placeholders(text).is_empty();
    if texts.into_iter().flatten().chain(lists).any(has) {
        return Err(Fail::error("denied", format!("`{}`: a secret must not be part of a message", call.function.name)));
    }
    Ok(())
}

fn addresses(call: &Call<'_>, options: &Options, key: &str) -> Result<Vec<String>, Fail> {
    let wrong = || call.invalid(format!("option `{key}` must be an address or a list of addresses"));
    match options.get(key) {
        None => Ok(Vec::new()),
        Some(value) if value.is_array() => {
            let list = value.clone().cast::<Array>();
            list.into_iter().map(|one| one.into_string().map_err(|_| wrong())).collect()
        }
        Some(_) => Ok(vec![options.text(key)?.ok_or_else(wrong)?]),
    }
}

fn attached(call: &Call<'_>, value: &Dynamic) -> Result<Attached, Fail> {
    if value.is_string() {
        return Ok(file(&value.to_string(), None));
    }
    let Some(map) = value.clone().try_cast::<Map>() else {
        return Err(call.invalid(format!("option `attach` lists paths and maps, not {}", type_of(value))));
    };
    let text = |key: &str| map.get(key).filter(|value| value.is_string()).map(ToString::to_string);
    let content_type = text("type");
    let contents = match map.get("content") {
        Some(content) if content.is_string() => Contents::Bytes(content.to_string().into_bytes()),
        Some(content) if content.is_blob() => Contents::Bytes(content.clone().cast::<Blob>()),
        Some(content) => {
            return Err(call.invalid(format!("`content` of an attachment is text or bytes, not {}", type_of(content))));
        }
        None => match text("path") {
            Some(path) => return Ok(Attached { content_type, ..file(&path, text("name")) }),
            None => return Err(call.invalid("an attachment needs `path` or `content`")),
        },
    };
    let name = text("name").ok_or_else(|| call.invalid("an attachment with `content` needs a `name`"))?;
    Ok(Attached { name, content_type, contents })
}

fn file(path: &str, name: Option<String>) -> Attached {
    let last = path.rsplit('/').next().unwrap_or(path).to_owned();
    Attached { name: name.unwrap_or(last), content_type: None, contents: Contents::File(path.to_owned()) }
}
