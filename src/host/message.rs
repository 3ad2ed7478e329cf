//! `message::publish`: messages for brokers.

use std::rc::Rc;

use rhai::{Blob, Dynamic, Map};

use super::effects::{self, Plan};
use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options, type_of};
use super::policy::Policy;
use crate::effect::message::{Address, Payload, Protocol};
use crate::effect::{MessageRequest, Reply, Request};
use crate::script::value;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "message::publish",
    params: &["url: string", "subject: string", "payload: any", "options: map?"],
    options: &[
        Choice::new("headers", "map", "names and values beside the payload"),
        Choice::new("content_type", "string", "in place of what the payload is by itself"),
        Choice::new("exchange", "string", "AMQP: the exchange; without it the subject is the name of a queue"),
        Choice::new("retain", "bool", "MQTT: the broker keeps it for later subscribers"),
        Choice::new("timeout", "duration", "30 s unless it says otherwise"),
        Choice::new("retry", "retry policy", "attempts, as for `retry`"),
        Choice::new("idempotency_key", "string", "the id of the message, in place of the derived one"),
    ],
    returns: "map: id, stream, sequence, duplicate",
    nature: Nature::Mutating,
    errors: &["message", "network", "timeout", "denied", "limit"],
    capability: Some("message"),
    doc: "Publishes a message, and returns when the broker has it: JetStream (`nats://`), AMQP 0-9-1 (`amqp://`), MQTT 5 (`mqtt://`, QoS 1); with TLS \
          `nats+tls://`, `amqps://`, `mqtts://`. Text and bytes go as they are, anything else as JSON. A second try has the same id: JetStream drops \
          it, for others `id` tells the consumer.",
    example: "message::publish(\"nats://broker.example.com\", \"orders.new\", #{ order: \"A1\", total: 12 })",
    call: publish,
}];

fn publish(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let options = call.options(3)?;
    let (address, rest) = Address::parse(&call.text(0)?).map_err(|why| call.invalid(why))?;
    if let Some(rest) = rest {
        let hint = format!("`message::publish(\"{address}\", \"{rest}\", …)`");
        return Err(call.invalid(format!("`url` names a broker, and `subject` what is published there; hint: {hint}")));
    }
    let subject = call.text(1)?;
    address.protocol.check_name(&subject).map_err(|why| call.invalid(why))?;
    if !crate::script::secret::find_placeholders(&subject).is_empty() {
        return Err(call.invalid("the subject has a secret in it; hint: secrets belong into the payload or a header"));
    }
    let exchange = only(call, &address, &options, "exchange", Protocol::Amqp, options.text("exchange")?)?;
    if exchange.as_ref().is_some_and(|name| name.len() > 255 || name.chars().any(char::is_control)) {
        return Err(call.invalid("option `exchange` is a name of at most 255 bytes"));
    }
    if address.protocol == Protocol::Amqp && subject.is_empty() && exchange.is_none() {
        return Err(call.invalid("`subject` is the name of a queue, and must not be empty; hint: or give `exchange`"));
    }
    let retain = only(call, &address, &options, "retain", Protocol::Mqtt, options.get("retain").map(drop))?.is_some();
    let key = options.text("idempotency_key")?;
    if key.as_ref().is_some_and(|key| key.is_empty() || !fits(key)) {
        return Err(call.invalid("option `idempotency_key` is one line of at most 200 bytes"));
    }
    if key.as_ref().is_some_and(|key| !crate::script::secret::find_placeholders(key).is_empty()) {
        return Err(call.invalid("option `idempotency_key` has a secret in it; hint: the broker keeps it in the open"));
    }
    let request = MessageRequest {
        subject,
        payload: payload(call)?,
        content_type: content_type(call, &options)?,
        headers: headers(call, &options)?,
        exchange,
        retain: retain && options.flag("retain")?,
        timeout: options.duration("timeout")?,
        address,
    };
    let plan = Plan {
        request: Rc::new(Request::Message(Box::new(request))),
        policy: options.get("retry").map(|value| Policy::parse(call, value)).transpose()?,
        shape,
        key,
    };
    effects::run(call, &plan)
}

