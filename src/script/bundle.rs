//! A bundle: a workflow's file and all that it imports, under one version.
//!
//! What a workflow consists of is known without running it, because imports are literals; the bundle is kept in the store
//! and is all that a program is ever made from, so an edited or deleted file changes nothing for a run in flight.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::lex::{self, Kind as TokenKind};
use super::source::{Source, read_file};
use crate::diag::{Diagnostic, Place, suggest};
use crate::id::Version;

/// Most files of one workflow: a tree of modules larger than this was generated, or imported by mistake.
pub const MAX_FILES: usize = 256;
/// Most names offered to "did you mean" from a scripts folder.
const MAX_LISTED: usize = 10_000;

/// The modules that are built in, as name (`slack`) and text.
pub type Stdlib = &'static [(&'static str, &'static str)];

/// Where sources come from.
pub trait Sources {
    /// Reads the file at a path below the scripts folder.
    fn read(&self, path: &str) -> Result<Source, Diagnostic>;

    /// The paths that exist, for "did you mean"; may be incomplete.
    fn list(&self) -> Vec<String>;
}

/// The scripts folder on disk.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Sources for Folder {
    fn read(&self, path: &str) -> Result<Source, Diagnostic> {
        read_file(&self.root, path)
    }

    /// Files named `*.rhai`, sorted; links to folders are not followed.
    fn list(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten().take(MAX_LISTED) {
                let path = entry.path();
                let Some(name) = relative(&self.root, &path) else { continue };
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    if !is_hidden(&name) {
                        folders.push(path);
                    }
                } else if classify(&name) != Kind::Ignored && found.len() < MAX_LISTED {
                    found.push(name);
                }
            }
        }
        found.sort();
        found
    }
}

/// The path below `root` with `/` between its parts; `None` outside of it, or where it is not Unicode.
pub fn relative(root: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.strip_prefix(root).ok()?.iter().map(|part| part.to_str()).collect();
    parts.map(|parts| parts.join("/"))
}

/// Sources in memory, by path.
impl Sources for BTreeMap<String, String> {
    fn read(&self, path: &str) -> Result<Source, Diagnostic> {
        match self.get(path) {
            Some(text) => Source::from_text(path, text),
            None => Err(Diagnostic::new("E0107", format!("there is no file `{path}`"), Place::file(path))),
        }
    }

    fn list(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// What a path below the scripts folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A workflow, with its name.
    Workflow(String),
    /// A module: a file below a folder named `lib`.
    Module,
    /// A file of tests.
    Test,
    /// Hidden, a leftover of an editor, or no script at all.
    Ignored,
}

/// Tells by its path what a file is. `4913` is what vim creates to see whether it may write.
pub fn classify(path: &str) -> Kind {
    let Some(name) = path.strip_suffix(".rhai") else { return Kind::Ignored };
    if is_hidden(path) || name.is_empty() || name.ends_with('/') || path.contains('\\') {
        Kind::Ignored
    } else if name.strip_suffix(".test").is_some() {
        Kind::Test
    } else if path.split('/').rev().skip(1).any(|folder| folder == "lib") {
        Kind::Module
    } else {
        Kind::Workflow(name.to_owned())
    }
}

fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with(['.', '#', '~']) || part.is_empty())
}

/// A workflow's sources under one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The workflow's name: `orders/invoice`.
    pub workflow: String,
    /// All files by path, the main file among them; built-in modules are under `std/`.
    pub sources: BTreeMap<String, Source>,
    /// Hash over paths and texts.
    pub version: Version,
    main: String,
    order: Vec<String>,
}

/// The form in which a bundle is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    main: String,
    sources: BTreeMap<String, String>,
}

impl Bundle {
    /// Loads the file at `main` (`orders/invoice.rhai`) with all that it imports, or says all that is wrong with them.
    pub fn load(main: &str, sources: &dyn Sources, stdlib: Stdlib) -> Result<Self, Vec<Diagnostic>> {
        let mut loader = Loader { sources, stdlib, ..Loader::new(sources) };
        let source = sources.read(main).map_err(|fault| vec![fault])?;
        loader.visit(source);
        if !loader.faults.is_empty() {
            return Err(loader.faults);
        }
        Ok(Self {
            workflow: main.strip_suffix(".rhai").unwrap_or(main).to_owned(),
            version: version(main, &loader.loaded),
            main: main.to_owned(),
            sources: loader.loaded,
            order: loader.order,
        })
    }

    /// A bundle of one text, for tests and for what is typed in.
    pub fn of_text(main: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        Self::load(main, &BTreeMap::from([(main.to_owned(), text.to_owned())]), &[])
    }

