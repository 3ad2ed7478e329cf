//! A module for scripts from an OpenAPI description (2.0, 3.0 and 3.1): a function for each operation.
//!
//! Text in, text out: reading the description and writing the module are the caller's. `document.rs` finds what a
//! description refers to, `operation.rs` reads its operations, `security.rs` how they are signed, `paging.rs` how their
//! lists go on, `shape.rs` tells a schema in a line, `render.rs` writes.
//!
//! It must not know: scripts' bundles, requests, files.

mod client;
mod document;
mod names;
mod operation;
mod paging;
mod render;
mod security;
mod shape;
#[cfg(test)]
mod tests;

use url::Url;

use document::Document;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Wish<'a> {
    /// The name of the module; that of the API where there is none.
    pub name: Option<&'a str>,
    /// Where the description comes from: an address or a path.
    pub source: &'a str,
    /// Only operations whose id, path or tag is one of these, or begins with one that ends in `*`; all where it is empty.
    pub only: &'a [String],
}

/// A module that was made of a description.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Module {
    /// Its name: `petstore`, for `lib/petstore.rhai`.
    pub name: String,
    /// Its text.
    pub text: String,
    /// How many operations it has.
    pub operations: usize,
    /// Operations that were left out, and what of others could not be told, each with the reason.
    pub remarks: Vec<String>,
    /// What a workflow that imports it says: `allow: #{ … }`.
    pub allow: String,
    /// What `panta.toml` needs for it, as TOML; may be empty.
    pub settings: String,
    /// Commands that are to be given before it can be called.
    pub setup: Vec<String>,
}

/// Makes the module. `taken` tells names that a function must not have. The error says what is wrong with the description, and where.
pub fn module(text: &str, wish: &Wish<'_>, taken: &dyn Fn(&str) -> bool) -> Result<Module, String> {
    let document = Document::parse(text)?;
    let name = match wish.name {
        Some(name) if names::is_plain(name) => name.to_owned(),
        Some(name) => {
            return Err(format!(
                "`{name}` is no name for a module; hint: take small letters, digits and `_`, such as `shop`"
            ));
        }
        None => names::of_api(document.title()),
    };
    let (operations, mut remarks) = operation::all(&document, wish.only, taken);
    if operations.is_empty() {
        return Err(nothing(&document, wish.only, &remarks));
    }
    let server = server(&document, wish.source);
    let signing = security::Signing::read(&document, &name, server.as_deref(), &operations, &mut remarks);
    let surroundings =
        render::Surroundings { document: &document, name: &name, source: wish.source, server, signing: &signing };
    let text = render::module(&surroundings, &operations);
    let (allow, settings, setup) = (surroundings.allow(), surroundings.settings(), surroundings.setup());
    Ok(Module { name, text, operations: operations.len(), remarks, allow, settings, setup })
}

fn nothing(document: &Document, only: &[String], remarks: &[String]) -> String {
    if let Some(first) = remarks.first() {
        return format!("no operation can be called: {first}");
    }
    if only.is_empty() {
        return "the description has no operations: `paths` is empty or missing".to_owned();
    }
    let known: Vec<_> = operation::ids(document);
    let near = only.iter().find_map(|wanted| crate::diag::suggest::nearest(wanted, known.iter().map(String::as_str)));
    let hint = near.map_or_else(
        || format!("it has {} operations, the first is `{}`", known.len(), known.first().map_or("", String::as_str)),
        |near| format!("did you mean `{near}`?"),
    );
    format!("no operation is meant by `--only {}`; hint: {hint}", only.join(" --only "))
}

/// The address of the service, made whole by that of the description; without a slash at its end.
fn server(document: &Document, source: &str) -> Option<String> {
    let stated = document.server().unwrap_or_default();
    let whole = match Url::parse(&stated) {
        Ok(url) => url,
        Err(_) => Url::parse(source).ok().filter(Url::has_host)?.join(&stated).ok()?,
    };
    matches!(whole.scheme(), "http" | "https").then(|| whole.as_str().trim_end_matches('/').to_owned())
}
