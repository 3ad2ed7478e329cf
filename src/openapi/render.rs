//! The text of the module.

use std::fmt::Write as _;

use super::document::{Document, text_of};
use super::operation::{Body, Coding, Operation, Param, Place, first_line, placeholders};
use super::paging::Paging;
use super::security::{Signing, UNKNOWN_HOST};
use super::shape::{key, shape};

/// Lines of documentation are broken here.
const WIDTH: usize = 118;

/// What the module is written with.
pub(super) struct Surroundings<'a> {
    pub(super) document: &'a Document,
    pub(super) name: &'a str,
    pub(super) source: &'a str,
    /// The address of the service; `None`: a setting has to say it.
    pub(super) server: Option<String>,
    pub(super) signing: &'a Signing,
}

impl Surroundings<'_> {
    /// The setting with the address of the service.
    fn setting(&self) -> String {
        format!("{}_url", self.name)
    }

    fn host(&self) -> Option<String> {
        crate::effect::host_entry(self.server.as_deref()?)
    }

    /// What a workflow that imports the module says.
    pub(super) fn allow(&self) -> String {
        let host = self.host().unwrap_or_else(|| format!("config:{}", self.setting()));
        let secrets: Vec<_> = self.signing.all().map(|scheme| format!("{:?}", scheme.allowed)).collect();
        let secrets = if secrets.is_empty() { String::new() } else { format!(", secrets: [{}]", secrets.join(", ")) };
        format!("allow: #{{ http: [{host:?}]{secrets} }}")
    }

    /// What `panta.toml` needs, each table once.
    pub(super) fn settings(&self) -> String {
        let mut config: Vec<_> = self.signing.all().filter_map(|scheme| scheme.setting.clone()).collect();
        if self.server.is_none() {
            config.insert(0, format!("{} = \"https://…\"", self.setting()));
        }
        config.dedup();
        let config = (!config.is_empty()).then(|| format!("[config]\n{}", config.join("\n")));
        let host = self.host().unwrap_or_else(|| UNKNOWN_HOST.to_owned());
        let clients = self.signing.all().filter_map(|scheme| Some(scheme.client.as_ref()?.table(&host)));
        config.into_iter().chain(clients).collect::<Vec<_>>().join("\n\n")
    }

    /// Commands that are to be given before it can be called.
    pub(super) fn setup(&self) -> Vec<String> {
        let host = self.host().unwrap_or_else(|| "HOST".to_owned());
        let mut found = Vec::new();
        for scheme in self.signing.all() {
            match &scheme.client {
                None => found.push(format!("panta secret set {} --for {host}", scheme.allowed)),
                Some(client) => found.extend(client.commands()),
            }
        }
        found
    }
}

/// Writes the module.
pub(super) fn module(surroundings: &Surroundings<'_>, operations: &[Operation<'_>]) -> String {
    let mut out = head(surroundings);
    for operation in operations {
        function(&mut out, surroundings, operation);
    }
    for scheme in surroundings.signing.all() {
        let _ = write!(out, "\n/// Signs a request.\nprivate fn {}(request) {{\n", scheme.function);
        lines(&mut out, "    ", &scheme.statements);
        out.push_str("    request\n}\n");
    }
    out.push_str(OWN);
    if operations.iter().any(|operation| operation.body.as_ref().is_some_and(|body| body.coding == Coding::Form)) {
        out.push_str(FLAT);
    }
    out
}

/// What every module has for itself.
const OWN: &str = r#"
/// The address of a path of the service.
private fn address(path) {
    let url = global::URL;
    if url.ends_with("/") { url.pop(); }
    url + path
}

/// A value as a part of a path.
private fn part(value) { url::encode(`${value}`) }