    /// The same sources as of the workflow with that name.
    #[must_use]
    pub fn named(self, workflow: String) -> Self {
        Self { workflow, ..self }
    }

    /// The path of the main file.
    pub fn main(&self) -> &str {
        &self.main
    }

    /// The paths of all files, each after all that it imports; the main file is the last.
    pub fn order(&self) -> &[String] {
        &self.order
    }

    /// For the store: JSON with the main file's path and all sources.
    pub fn to_stored(&self) -> Vec<u8> {
        let sources = self.sources.iter().map(|(path, source)| (path.clone(), source.text.to_string())).collect();
        let stored = Stored { main: self.main.clone(), sources };
        serde_json::to_vec(&stored).expect("maps of strings are JSON")
    }

    /// From the store. Built-in modules come from it too, so that a run keeps those that it started with.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(|error| {
            let title = format!("stored version cannot be read: {error}");
            vec![Diagnostic::new("E0116", title, Place::default())]
        })?;
        Self::load(&stored.main, &stored.sources, &[])
    }
}

/// Lengths go in too, so that no two lists of files hash alike.
fn version(main: &str, sources: &BTreeMap<String, Source>) -> Version {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    };
    add("bundle 1");
    add(main);
    for source in sources.values() {
        add(&source.path);
        add(&source.text);
    }
    Version(hex::encode(hash.finalize()).into())
}

/// An `import` in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The path as written, or `None` if it is not a plain literal.
    pub path: Option<String>,
    /// Where the path stands.
    pub place: Place,
}

/// All imports of a source, found by its tokens, so that a file that does not parse has them too.
pub fn imports(source: &Source) -> Vec<Import> {
    let tokens = lex::code(&source.text);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let after_dot = at > 0 && matches!(tokens[at - 1].text, "." | "?." | "::");
        if token.kind != TokenKind::Word || token.text != "import" || after_dot {
            continue;
        }
        let Some(path) = tokens.get(at + 1) else { continue };
        // Of another language; the parser says so.
        if tokens.get(at + 2).is_some_and(|next| next.text == "from") {
            continue;
        }
        let ends = tokens.get(at + 2).is_none_or(|next| matches!(next.text, "as" | ";") || next.line > path.line);
        let literal = path.string().filter(|text| ends && !text.contains("${"));
        let place = source.place(path.line, path.column, path.width());
        found.push(Import { path: literal.map(str::to_owned), place });
    }
    found
}

/// The path of the file that an import names, relative to the scripts folder; the error says what is wrong with it.
pub fn resolve_import(importer: &str, path: &str) -> Result<String, String> {
    if path.is_empty() {
        return Err("the import path is empty".to_owned());
    }
    if path.starts_with('/') || path.contains(['\\', ':', '\0']) || path.chars().any(char::is_control) {
        return Err(format!("import path `{}` is not a path within the scripts folder", path.escape_debug()));
    }
    let mut parts: Vec<&str> = Vec::new();
    if path.starts_with("./") || path.starts_with("../") {
        parts.extend(importer.split('/'));
        parts.pop();
    }
    let inside_std = importer.starts_with("std/");
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => {
                let outside = || format!("import path `{path}` leaves the scripts folder");
                parts.pop().ok_or_else(outside)?;
            }
            "" => return Err(format!("import path `{path}` has an empty part")),
            part => parts.push(part),
        }
    }
    let mut resolved = parts.join("/");
    if inside_std && !resolved.starts_with("std/") {
        return Err(format!("built-in modules import built-in modules only, not `{path}`"));
    }
    if resolved.strip_suffix(".rhai").is_none() {
        resolved.push_str(".rhai");
    }
    Ok(resolved)
}

struct Loader<'a> {
    sources: &'a dyn Sources,
    stdlib: Stdlib,
    loaded: BTreeMap<String, Source>,
    /// The files being loaded, from the main file down.
    chain: Vec<String>,
    order: Vec<String>,
    faults: Vec<Diagnostic>,
}

