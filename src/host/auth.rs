//! How requests say who asks: `bearer`, `basic`, `oauth2`, `aws`, `azure_shared_key` make the option `auth` of HTTP functions.

use rhai::{Dynamic, Map};

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};
use super::{http, values};
use crate::effect::http::azure::Scheme;
use crate::effect::http::{Auth, AwsKeys, AzureKey};

/// The secrets that `aws` takes where it is given none.
const AWS_KEY: &str = "aws_access_key_id";
const AWS_SECRET: &str = "aws_secret_access_key";

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "bearer",
        params: &["token: string or secret"],
        returns: "map",
        nature: Nature::Declarative,
        doc: "The `auth` option of HTTP functions for a bearer token.",
        example: "bearer(secret(\"billing\"))",
        call: |call| Ok(auth(&[("bearer", call.args[0].clone())])),
        ..Function::BASE
    },
    Function {
        name: "basic",
        params: &["user: string", "password: string or secret"],
        returns: "map",
        nature: Nature::Declarative,
        doc: "The `auth` option of HTTP functions for user and password.",
        example: "basic(\"ann\", secret(\"crm\"))",
        call: |call| Ok(auth(&[("user", call.args[0].clone()), ("password", call.args[1].clone())])),
        ..Function::BASE
    },
    Function {
        name: "oauth2",
        params: &["name: string"],
        returns: "map",
        nature: Nature::Declarative,
        capability: Some("secrets"),
        doc: "The `auth` option of HTTP functions for a token of `[oauth2.NAME]` of the config, got and refreshed by itself. It goes to the \
              `hosts` of that client alone. The workflow needs `allow: #{ secrets: [\"oauth2:NAME\"] }`.",
        example: "oauth2(\"crm\")",
        call: |call| {
            let name = call.text(0)?;
            Ok(auth(&[("oauth2", name.into())]))
        },
        ..Function::BASE
    },
    Function {
        name: "aws",
        params: &["options: map"],
        options: &[
            Choice::new("service", "string", "`s3`, `sqs`, `sns`, `secretsmanager`, `states`, `events`, …"),
            Choice::new("region", "string", "such as `eu-central-1`"),
            Choice::new(
                "key",
                "string or secret",
                "the id of the access key; by default the secret `aws_access_key_id`",
            ),
            Choice::new("secret", "string or secret", "its secret; by default the secret `aws_secret_access_key`"),
            Choice::new("token", "string or secret", "of temporary credentials"),
        ],
        returns: "map",
        nature: Nature::Declarative,
        capability: Some("secrets"),
        doc: "The `auth` option of HTTP functions for services of AWS, and others that take its signatures (version 4), such as object \
              stores.",
        example: "aws(#{ service: \"s3\", region: \"eu-central-1\" })",
        call: aws,
        ..Function::BASE
    },
    Function {
        name: "azure_shared_key",
        params: &["account: string", "key: string or secret", "options: map?"],
        options: &[Choice::new("service", "string", "`blob` (default), `queue` or `table`")],
        returns: "map",
        nature: Nature::Declarative,
        doc: "The `auth` option of HTTP functions for an Azure storage account, by one of its keys.",
        example: "azure_shared_key(\"acme\", secret(\"azure\"))",
        call: azure,
        ..Function::BASE
    },
];

fn auth(fields: &[(&str, Dynamic)]) -> Dynamic {
    Dynamic::from_map(fields.iter().map(|(key, value)| ((*key).into(), value.clone())).collect::<Map>())
}

fn aws(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let mut keys = call.options(0)?.map;
    for needed in ["service", "region"] {
        if !keys.get(needed).is_some_and(Dynamic::is_string) {
            return Err(call.invalid(format!("needs `{needed}`, a text such as \"s3\" or \"eu-central-1\"")));
        }
    }
    for (key, secret) in [("key", AWS_KEY), ("secret", AWS_SECRET)] {
        keys.entry(key.into()).or_insert_with(|| values::reference(secret));
    }
    Ok(auth(&[("aws", keys.into())]))
}

fn azure(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let service = super::declare::describe::choice(call, &call.options(2)?, "service", &["blob", "queue", "table"])?;
    let account = call.text(0)?;
    Ok(auth(&[
        ("azure", account.into()),
        ("key", call.args[1].clone()),
        ("service", service.unwrap_or_else(|| "blob".to_owned()).into()),
    ]))
}

/// What these functions make, as a request has it.
pub(super) fn read(call: &Call<'_>, map: &Map) -> Result<Auth, Fail> {
    let wrong =
        || call.invalid("option `auth` takes what `bearer`, `basic`, `oauth2`, `aws` or `azure_shared_key` returns");
    let text = |map: &Map, key: &str| map.get(key).map(|value| http::plain(call, key, value)).transpose();
    let need = |map: &Map, key: &str| text(map, key)?.ok_or_else(wrong);
    if map.contains_key("bearer") {
        return Ok(Auth::Bearer(need(map, "bearer")?));
    }
    if map.contains_key("oauth2") {
        return Ok(Auth::OAuth2(need(map, "oauth2")?));
    }
    if let Some(keys) = map.get("aws").and_then(|keys| keys.clone().try_cast::<Map>()) {
        return Ok(Auth::Aws(Box::new(AwsKeys {
            service: need(&keys, "service")?,
            region: need(&keys, "region")?,
            key: need(&keys, "key")?,
            secret: need(&keys, "secret")?,
            token: text(&keys, "token")?,
        })));
    }
    if map.contains_key("azure") {
        let is_table = text(map, "service")?.as_deref() == Some("table");
        let scheme = if is_table { Scheme::SharedKeyLite } else { Scheme::SharedKey };
        return Ok(Auth::Azure(Box::new(AzureKey { account: need(map, "azure")?, key: need(map, "key")?, scheme })));
    }
    Ok(Auth::Basic(need(map, "user")?, need(map, "password")?))
}
