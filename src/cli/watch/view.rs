//! The screen as lines: pure, from what is known and how large it is.

use serde_json::Value;

use super::keys::HELP;
use super::model::{Model, Page};
use super::run::{State, Step};
use crate::cli::output::{Paint, Stream, text};
use crate::cli::runs::remark;
use crate::cli::table::{cut, short_id, when, width_of};
use crate::store::Status;

/// Rows of broken files and tasks above the runs, at most each.
const NOTES: usize = 3;
/// Columns of a workflow's name, at least where there is room.
const NAME: usize = 12;

/// A line that is put together, and cut where the screen ends.
struct Line {
    text: String,
    left: usize,
    is_chosen: bool,
}

impl Line {
    fn new(columns: usize) -> Self {
        Self { text: String::new(), left: columns, is_chosen: false }
    }

    fn chosen(columns: usize, is_chosen: bool) -> Self {
        Self { is_chosen, ..Self::new(columns) }
    }

    fn add(mut self, said: &str, paint: Option<Paint>) -> Self {
        let said = cut(said, self.left);
        self.left -= width_of(&said).min(self.left);
        match paint.filter(|_| !self.is_chosen) {
            Some(paint) => self.text.push_str(&paint.on(Stream::Out, &said)),
            None => self.text.push_str(&said),
        }
        self
    }

    /// A cell of that width, and a gap.
    fn cell(self, said: &str, width: usize, paint: Option<Paint>) -> Self {
        let said = cut(said, width);
        let space = width - width_of(&said) + 2;
        self.add(&said, paint).add(&" ".repeat(space), None)
    }

    fn done(self) -> String {
        if !self.is_chosen {
            return self.text;
        }
        let rest = " ".repeat(self.left);
        if Stream::Out.is_coloured() {
            return format!("\u{1b}[7m{}{rest}\u{1b}[0m", self.text);
        }
        self.text
    }
}

/// The lines of the screen, as many as it has rows.
pub(super) fn draw(model: &mut Model, (columns, rows): (usize, usize)) -> Vec<String> {
    let mut lines = head(model, columns);
    let room = rows.saturating_sub(lines.len() + 1);
    let body = match model.page {
        Page::Runs => runs(model, columns, room),
        Page::Run => run(model, columns, room),
        Page::Help => help(columns),
    };
    lines.extend(body.into_iter().take(room));
    lines.resize(rows.saturating_sub(1), String::new());
    lines.push(foot(model, columns));
    lines.truncate(rows);
    lines
}

