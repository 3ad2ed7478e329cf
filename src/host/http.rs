//! `http::*`: requests to services.

use std::rc::Rc;

use rhai::{Dynamic, ImmutableString, Map};

use super::auth;
use super::effects::{self, Plan};
use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options, type_of};
use super::policy::Policy;
use crate::effect::http::{Body, HttpBody};
use crate::effect::{HttpRequest, Reply, Request};
use crate::script::value;

/// The options of every request, and those of some.
macro_rules! http_options {
    ($($more:expr),*) => {
        &[
            Choice::new("headers", "map", "a list as value sends the header several times"),
            Choice::new("query", "map", "added to the address"),
            Choice::new("auth", "map", "what `bearer`, `basic`, `oauth2`, `aws` or `azure_shared_key` returns"),
            Choice::new("timeout", "duration", "of the whole request"),
            Choice::new("retry", "retry policy", "attempts, as for `retry`"),
            Choice::new("accept", "list of int or string", "statuses of 400 and up that do not throw: `[404, \"5xx\"]`"),
            Choice::new("decimals", "bool", "numbers with a fraction in a JSON answer as exact decimals, not floats"),
            Choice::new("max_bytes", "int", "a longer answer is an error"),
            Choice::new("save_to", "string", "a path: the answer goes into this file, and `body` has the facts of it"),
            Choice::new("rate", "string", "`5/s`: calls of this host with a rate, over all runs, keep to it"),
            Choice::new("idempotency_key", "string", "in place of the derived one"),
            $($more),*
        ]
    };
}
pub(super) use http_options;

const ERRORS: &[&str] = &["http", "network", "timeout", "denied", "not_found"];
const FORM: Choice = Choice::new("form", "map", "sent as a form, in place of a body");
const MULTIPART: Choice = Choice::new(
    "multipart",
    "map",
    "sent as a form with files, in place of a body: texts, what `file::open` returns, or `#{ file, name, type }`",
);

macro_rules! without_body {
    ($name:literal, $nature:ident, $doc:literal, $example:literal) => {
        Function {
            name: concat!("http::", $name),
            params: &["url: string", "options: map?"],
            options: http_options![],
            returns: "map: status, ok, headers, body, url",
            nature: Nature::$nature,
            errors: ERRORS,
            capability: Some("http"),
            doc: $doc,
            example: $example,
            call: |call| {
                let options = call.options(1)?;
                perform(call, $name, call.text(0)?, None, &options)
            },
        }
    };
}

macro_rules! with_body {
    ($name:literal, $doc:literal, $example:literal) => {
        Function {
            name: concat!("http::", $name),
            params: &["url: string", "body: any?", "options: map?"],
            options: http_options![FORM, MULTIPART],
            returns: "map: status, ok, headers, body, url",
            nature: Nature::Mutating,
            errors: ERRORS,
            capability: Some("http"),
            doc: $doc,
            example: $example,
            call: |call| {
                let options = call.options(2)?;
                perform(call, $name, call.text(0)?, call.arg(1).cloned(), &options)
            },
        }
    };
}

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    without_body!(
        "get",
        Reading,
        "Fetches. Returns `#{ status, ok, headers, body }`; a JSON body arrives parsed. A status of 400 and up throws unless accepted.",
        "http::get(\"https://example.com/\", #{ accept: [404] })"
    ),
    without_body!("head", Reading, "Fetches the headers alone.", "http::head(\"https://example.com/\")"),
    without_body!("delete", Mutating, "Deletes.", "http::delete(\"https://example.com/orders/1\")"),
    with_body!(
        "post",
        "Posts a body: a map or list goes as JSON, text as it is, what `file::open` returns is streamed.",
        "http::post(\"https://example.com/orders\", #{ id: 1 })"
    ),
    with_body!("put", "Puts a body.", "http::put(\"https://example.com/orders/1\", #{ id: 1 })"),
    with_body!("patch", "Patches with a body.", "http::patch(\"https://example.com/orders/1\", #{ paid: true })"),
    Function {
        name: "http::request",
        params: &["request: map"],
        options: http_options![
            Choice::new("method", "string", "the method"),
            Choice::new("url", "string", "the address"),
            Choice::new(
                "body",
                "any",
                "a map or list goes as JSON, text as it is, what `file::open` returns as the file"
            ),
            FORM,
            MULTIPART
        ],
        returns: "map: status, ok, headers, body, url",
        nature: Nature::Mutating,
        errors: ERRORS,
        capability: Some("http"),
        doc: "Any method: `#{ method, url, body, … }` with the options of the other functions. `GET`, `HEAD` and `OPTIONS` count as reading, as \
              `http::get` does.",
        example: "http::request(#{ method: \"GET\", url: \"https://example.com/\" })",
        call: |call| {
            let options = call.options(0)?;
            let need =
                |key: &str| Ok::<_, Fail>(options.text(key)?.ok_or_else(|| call.invalid(format!("needs `{key}`"))))?;
            perform(call, &need("method")?, need("url")?, options.get("body").cloned(), &options)
        },
    },
];

