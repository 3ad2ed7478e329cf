//! `panta record`: a finished run, written as a test.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Common;
use super::access::Access;
use super::output::{Exit, Fault, json as print_json, line};
use crate::id::RunId;
use crate::reload::STDLIB;
use crate::sim::{RecordError, record};

/// Writes a finished run as a test, its answers as mocks
#[derive(Args, Debug)]
pub(super) struct Record {
    /// The run
    run: RunId,
    /// Where to; `-` is stdout, and the script's own test file where nothing is said
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

impl Record {
    pub(super) async fn execute(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        let recording = access.recording(self.run).await?;
        // It drives an engine of its own, which has no place inside of an asynchronous one.
        let played = std::thread::scope(|scope| scope.spawn(|| record(&recording, STDLIB)).join());
        let text = played.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(|error| {
            let exit = if matches!(error, RecordError::Open(_)) { Exit::Waiting } else { Exit::Failed };
            Fault::new(exit, error.to_string())
        })?;
        if self.out.as_deref().is_some_and(|out| out.as_os_str() == "-") {
            line(text.trim_end());
            return Ok(Exit::Done);
        }
        let file = match &self.out {
            Some(file) => file.clone(),
            None => beside(&recording.0[0].workflow)?,
        };
        self.write(&file, &text)?;
        if common.json {
            print_json(&json!({ "run": self.run, "file": file.display().to_string() }));
        } else {
            line(&format!("{} is written; run it with `panta test {}`", file.display(), file.display()));
        }
        Ok(Exit::Done)
    }

    fn write(&self, file: &std::path::Path, text: &str) -> Result<(), Fault> {
        let cannot = |error: std::io::Error| Fault::usage(format!("`{}` cannot be written: {error}", file.display()));
        if self.force {
            return std::fs::write(file, text).map_err(cannot);
        }
        let made =
            std::fs::File::create_new(file).and_then(|mut made| std::io::Write::write_all(&mut made, text.as_bytes()));
        made.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Fault::usage(format!(
                "`{}` is there already; hint: write elsewhere with `-o FILE` (`-o -` for stdout), or over it with `--force`",
                file.display()
            )),
            _ => cannot(error),
        })
    }
}

/// The test file of a workflow, where its script is.
fn beside(workflow: &str) -> Result<PathBuf, Fault> {
    let scripts = super::default_scripts();
    if scripts.join(format!("{workflow}.rhai")).is_file() {
        return Ok(scripts.join(format!("{workflow}.test.rhai")));
    }
    Err(Fault::usage(format!(
        "the script `{}` is not here; hint: go to the folder that holds it, or name a file with `-o FILE`",
        scripts.join(format!("{workflow}.rhai")).display()
    )))
}
