//! The nesting of a run: where commands stand, which steps an earlier attempt completed, what was undone.

use std::collections::{BTreeMap, HashMap};

use crate::journal::{Outcome, Position, Segment, Sub};

/// A scope of a run in this activation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ScopeId(u32);

#[derive(Debug, Default)]
struct Scope {
    path: Vec<Segment>,
    next: u32,
    logs: u32,
    randoms: u64,
    /// Names and ordinals from the run inwards, without attempts: the same for the same step in each attempt.
    label: String,
    occurrences: HashMap<String, u32>,
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
        let label = format!("{}/{ordinal}.{branch}", self.scope(parent).label);
        self.push(parent, Segment { ordinal, sub: Sub::Branch(branch) }, label)
    }

    /// Opens an attempt of the command at `ordinal`. `label` is that of [`Scopes::label`]; `repeatable` where more than
    /// one attempt is possible.
    pub fn attempt(&mut self, parent: ScopeId, ordinal: u32, attempt: u32, label: &str, repeatable: bool) -> ScopeId {
        let undone = self.undone.get(label).copied().unwrap_or(0);
        let id = self.push(parent, Segment { ordinal, sub: Sub::Attempt(attempt) }, label.to_owned());
        let scope = self.scope_mut(id);
        scope.again |= attempt > 1;
        scope.repeatable |= repeatable;
        scope.undone += undone;
        id
    }

    fn push(&mut self, parent: ScopeId, segment: Segment, label: String) -> ScopeId {
        let Scope { path: outer, again, repeatable, undone, .. } = self.scope(parent);
        let mut path = Vec::with_capacity(outer.len() + 1);
        path.extend_from_slice(outer);
        path.push(segment);
        let scope = Scope { path, label, again: *again, repeatable: *repeatable, undone: *undone, ..Scope::default() };
        if let Some(id) = self.free.pop() {
            *self.scope_mut(id) = scope;
            return id;
        }
        self.all.push(scope);
        ScopeId(u32::try_from(self.all.len() - 1).expect("fewer scopes than four billion"))
    }

    /// Nothing more is issued in this scope; its place may be used for another one.
    pub fn close(&mut self, id: ScopeId) {
        if id != Self::ROOT {
            *self.scope_mut(id) = Scope::default();
            self.free.push(id);
        }
    }

    /// The label of the next command of this name in a scope: equal in every attempt of what is around it. Counts it.
    pub fn label(&mut self, id: ScopeId, name: &str) -> String {
        let scope = self.scope_mut(id);
        let occurrence = if let Some(count) = scope.occurrences.get_mut(name) {
            *count += 1;
            *count
        } else {
            scope.occurrences.insert(name.to_owned(), 1);
            1
        };
        let mut label = String::with_capacity(scope.label.len() + name.len() + 4);
        label.push_str(&scope.label);
        label.push('/');
        label.push_str(name);
        label.push('#');
        if let digit @ 0..=9 = occurrence {
            label.push(char::from(b'0' + digit as u8));
        } else {
            label.push_str(&occurrence.to_string());
        }
        label
    }

    /// What a step with this label returned in an earlier attempt of something around it.
    pub fn completed_before(&self, id: ScopeId, label: &str) -> Option<&Outcome> {
        if self.scope(id).again { self.completed.get(label) } else { None }
    }

    /// Remembers a completed step for later attempts of what is around it.
    pub fn remember(&mut self, id: ScopeId, label: &str, outcome: &Outcome) {
        if self.scope(id).repeatable {
            self.completed.insert(label.to_owned(), outcome.clone());
        }
    }

    /// Nothing inside of this label will be attempted again.
    pub fn forget(&mut self, label: &str) {
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
    pub fn undo(&mut self, label: &str) {
        self.completed.remove(label);
        self.forget(label);
        *self.undone.entry(label.to_owned()).or_insert(0) += 1;
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
