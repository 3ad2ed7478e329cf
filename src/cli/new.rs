//! `panta new` and `panta init`: files to begin with. Nothing that is there is ever overwritten.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Common;
use super::output::{Exit, Fault, json, line, note};
use super::table::table;
use super::templates::{self, TEMPLATES, Template};
use crate::script::bundle::{Kind, classify};

/// Writes a workflow and its tests from a template
#[derive(Args, Debug)]
pub(super) struct New {
    /// The workflow's name, such as `orders/invoice`
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// What it begins with; `--list` shows all
    #[arg(long, value_name = "TEMPLATE", default_value = templates::DEFAULT)]
    template: String,
    /// Lists the templates
    #[arg(long)]
    list: bool,
}

/// Makes a folder with settings, examples and a test
#[derive(Args, Debug)]
pub(super) struct Init {
    /// The folder; this one where none is given
    #[arg(default_value = ".")]
    folder: PathBuf,
}

/// A file that is to be written.
struct Planned {
    path: PathBuf,
    text: String,
}

impl New {
    pub(super) fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let Some(given) = self.name.as_deref().filter(|_| !self.list) else {
            list(common.json);
            return Ok(Exit::Done);
        };
        let template = templates::find(&self.template).map_err(Fault::usage)?;
        let (name, scripts) = place(given)?;
        let files = planned(template, &name, &scripts);
        write_all(&files)?;
        if common.json {
            json(&serde_json::json!({ "workflow": name, "template": template.name, "files": shown(&files) }));
            return Ok(Exit::Done);
        }
        shown(&files).iter().for_each(|file| line(&format!("wrote {file}")));
        note(&format!("next: panta test {0}, then panta graph {0} > flow.svg", shown(&files)[0]));
        Ok(Exit::Done)
    }
}

fn list(as_json: bool) {
    if as_json {
        TEMPLATES.iter().for_each(|template| {
            json(&serde_json::json!({ "template": template.name, "about": template.about }));
        });
        return;
    }
    let rows: Vec<_> =
        TEMPLATES.iter().map(|template| vec![template.name.to_owned(), template.about.to_owned()]).collect();
    table(&["TEMPLATE", "A WORKFLOW"], &rows);
}

fn planned(template: &Template, name: &str, scripts: &Path) -> [Planned; 2] {
    let (script, test) = (scripts.join(format!("{name}.rhai")), scripts.join(format!("{name}.test.rhai")));
    let file = script.display().to_string();
    [
        Planned { text: template.script(name, &file), path: script },
        Planned { text: template.test(name, &file), path: test },
    ]
}

/// The name of the workflow, and the folder of scripts: a path into that folder is meant as a name, too.
fn place(given: &str) -> Result<(String, PathBuf), Fault> {
    let scripts = scripts();
    let below = format!("{}/", scripts.display());
    let name = given.strip_prefix("./").unwrap_or(given);
    let name = name.strip_prefix(below.as_str()).unwrap_or(name);
    let name = name.strip_suffix(".rhai").unwrap_or(name);
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '.');
    let wrong = if let Some(c) = name.chars().find(|c| !plain(*c)) {
        Some(format!("{c:?} cannot be part of it"))
    } else {
        match classify(&format!("{name}.rhai")) {
            Kind::Workflow(_) => None,
            Kind::Module => Some("what is below a folder `lib` is a module".to_owned()),
            Kind::Test => Some("files named `.test.rhai` hold tests".to_owned()),
            Kind::Ignored => Some("no part of it may be empty or begin with a dot".to_owned()),
        }
    };
    match wrong {
        None => Ok((name.to_owned(), scripts)),
        Some(why) => Err(Fault::usage(format!(
            "`{given}` is no name for a workflow: {why}; hint: names look like `orders/invoice`"
        ))),
    }
}

/// `scripts`, unless this folder itself holds scripts.
pub(super) fn scripts() -> PathBuf {
    let is_script = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "rhai");
    let here = std::fs::read_dir(".").into_iter().flatten().flatten().any(is_script);
    if here && !Path::new("scripts").is_dir() { PathBuf::from(".") } else { PathBuf::from("scripts") }
}

impl Init {
    pub(super) fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let at = |path: &str, text: &str| Planned { path: self.folder.join(path), text: text.to_owned() };
        let hello = templates::find("hand").expect("a template");
        let watch = templates::find("every").expect("a template");
        let files = [
            at("panta.toml", include_str!("templates/init/panta.toml")),
            at(".gitignore", include_str!("templates/init/gitignore")),
            at("scripts/hello.rhai", &hello.script("hello", "scripts/hello.rhai")),
            at("scripts/hello.test.rhai", &hello.test("hello", "scripts/hello.rhai")),
            at("scripts/watch.rhai", &watch.script("watch", "scripts/watch.rhai")),
        ];
        write_all(&files)?;
        if common.json {
            json(&serde_json::json!({ "files": shown(&files) }));
            return Ok(Exit::Done);
        }
        shown(&files).iter().for_each(|file| line(&format!("wrote {file}")));
        let go =
            if self.folder == Path::new(".") { String::new() } else { format!("cd {} && ", self.folder.display()) };
        line("");
        line("Next:");
        line(&format!("  {go}panta run scripts/hello.rhai -i name=Ann"));
        line(&format!("  {go}panta daemon scripts"));
        Ok(Exit::Done)
    }
}

impl Planned {
    /// The path as people write it.
    fn shown(&self) -> String {
        self.path.display().to_string().trim_start_matches("./").to_owned()
    }
}

fn shown(files: &[Planned]) -> Vec<String> {
    files.iter().map(Planned::shown).collect()
}

/// All of them or none: what is there stays as it is, and is named.
fn write_all(files: &[Planned]) -> Result<(), Fault> {
    let there: Vec<_> = files.iter().filter(|file| file.path.symlink_metadata().is_ok()).collect();
    if let Some(first) = there.first() {
        let others = if there.len() > 1 { format!(" and {} more", there.len() - 1) } else { String::new() };
        let hint = "nothing was written; choose another name or folder, or move it away";
        return Err(Fault::usage(format!("`{}`{others} is there already; hint: {hint}", first.shown())));
    }
    for file in files {
        let written = file.path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| new_file(file));
        written.map_err(|error| Fault::new(Exit::Failed, format!("cannot write `{}`: {error}", file.shown())))?;
    }
    Ok(())
}

fn new_file(file: &Planned) -> std::io::Result<()> {
    use std::io::Write;
    // Somebody may have been faster.
    let mut open = std::fs::OpenOptions::new().write(true).create_new(true).open(&file.path)?;
    open.write_all(file.text.as_bytes())
}
