//! What keys mean.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::act::{Act, Deed};
use super::model::{Model, Page};
use crate::cli::output::text;

/// What a key asks for, beyond what it changes on the screen.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Wish {
    /// Nothing more.
    Nothing,
    /// To look at the steps of a run.
    Look(String),
    /// To look at all runs again.
    Back,
    /// To do something.
    Act(Act),
    /// To end.
    End,
}

/// Rows of a page up or down.
const JUMP: isize = 10;

/// The lines of the help.
pub(super) const HELP: &[(&str, &str)] = &[
    ("↑ ↓  k j", "go up and down; PgUp, PgDn, Home and End as well"),
    ("Enter", "the steps of the run, live; Esc leads back"),
    ("/ or f", "show only runs that fit: part of a workflow's name, a status, part of an id"),
    ("p", "pause the run, or let a paused one go on"),
    ("c", "cancel the run"),
    ("?", "this help"),
    ("q", "end; so does Ctrl-C"),
];

/// Takes a key.
pub(super) fn pressed(model: &mut Model, key: KeyEvent) -> Wish {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return if matches!(key.code, KeyCode::Char('c' | 'd')) { Wish::End } else { Wish::Nothing };
    }
    if let Some(act) = model.question.take() {
        model.say("");
        return if matches!(key.code, KeyCode::Char('y' | 'Y')) { Wish::Act(act) } else { Wish::Nothing };
    }
    if model.is_typing {
        typed(model, key.code);
        return Wish::Nothing;
    }
    model.say("");
    match key.code {
        KeyCode::Char('q') => Wish::End,
        KeyCode::Char('?') => {
            model.page = if model.page == Page::Help { Page::Runs } else { Page::Help };
            Wish::Nothing
        }
        KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => back(model),
        KeyCode::Enter | KeyCode::Right => look(model),
        KeyCode::Char('/' | 'f') if model.page == Page::Runs => {
            model.is_typing = true;
            Wish::Nothing
        }
        KeyCode::Char('c') => ask(model, Deed::Cancel),
        KeyCode::Char('p') => {
            let is_paused = model.chosen().is_some_and(|run| text(run, "status") == "paused");
            ask(model, if is_paused { Deed::Resume } else { Deed::Pause })
        }
        code => {
            moved(model, code);
            Wish::Nothing
        }
    }
}

fn back(model: &mut Model) -> Wish {
    match model.page {
        Page::Runs => model.filter.clear(),
        Page::Help => model.page = Page::Runs,
        Page::Run => {
            model.page = Page::Runs;
            model.leave();
            return Wish::Back;
        }
    }
    Wish::Nothing
}

fn look(model: &mut Model) -> Wish {
    if model.page != Page::Runs {
        return Wish::Nothing;
    }
    match model.look() {
        Some(run) => Wish::Look(run),
        None => Wish::Nothing,
    }
}

/// Asks before something is done.
fn ask(model: &mut Model, deed: Deed) -> Wish {
    let Some(run) = model.chosen() else { return Wish::Nothing };
    let (id, workflow) = (text(run, "run").to_owned(), text(run, "workflow").to_owned());
    let status = text(run, "status").to_owned();
    if matches!(&*status, "completed" | "failed" | "cancelled" | "timed_out") {
        model.say(&format!("the run has ended already ({status})"));
        return Wish::Nothing;
    }
    model.question = Some(Act { deed, run: id, workflow });
    Wish::Nothing
}

fn typed(model: &mut Model, code: KeyCode) {
    match code {
        KeyCode::Enter => model.is_typing = false,
        KeyCode::Esc => {
            model.is_typing = false;
            model.filter.clear();
        }
        KeyCode::Backspace => drop(model.filter.pop()),
        KeyCode::Char(c) => model.filter.push(c),
        _ => {}
    }
    model.go(isize::MIN);
}

fn moved(model: &mut Model, code: KeyCode) {
    match code {
        KeyCode::Up | KeyCode::Char('k') => model.go(-1),
        KeyCode::Down | KeyCode::Char('j') => model.go(1),
        KeyCode::PageUp => model.go(-JUMP),
        KeyCode::PageDown | KeyCode::Char(' ') => model.go(JUMP),
        KeyCode::Home | KeyCode::Char('g') => model.go(isize::MIN),
        KeyCode::End | KeyCode::Char('G') => model.go(isize::MAX),
        _ => {}
    }
}
