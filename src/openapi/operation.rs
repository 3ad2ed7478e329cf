//! The operations of a description.

use serde_json::Value;

use super::document::Document;
use super::names::Names;
use super::paging::{Paging, paging};

/// Methods that can have operations.
const METHODS: &[&str] = &["get", "post", "put", "patch", "delete", "head", "options"];
/// Functions and constants that each module has for itself.
pub(super) const OWN: &[&str] = &["address", "asked", "part", "send", "flat", "request", "options", "each"];

/// Where a parameter goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

/// A parameter beside the body.
#[derive(Clone, Debug)]
pub(super) struct Param<'a> {
    /// As the service has it.
    pub(super) name: &'a str,
    /// As the function has it.
    pub(super) variable: String,
    pub(super) place: Place,
    pub(super) required: bool,
    /// A list is sent as one text, its values joined by this.
    pub(super) joined_by: Option<&'static str>,
    /// A map is sent as `name[key]`.
    pub(super) is_deep: bool,
    pub(super) schema: &'a Value,
    pub(super) about: &'a str,
}

/// What kind of body is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Coding {
    Json,
    Form,
    Multipart,
    /// Text or bytes as they are.
    Raw,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub(super) struct Body<'a> {
    pub(super) coding: Coding,
    /// The media type.
    pub(super) mime: String,
    pub(super) required: bool,
    /// `None`: the description spreads it over parameters (2.0).
    pub(super) schema: Option<&'a Value>,
}

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct Operation<'a> {
    /// In capitals.
    pub(super) method: String,
    pub(super) path: &'a str,
    /// The name of its function.
    pub(super) function: String,
    pub(super) summary: String,
    pub(super) is_deprecated: bool,
    pub(super) params: Vec<Param<'a>>,
    pub(super) body: Option<Body<'a>>,
    /// The schema of its answer.
    pub(super) answer: Option<&'a Value>,
    /// The `security` that counts for it.
    pub(super) security: &'a Value,
    pub(super) paging: Option<Paging>,
}

impl Operation<'_> {
    /// Its parameters that go to a place.
    pub(super) fn at(&self, place: Place) -> impl Iterator<Item = &Param<'_>> {
        self.params.iter().filter(move |param| param.place == place)
    }
}

/// Operations of a path, with what they share.
struct Entry<'a> {
    method: &'a str,
    path: &'a str,
    item: &'a Value,
    operation: &'a Value,
}

impl Entry<'_> {
    fn id(&self) -> String {
        let stated = self.operation["operationId"].as_str().filter(|id| !id.is_empty());
        stated.map_or_else(|| made_up(self.method, self.path), str::to_owned)
    }

    fn is_meant(&self, only: &[String]) -> bool {
        let id = self.id();
        let tags = self.operation["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let names: Vec<&str> = tags.chain([id.as_str(), self.path]).collect();
        let fits = |wanted: &str| match wanted.strip_suffix('*') {
            Some(start) => names.iter().any(|name| name.starts_with(start)),
            None => names.contains(&wanted),
        };
        only.is_empty() || only.iter().any(|wanted| fits(wanted))
    }
}

/// `get /users/{id}/keys` as `get_users_by_id_keys`.
fn made_up(method: &str, path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let named = parts.map(|part| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(parameter) => format!("by_{parameter}"),
        None => part.to_owned(),
    });
    std::iter::once(method.to_owned()).chain(named).collect::<Vec<_>>().join("_")
}

fn entries(document: &Document) -> impl Iterator<Item = Entry<'_>> {
    let paths = document.at("paths").as_object().into_iter().flatten();
    paths.flat_map(move |(path, item)| {
        let item = document.follow(item).unwrap_or(item);
        METHODS.iter().filter_map(move |method| {
            let operation = item.get(*method).filter(|found| found.is_object())?;
            Some(Entry { method, path, item, operation })
        })
    })
}

/// The ids of all operations, for suggestions.
pub(super) fn ids(document: &Document) -> Vec<String> {
    entries(document).map(|entry| entry.id()).collect()
}

