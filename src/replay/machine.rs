//! Commands against the journal.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::begun::Begun;
use super::given::Given;
use super::{Interruption, ScopeId, Scopes};
use crate::journal::{Entry, Kind, Phase, Position, Repair, Segment};
use crate::payload::Payload;

/// Entries that most turns do not exceed.
const AT_ONCE: usize = 16;

/// What the script asks for.
#[derive(Clone, Debug)]
pub struct Command {
    /// What it is.
    pub kind: Kind,
    /// Function, step or event.
    pub name: Arc<str>,
    /// Hash of the arguments; 0 where they do not matter.
    pub arguments: u64,
    /// Line of the call.
    pub line: u32,
}

/// The answer to a command.
#[derive(Debug)]
pub enum Issued {
    /// Its outcome was there at once; it has been taken.
    Recorded(Entry),
    /// Its outcome is recorded with this index: wait until every branch waits and [`Replay::upcoming`] names it, then take it.
    Later(usize),
    /// No outcome yet.
    Pending {
        /// Where it stands.
        position: Position,
        /// What was recorded when it began, if it began in an earlier activation.
        opened: Option<Entry>,
    },
}

/// A step that is being entered: its body is evaluated in any case.
#[derive(Debug)]
pub struct Entered {
    /// Where it stands.
    pub position: Position,
    /// The index of its outcome, if recorded.
    pub recorded: Option<usize>,
    /// What was recorded when it began.
    pub opened: Option<Entry>,
}

/// What comes next when every branch waits.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// The outcome with this index is to be fed to the branch that waits for it.
    Recorded(usize),
    /// The run was cancelled here, for this reason.
    Cancelled(Payload),
    /// The run ended here.
    Ended,
    /// The journal is used up.
    Live,
}

/// The call by which a script issued a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The file as the interpreter has it; empty: the workflow's own. Of a closure that a module calls it may be the
    /// module's, though the closure stands elsewhere.
    pub file: Arc<str>,
    /// Column of the call, from 1.
    pub column: usize,
    /// The function as scripts write it.
    pub function: &'static str,
}

/// The journal and the script disagree. Nothing was performed.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// Where.
    pub position: Position,
    /// What the journal has: kind, name and line.
    pub recorded: Option<(Kind, Arc<str>, u32)>,
    /// Where what the journal has stands: not always the position at which they disagree.
    pub recorded_at: Option<Position>,
    /// What the script does now: kind, name and line.
    pub attempted: Option<(Kind, Arc<str>, u32)>,
    /// The call that does it, where it is known.
    pub attempted_by: Option<Box<Site>>,
    /// Kind and name are the same, but the arguments are not.
    pub arguments_differ: bool,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &Option<(Kind, Arc<str>, u32)>| match side {
            Some((kind, name, line)) => format!("{} `{name}` (line {line})", kind.name()),
            None => "nothing more".to_owned(),
        };
        write!(
            f,
            "at {} the journal has {}, the script now does {}",
            self.position,
            side(&self.recorded),
            side(&self.attempted)
        )?;
        if self.arguments_differ {
            f.write_str(" with other arguments")?;
        }
        Ok(())
    }
}

impl std::error::Error for Divergence {}

/// A run in evaluation: what is recorded, and how far the script has come.
#[derive(Debug, Default)]
pub struct Replay {
    /// Scopes, attempts, what was undone.
    pub scopes: Scopes,
    /// Closed entries in order, log lines left out; emptied as they are taken.
    recorded: Vec<Option<Entry>>,
    cursor: usize,
    closed: HashMap<Position, usize>,
    opened: HashMap<Position, Entry>,
    /// How many log lines each scope has in the journal.
    logged: HashMap<Vec<Segment>, u32>,
    given: Given,
    begun: Begun,
    /// How many entries the run has written, new ones included: repairs are not among them.
    length: usize,
    fresh: Vec<Entry>,
}

impl Replay {
    /// A run with this journal; none for a new run.
    pub fn new(journal: Vec<Entry>) -> Self {
        let mut replay = Self { length: journal.len(), ..Self::default() };
        for entry in journal {
            replay.begun.note(&entry);
            match (entry.kind, entry.phase) {
                (Kind::Start, _) => {}
                (Kind::Repair, _) => {
                    replay.length -= 1;
                    replay.repaired(&entry);
                }
                (_, Phase::Given) => replay.given.add(entry),
                (Kind::Log, _) => *replay.logged.entry(entry.position.scope).or_insert(0) += 1,
                (_, Phase::Opened) => {
                    replay.opened.insert(entry.position.clone(), entry);
                }
                (kind, Phase::Closed) => {
                    if !matches!(kind, Kind::Cancel | Kind::End) {
                        replay.closed.insert(entry.position.clone(), replay.recorded.len());
                    }
                    replay.recorded.push(Some(entry));
                }
            }
        }
        replay
    }