fn perform(
    call: &Call<'_>,
    method: &str,
    url: String,
    body: Option<Dynamic>,
    options: &Options,
) -> Result<Dynamic, Fail> {
    let request = request(call, method, url, body, options)?;
    wait_for_rate(call, &request.url, options)?;
    effects::run(call, &plan(call, request, options)?)
}

/// The request that a call asks for.
pub(super) fn request(
    call: &Call<'_>,
    method: &str,
    url: String,
    body: Option<Dynamic>,
    options: &Options,
) -> Result<HttpRequest, Fail> {
    let mut request = HttpRequest::new(method, url);
    request.headers = pairs(call, options, "headers")?;
    request.query = pairs(call, options, "query")?;
    request.timeout = options.duration("timeout")?;
    request.max_bytes = options
        .int("max_bytes")?
        .map(|n| u64::try_from(n).map_err(|_| call.invalid("option `max_bytes` must not be negative")))
        .transpose()?;
    request.save_to = options.text("save_to")?;
    request.auth = options.map("auth")?.map(|map| auth::read(call, &map)).transpose()?;
    request.accept = options
        .list("accept")?
        .unwrap_or_default()
        .iter()
        .map(|v| statuses(call, v))
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    request.body = body_of(call, body, options)?;
    Ok(request)
}

/// How a request is performed.
pub(super) fn plan(call: &Call<'_>, request: HttpRequest, options: &Options) -> Result<Plan, Fail> {
    Ok(Plan {
        request: Rc::new(Request::Http(request)),
        policy: options.get("retry").map(|value| Policy::parse(call, value)).transpose()?,
        shape: if options.flag("decimals")? { shape_exactly } else { shape },
        key: options.text("idempotency_key")?,
    })
}

/// Waits for the turn of this call, where it has the option `rate`: all runs together keep to it, host by host.
pub(super) fn wait_for_rate(call: &Call<'_>, url: &str, options: &Options) -> Result<(), Fail> {
    let Some(rate) = options.text("rate")? else { return Ok(()) };
    let (host, port) = crate::effect::host_of(url).unwrap_or_default();
    super::rate::limit(call, &format!("http:{host}:{port}"), &rate)
}

/// A status, or all of a class: `"4xx"`.
fn statuses(call: &Call<'_>, value: &Dynamic) -> Result<Vec<u16>, Fail> {
    let wrong = || {
        call.invalid(format!(
            "option `accept` lists statuses between 100 and 599, and classes such as \"4xx\", not {value}"
        ))
    };
    if let Some(class) = value.read_lock::<ImmutableString>() {
        let first = class.strip_suffix("xx").and_then(|first| first.parse().ok());
        return first
            .filter(|first| (1..6).contains(first))
            .map(|n: u16| (n * 100..n * 100 + 100).collect())
            .ok_or_else(wrong);
    }
    let status = value.as_int().ok().and_then(|n| u16::try_from(n).ok()).filter(|n| (100..600).contains(n));
    status.map(|status| vec![status]).ok_or_else(wrong)
}

/// A text as it goes into a header, a query or a form: numbers and booleans as they are written.
pub(super) fn plain(call: &Call<'_>, name: &str, value: &Dynamic) -> Result<String, Fail> {
    if let Some(secret) = value.clone().try_cast::<crate::script::secret::SecretRef>() {
        return Ok(secret.placeholder());
    }
    if value.is_array() || value.is_map() || value.is_fnptr() || value.is_unit() {
        return Err(call.invalid(format!("`{name}` must be a text or a number, not {}", type_of(value))));
    }
    Ok(value.to_string())
}