/// The operations that are meant, and what cannot be called with its reason.
pub(super) fn all<'a>(
    document: &'a Document,
    only: &[String],
    taken: &dyn Fn(&str) -> bool,
) -> (Vec<Operation<'a>>, Vec<String>) {
    let mut names = Names::new(OWN, taken);
    let (mut found, mut remarks) = (Vec::new(), Vec::new());
    for entry in entries(document).filter(|entry| entry.is_meant(only)) {
        match read(document, &entry, &mut names) {
            Ok(operation) => found.push(operation),
            Err(why) => {
                remarks.push(format!("{} {} was left out: {why}", entry.method.to_uppercase(), entry.path));
            }
        }
    }
    (found, remarks)
}

fn read<'a>(document: &'a Document, entry: &Entry<'a>, names: &mut Names<'_>) -> Result<Operation<'a>, String> {
    let raw = raw_params(document, entry)?;
    let params = params(&raw, entry.path)?;
    let response = response(document, entry.operation)?;
    let answer = response.and_then(|response| response.get("schema").or_else(|| json_of(response.get("content")?)));
    let query: Vec<&str> = params.iter().filter(|p| p.place == Place::Query).map(|p| p.name).collect();
    let paging =
        response.filter(|_| entry.method == "get").and_then(|response| paging(document, response, answer, &query));
    let text = |key: &str| entry.operation[key].as_str().filter(|text| !text.trim().is_empty());
    let summary = text("summary").or_else(|| text("description")).unwrap_or_default();
    let security = entry.operation.get("security").unwrap_or_else(|| document.at("security"));
    Ok(Operation {
        method: entry.method.to_uppercase(),
        path: entry.path,
        function: names.give(&entry.id()),
        summary: first_line(summary),
        is_deprecated: entry.operation["deprecated"] == true,
        body: body(document, entry.operation, &raw)?,
        params,
        answer,
        security,
        paging,
    })
}

/// The first sentence or line of a text.
pub(super) fn first_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let end = line.find(". ").unwrap_or(line.len());
    line[..end].trim_end_matches('.').to_owned()
}

/// Those of the path and those of the operation, which come first where both have one.
fn raw_params<'a>(document: &'a Document, entry: &Entry<'a>) -> Result<Vec<&'a Value>, String> {
    let lists = [&entry.operation["parameters"], &entry.item["parameters"]];
    let mut found: Vec<&Value> = Vec::new();
    for param in lists.into_iter().filter_map(Value::as_array).flatten() {
        let param = document.follow(param)?;
        if !found.iter().any(|known| known["name"] == param["name"] && known["in"] == param["in"]) {
            found.push(param);
        }
    }
    Ok(found)
}

fn params<'a>(raw: &[&'a Value], path: &str) -> Result<Vec<Param<'a>>, String> {
    let mut names = Names::new(OWN, &|name| name == "body");
    let mut found = Vec::new();
    for param in raw {
        let name = param["name"].as_str().ok_or("one of its parameters has no name")?;
        let place = match param["in"].as_str() {
            Some("path") => Place::Path,
            Some("query") => Place::Query,
            Some("header") if is_ours(name) => continue,
            Some("header") => Place::Header,
            Some("cookie" | "body" | "formData") => continue,
            _ => return Err(format!("its parameter `{name}` does not say where it goes")),
        };
        let required = place == Place::Path || param["required"] == true;
        let variable = if required { names.give(name) } else { String::new() };
        let schema = param.get("schema").unwrap_or(param);
        let about = param["description"].as_str().unwrap_or_default();
        let is_deep = param["style"] == "deepObject";
        found.push(Param { name, variable, place, required, joined_by: joined_by(param), is_deep, schema, about });
    }
    // Those of the path in its order, then the others in theirs.
    let order = placeholders(path);
    found.sort_by_key(|param: &Param<'_>| match param.place {
        Place::Path => order.iter().position(|name| *name == param.name).unwrap_or(order.len()),
        Place::Query | Place::Header => usize::MAX,
    });
    let open = |name: &str| !found.iter().any(|param| param.place == Place::Path && param.name == name);
    match placeholders(path).into_iter().find(|name| open(name)) {
        Some(name) => Err(format!("its path has `{{{name}}}`, which is no parameter")),
        None => Ok(found),
    }
}