    /// How many entries this run has ever written, where repairs have cut some: the number of the next one.
    pub fn set_numbered(&mut self, written: usize) {
        self.length = written;
    }

    fn repaired(&mut self, entry: &Entry) {
        let Some(repair) = Repair::from_entry(entry) else { return };
        if let Some(cut) = &repair.cut {
            self.scopes.redo(cut.redone.clone());
        }
        self.given.set(&repair);
    }

    /// What a repair gives the command at a position, which nothing is recorded of: its outcome without being performed.
    pub fn take_given(&mut self, position: &Position, command: &Command) -> Option<Entry> {
        self.given.take(position, command)
    }

    /// What distinguishes the idempotency key of a command: its place, how often it was undone or redone, and, where a repair
    /// has made it ask for something else than what it was given, that.
    pub fn key(&self, scope: ScopeId, position: &Position, arguments: u64) -> String {
        let key = self.scopes.key(scope, position);
        if self.given.is_another(position, arguments) { format!("{key}~{arguments:x}") } else { key }
    }

    /// Whether a person has set the outcome of the next command in a scope.
    pub fn is_set_next(&self, scope: ScopeId) -> bool {
        self.given.is_set(&self.scopes.next_position(scope))
    }

    /// Whether a person has set the outcome of the command at a position to that of one that was left out.
    pub fn is_skipped(&self, position: &Position) -> bool {
        self.given.is_skipped(position)
    }

    /// The journal is used up: commands are performed.
    pub fn is_live(&self) -> bool {
        self.cursor == self.recorded.len()
    }

    /// How many outcomes were taken.
    pub fn taken(&self) -> usize {
        self.cursor
    }

    /// What the journal has of the next command in a scope, as far as it has it.
    pub fn known_of_next(&self, scope: ScopeId) -> Option<&Entry> {
        let position = self.scopes.next_position(scope);
        let closed = self.closed.get(&position).and_then(|index| self.recorded[*index].as_ref());
        closed.or_else(|| self.opened.get(&position))
    }

    /// Something that the journal has is still to come, if only the beginning of a command.
    pub fn has_more(&self) -> bool {
        !self.is_live() || !self.opened.is_empty()
    }

    /// How many entries the journal has.
    pub fn len(&self) -> usize {
        self.length
    }

    /// No entry was ever written.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// A command that waits for its outcome: other branches go on before it is there.
    pub fn issue(&mut self, scope: ScopeId, command: &Command) -> Result<Issued, Divergence> {
        let Entered { position, recorded, opened } = self.enter(scope, command)?;
        Ok(match recorded {
            Some(index) => Issued::Later(index),
            None => Issued::Pending { position, opened },
        })
    }

    /// A command whose outcome is there at once: it is recorded here and next, or the run is live.
    pub fn issue_now(&mut self, scope: ScopeId, command: &Command) -> Result<Issued, Divergence> {
        match self.issue(scope, command)? {
            Issued::Pending { position, opened: None } if !self.is_live() => {
                Err(self.unexpected(position, Some(command)))
            }
            Issued::Later(index) if self.is_next(index) => Ok(Issued::Recorded(self.take(index))),
            Issued::Later(_) => Err(self.unexpected(self.position_of_next(), Some(command))),
            issued => Ok(issued),
        }
    }

    /// A step begins: its body is evaluated, then [`Replay::leave`] tells whether the outcome is recorded.
    pub fn enter(&mut self, scope: ScopeId, command: &Command) -> Result<Entered, Divergence> {
        let position = self.scopes.advance(scope);
        if self.closed.is_empty() && self.opened.is_empty() {
            return Ok(Entered { position, recorded: None, opened: None });
        }
        let recorded = self.closed.remove(&position);
        let opened = self.opened.remove(&position);
        let before = recorded.and_then(|index| self.recorded[index].as_ref()).or(opened.as_ref());
        if let Some(before) = before {
            check(before, command)?;
        }
        Ok(Entered { position, recorded, opened })
    }

    /// A step's body has ended. `None`: nothing is recorded and the run is live, so the outcome is to be appended.
    pub fn leave(&mut self, entered: &Entered, command: &Command) -> Result<Option<Entry>, Divergence> {
        match entered.recorded {
            Some(index) if index == self.cursor => Ok(Some(self.take(index))),
            None if self.is_live() => Ok(None),
            _ => Err(self.unexpected(self.position_of_next(), Some(command))),
        }
    }

