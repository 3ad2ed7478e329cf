//! How requests are signed: from the schemes of a description to what a script writes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::client::Client;
use super::document::Document;
use super::names::snake;
use super::operation::Operation;

pub(super) use super::client::UNKNOWN_HOST;

/// A scheme that a script can follow.
#[derive(Clone, Debug)]
pub(super) struct Scheme {
    /// The function of the module that signs by it.
    pub(super) function: String,
    /// Its statements.
    pub(super) statements: Vec<String>,
    /// What a workflow lists among its secrets: one, or a client of OAuth2.
    pub(super) allowed: String,
    /// What is to be written into `[config]` of `panta.toml`.
    pub(super) setting: Option<String>,
    /// The client of OAuth2 that it needs.
    pub(super) client: Option<Client>,
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
        server: Option<&str>,
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
            let stated = stated.and_then(|scheme| document.follow(scheme));
            let made = stated.and_then(|scheme| make(module, &name, scheme, alone, server));
            match made {
                Ok(scheme) => drop(schemes.insert(name, scheme)),
                Err(why) => drop(unknown.insert(name, why)),
            }
        }
        let mut signing = Self { schemes };
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
        // Of several ways one is taken: the others need nothing.
        let chosen = operations.iter().filter_map(|operation| signing.chosen(operation)).flatten();
        let taken: std::collections::BTreeSet<_> = chosen.map(|scheme| scheme.function.clone()).collect();
        signing.schemes.retain(|_, scheme| taken.contains(&scheme.function));
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

fn make(module: &str, name: &str, scheme: &Value, is_alone: bool, server: Option<&str>) -> Result<Scheme, String> {
    let own = if is_alone { module.to_owned() } else { format!("{module}_{}", snake(name)) };
    let secret = format!("secret({own:?})");
    let text = format!("`${{{secret}}}`");
    let mut made = Scheme {
        function: format!("with_{}", snake(name)),
        statements: Vec::new(),
        allowed: own.clone(),
        setting: None,
        client: None,
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
            made.allowed = format!("oauth2:{own}");
            made.client = Some(Client::read(&own, scheme, server));
            format!("request.auth = oauth2({own:?});")
        }
        (kind, _) => return Err(format!("its kind `{}` is not known", kind.unwrap_or(""))),
    };
    made.statements.push(statement);
    Ok(made)
}

fn basic(made: &mut Scheme, module: &str, secret: &str) -> String {
    made.setting = Some(format!("{module}_user = \"…\""));
    format!("request.auth = basic(config(\"{module}_user\"), {secret});")
}