/// The request for a function's options: each parameter of the service at its place, `http` taken as it is.
private fn asked(name, options, query, headers) {
    let request = options.http ?? #{};
    if request.query == () { request.query = #{}; }
    if request.headers == () { request.headers = #{}; }
    for key in options.keys() {
        if key == "http" || key == "body" || options[key] == () { continue; }
        if query.contains(key) {
            request.query[key] = options[key];
        } else if headers.contains(key) {
            request.headers[key] = `${options[key]}`;
        } else {
            let known = (query + headers + ["http"]).join("`, `");
            throw #{ kind: "invalid", message: "`" + name + "` has no option `" + key + "`; hint: it has `" + known + "`" };
        }
    }
    request
}

/// Sends a request, and returns the body of the answer.
private fn send(method, path, request) {
    if method == "GET" { return http::get(address(path), request).body; }
    request.method = method;
    request.url = address(path);
    http::request(request).body
}
"#;

/// What those with forms have, too.
const FLAT: &str = r"
/// A form with its inner maps as `outer[inner]`.
private fn flat(form) {
    let found = #{};
    for key in form.keys() {
        let value = form[key];
        if type_of(value) != `map` {
            found[key] = value;
            continue;
        }
        let inner = flat(value);
        for below in inner.keys() {
            let at = below.index_of(`[`);
            let name = if at < 0 { `${key}[${below}]` } else { `${key}[${below.sub_string(0, at)}]${below.sub_string(at)}` };
            found[name] = inner[below];
        }
    }
    found
}
";

fn head(surroundings: &Surroundings<'_>) -> String {
    let info = surroundings.document.at("info");
    let version = text_of(&info["version"]).unwrap_or_default();
    let title = format!("{} {version}", surroundings.document.title());
    let about = first_line(info["description"].as_str().unwrap_or_default());
    let mut out = String::new();
    told(&mut out, "//! ", &if about.is_empty() { format!("{title}.") } else { format!("{title}: {about}.") });
    out.push_str("//!\n");
    told(
        &mut out,
        "//! ",
        &format!(
            "Made by `panta import openapi {}`. A workflow that says `import \"lib/{}\" as {};` also says",
            surroundings.source, surroundings.name, surroundings.name
        ),
    );
    let _ = writeln!(out, "//!\n//!     workflow(#{{ {} }});", surroundings.allow());
    let (settings, setup) = (surroundings.settings(), surroundings.setup());
    let begins = |out: &mut String, text: &str| {
        let _ = write!(out, "//!\n//! {text}\n//!\n");
    };
    if !settings.is_empty() {
        begins(&mut out, "It needs in `panta.toml`");
        lines(&mut out, "//!     ", &settings.lines().map(str::to_owned).collect::<Vec<_>>());
    }
    if !setup.is_empty() {
        begins(&mut out, if settings.is_empty() { "It needs" } else { "and" });
        lines(&mut out, "//!     ", &setup);
    }
    let setting = surroundings.setting();
    let url = match &surroundings.server {
        Some(url) => format!("config({setting:?}, {url:?})"),
        None => format!("config({setting:?})"),
    };
    let _ = write!(out, "\n// Where the service is.\nconst URL = {url};\n");
    out
}

fn lines(out: &mut String, mark: &str, all: &[String]) {
    for line in all {
        let _ = writeln!(out, "{}", format!("{mark}{line}").trim_end());
    }
}

/// A text in lines that begin with `mark`.
fn told(out: &mut String, mark: &str, text: &str) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + word.chars().count() >= WIDTH {
            let _ = writeln!(out, "{mark}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(out, "{mark}{line}");
    }
}

fn function(out: &mut String, surroundings: &Surroundings<'_>, operation: &Operation<'_>) {
    let mut arguments: Vec<&str> =
        operation.params.iter().filter(|p| p.required).map(|p| p.variable.as_str()).collect();
    if operation.body.as_ref().is_some_and(|body| body.required) {
        arguments.push("body");
    }
    out.push('\n');
    documented(out, surroundings.document, operation);
    let name = &operation.function;
    let with_options: Vec<_> = arguments.iter().copied().chain(["options"]).collect();
    let _ = writeln!(out, "fn {name}({}) {{", with_options.join(", "));
    let prepared = prepared(surroundings, operation);
    lines(out, "    ", &prepared);
    let _ = writeln!(out, "    send({:?}, {}, request)\n}}", operation.method, path(operation));
    let given: Vec<_> = arguments.iter().copied().chain(["#{}"]).collect();
    let _ = write!(
        out,
        "\n/// The same without options.\nfn {name}({}) {{ {name}({}) }}\n",
        arguments.join(", "),
        given.join(", ")
    );
    if let Some(paging) = &operation.paging {
        let with_each: Vec<_> = with_options.iter().copied().chain(["each"]).collect();
        let _ = write!(
            out,
            "\n/// Calls `each` with every page of `{name}`, one after another.\nfn {name}_pages({}) {{\n",
            with_each.join(", ")
        );
        lines(out, "    ", &prepared);
        lines(out, "    ", &next(paging));
        let _ = writeln!(out, "    http::pages(address({}), request, each)\n}}", path(operation));
    }
}

/// What leads to the next page.
fn next(paging: &Paging) -> Vec<String> {
    let place = |at: &str| at.split('.').map(|name| format!("?[{name:?}]")).collect::<Vec<_>>().concat();
    match paging {
        Paging::Link => Vec::new(),
        Paging::Address(at) => vec![format!("request.next = |response| response.body{};", place(at))],
        Paging::Mark { at, parameter } => vec![
            "request.next = |response| {".to_owned(),
            format!("    let mark = response.body{};", place(at)),
            format!("    if mark == () || mark == \"\" {{ () }} else {{ #{{ {}: mark }} }}", key(parameter)),
            "};".to_owned(),
        ],
    }
}

/// The statements that make `request`.
fn prepared(surroundings: &Surroundings<'_>, operation: &Operation<'_>) -> Vec<String> {
    let optional = |place: Place| {
        let names: Vec<_> = operation.at(place).filter(|p| !p.required).map(|p| format!("{:?}", p.name)).collect();
        names.join(", ")
    };
    let (query, headers) = (optional(Place::Query), optional(Place::Header));
    let mut lines = vec![format!("let request = asked({:?}, options, [{query}], [{headers}]);", operation.function)];
    for param in operation.params.iter().filter(|param| param.required) {
        match param.place {
            Place::Path => {}
            Place::Query => lines.push(format!("request.query[{:?}] = {};", param.name, param.variable)),
            Place::Header => lines.push(format!("request.headers[{:?}] = `${{{}}}`;", param.name, param.variable)),
        }
    }
    lines.extend(operation.at(Place::Query).filter_map(styled));
    lines.extend(operation.body.iter().flat_map(with_body));
    for scheme in surroundings.signing.chosen(operation).unwrap_or_default() {
        lines.push(format!("request = {}(request);", scheme.function));
    }
    lines
}

/// How a list or map in the query is written.
fn styled(param: &Param<'_>) -> Option<String> {
    let value = format!("request.query[{:?}]", param.name);
    if param.is_deep {
        let name = param.name;
        return Some(format!(
            "if type_of({value}) == \"map\" {{ let inner = request.query.remove({name:?}); \
             for key in inner.keys() {{ request.query[`{name}[${{key}}]`] = inner[key]; }} }}"
        ));
    }
    let mark = param.joined_by?;
    Some(format!("if type_of({value}) == \"array\" {{ {value} = {value}.join({mark:?}); }}"))
}

fn with_body(body: &Body<'_>) -> Vec<String> {
    let given = if body.required { "body" } else { "options.body" };
    let mut lines = vec![match body.coding {
        Coding::Json | Coding::Raw => format!("request.body = {given};"),
        Coding::Form => format!("request.form = flat({given});"),
        Coding::Multipart => format!("request.multipart = {given};"),
    }];
    if body.coding == Coding::Raw
        || (body.coding == Coding::Json && body.mime != "application/json" && body.mime != "*/*")
    {
        lines.push(format!("request.headers[\"Content-Type\"] = {:?};", body.mime));
    }
    if !body.required {
        let whole = lines.join(" ");
        lines = vec![format!("if options.body != () {{ {whole} }}")];
    }
    lines
}

/// The path as a text with its parameters.
fn path(operation: &Operation<'_>) -> String {
    let mut found = operation.path.replace('\\', "%5C").replace('`', "%60");
    for name in placeholders(operation.path) {
        let variable = operation.at(Place::Path).find(|param| param.name == name).map_or("", |param| &param.variable);
        found = found.replace(&format!("{{{name}}}"), &format!("${{part({variable})}}"));
    }
    format!("`{found}`")
}

fn documented(out: &mut String, document: &Document, operation: &Operation<'_>) {
    let summary = if operation.summary.is_empty() { String::new() } else { format!("{}. ", operation.summary) };
    let old = if operation.is_deprecated { " Deprecated by the service." } else { "" };
    told(out, "/// ", &format!("{summary}`{} {}`.{old}", operation.method, operation.path));
    let one = |param: &Param<'_>, name: &str| {
        let about = first_line(param.about);
        let about = if about.is_empty() { String::new() } else { format!(": {about}") };
        format!("`{name}` ({}){about}", shape(document, param.schema))
    };
    for param in operation.params.iter().filter(|param| param.required) {
        told(out, "/// ", &format!("{}.", one(param, &param.variable)));
    }
    if let Some(body) = &operation.body {
        let shape = body.schema.map_or_else(|| "map".to_owned(), |schema| shape(document, schema));
        let optional = if body.required { "" } else { ", an option" };
        told(out, "/// ", &format!("`body`{optional}: {shape}."));
    }
    let optional: Vec<_> = operation.params.iter().filter(|p| !p.required).map(|p| one(p, &key(p.name))).collect();
    if !optional.is_empty() {
        told(out, "/// ", &format!("Options: {}.", optional.join("; ")));
    }
    if let Some(answer) = operation.answer {
        told(out, "/// ", &format!("Returns {}.", shape(document, answer)));
    }
}