/// An option that one kind of broker has.
fn only<T>(
    call: &Call<'_>,
    address: &Address,
    options: &Options,
    key: &str,
    has: Protocol,
    value: Option<T>,
) -> Result<Option<T>, Fail> {
    if address.protocol != has && options.get(key).is_some() {
        return Err(call.invalid(format!("option `{key}` is for {} alone, not for `{address}`", has.name())));
    }
    Ok(value)
}

/// Text and bytes as they are, anything else as JSON; `()` is nothing.
fn payload(call: &Call<'_>) -> Result<Payload, Fail> {
    let value = call.arg(2).cloned().unwrap_or_default();
    if let Some(secret) = value.clone().try_cast::<crate::script::secret::SecretRef>() {
        return Ok(Payload::Text(secret.placeholder()));
    }
    Ok(match value.type_name() {
        "()" => Payload::Text(String::new()),
        "string" | "char" => Payload::Text(value.to_string()),
        "blob" => Payload::Bytes(value.cast::<Blob>()),
        _ => {
            let json = value::to_json_text(&value, false);
            Payload::Json(json.map_err(|problem| call.invalid(format!("`payload`: {problem}")))?)
        }
    })
}

fn content_type(call: &Call<'_>, options: &Options) -> Result<Option<String>, Fail> {
    let given = options.text("content_type")?;
    if given.as_ref().is_some_and(|kind| kind.is_empty() || !fits(kind)) {
        return Err(call.invalid("option `content_type` is one line, such as `text/csv`"));
    }
    Ok(given)
}

/// What goes on one line of each protocol.
fn fits(text: &str) -> bool {
    text.len() <= 200 && !text.chars().any(char::is_control)
}

/// Bytes of all headers: brokers take some kilobytes.
const HEADERS: usize = 16 << 10;

fn headers(call: &Call<'_>, options: &Options) -> Result<Vec<(String, String)>, Fail> {
    let mut headers = Vec::new();
    for (name, value) in options.map("headers")?.unwrap_or_default() {
        let value = header(call, &name, &value)?;
        headers.push((name.to_string(), value));
    }
    if headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > HEADERS {
        return Err(call.invalid("option `headers` has more than 16 KiB; hint: put it into the payload"));
    }
    Ok(headers)
}

fn header(call: &Call<'_>, name: &str, value: &Dynamic) -> Result<String, Fail> {
    let is_name = !name.is_empty() && name.len() <= 200 && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    if !is_name {
        return Err(
            call.invalid(format!("option `headers`: `{name}` is no name of a header; hint: letters, digits, `-`"))
        );
    }
    let own = [("nats-msg-id", "idempotency_key"), ("message-id", "idempotency_key"), ("content-type", "content_type")];
    if let Some((_, option)) = own.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)) {
        return Err(call.invalid(format!("option `headers`: `{name}` is set by itself; hint: give `{option}`")));
    }
    let text = match value.clone().try_cast::<crate::script::secret::SecretRef>() {
        Some(secret) => secret.placeholder(),
        None if value.is_array() || value.is_map() || value.is_unit() => {
            let found = type_of(value);
            return Err(call.invalid(format!("option `headers`: `{name}` is a text or a number, not {found}")));
        }
        None => value.to_string(),
    };
    if text.chars().any(char::is_control) {
        return Err(call.invalid(format!("option `headers`: `{name}` is one line")));
    }
    Ok(text)
}

fn shape(reply: Reply) -> Dynamic {
    let Reply::Message(reply) = reply else { unreachable!("a message gets the reply to a message") };
    let mut map = Map::from_iter([("id".into(), reply.id.into())]);
    if let (Some(stream), Some(sequence)) = (reply.stream, reply.sequence) {
        map.insert("stream".into(), stream.into());
        map.insert("sequence".into(), (sequence as i64).into());
        map.insert("duplicate".into(), reply.duplicate.into());
    }
    Dynamic::from_map(map)
}
