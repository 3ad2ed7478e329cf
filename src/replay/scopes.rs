//! The nesting of a run: where commands stand, which steps an earlier attempt completed, what was undone.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::journal::{Outcome, Position, Segment, Sub};

/// A scope of a run in this activation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ScopeId(u32);

/// Names and ordinals from the run inwards, without attempts: the same for the same step in each attempt. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Label(Option<Rc<Part>>);

#[derive(Debug)]
struct Part {
    outer: Label,
    last: Last,
}

#[derive(Debug)]
enum Last {
    /// A step of this name, and the how-manieth of that name it is.
    Named(Arc<str>, u32),
    /// The command with this ordinal, and the branch of it.
    Branch(u32, u32),
}

impl Label {
    fn within(&self, last: Last) -> Self {
        Self(Some(Rc::new(Part { outer: self.clone(), last })))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(part) = &self.0 else { return Ok(()) };
        part.outer.fmt(f)?;
        match &part.last {
            Last::Named(name, occurrence) => write!(f, "/{name}#{occurrence}"),
            Last::Branch(ordinal, branch) => write!(f, "/{ordinal}.{branch}"),
        }
    }
}

#[derive(Debug, Default)]
struct Scope {
    path: Vec<Segment>,
    next: u32,
    logs: u32,
    randoms: u64,
    label: Label,
    occurrences: BTreeMap<Arc<str>, u32>,
    /// Some scope around it is a second or later attempt.
    again: bool,
    /// Some scope around it may be attempted again.
    repeatable: bool,
    /// How often steps around it were undone: changes the idempotency keys inside.
    undone: u32,
}

/// All scopes of a run, and what earlier attempts left.
#[derive(Debug)]
pub struct Scopes {
    all: Vec<Scope>,
    /// Places in `all` that can be used again.
    free: Vec<ScopeId>,
    /// Outcomes of named steps inside of what may be attempted again, by label.
    completed: BTreeMap<String, Outcome>,
    /// How often a step was undone, by label.
    undone: BTreeMap<String, u32>,
    /// How often a command was redone by hand, by its place without attempts.
    redone: BTreeMap<String, u32>,
}

impl Default for Scopes {
    fn default() -> Self {
        Self {
            all: vec![Scope::default()],
            free: Vec::new(),
            completed: BTreeMap::new(),
            undone: BTreeMap::new(),
            redone: BTreeMap::new(),
        }
    }
}

impl Scopes {
    /// The run itself.
    pub const ROOT: ScopeId = ScopeId(0);

    fn scope(&self, id: ScopeId) -> &Scope {
        &self.all[id.0 as usize]
    }

    fn scope_mut(&mut self, id: ScopeId) -> &mut Scope {
        &mut self.all[id.0 as usize]
    }

    /// The place of the next command in a scope; counts it.
    pub fn advance(&mut self, id: ScopeId) -> Position {
        let scope = self.scope_mut(id);
        scope.next += 1;
        Position { scope: scope.path.clone(), ordinal: scope.next - 1 }
    }

    /// The place that the next command in a scope will have.
    pub fn next_position(&self, id: ScopeId) -> Position {
        let scope = self.scope(id);
        Position { scope: scope.path.clone(), ordinal: scope.next }
    }

    /// Opens a branch of the command at `ordinal`.
    pub fn branch(&mut self, parent: ScopeId, ordinal: u32, branch: u32) -> ScopeId {
        let label = self.scope(parent).label.within(Last::Branch(ordinal, branch));
        self.push(parent, Segment { ordinal, sub: Sub::Branch(branch) }, label)
    }

    /// Opens an attempt of the command at `ordinal`. `label` is that of [`Scopes::label`]; `repeatable` where more than
    /// one attempt is possible.
    pub fn attempt(&mut self, parent: ScopeId, ordinal: u32, attempt: u32, label: &Label, repeatable: bool) -> ScopeId {
        let undone = if self.undone.is_empty() { 0 } else { self.undone.get(&label.to_string()).copied().unwrap_or(0) };
        let id = self.push(parent, Segment { ordinal, sub: Sub::Attempt(attempt) }, label.clone());
        let scope = self.scope_mut(id);
        scope.again |= attempt > 1;
        scope.repeatable |= repeatable;
        scope.undone += undone;
        id
    }

