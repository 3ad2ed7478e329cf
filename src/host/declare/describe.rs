//! What only describes: signatures, types, decimals.

use rhai::{Array, Dynamic, Map};

use crate::host::fail::Fail;
use crate::host::function::{Call, Choice, Options, type_of};
use crate::host::schema::{ONE_OF, Schema};
use crate::script::secret::SecretRef;

/// Signature schemes with a name.
const SCHEMES: [&str; 5] = ["github", "stripe", "slack", "standard", "shopify"];

/// What a signature in a header needs, for `hmac` and the option `verify`.
pub(super) const KEYS: [Choice; 5] = [
    Choice::new("header", "string", "the header with the signature"),
    Choice::new("algorithm", "string", "`\"sha256\"` or `\"sha512\"`"),
    Choice::new("encoding", "string", "`\"hex\"` or `\"base64\"`"),
    Choice::new("prefix", "string", "in front of the signature, such as `sha256=`"),
    Choice::new("secret", "secret", "the key, where it is not the second argument"),
];

/// `hmac(scheme, secret)` → `#{ scheme, secret }`, for a map with `header`, `algorithm`, `encoding`, `prefix` beside.
pub(super) fn hmac(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let given = call.args[0].clone();
    let mut described = match given.try_cast::<Map>() {
        Some(map) => custom(call, map)?,
        None => scheme(&named(call)?),
    };
    if let Some(secret) = call.arg(1) {
        described.insert("secret".into(), secret.clone());
    }
    match described.get("secret") {
        Some(secret) if secret.is::<SecretRef>() => Ok(Dynamic::from_map(described)),
        found => {
            let found = found.map_or("nothing", type_of);
            Err(call.invalid(format!("`secret` must be a secret, not {found}; hint: write `secret(\"name\")`")))
        }
    }
}

/// `token(header, secret)` → `#{ scheme, header, secret }`.
pub(super) fn token(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let header = call.text(0)?;
    if header.is_empty() || !header.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(call
            .invalid(format!("`{header}` is not the name of a header; hint: write a name such as `X-Gitlab-Token`")));
    }
    let secret = call.args[1].clone();
    if !secret.is::<SecretRef>() {
        let found = type_of(&secret);
        return Err(call.invalid(format!("takes a secret, not {found}; hint: write `secret(\"name\")`")));
    }
    let mut described = scheme("token");
    described.extend([("header".into(), header.into()), ("secret".into(), secret)]);
    Ok(Dynamic::from_map(described))
}

fn scheme(name: &str) -> Map {
    [("scheme".into(), name.into())].into_iter().collect()
}

fn named(call: &Call<'_>) -> Result<String, Fail> {
    let name = call.text(0)?;
    if SCHEMES.contains(&name.as_str()) {
        return Ok(name);
    }
    let hint = match crate::diag::suggest::nearest(&name, SCHEMES) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("schemes are {}; others are `#{{ header, algorithm, encoding }}`", SCHEMES.join(", ")),
    };
    Err(call.invalid(format!("the scheme `{name}` is unknown; hint: {hint}")))
}

/// A keyed hash of the body in a header.
fn custom(call: &Call<'_>, map: Map) -> Result<Map, Fail> {
    let options = Options::checked(map, call.function.name, &KEYS.map(|key| key.name))?;
    let header = options.text("header")?.filter(|header| !header.is_empty());
    let header = header.ok_or_else(|| call.invalid("needs `header`, the name of the header with the signature"))?;
    let algorithm = choice(call, &options, "algorithm", &["sha256", "sha512"])?.unwrap_or_else(|| "sha256".into());
    let encoding = choice(call, &options, "encoding", &["hex", "base64"])?.unwrap_or_else(|| "hex".into());
    let mut described = scheme("hmac");
    let texts = [
        ("header", header),
        ("algorithm", algorithm),
        ("encoding", encoding),
        ("prefix", options.text("prefix")?.unwrap_or_default()),
    ];
    described.extend(texts.into_iter().map(|(key, text)| (key.into(), text.into())));
    described.extend(options.map.get("secret").map(|secret| ("secret".into(), secret.clone())));
    Ok(described)
}

/// The option `verify` of a webhook in one form: `#{ scheme: "github"|…|"hmac"|"bearer"|"basic"|"token", secret, … }`.
pub(super) fn verification(call: &Call<'_>, map: Map) -> Result<Map, Fail> {
    let secret = |key: &str| map.get(key).filter(|value| value.is::<SecretRef>()).cloned();
    if map.contains_key("scheme") {
        return Ok(map);
    }
    if let Some(token) = secret("bearer") {
        let mut described = scheme("bearer");
        described.insert("secret".into(), token);
        return Ok(described);
    }
    if let (Some(user), Some(password)) = (map.get("user").filter(|user| user.is_string()), secret("password")) {
        let mut described = scheme("basic");
        described.insert("user".into(), user.clone());
        described.insert("secret".into(), password);
        return Ok(described);
    }
    if map.contains_key("header") && secret("secret").is_some() {
        return custom(call, map);
    }
    Err(call.invalid(
        "option `verify` takes `hmac(\"github\", secret(\"x\"))`, `bearer(secret(\"x\"))`, `basic(\"user\", secret(\"x\"))`, \
         `token(\"X-Token\", secret(\"x\"))` or `#{ header, algorithm, encoding, secret }` with `secret: secret(\"x\")`",
    ))
}

/// A text that is one of these.
pub(in crate::host) fn choice(
    call: &Call<'_>,
    options: &Options,
    key: &str,
    known: &[&str],
) -> Result<Option<String>, Fail> {
    let Some(text) = options.text(key)? else { return Ok(None) };
    if known.contains(&text.as_str()) {
        return Ok(Some(text));
    }
    let names = known.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let near = crate::diag::suggest::nearest(&text, known.iter().copied());
    let hint = near.map_or(String::new(), |near| format!("; hint: did you mean \"{near}\"?"));
    Err(call.invalid(format!("option `{key}` must be one of {names}, not \"{text}\"{hint}")))
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let list = Dynamic::from_array(vec![call.args[0].clone()]);
    Schema::from_dynamic(&list).map_err(|e| call.invalid(e))?;
    Ok(list)
}

pub(super) fn one_of(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let values = match call.args.as_slice() {
        [only] if only.is_array() => only.clone().cast::<Array>(),
        values => values.to_vec(),
    };
    let plain =
        |value: &Dynamic| value.is_string() || value.is_char() || value.is_int() || value.is_float() || value.is_bool();
    if let Some(other) = values.iter().find(|value| !plain(value)) {
        return Err(call.invalid(format!("takes texts, numbers and booleans, not {}", type_of(other))));
    }
    if values.is_empty() {
        return Err(call.invalid("needs at least one value"));
    }
    let map: Map = [(ONE_OF.into(), Dynamic::from_array(values))].into_iter().collect();
    Ok(Dynamic::from_map(map))
}
