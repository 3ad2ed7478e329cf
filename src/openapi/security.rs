//! How requests are signed: from the schemes of a description to what a script writes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::document::Document;
use super::names::snake;
use super::operation::Operation;

/// A scheme that a script can follow.
#[derive(Clone, Debug)]
pub(super) struct Scheme {
    /// The function of the module that signs by it.
    pub(super) function: String,
    /// Its statements.
    pub(super) statements: Vec<String>,
    /// The secret that it needs.
    pub(super) secret: Option<String>,
    /// What is to be written into `panta.toml`.
    pub(super) settings: Vec<String>,
}

/// The schemes that operations use.
#[derive(Debug, Default)]
pub(super) struct Signing {
    schemes: BTreeMap<String, Scheme>,
}

impl Signing {
    /// Reads the schemes that these operations name; what cannot be followed is a remark.
    pub(super) fn read(
        document: &Document,
        module: &str,
        operations: &[Operation<'_>],
        remarks: &mut Vec<String>,
    ) -> Self {
        let known: BTreeMap<&String, &Value> = document.schemes().collect();
        let mut schemes = BTreeMap::new();
        let mut unknown: BTreeMap<String, String> = BTreeMap::new();
        let named = operations.iter().flat_map(|operation| alternatives(operation.security)).flatten();
        let used: std::collections::BTreeSet<_> = named.collect();
        for name in used {
            let stated = known.get(&name).copied().ok_or_else(|| "it is not described".to_owned());
            let alone = known.len() == 1;
            let made =
                stated.and_then(|scheme| document.follow(scheme)).and_then(|scheme| make(module, &name, scheme, alone));
            match made {
                Ok(scheme) => drop(schemes.insert(name, scheme)),
                Err(why) => drop(unknown.insert(name, why)),
            }
        }
        let signing = Self { schemes };
        let unsigned = |operation: &Operation<'_>| {
            let choices = alternatives(operation.security);
            !choices.is_empty() && signing.chosen(operation).is_none()
        };
        let count = operations.iter().filter(|operation| unsigned(operation)).count();
        if count > 0 {
            let why: Vec<_> = unknown.iter().map(|(name, why)| format!("`{name}`: {why}")).collect();
            remarks.push(format!(
                "{count} operations are called without a signature, give them `http: #{{ auth: … }}` ({})",
                why.join(", ")
            ));
        }
        signing
    }

    /// The schemes by which an operation is signed, `Some(&[])` for none; `None`: none that can be followed.
    pub(super) fn chosen(&self, operation: &Operation<'_>) -> Option<Vec<&Scheme>> {
        let choices = alternatives(operation.security);
        if choices.is_empty() {
            return Some(Vec::new());
        }
        let can = |names: &Vec<String>| names.iter().map(|name| self.schemes.get(name)).collect::<Option<Vec<_>>>();
        // What is signed rather than what is not.
        let mut possible: Vec<_> = choices.iter().filter_map(can).collect();
        possible.sort_by_key(Vec::is_empty);
        possible.into_iter().next()
    }

    /// All that was read.
    pub(super) fn all(&self) -> impl Iterator<Item = &Scheme> {
        self.schemes.values()
    }
}

/// What `security` demands: one of these, each all of its schemes.
fn alternatives(security: &Value) -> Vec<Vec<String>> {
    let one = |choice: &Value| choice.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    security.as_array().into_iter().flatten().map(one).collect()
}

fn make(module: &str, name: &str, scheme: &Value, is_alone: bool) -> Result<Scheme, String> {
    let own = if is_alone { module.to_owned() } else { format!("{module}_{}", snake(name)) };
    let secret = format!("secret({own:?})");
    let text = format!("`${{{secret}}}`");
    let mut made = Scheme {
        function: format!("with_{}", snake(name)),
        statements: Vec::new(),
        secret: Some(own.clone()),
        settings: Vec::new(),
    };
    let field = scheme["name"].as_str().unwrap_or_default();
    let statement = match (scheme["type"].as_str(), scheme["in"].as_str()) {
        (Some("basic"), _) => basic(&mut made, module, &secret),
        (Some("http"), _) => match scheme["scheme"].as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("basic") => basic(&mut made, module, &secret),
            Some("bearer") => format!("request.auth = bearer({secret});"),
            other => return Err(format!("the scheme `{}` of HTTP is not known", other.unwrap_or(""))),
        },
        (Some("openIdConnect"), _) => format!("request.auth = bearer({secret});"),
        (Some("apiKey"), Some("header")) => format!("request.headers[{field:?}] = {text};"),
        (Some("apiKey"), Some("query")) => format!("request.query[{field:?}] = {text};"),
        (Some("apiKey"), Some("cookie")) => format!("request.headers[\"Cookie\"] = `{field}=${{{secret}}}`;"),
        (Some("oauth2"), _) => {
            made.secret = None;
            made.settings = oauth(&own, scheme);
            format!("request.auth = oauth2({own:?});")
        }
        (kind, _) => return Err(format!("its kind `{}` is not known", kind.unwrap_or(""))),
    };
    made.statements.push(statement);
    Ok(made)
}

fn basic(made: &mut Scheme, module: &str, secret: &str) -> String {
    made.settings.push(format!("[config]\n{module}_user = \"…\""));
    format!("request.auth = basic(config(\"{module}_user\"), {secret});")
}

/// The section of `panta.toml` for an OAuth2 client.
fn oauth(name: &str, scheme: &Value) -> Vec<String> {
    let flows = scheme["flows"].as_object();
    let order = ["clientCredentials", "authorizationCode", "implicit", "password"];
    let modern = order.iter().find_map(|flow| flows?.get(*flow).map(|found| (*flow, found)));
    let flow = modern.unwrap_or_else(|| (scheme["flow"].as_str().unwrap_or("application"), scheme));
    let grant =
        if matches!(flow.0, "clientCredentials" | "application") { "client_credentials" } else { "authorization_code" };
    let mut lines = vec![format!("[oauth2.{name}]"), format!("grant = \"{grant}\"")];
    for (key, ours) in [("tokenUrl", "token_url"), ("authorizationUrl", "auth_url")] {
        if let Some(url) = flow.1[key].as_str() {
            lines.push(format!("{ours} = {url:?}"));
        }
    }
    lines.push("client_id = \"…\"".to_owned());
    lines.push(format!("client_secret = \"{name}_client\" # the name of a secret"));
    let scopes: Vec<_> =
        flow.1["scopes"].as_object().into_iter().flatten().map(|(scope, _)| format!("{scope:?}")).collect();
    if !scopes.is_empty() {
        lines.push(format!("scopes = [{}] # those that you need", scopes.join(", ")));
    }
    vec![lines.join("\n")]
}