fn head(model: &Model, columns: usize) -> Vec<String> {
    let of = model.workflow.as_deref().map(|workflow| format!("  {workflow}")).unwrap_or_default();
    let mut first = Line::new(columns).add("panta", Some(Paint::Bold)).add(&format!("  {}{of}", model.server), None);
    for (status, count) in &model.counts {
        let paint = is_of_note(*status).then(|| Paint::of_status(status.name()));
        first = first.add(&format!("  {count} {}", status.name().replace('_', " ")), paint);
    }
    let mut lines = vec![first.done()];
    if let Some(why) = &model.broken_line {
        let said = format!("no line to the daemon, trying again: {why}");
        lines.push(Line::new(columns).add(&said, Some(Paint::Red)).done());
    }
    notes(&mut lines, columns, "broken", Paint::Red, model.broken.iter().map(|(file, what)| format!("{file}{what}")));
    if let Some(held) = &model.held {
        lines.push(Line::new(columns).add(held, Some(Paint::of_status("paused"))).done());
    }
    let mut tasks: Vec<_> = model.tasks.values().collect();
    // Ids of tasks are in no order.
    tasks.sort_by_key(|task| std::cmp::Reverse(text(task, "opened_at")));
    let tasks = tasks.into_iter();
    let tasks = tasks.map(|task| {
        let to: Vec<_> = task["to"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let to = if to.is_empty() { String::new() } else { format!(" (for {})", to.join(", ")) };
        format!("{}  {}{to}", short_id(text(task, "task")), text(task, "title"))
    });
    notes(&mut lines, columns, "task", Paint::Yellow, tasks);
    lines.push(String::new());
    lines
}

/// A few lines of a kind, and how many more there are.
fn notes(lines: &mut Vec<String>, columns: usize, kind: &str, paint: Paint, all: impl Iterator<Item = String>) {
    let all: Vec<_> = all.collect();
    for (n, said) in all.iter().take(NOTES).enumerate() {
        let more = all.len() - NOTES.min(all.len());
        let is_last = n + 1 == NOTES && more > 0;
        let more = if is_last { format!("   and {more} more") } else { String::new() };
        let line = Line::new(columns).add(kind, Some(paint));
        lines.push(
            line.add(&format!("  {}", cut(said, columns.saturating_sub(kind.len() + 2 + more.len()))), None)
                .add(&more, Some(Paint::Dim))
                .done(),
        );
    }
}

fn is_of_note(status: Status) -> bool {
    !matches!(status, Status::Completed | Status::Cancelled)
}

fn runs(model: &Model, columns: usize, room: usize) -> Vec<String> {
    let shown = model.shown();
    if shown.is_empty() {
        let why = if model.filter.is_empty() { "no runs" } else { "no run fits the filter; Esc clears it" };
        return vec![Line::new(columns).add(why, Some(Paint::Dim)).done()];
    }
    let longest = shown.iter().map(|run| width_of(text(run, "workflow"))).max().unwrap_or(0);
    let name = longest.clamp(NAME, (columns / 4).max(NAME));
    let head = Line::new(columns)
        .add("  ", None)
        .cell("RUN", 8, Some(Paint::Dim))
        .cell("WORKFLOW", name, Some(Paint::Dim))
        .cell("STATUS", 11, Some(Paint::Dim))
        .cell("CREATED", 12, Some(Paint::Dim))
        .done();
    let place = model.place();
    let room = room.saturating_sub(1).max(1);
    let first = place.saturating_sub(room - 1);
    let rows = shown.iter().enumerate().skip(first).take(room).map(|(n, run)| {
        let status = text(run, "status");
        Line::chosen(columns, n == place)
            .add(if n == place { "▸ " } else { "  " }, None)
            .cell(short_id(text(run, "run")), 8, None)
            .cell(text(run, "workflow"), name, None)
            .cell(status, 11, Some(Paint::of_status(status)))
            .cell(&when(text(run, "created_at")), 12, None)
            .add(&remark(run), None)
            .done()
    });
    std::iter::once(head).chain(rows).collect()
}

fn run(model: &Model, columns: usize, room: usize) -> Vec<String> {
    let Some(steps) = &model.steps else { return Vec::new() };
    let mut lines = Vec::new();
    if let Some(run) = model.chosen() {
        let status = text(run, "status");
        let line = Line::new(columns).add(text(run, "workflow"), Some(Paint::Bold)).add("  ", None);
        let line = line.add(status, Some(Paint::of_status(status)));
        let line = line.add(&format!("  {}  {}", text(run, "run"), when(text(run, "created_at"))), Some(Paint::Dim));
        lines.push(line.done());
        lines.push(Line::new(columns).add(&remark(run), None).done());
    }
    let room = room.saturating_sub(lines.len()).max(1);
    let all = steps.lines();
    let count = all.len();
    let end = count - steps.up.min(count.saturating_sub(1));
    let shown = all.skip(end.saturating_sub(room)).take(room.min(end));
    lines.extend(shown.map(|step| line_of(step, columns)));
    lines
}

fn line_of(step: &Step, columns: usize) -> String {
    let (sign, paint) = match step.state {
        State::Open => ("…", Paint::Bold),
        State::Done => ("✓", Paint::Green),
        State::Failed => ("✗", Paint::Red),
    };
    let indent = " ".repeat(2 * step.depth.min(10));
    let name = (columns / 3).max(NAME);
    Line::new(columns)
        .add(&indent, None)
        .add(sign, Some(paint))
        .add(" ", None)
        .cell(&step.name, name.saturating_sub(indent.len()).max(NAME), None)
        .cell(&step.took, 9, Some(Paint::Dim))
        .add(&step.about, None)
        .done()
}

fn help(columns: usize) -> Vec<String> {
    let line = |(keys, what): &(&str, &str)| Line::new(columns).cell(keys, 9, Some(Paint::Bold)).add(what, None).done();
    HELP.iter().map(line).collect()
}

fn foot(model: &Model, columns: usize) -> String {
    let line = Line::new(columns);
    if let Some(act) = &model.question {
        return line.add(&act.question(), Some(Paint::Yellow)).done();
    }
    if model.is_typing {
        return line.add(&format!("filter: {}▏", model.filter), Some(Paint::Bold)).done();
    }
    if !model.said.is_empty() {
        return line.add(&model.said, Some(Paint::Yellow)).done();
    }
    let filter = if model.filter.is_empty() { String::new() } else { format!("filter: {}   ", model.filter) };
    let keys = match model.page {
        Page::Runs => "Enter steps   / filter   p pause   c cancel   ? help   q end",
        Page::Run => "Esc back   ↑↓ scroll   p pause   c cancel   ? help   q end",
        Page::Help => "Esc back   q end",
    };
    line.add(&filter, Some(Paint::Bold)).add(keys, Some(Paint::Dim)).done()
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent};
    use serde_json::json;

    use super::super::keys::{Wish, pressed};
    use super::super::model::Fresh;
    use super::*;

    fn model() -> Model {
        let run = |n: u8, status: &str| {
            let id = format!("0198f000-0000-7000-8000-0000000000{n:02}");
            json!({ "run": id, "workflow": "orders", "status": status, "waiting_for": "the event `paid` with key `日本`" })
        };
        let mut model = Model::new("http://127.0.0.1:7262", None);
        model.refresh(Fresh {
            workflows: vec![json!({ "name": "orders", "counts": { "waiting": 2, "failed": 1 } })],
            newest: vec![run(1, "waiting"), run(2, "failed"), run(3, "waiting")],
            reloads: vec![
                json!({ "file": "a.rhai", "status": "broken", "diagnostics": [{ "line": 3, "title": "no" }] }),
            ],
            ..Fresh::default()
        });
        model
    }

    fn press(model: &mut Model, keys: &str) -> Wish {
        let code = |key| if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
        keys.chars().map(|key| pressed(model, KeyEvent::from(code(key)))).last().expect("a key")
    }

    #[test]
    fn the_screen_has_its_size_whatever_that_is() {
        for size in [(80, 24), (200, 60), (20, 5), (1, 1), (40, 2)] {
            let lines = draw(&mut model(), size);
            assert_eq!(lines.len(), size.1, "{size:?}");
            assert!(lines.iter().all(|line| width_of(line) <= size.0), "{size:?}: {lines:?}");
        }
    }

    #[test]
    fn counts_broken_files_and_runs_are_shown_and_the_chosen_one_is_marked() {
        let lines = draw(&mut model(), (80, 24));
        assert_eq!(lines[0], "panta  127.0.0.1:7262  2 waiting  1 failed");
        assert_eq!(lines[1], "broken  a.rhai:3: no");
        assert!(lines[4].starts_with("▸ 00000003  orders        waiting"), "{}", lines[4]);
    }

    #[test]
    fn the_newest_task_comes_first_and_what_is_held_is_said() {
        let mut model = Model::new("http://127.0.0.1:7262", None);
        let task = |id: &str, at: &str| json!({ "task": id, "title": at, "opened_at": at });
        let paused = json!({ "scope": "all", "by": "ann", "reason": "fire" });
        model.refresh(Fresh {
            workflows: vec![json!({ "name": "orders", "paused": paused })],
            tasks: vec![
                task("b", "2026-01-02T00:00:00Z"),
                task("a", "2026-01-01T00:00:00Z"),
                task("c", "2026-01-03T00:00:00Z"),
            ],
            ..Fresh::default()
        });
        let lines = draw(&mut model, (80, 24));
        assert_eq!(lines[1], "paused with everything by ann: fire");
        let days: Vec<_> =
            lines[2..5].iter().filter_map(|line| line.find("2026-01-0").map(|at| &line[at + 8..at + 10])).collect();
        assert_eq!(days, ["03", "02", "01"], "{lines:?}");
        assert!(model.summary().starts_with("paused with everything by ann: fire; "), "{}", model.summary());
    }

    #[test]
    fn a_filter_narrows_and_a_deed_waits_for_yes() {
        let mut model = model();
        press(&mut model, "/fail\n");
        assert_eq!(model.shown().len(), 1);
        press(&mut model, "c");
        assert_eq!(model.said, "the run has ended already (failed)");
        press(&mut model, "/");
        assert_eq!(pressed(&mut model, KeyEvent::from(KeyCode::Esc)), Wish::Nothing);
        press(&mut model, "jjc");
        assert!(draw(&mut model, (80, 24))[23].starts_with("cancel run 00000001 of `orders`"));
        assert!(model.question.as_ref().is_some_and(|act| act.run.ends_with("01")));
        assert_eq!(press(&mut model, "n"), Wish::Nothing);
        assert!(matches!(press(&mut model, "cy"), Wish::Act(act) if act.run.ends_with("01")));
    }

    #[test]
    fn a_run_that_is_chosen_stays_so_when_others_come() {
        let mut model = model();
        press(&mut model, "j");
        let run = json!({ "run": "0198f000-0000-7000-8000-000000000099", "workflow": "w", "status": "running" });
        model.news("run", run);
        assert!(model.chosen().is_some_and(|run| text(run, "run").ends_with("02")));
    }
}