impl<'a> Loader<'a> {
    fn new(sources: &'a dyn Sources) -> Self {
        let (loaded, chain, order, faults) = (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
        Self { sources, stdlib: &[], loaded, chain, order, faults }
    }

    fn visit(&mut self, source: Source) {
        let path = source.path.clone();
        self.chain.push(path.clone());
        let imports = imports(&source);
        self.loaded.insert(path.clone(), source);
        for import in imports {
            if let Err(fault) = self.follow(&path, import) {
                self.faults.push(fault);
            }
        }
        self.chain.pop();
        self.order.push(path);
    }

    fn follow(&mut self, importer: &str, import: Import) -> Result<(), Diagnostic> {
        let Some(literal) = import.path else {
            let hint = "write the path as a plain string: `import \"lib/money\" as money;`";
            return Err(Diagnostic::new("E0110", "import path is not a literal", import.place).hint(hint));
        };
        let path = resolve_import(importer, &literal).map_err(|title| {
            let hint = "`lib/x` starts at the scripts folder, `./x` and `../x` at this file, `std/x` is built in";
            Diagnostic::new("E0113", title, import.place.clone()).hint(hint)
        })?;
        if let Some(start) = self.chain.iter().position(|open| *open == path) {
            return Err(cycle(&self.chain[start..], &path, import.place));
        }
        if self.loaded.contains_key(&path) {
            return Ok(());
        }
        if self.loaded.len() >= MAX_FILES {
            let title = format!("workflow consists of more than {MAX_FILES} files");
            return Err(Diagnostic::new("E0115", title, import.place));
        }
        let source = self.read(&path).map_err(|fault| self.not_found(fault, importer, &literal, import.place))?;
        self.visit(source);
        Ok(())
    }

    fn read(&self, path: &str) -> Result<Source, Diagnostic> {
        let Some(name) = path.strip_prefix("std/").and_then(|name| name.strip_suffix(".rhai")) else {
            return self.sources.read(path);
        };
        // A file of the user's own takes the place of a built-in module, for all that import that.
        match self.sources.read(&format!("lib/{path}")) {
            Ok(own) => return Source::from_text(path, &own.text),
            Err(fault) if fault.code != "E0107" => return Err(fault),
            Err(_) => {}
        }
        match self.stdlib.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Source::from_text(path, text),
            None => self.sources.read(path),
        }
    }

    /// A missing file is a fault of the import; one that cannot be read is a fault of its own.
    fn not_found(&self, fault: Diagnostic, importer: &str, literal: &str, place: Place) -> Diagnostic {
        if fault.code != "E0107" {
            return fault;
        }
        let hint = self.near(importer, literal);
        Diagnostic::new("E0111", format!("imported module `{literal}` not found"), place).maybe_hint(hint)
    }

    fn near(&self, importer: &str, literal: &str) -> Option<String> {
        let wanted = resolve_import(importer, literal).ok()?;
        let mut known: Vec<String> = self.stdlib.iter().map(|(name, _)| format!("std/{name}")).collect();
        known.extend(self.sources.list().iter().filter_map(|path| path.strip_suffix(".rhai")).map(str::to_owned));
        let wanted = wanted.strip_suffix(".rhai")?;
        let same_name = |path: &&String| path.rsplit('/').next() == wanted.rsplit('/').next();
        let found = suggest::nearest(wanted, known.iter().map(String::as_str))
            .or_else(|| known.iter().find(same_name).map(String::as_str));
        Some(found.map_or_else(
            || format!("there is no file `{wanted}.rhai` below the scripts folder"),
            |found| format!("did you mean `{found}`?"),
        ))
    }
}