    /// Nothing inside of this scope is taken from an earlier attempt, or kept for a later one.
    pub fn anew(&mut self, id: ScopeId) {
        let scope = self.scope_mut(id);
        (scope.again, scope.repeatable) = (false, false);
    }

    fn push(&mut self, parent: ScopeId, segment: Segment, label: Label) -> ScopeId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.all.push(Scope::default());
            ScopeId(u32::try_from(self.all.len() - 1).expect("fewer scopes than four billion"))
        });
        let mut scope = std::mem::take(self.scope_mut(id));
        let outer = self.scope(parent);
        scope.path.reserve_exact(outer.path.len() + 1);
        scope.path.extend_from_slice(&outer.path);
        scope.path.push(segment);
        (scope.label, scope.again, scope.repeatable, scope.undone) =
            (label, outer.again, outer.repeatable, outer.undone);
        *self.scope_mut(id) = scope;
        id
    }

    /// Nothing more is issued in this scope; its place may be used for another one.
    pub fn close(&mut self, id: ScopeId) {
        if id != Self::ROOT {
            let scope = self.scope_mut(id);
            let mut path = std::mem::take(&mut scope.path);
            path.clear();
            *scope = Scope { path, ..Scope::default() };
            self.free.push(id);
        }
    }

    /// The label of the next command of this name in a scope: equal in every attempt of what is around it. Counts it.
    pub fn label(&mut self, id: ScopeId, name: &Arc<str>) -> Label {
        let scope = self.scope_mut(id);
        let occurrence = if let Some(count) = scope.occurrences.get_mut(name) {
            *count += 1;
            *count
        } else {
            scope.occurrences.insert(Arc::clone(name), 1);
            1
        };
        scope.label.within(Last::Named(Arc::clone(name), occurrence))
    }

    /// What a step with this label returned in an earlier attempt of something around it.
    pub fn completed_before(&self, id: ScopeId, label: &Label) -> Option<&Outcome> {
        if self.scope(id).again { self.completed.get(&label.to_string()) } else { None }
    }

    /// Remembers a completed step for later attempts of what is around it.
    pub fn remember(&mut self, id: ScopeId, label: &Label, outcome: &Outcome) {
        if self.scope(id).repeatable {
            self.completed.insert(label.to_string(), outcome.clone());
        }
    }

    /// Nothing inside of this label will be attempted again.
    pub fn forget(&mut self, label: &Label) {
        if self.completed.is_empty() {
            return;
        }
        let inside = format!("{label}/");
        let gone: Vec<_> = self
            .completed
            .range(inside.clone()..)
            .map(|(key, _)| key.clone())
            .take_while(|k| k.starts_with(&inside))
            .collect();
        for key in gone {
            self.completed.remove(&key);
        }
    }

    /// A step's compensation ran: a later attempt performs it anew, with new idempotency keys.
    pub fn undo(&mut self, label: &Label) {
        let text = label.to_string();
        self.completed.remove(&text);
        self.forget(label);
        *self.undone.entry(text).or_insert(0) += 1;
    }

    /// A person has had these commands redone, so often: by their places without attempts.
    pub fn redo(&mut self, redone: BTreeMap<String, u32>) {
        self.redone = redone;
    }

    /// How often a person has had the command at this position redone.
    pub fn redone(&self, position: &Position) -> u32 {
        if self.redone.is_empty() { 0 } else { self.redone.get(&position.without_attempts()).copied().unwrap_or(0) }
    }

    /// What distinguishes the idempotency key of a command in this scope: its place, and how often it was undone or redone.
    pub fn key(&self, id: ScopeId, position: &Position) -> String {
        match self.scope(id).undone + self.redone(position) {
            0 => position.without_attempts(),
            n => format!("{}~{n}", position.without_attempts()),
        }
    }

    /// The number of the next log line of a scope, from 0; counts it.
    pub fn next_log(&mut self, id: ScopeId) -> u32 {
        let scope = self.scope_mut(id);
        scope.logs += 1;
        scope.logs - 1
    }

    /// The number of the next random value of a scope, from 0; counts it.
    pub fn next_random(&mut self, id: ScopeId) -> u64 {
        let scope = self.scope_mut(id);
        scope.randoms += 1;
        scope.randoms - 1
    }

    /// The scopes around the commands of this one.
    pub fn path(&self, id: ScopeId) -> &[Segment] {
        &self.scope(id).path
    }
}