/// Headers that the host function makes.
fn is_ours(name: &str) -> bool {
    ["accept", "content-type", "authorization", "idempotency-key"].iter().any(|ours| name.eq_ignore_ascii_case(ours))
}

/// The names in braces of a path.
pub(super) fn placeholders(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name)).collect()
}

fn joined_by(param: &Value) -> Option<&'static str> {
    let style = param["style"].as_str();
    let format = param["collectionFormat"].as_str();
    match (style, format) {
        (_, Some("multi")) => None,
        (_, Some("ssv")) | (Some("spaceDelimited"), _) => Some(" "),
        (_, Some("pipes")) | (Some("pipeDelimited"), _) => Some("|"),
        (_, Some(_)) => Some(","),
        // Lists of 2.0 are joined unless they say otherwise.
        (None, None) if param["type"] == "array" => Some(","),
        _ if param["explode"] == false => Some(","),
        _ => None,
    }
}

fn body<'a>(document: &'a Document, operation: &'a Value, raw: &[&'a Value]) -> Result<Option<Body<'a>>, String> {
    if let Some(body) = operation.get("requestBody") {
        let body = document.follow(body)?;
        let content = body["content"].as_object();
        let required = body["required"] == true;
        let best = content.into_iter().flatten().min_by_key(|(mime, _)| rank(mime));
        let made = |(mime, media): (&String, &'a Value)| Body {
            coding: coding(mime),
            mime: mime.clone(),
            required,
            schema: media.get("schema"),
        };
        return Ok(best.map(made));
    }
    if let Some(param) = raw.iter().find(|param| param["in"] == "body") {
        let mime = "application/json".to_owned();
        let required = param["required"] == true;
        return Ok(Some(Body { coding: Coding::Json, mime, required, schema: param.get("schema") }));
    }
    let fields: Vec<_> = raw.iter().filter(|param| param["in"] == "formData").collect();
    if fields.is_empty() {
        return Ok(None);
    }
    let consumes = operation.get("consumes").unwrap_or_else(|| document.at("consumes"));
    let has_files = fields.iter().any(|param| param["type"] == "file");
    let is_multipart =
        has_files || consumes.as_array().is_some_and(|all| all.iter().any(|mime| mime == "multipart/form-data"));
    let (coding, mime) = if is_multipart {
        (Coding::Multipart, "multipart/form-data")
    } else {
        (Coding::Form, "application/x-www-form-urlencoded")
    };
    Ok(Some(Body { coding, mime: mime.to_owned(), required: true, schema: None }))
}

fn coding(mime: &str) -> Coding {
    match rank(mime) {
        0 | 1 => Coding::Json,
        2 => Coding::Form,
        3 => Coding::Multipart,
        _ => Coding::Raw,
    }
}

/// What is sent rather than others.
fn rank(mime: &str) -> u8 {
    let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match mime.as_str() {
        "application/json" => 0,
        "application/x-www-form-urlencoded" => 2,
        "multipart/form-data" => 3,
        mime if mime.ends_with("+json") || mime == "*/*" => 1,
        _ => 4,
    }
}

/// The answer when all is well.
fn response<'a>(document: &'a Document, operation: &'a Value) -> Result<Option<&'a Value>, String> {
    let Some(responses) = operation["responses"].as_object() else { return Ok(None) };
    let good = responses.iter().find(|(status, _)| status.starts_with('2'));
    good.or_else(|| responses.get_key_value("default")).map(|(_, response)| document.follow(response)).transpose()
}

fn json_of(content: &Value) -> Option<&Value> {
    let best = content.as_object()?.iter().filter(|(mime, _)| rank(mime) < 2).min_by_key(|(mime, _)| rank(mime));
    best.and_then(|(_, media)| media.get("schema"))
}