fn cycle(chain: &[String], path: &str, place: Place) -> Diagnostic {
    let mut text = String::new();
    for file in chain {
        let _ = write!(text, "`{file}` imports ");
    }
    let _ = write!(text, "`{path}`");
    let hint = "move what both need into a third module";
    Diagnostic::new("E0112", "modules import each other in a circle", place).text(text).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Color;

    const STD: Stdlib = &[("slack", "import \"./text\" as text; fn post() { 1 }"), ("text", "fn trim() { 2 }")];

    fn load(files: &[(&str, &str)]) -> Result<Bundle, Vec<Diagnostic>> {
        let files: BTreeMap<_, _> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Bundle::load(files.keys().next_back().unwrap(), &files, STD)
    }

    fn faults(files: &[(&str, &str)]) -> String {
        load(files).unwrap_err().iter().map(|fault| fault.render(Color::Plain)).collect()
    }

    #[test]
    fn paths_are_classified() {
        let workflow = |name: &str| Kind::Workflow(name.to_owned());
        assert_eq!(classify("orders/invoice.rhai"), workflow("orders/invoice"));
        assert_eq!(classify("lib.rhai"), workflow("lib"));
        assert_eq!(classify("orders/lib/deep/money.rhai"), Kind::Module);
        assert_eq!(classify("orders/invoice.test.rhai"), Kind::Test);
        for path in
            [".git/a.rhai", "a.rhai~", ".#a.rhai", "4913", ".a.rhai.swp", "a.txt", ".rhai", "#a.rhai#", "a/.rhai"]
        {
            assert_eq!(classify(path), Kind::Ignored, "{path}");
        }
    }

    #[test]
    fn a_bundle_holds_what_is_imported_in_order() {
        let main = "import \"lib/a\" as a;\nimport \"std/slack\" as slack;\na::f()";
        let bundle =
            load(&[("lib/a.rhai", "import \"../lib/b\" as b;"), ("lib/b.rhai", ""), ("x/main.rhai", main)]).unwrap();
        assert_eq!(bundle.order(), ["lib/b.rhai", "lib/a.rhai", "std/text.rhai", "std/slack.rhai", "x/main.rhai"]);
        assert_eq!(bundle.workflow, "x/main");
    }

    #[test]
    fn the_same_content_has_the_same_version() {
        let version =
            |text: &str| load(&[("lib/a.rhai", text), ("main.rhai", "import \"lib/a\" as a;")]).unwrap().version;
        assert_eq!(version("fn f() { 1 }\r\n"), version("fn f() { 1 }\n"));
        assert_ne!(version("fn f() { 1 }"), version("fn f() { 2 }"));
    }

    #[test]
    fn the_store_gives_back_the_same_bundle() {
        let bundle = load(&[("main.rhai", "import \"std/slack\" as slack; 1")]).unwrap();
        assert_eq!(Bundle::from_stored(&bundle.to_stored()).unwrap(), bundle);
        assert_eq!(Bundle::from_stored(b"{").unwrap_err()[0].code, "E0116");
    }

    #[test]
    fn faults_of_imports_are_all_named() {
        let main = "import \"lib/mony\" as a;\nimport \"../up\" as b;\nimport `lib/${x}` as c;\nimport \"std/slak\" as d;\nimport \"./money\" as e;";
        insta::assert_snapshot!(faults(&[("lib/money.rhai", ""), ("main.rhai", main)]), @r#"
        error[E0111]: imported module `lib/mony` not found
         --> main.rhai:1:8
          |
        1 | import "lib/mony" as a;
          |        ^^^^^^^^^^
          = hint: did you mean `lib/money`?
        error[E0113]: import path `../up` leaves the scripts folder
         --> main.rhai:2:8
          |
        2 | import "../up" as b;
          |        ^^^^^^^
          = hint: `lib/x` starts at the scripts folder, `./x` and `../x` at this file, `std/x` is built in
        error[E0110]: import path is not a literal
         --> main.rhai:3:8
          |
        3 | import `lib/${x}` as c;
          |        ^^^^^^^^^^
          = hint: write the path as a plain string: `import "lib/money" as money;`
        error[E0111]: imported module `std/slak` not found
         --> main.rhai:4:8
          |
        4 | import "std/slak" as d;
          |        ^^^^^^^^^^
          = hint: did you mean `std/slack`?
        error[E0111]: imported module `./money` not found
         --> main.rhai:5:8
          |
        5 | import "./money" as e;
          |        ^^^^^^^^^
          = hint: did you mean `lib/money`?
        "#);
    }

    #[test]
    fn a_circle_is_shown_with_its_chain() {
        let files = [
            ("lib/a.rhai", "import \"./b\" as b;"),
            ("lib/b.rhai", "\nimport \"lib/a\" as a;"),
            ("m.rhai", "import \"lib/a\" as a;"),
        ];
        insta::assert_snapshot!(faults(&files), @r#"
        error[E0112]: modules import each other in a circle
         --> lib/b.rhai:2:8
          |
        2 | import "lib/a" as a;
          |        ^^^^^^^
          = `lib/a.rhai` imports `lib/b.rhai` imports `lib/a.rhai`
          = hint: move what both need into a third module
        "#);
    }

    #[test]
    fn a_folder_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("lib")).unwrap();
        std::fs::write(dir.path().join("lib/a.rhai"), "fn f() { 1 }").unwrap();
        std::fs::write(dir.path().join("main.rhai"), "import \"lib/a\" as a; a::f()").unwrap();
        std::fs::write(dir.path().join("main.rhai~"), "").unwrap();
        let folder = Folder::new(dir.path());
        assert_eq!(folder.list(), ["lib/a.rhai", "main.rhai"]);
        assert_eq!(Bundle::load("main.rhai", &folder, &[]).unwrap().sources.len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn a_module_of_ones_own_behind_a_link_out_of_the_folder_is_told() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.path().join("lib")).unwrap();
        std::fs::write(outside.path().join("slack.rhai"), "fn post() { 1 }").unwrap();
        std::fs::write(folder.path().join("w.rhai"), "import \"std/slack\" as slack; 1").unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("lib/std")).unwrap();
        let faults = Bundle::load("w.rhai", &Folder::new(folder.path()), STD).unwrap_err();
        assert_eq!(faults[0].code, "E0105");
        assert!(faults[0].title.contains("`lib/std/slack.rhai` points outside"), "{}", faults[0].title);
    }
}