    /// Whether the outcome with this index is the next one.
    pub fn is_next(&self, index: usize) -> bool {
        index == self.cursor
    }

    /// Takes a recorded outcome, which must be the next one.
    pub fn take(&mut self, index: usize) -> Entry {
        assert_eq!(index, self.cursor, "outcomes are taken in the order of the journal");
        self.cursor += 1;
        self.recorded[index].take().expect("an outcome is taken once")
    }

    /// What comes next when every branch waits.
    pub fn upcoming(&mut self) -> Next {
        let Some(Some(entry)) = self.recorded.get(self.cursor) else { return Next::Live };
        match entry.kind {
            Kind::Cancel => {
                let entry = self.take(self.cursor);
                Next::Cancelled(entry.detail.unwrap_or_default())
            }
            Kind::End => Next::Ended,
            _ => Next::Recorded(self.cursor),
        }
    }

    /// Where the script computed when what comes next interrupted it, if it did.
    pub fn interruption(&self) -> Option<Interruption> {
        let entry = self.recorded.get(self.cursor)?.as_ref()?;
        match entry.kind {
            Kind::Cancel => Interruption::of_cancel(entry),
            Kind::Timer => entry.detail.as_ref().and_then(Interruption::from_detail),
            _ => None,
        }
    }

    /// A line of execution goes that began in these scopes: runs, tasks and places in line that it has begun, and that have no
    /// outcome. Each is told of once.
    pub fn abandon(&mut self, scope: &[Segment]) -> Vec<Entry> {
        self.begun.take(scope)
    }

    /// Something that had begun was not asked for, though all that is recorded was answered.
    pub fn unasked(&self) -> Option<Divergence> {
        // What is given again is asked for only where the run goes on; until then, what comes after it is not asked for.
        if self.given.has_outcomes() {
            return None;
        }
        let entry = self.opened.values().min_by(|a, b| a.position.cmp(&b.position))?;
        Some(Divergence {
            position: entry.position.clone(),
            recorded: Some((entry.kind, entry.name.clone(), entry.line)),
            recorded_at: Some(entry.position.clone()),
            attempted: None,
            attempted_by: None,
            arguments_differ: false,
        })
    }

    /// The recorded outcome that comes next was never asked for.
    pub fn unreached(&self) -> Divergence {
        self.unexpected(self.position_of_next(), None)
    }

    /// Where what comes next stands; the run itself where nothing does.
    pub fn position_of_next(&self) -> Position {
        self.recorded.get(self.cursor).and_then(Option::as_ref).map(|e| e.position.clone()).unwrap_or_default()
    }

    fn unexpected(&self, position: Position, command: Option<&Command>) -> Divergence {
        let recorded = self.recorded.get(self.cursor).and_then(Option::as_ref);
        Divergence {
            position,
            recorded: recorded.map(|e| (e.kind, e.name.clone(), e.line)),
            recorded_at: recorded.map(|e| e.position.clone()),
            attempted: command.map(|c| (c.kind, c.name.clone(), c.line)),
            attempted_by: None,
            arguments_differ: false,
        }
    }

    /// A log line of a scope. True: it is new and is to be appended.
    pub fn log(&mut self, scope: ScopeId) -> bool {
        let number = self.scopes.next_log(scope);
        self.logged.is_empty() || number >= self.logged.get(self.scopes.path(scope)).copied().unwrap_or(0)
    }

    /// Appends an entry. A closed one may only be appended when the run is live, log lines excepted.
    pub fn append(&mut self, entry: Entry) {
        let ordered = entry.phase == Phase::Closed && entry.kind != Kind::Log;
        assert!(!ordered || self.is_live(), "an outcome is appended behind the journal, not into it");
        self.length += 1;
        self.begun.note(&entry);
        if self.fresh.capacity() == 0 {
            self.fresh.reserve(AT_ONCE);
        }
        self.fresh.push(entry);
    }

    /// The entries appended since this was last called, and the number of the first of them.
    pub fn take_fresh(&mut self) -> Option<(usize, Vec<Entry>)> {
        if self.fresh.is_empty() {
            return None;
        }
        let entries = std::mem::take(&mut self.fresh);
        Some((self.length - entries.len(), entries))
    }
}

fn check(before: &Entry, command: &Command) -> Result<(), Divergence> {
    let same = before.kind == command.kind && before.name == command.name;
    if same && before.arguments == command.arguments {
        return Ok(());
    }
    Err(Divergence {
        position: before.position.clone(),
        recorded: Some((before.kind, before.name.clone(), before.line)),
        recorded_at: Some(before.position.clone()),
        attempted: Some((command.kind, command.name.clone(), command.line)),
        attempted_by: None,
        arguments_differ: same,
    })
}
