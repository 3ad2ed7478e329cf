//! `panta check --fix`: makes the edits that findings carry, as long as each makes things better.
//!
//! Edits are made from the bottom up, and what came of them is checked again before anything is written; a change after
//! which a file is no better is not made. Files are written beside themselves and put in place at once.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::{Checked, Scripts};
use crate::cli::output::{self, Exit, Fault, Paint, Stream};
use crate::diag::{Diagnostic, Fix, apply};
use crate::script::bundle::Sources;

/// Most rounds: mending one fault may bring out another.
const MAX_ROUNDS: usize = 20;

/// Mends what can be mended in these scripts, writes them, and tells what was done.
pub(super) fn mend(scripts: &mut Scripts, as_json: bool) -> Result<(), Fault> {
    let mut done = Vec::new();
    let mut checked = scripts.check();
    for _ in 0..MAX_ROUNDS {
        let files = mendable(&checked);
        let before = done.len();
        for file in files {
            checked = mend_file(scripts, &file, checked, &mut done);
        }
        if done.len() == before {
            break;
        }
    }
    for (path, text) in &scripts.edited {
        write(&scripts.folder.root().join(path), text)
            .map_err(|error| Fault::new(Exit::Failed, format!("`{path}` cannot be written: {error}")))?;
    }
    done.iter().for_each(|finding| tell(finding, as_json));
    Ok(())
}

/// Files with findings that carry a fix.
fn mendable(checked: &Checked) -> Vec<String> {
    let files =
        checked.findings.iter().filter(|finding| finding.fix.is_some()).map(|finding| finding.place.file.clone());
    let mut files: Vec<String> = files.collect();
    files.sort();
    files.dedup();
    files
}

/// Makes all edits of a file at once, or where that does not help, each that helps by itself.
fn mend_file(scripts: &mut Scripts, file: &str, checked: Checked, done: &mut Vec<Diagnostic>) -> Checked {
    let Some(text) = text_of(scripts, file) else { return checked };
    let found: Vec<Diagnostic> = checked
        .findings
        .iter()
        .filter(|finding| finding.place.file == file && finding.fix.is_some())
        .cloned()
        .collect();
    let fixes: Vec<&Fix> = found.iter().filter_map(|finding| finding.fix.as_deref()).collect();
    let (mended, applied) = apply(&text, &fixes);
    let checked = match attempt(scripts, file, mended, checked) {
        Ok(better) => {
            done.extend(found.into_iter().zip(applied).filter(|(_, applied)| *applied).map(|(finding, _)| finding));
            return better;
        }
        Err(checked) => checked,
    };
    let mut current = checked;
    for finding in found {
        let Some(mended) = finding.fix.as_ref().and_then(|fix| fix.apply(&text)) else { continue };
        match attempt(scripts, file, mended, current) {
            // Places of the others have moved: they come in the next round.
            Ok(better) => {
                done.push(finding);
                return better;
            }
            Err(same) => current = same,
        }
    }
    current
}

/// Checks with another text of a file; keeps it where that is better.
fn attempt(scripts: &mut Scripts, file: &str, text: String, checked: Checked) -> Result<Checked, Checked> {
    let before = scripts.edited.insert(file.to_owned(), text);
    let better = scripts.check();
    if rank(&better) < rank(&checked) {
        return Ok(better);
    }
    match before {
        Some(text) => scripts.edited.insert(file.to_owned(), text),
        None => scripts.edited.remove(file),
    };
    Err(checked)
}

/// Faults of the syntax count most: what is behind them is not seen.
fn rank(checked: &Checked) -> (usize, usize, usize) {
    let syntax = checked.findings.iter().filter(|finding| finding.code.starts_with("E02")).count();
    let errors = checked.findings.iter().filter(|finding| finding.is_error()).count();
    (syntax, errors, checked.findings.len())
}

/// The text as it is on disk, with its line ends; built-in modules have none.
fn text_of(scripts: &Scripts, file: &str) -> Option<String> {
    if let Some(text) = scripts.edited.get(file) {
        return Some(text.clone());
    }
    scripts.read(file).ok()?;
    std::fs::read_to_string(scripts.folder.root().join(file)).ok()
}

/// In place at once, with the permissions of what was there; a link stays one.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".panta-fix-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::fs::metadata(&path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

fn tell(finding: &Diagnostic, as_json: bool) {
    let (place, what) = (&finding.place, finding.fix.as_ref().map_or("", |fix| fix.title.as_str()));
    if as_json {
        output::json(&json!({
            "fixed": what, "code": finding.code, "file": place.file, "line": place.line, "column": place.column,
        }));
    } else {
        let label = Paint::Green.on(Stream::Out, "fixed");
        output::line(&format!("{label} {}:{}:{}: {what}", place.file, place.line, place.column));
    }
}
