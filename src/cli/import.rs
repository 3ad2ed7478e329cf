//! `panta import`: modules for scripts from descriptions of services.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::output::{Exit, Fault, json, line, note};
use super::{Common, client};
use crate::engine::{Settings, examine};
use crate::host::catalog::catalog;
use crate::openapi::{self, Module, Wish};
use crate::payload::Payload;
use crate::script::bundle::Bundle;

/// A description that is longer is refused: the largest that is known has 13 MB.
const LONGEST: usize = 64 << 20;

/// Writes a module from the description of a service
#[derive(Subcommand, Debug)]
pub(super) enum Import {
    /// From an OpenAPI description (2.0, 3.0, 3.1; JSON or YAML): a function for each operation
    Openapi(Openapi),
}

#[derive(Args, Debug)]
pub(super) struct Openapi {
    /// An address or a file
    #[arg(value_name = "URL|FILE")]
    source: String,
    /// What the module is called, `lib/NAME.rhai`; by default after the API's title
    #[arg(long)]
    name: Option<String>,
    /// Only operations with this id, path or tag; `*` at its end stands for any rest; may be repeated
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// Replaces a module that is there
    #[arg(long)]
    force: bool,
}

impl Import {
    pub(super) async fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let Self::Openapi(import) = self;
        let text = import.read().await?;
        let wish = Wish { name: import.name.as_deref(), source: &import.source, only: &import.only };
        let catalog = catalog();
        let taken = |name: &str| !catalog.find(name).is_empty();
        let module = openapi::module(&text, &wish, &taken).map_err(|why| import.fault(&why))?;
        compiles(&module)?;
        let path = super::new::scripts().join("lib").join(format!("{}.rhai", module.name));
        import.write(&path, &module.text)?;
        tell(common, &module, &path);
        Ok(Exit::Done)
    }
}

impl Openapi {
    fn fault(&self, why: &str) -> Fault {
        Fault::usage(format!("{}: {why}", self.source))
    }

    async fn read(&self) -> Result<String, Fault> {
        let is_address = self.source.starts_with("http://") || self.source.starts_with("https://");
        let bytes = if is_address {
            self.fetch().await?
        } else {
            std::fs::read(&self.source).map_err(|e| self.fault(&e.to_string()))?
        };
        if bytes.len() > LONGEST {
            return Err(self.fault(&format!("the description is longer than {} MB", LONGEST >> 20)));
        }
        String::from_utf8(bytes).map_err(|_| self.fault("the description is not UTF-8"))
    }

    async fn fetch(&self) -> Result<Vec<u8>, Fault> {
        let unreachable = |error: &reqwest::Error| {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            Fault::unreachable(format!("{}: cannot be fetched: {error}{cause}", self.source))
        };
        let http = client::http(|builder| builder)?;
        let asked = http.get(&self.source).header("accept", "application/json, application/yaml;q=0.9, */*;q=0.1");
        let mut response = asked.send().await.map_err(|e| unreachable(&e))?;
        if !response.status().is_success() {
            return Err(Fault::unreachable(format!(
                "{}: cannot be fetched: it answers {}",
                self.source,
                response.status()
            )));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(&e))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST {
                break;
            }
        }
        Ok(bytes)
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), Fault> {
        if path.exists() && !self.force {
            let hint = "`--force` replaces it, `--name NAME` writes another";
            return Err(Fault::usage(format!("`{}` is there already; hint: {hint}", path.display())));
        }
        let failed = |error: std::io::Error| Fault::usage(format!("`{}` cannot be written: {error}", path.display()));
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let mut file = tempfile::Builder::new().prefix(".import-").tempfile_in(&folder).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(readable).map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// A module that scripts could not import is a fault of ours, and is never written.
fn compiles(module: &Module) -> Result<(), Fault> {
    let main = format!("import \"lib/{0}\" as {0};\nfn main(input) {{ }}", module.name);
    let files: BTreeMap<_, _> =
        [("main.rhai".to_owned(), main), (format!("lib/{}.rhai", module.name), module.text.clone())].into();
    let bundle = Bundle::load("main.rhai", &files, &[]).map_err(Fault::diagnosed)?;
    let example = Payload::from_json(&serde_json::json!("https://example.com"));
    let settings: BTreeMap<_, _> =
        ["url", "user"].map(|key| (format!("{}_{key}", module.name), example.clone())).into();
    let settings: Arc<dyn Settings> = Arc::new(settings);
    let (_, found) = examine(bundle, &settings);
    let errors: Vec<_> = found.into_iter().filter(crate::diag::Diagnostic::is_error).collect();
    if errors.is_empty() { Ok(()) } else { Err(Fault::diagnosed(errors)) }
}

fn tell(common: &Common, module: &Module, path: &Path) {
    let path = path.display().to_string();
    if common.json {
        let import = format!("import \"lib/{0}\" as {0};", module.name);
        json(&serde_json::json!({
            "module": module.name, "file": path, "operations": module.operations, "left_out": module.remarks,
            "import": import, "allow": module.allow,
            "settings": module.settings, "setup": module.setup,
        }));
        return;
    }
    line(&format!("wrote {path}: {} operations", module.operations));
    module.remarks.iter().for_each(|remark| note(&format!("  {remark}")));
    note(&format!(
        "next, in a workflow:\n\n  import \"lib/{0}\" as {0};\n  workflow(#{{ {1} }});",
        module.name, module.allow
    ));
    if !module.settings.is_empty() {
        note("\nand in `panta.toml`:\n");
        module.settings.lines().for_each(|line| note(format!("  {line}").trim_end()));
    }
    if !module.setup.is_empty() {
        note("\nand, on the server:\n");
        module.setup.iter().for_each(|line| note(&format!("  {line}")));
    }
}
