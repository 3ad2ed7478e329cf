//! `panta bench`: what this machine makes of the workloads of [`crate::bench`], as a table.

use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Common;
use super::follow::interrupted;
use super::output::{Exit, Fault, Stream, json as print_json, line, note};
use super::table::table;
use crate::bench::{Figure, Machine, Result, Sizes, WORKLOADS, Workload, shown};
use crate::diag::suggest::nearest;

/// Measures what this machine does: steps, commits, memory, beside what its disk allows
#[derive(Args, Debug)]
#[command(after_help = workloads())]
pub(super) struct Bench {
    /// What to measure; everything where nothing is named
    #[arg(value_name = "WORKLOAD", value_parser = workload)]
    workloads: Vec<&'static str>,
    /// A tenth of the work, or less
    #[arg(long)]
    quick: bool,
    /// So many runs, entries or files in place of what each workload takes by itself
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    size: Option<u32>,
}

/// All of them, for whoever asks how to call this.
fn workloads() -> String {
    let width = WORKLOADS.iter().map(|workload| workload.name.len()).max().unwrap_or_default();
    let lines = WORKLOADS.iter().map(|workload| format!("  {:<width$}  {}", workload.name, workload.about));
    let lines: Vec<_> = std::iter::once("Workloads:".to_owned()).chain(lines).collect();
    lines.join("\n")
}

fn workload(name: &str) -> std::result::Result<&'static str, String> {
    if let Some(workload) = Workload::named(name) {
        return Ok(workload.name);
    }
    let names: Vec<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
    let near = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`? "));
    let all = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    Err(format!("there is no such workload; hint: {}there are {all}", near.unwrap_or_default()))
}

/// What was measured, by workload.
type Measured = Vec<(&'static str, Vec<Figure>)>;

impl Bench {
    pub(super) async fn execute(&self, common: &Common) -> std::result::Result<Exit, Fault> {
        let data = common.config(&super::default_scripts())?.data;
        let sizes = Sizes { quick: self.quick, size: self.size.map(|size| size as usize) };
        let program =
            std::env::current_exe().map_err(|error| Fault::unreachable(format!("where this program is: {error}")))?;
        let bench = crate::bench::Bench::new(&data, sizes, &program);
        let bench = Arc::new(bench.map_err(|error| Fault::usage(error.to_string()))?);
        let mut stop = std::pin::pin!(interrupted());
        // Listened for before anything is told: from the first line on, an interruption leaves nothing behind.
        tokio::select! {
            biased;
            () = &mut stop => return Ok(Exit::Cancelled),
            () = std::future::ready(()) => {}
        }
        let machine = Machine::of(bench.folder());
        let head = head(&machine, &bench.folder().display().to_string());
        if !common.json {
            line(&head);
        }
        let mut measured = Measured::new();
        let mut is_whole = true;
        for workload in self.chosen() {
            progress(workload);
            let done = tokio::select! {
                done = on_a_thread(Arc::clone(&bench), workload) => done,
                () = &mut stop => {
                    bench.abandon();
                    return Err(Fault::new(Exit::Cancelled, "interrupted; what was measured so far is left out"));
                }
            };
            match done {
                Ok(figures) => measured.push((workload.name, figures)),
                Err(error) => {
                    is_whole = false;
                    note(&format!("`{}` could not be measured: {error}", workload.name));
                }
            }
        }
        if common.json {
            print_json(&as_json(&machine, &measured));
        } else {
            table(&HEAD, &rows(&measured));
        }
        Ok(if is_whole { Exit::Done } else { Exit::Failed })
    }

    /// In the order in which they are measured, each once.
    fn chosen(&self) -> impl Iterator<Item = &'static Workload> {
        WORKLOADS.iter().filter(|workload| self.workloads.is_empty() || self.workloads.contains(&workload.name))
    }
}

/// A workload takes its time, and has runtimes of its own. The process may end without it.
async fn on_a_thread(bench: Arc<crate::bench::Bench>, workload: &'static Workload) -> Result<Vec<Figure>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let done = workload.measure(&bench);
        // The one who waits is the last who has the folder, and removes it.
        drop(bench);
        let _ = sender.send(done);
    });
    receiver.await.unwrap_or_else(|_| Err(crate::bench::Error::Wrong("an internal error".to_owned())))
}

fn progress(workload: &Workload) {
    if Stream::Err.is_terminal() {
        note(&format!("measuring `{}`: {}", workload.name, workload.about));
    }
}

fn head(machine: &Machine, folder: &str) -> String {
    let Machine { cores, file_system, system, version } = machine;
    let cores = if *cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
    let on = file_system.as_ref().map(|kind| format!(" ({kind})")).unwrap_or_default();
    format!("panta {version}, {system}, {cores}, in {folder}{on}")
}

const HEAD: [&str; 8] = ["WORKLOAD", "WHAT", "FIGURE", "UNIT", "CPU µs A STEP", "COMMITS A RUN", "BAR", "HELD"];

fn rows(measured: &Measured) -> Vec<Vec<String>> {
    let all = measured.iter().flat_map(|(name, figures)| figures.iter().map(move |figure| (*name, figure)));
    all.map(|(name, figure)| row(name, figure)).collect()
}

fn row(name: &str, figure: &Figure) -> Vec<String> {
    let known = |value: Option<f64>| value.map_or_else(|| "—".to_owned(), shown);
    let joined = |words: Vec<&str>| if words.is_empty() { "—".to_owned() } else { words.join("; ") };
    let bars = joined(figure.bars.iter().map(|bar| bar.text.as_str()).collect());
    let verdicts = joined(figure.bars.iter().map(|bar| if bar.met { "met" } else { "missed" }).collect());
    let (value, unit) = (shown(figure.value), figure.unit.to_owned());
    vec![name.to_owned(), figure.what.clone(), value, unit, known(figure.cpu_us), known(figure.commits), bars, verdicts]
}

fn as_json(machine: &Machine, measured: &Measured) -> Value {
    let figure = |name: &str, figure: &Figure| {
        let mut shown = json!({ "workload": name });
        if let (Value::Object(shown), Value::Object(figure)) = (&mut shown, json!(figure)) {
            shown.extend(figure);
        }
        shown
    };
    let all = measured.iter().flat_map(|(name, figures)| figures.iter().map(|found| figure(name, found)));
    json!({ "machine": machine, "figures": all.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_workload_is_answered_with_all_and_the_nearest() {
        let error = workload("engin").expect_err("it is none");
        assert!(error.contains("did you mean `engine`?") && error.contains("`disk`, `hot`"), "{error}");
        assert_eq!(workload("hot"), Ok("hot"));
    }

    #[test]
    fn a_machine_is_told_in_a_line() {
        let machine = Machine { cores: 1, file_system: Some("xfs".into()), system: "linux", version: "1.2.3" };
        assert_eq!(head(&machine, "/data"), "panta 1.2.3, linux, 1 core, in /data (xfs)");
        let machine = Machine { cores: 8, file_system: None, ..machine };
        assert_eq!(head(&machine, "/data"), "panta 1.2.3, linux, 8 cores, in /data");
    }
}