fn pairs(call: &Call<'_>, options: &Options, key: &str) -> Result<Vec<(String, String)>, Fail> {
    let mut pairs = Vec::new();
    for (name, value) in options.map(key)?.unwrap_or_default() {
        let values = value.clone().try_cast::<rhai::Array>().unwrap_or_else(|| vec![value]);
        for value in values {
            if value.is_map() || value.is_array() {
                return Err(nested(call, key, &name, &value));
            }
            pairs.push((name.to_string(), plain(call, &name, &value)?));
        }
    }
    Ok(pairs)
}

/// Services write what is nested in as many ways as there are.
fn nested(call: &Call<'_>, option: &str, name: &str, value: &Dynamic) -> Fail {
    call.invalid(format!(
        "`{name}` of the option `{option}` must be a text, a number or a list of them, not {}; hint: write each part by itself, as the \
         service names it: `\"{name}[part]\": value`; or send the whole as text: `json::encode(value)`",
        type_of(value)
    ))
}

fn body_of(call: &Call<'_>, body: Option<Dynamic>, options: &Options) -> Result<Body, Fail> {
    let form = pairs(call, options, "form")?;
    let body = body.filter(|body| !body.is_unit());
    if let Some(parts) = super::parts::multipart(call, options)? {
        return if body.is_none() && form.is_empty() {
            Ok(Body::Multipart(parts))
        } else {
            Err(call.invalid("takes a body, the option `form` or the option `multipart`, not several"))
        };
    }
    if !form.is_empty() {
        return if body.is_none() {
            Ok(Body::Form(form))
        } else {
            Err(call.invalid("takes a body or the option `form`, not both"))
        };
    }
    let Some(body) = body else { return Ok(Body::None) };
    if let Some(file) = super::parts::reference(&body) {
        return Ok(Body::File(Box::new(file)));
    }
    if body.is_string() {
        return Ok(Body::Text(body.to_string()));
    }
    if body.is_blob() {
        return Ok(Body::Bytes(body.cast::<rhai::Blob>()));
    }
    value::to_json_text(&body, false).map(Body::Json).map_err(|e| call.invalid(format!("the body: {e}")))
}

fn shape(reply: Reply) -> Dynamic {
    shape_with(reply, value::from_json_text)
}

fn shape_exactly(reply: Reply) -> Dynamic {
    shape_with(reply, value::from_json_text_exactly)
}

fn shape_with(reply: Reply, parse: fn(&str) -> Result<Dynamic, value::BadJson>) -> Dynamic {
    let Reply::Http(reply) = reply else { unreachable!("an HTTP request gets an HTTP reply") };
    let mut map = Map::new();
    map.insert("status".into(), i64::from(reply.status).into());
    map.insert("ok".into(), (reply.status < 400).into());
    let headers = reply.headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect::<Map>();
    map.insert("headers".into(), Dynamic::from_map(headers));
    map.insert("url".into(), reply.url.into());
    let body = match reply.body {
        HttpBody::Json(text) => parse(&text).unwrap_or_else(|_| text.into()),
        HttpBody::Text(text) => text.into(),
        HttpBody::Bytes(bytes) => Dynamic::from_blob(bytes),
        HttpBody::Empty => Dynamic::UNIT,
        HttpBody::Saved(stat) => super::file::stat_map(stat),
    };
    map.insert("body".into(), body);
    Dynamic::from_map(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::HttpReply;

    #[test]
    fn what_a_call_returns_is_what_its_record_gives_back() {
        let odd = r#"{"$blob":"eA==","$$a":{"$float":"NaN"},"n":[-0.0,-0,1e400,9223372036854775808,1.50,1e2],"s":"é\u0001\\"}"#;
        for body in [
            HttpBody::Json(odd.to_owned()),
            HttpBody::Json("[null,true,{}]".to_owned()),
            HttpBody::Json("no JSON".to_owned()),
            HttpBody::Text("{\"$char\":\"x\"}".to_owned()),
            HttpBody::Bytes(vec![0, 255]),
            HttpBody::Empty,
        ] {
            let headers = vec![("$x".to_owned(), "1, 2".to_owned()), ("a".to_owned(), String::new())];
            for shape in [shape, shape_exactly] {
                let (headers, body) = (headers.clone(), body.clone());
                let value = shape(Reply::Http(HttpReply { status: 404, headers, body, url: "http://a/".to_owned() }));
                let read = value::decode(&value::encode(&value).expect("is data"));
                assert_eq!(format!("{read:?}"), format!("{value:?}"));
            }
        }
    }
}
