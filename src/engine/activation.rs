//! One run in motion: its strands on fibers, fed by the journal first and by the world after.
//!
//! Single-threaded, without clock and I/O: the worker and the simulation drive it alike. The rule that makes a replay
//! exact is here: an outcome is fed only when every strand waits.

mod interrupt;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult};

use crate::host::branches;
use crate::host::cleanup::{self, FrameId, Leaving};
use crate::host::fail::{Fail, error_map, explain};
use crate::host::session::{self, Answer, Ask, Mode, Session, Spawn, Strand, StrandId, WaitId, encode, encode_error};
use crate::id::RunId;
use crate::journal::{Entry, Kind, Phase, Position};
use crate::payload::Payload;
use crate::replay::{Divergence, Next};
use crate::script::fiber::{Fiber, Pause, StackPool, Turn};
use crate::script::guard::Outcome;
use crate::script::program::Prepared;
use crate::script::unwind;
use crate::store::{End, Rollback, Status};
use crate::time::Timestamp;

/// What happened outside.
#[derive(Debug)]
pub enum Input {
    /// The answer to an ask.
    Answer(WaitId, Answer),
    /// The run is to end: `#{ kind, message }`.
    Cancel(Payload),
}

/// How far a run came.
#[derive(Debug)]
pub enum Progress {
    /// Every strand waits.
    Waiting,
    /// Its time slice is used up; it can go on at once.
    Sliced,
    /// It has ended.
    Ended(End),
    /// It no longer fits its journal. Nothing was performed.
    Diverged(Divergence),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// The workflow itself.
    Main,
    /// A branch of it.
    Branch,
    /// Cleans up after a branch that was dropped.
    Cleaner,
    /// Compensates and cleans up at the end.
    Last,
}

struct Live {
    fiber: Option<Fiber<Outcome<Dynamic>>>,
    strand: Rc<Strand>,
    role: Role,
}

/// How the run will end when its clean-ups are done.
#[derive(Clone, Debug)]
struct Ending {
    status: Status,
    outcome: Result<Payload, Payload>,
    continued_as: Option<RunId>,
}

/// A run in motion.
pub struct Activation {
    session: Rc<Session>,
    pool: Rc<StackPool>,
    strands: BTreeMap<StrandId, Live>,
    ready: VecDeque<StrandId>,
    inbox: VecDeque<Input>,
    ending: Option<Ending>,
    ended: Option<End>,
    waits: BTreeSet<WaitId>,
    aborted: Vec<WaitId>,
    /// The strand whose time slice was used up.
    computing: Option<StrandId>,
    explain: Explain,
}

pub use crate::host::session::Explain;

impl Activation {
    /// Begins a run, or a replay of it: nothing is evaluated yet.
    #[expect(clippy::needless_pass_by_value, reason = "an activation owns its session")]
    pub fn new(
        session: Rc<Session>,
        pool: Rc<StackPool>,
        program: Prepared,
        input: &Payload,
        explain: Explain,
    ) -> Self {
        *session.explain.borrow_mut() = Some(Rc::clone(&explain));
        let mut activation = Self {
            session: Rc::clone(&session),
            pool,
            strands: BTreeMap::new(),
            ready: VecDeque::new(),
            inbox: VecDeque::new(),
            ending: None,
            ended: None,
            waits: BTreeSet::new(),
            aborted: Vec::new(),
            computing: None,
            explain,
        };
        let engine = Rc::clone(&session.engine);
        let input = crate::script::value::decode(input);
        let body = Box::new(move || program.run(&engine, input));
        activation.begin(Spawn { strand: Strand::root(), body }, Role::Main);
        activation
    }

    /// The session.
    pub fn session(&self) -> &Rc<Session> {
        &self.session
    }

    /// The strands that are there, the run's own first.
    pub fn standing(&self) -> Vec<StrandId> {
        self.strands.keys().copied().collect()
    }

    /// Takes what happened outside; it is worked off by [`Activation::advance`].
    pub fn push(&mut self, input: Input) {
        self.inbox.push_back(input);
    }

    /// What the script asks of the outside, once the journal is used up.
    pub fn take_asks(&mut self) -> Vec<Ask> {
        if !self.session.replay.borrow().is_live() {
            return Vec::new();
        }
        let asks = std::mem::take(&mut *self.session.outbox.borrow_mut());
        let asks: Vec<_> = asks.into_iter().filter(|ask| self.strands.contains_key(&ask.strand)).collect();
        self.waits.extend(asks.iter().map(|ask| ask.wait));
        asks
    }

    /// Where the command stands that a strand waits for: the same in each activation.
    pub fn place(&self, strand: StrandId) -> Position {
        let scope = self.strands.get(&strand).map(|live| live.strand.scope.get());
        scope.map(|scope| self.session.replay.borrow().scopes.next_position(scope)).unwrap_or_default()
    }

    /// Asks that nobody waits for any more.
    pub fn take_aborted(&mut self) -> Vec<WaitId> {
        std::mem::take(&mut self.aborted)
    }

    /// Strands that were halted go on.
    pub fn go_on(&mut self) {
        let halted = std::mem::take(&mut *self.session.halted.borrow_mut());
        self.ready.extend(halted.into_iter().filter(|strand| self.strands.contains_key(strand)));
    }

    /// Something is there that [`Activation::advance`] can work off.
    pub fn can_advance(&self) -> bool {
        self.ended.is_none() && (!self.ready.is_empty() || !self.inbox.is_empty())
    }

    /// Goes on until every strand waits and nothing is left to be fed, a slice is used up, or the run has ended.
    pub fn advance(&mut self, now: Timestamp) -> Progress {
        self.session.begin_turn(now);
        loop {
            self.settle();
            self.go_on_as_another();
            if self.session.diverged.borrow().is_some() {
                return self.diverged();
            }
            if let Some(end) = &self.ended {
                return Progress::Ended(end.clone());
            }
            if let Some(id) = self.ready.pop_front() {
                if self.interrupt(id) {
                    continue;
                }
                match self.resume(id) {
                    Some(Pause::Slice) => {
                        self.sliced(id);
                        return Progress::Sliced;
                    }
                    Some(Pause::Reached) => self.reached(),
                    Some(Pause::Waiting) | None => {}
                }
                continue;
            }
            let next = self.session.replay.borrow_mut().upcoming();
            match next {
                Next::Recorded(index) => {
                    let strand = self.session.awaiting.borrow_mut().remove(&index);
                    if !strand.is_some_and(|strand| self.answer(strand, Answer::Recorded)) {
                        let divergence = self.session.replay.borrow().unreached();
                        self.session.diverged.borrow_mut().get_or_insert(divergence);
                    }
                }
                Next::Cancelled(reason) => self.cancel(&reason),
                Next::Ended => return self.unexpected_end(),
                Next::Live => {
                    self.session.mark_live();
                    self.session.face();
                    let Some(input) = self.inbox.pop_front() else { return Progress::Waiting };
                    self.take(input);
                }
            }
        }
    }

    /// The script has called `workflow::continue_as`: this run ends well.
    fn go_on_as_another(&mut self) {
        let next = self.session.continuing.borrow().as_ref().map(|next| next.run);
        if self.ending.is_none() && next.is_some() {
            let outcome = Ok(Payload::unit());
            self.leave(Ending { status: Status::Completed, outcome, continued_as: next });
        }
    }

    fn diverged(&mut self) -> Progress {
        let divergence = self.session.diverged.borrow().clone().expect("it was just looked at");
        self.drop_all();
        Progress::Diverged(divergence)
    }

    fn unexpected_end(&mut self) -> Progress {
        let divergence = self.session.replay.borrow().unreached();
        self.drop_all();
        Progress::Diverged(divergence)
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Answer(wait, answer) => {
                if !self.waits.remove(&wait) {
                    return;
                }
                let strand =
                    self.strands.values().find(|live| live.strand.wait.get() == Some(wait)).map(|live| live.strand.id);
                if let Some(strand) = strand {
                    self.answer(strand, answer);
                }
            }
            Input::Cancel(reason) => {
                if self.ending.is_none() {
                    self.record_cancel(&reason, Position::default(), 0);
                    self.cancel(&reason);
                }
            }
        }
    }

    fn answer(&mut self, strand: StrandId, answer: Answer) -> bool {
        let Some(live) = self.strands.get(&strand) else { return false };
        live.strand.answer.replace(Some(answer));
        self.ready.push_back(strand);
        true
    }

    /// Makes the strands that were asked for, drops those that are not wanted any more, wakes the joined ones.
    fn settle(&mut self) {
        loop {
            let drops = std::mem::take(&mut *self.session.drops.borrow_mut());
            for strand in &drops {
                self.drop_branch(*strand);
            }
            let spawn = self.session.spawns.borrow_mut().pop_front();
            if let Some(spawn) = spawn {
                self.begin(spawn, Role::Branch);
                continue;
            }
            let woken = self.session.woken.borrow_mut().pop_front();
            if let Some(strand) = woken {
                self.ready.push_back(strand);
                continue;
            }
            if drops.is_empty() {
                return;
            }
        }
    }

    fn begin(&mut self, spawn: Spawn, role: Role) {
        let id = spawn.strand.id;
        let fiber = Some(Fiber::new(&self.pool, spawn.body));
        self.strands.insert(id, Live { fiber, strand: spawn.strand, role });
        self.ready.push_back(id);
    }

    /// Runs one strand until it waits or ends. `None`: it ended.
    fn resume(&mut self, id: StrandId) -> Option<Pause> {
        let live = self.strands.get_mut(&id)?;
        let fiber = live.fiber.as_mut()?;
        // Not the script's fault, so nothing that it could catch, and nothing for its journal.
        fiber.begin().expect("a stack for a fiber: raise `vm.max_map_count` or lower the number of live runs");
        let before = session::set_current(Some((Rc::clone(&self.session), Rc::clone(&live.strand))));
        self.session.alone.set(self.ready.is_empty());
        self.session.guard.set_ticks(live.strand.ticks.get());
        let entered = self.session.guard.enter();
        self.session.arm(&live.strand);
        let turn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fiber.resume()));
        drop(entered);
        session::set_current(before);
        live.strand.ticks.set(self.session.guard.ticks());
        match turn {
            Ok(Turn::Paused(pause)) => Some(pause),
            Ok(Turn::Finished(result)) => {
                self.finished(id, result);
                None
            }
            Err(panic) => {
                self.finished(id, Err(panic_error(panic.as_ref())));
                None
            }
        }
    }

    fn finished(&mut self, id: StrandId, result: Outcome<Dynamic>) {
        let Some(live) = self.strands.remove(&id) else { return };
        let result = match self.session.guard.stopped() {
            // The error that stopped it knows the place, unless the script swallowed it.
            Some(stop) => Err(match result {
                Err(error) if unwind::is_stop(&error) => error,
                _ => stop.to_error(),
            }),
            None => result,
        };
        if self.session.diverged.borrow().is_some() {
            return;
        }
        match live.role {
            Role::Branch if self.session.guard.stopped().is_none() => branches::ended(&self.session, id, result),
            Role::Cleaner => branches::cleaned(&self.session, id),
            Role::Last => self.conclude(),
            Role::Main | Role::Branch => self.body_ended(result),
        }
    }

    /// The workflow's own code is over, by a value, an error or a limit: what is registered runs, then it ends.
    fn body_ended(&mut self, result: Outcome<Dynamic>) {
        if self.ending.is_some() {
            return;
        }
        let outcome = match result {
            Ok(value) => encode("output", &value)
                .map_err(|fail| encode_error(&fail.into_map()))
                .and_then(|output| self.session.facts.rules.accept_output(output)),
            Err(error) => Err(encode_error(&self.explained(&error))),
        };
        let status = if outcome.is_ok() { Status::Completed } else { Status::Failed };
        self.leave(Ending { status, outcome, continued_as: None });
    }

    /// The error as the run keeps it: what it means, where it arose, and by which calls.
    fn explained(&self, error: &EvalAltResult) -> rhai::Map {
        let mut map = error_map(error);
        let found = (self.explain)(error);
        explain(&mut map, &found);
        if found.place.line > 0 {
            map.entry("line".into()).or_insert_with(|| (found.place.line as i64).into());
            map.entry("column".into()).or_insert_with(|| (found.place.column as i64).into());
        }
        map.entry("file".into()).or_insert_with(|| found.place.file.clone().into());
        if !found.calls.is_empty() {
            let calls = found.calls.iter().map(|frame| frame.to_string().into());
            map.insert("calls".into(), calls.collect::<rhai::Array>().into());
        }
        map
    }

    fn cancel(&mut self, reason: &Payload) {
        let kind = reason.to_json()["kind"].as_str().map(str::to_owned);
        let status = if kind.as_deref() == Some("timeout") { Status::TimedOut } else { Status::Cancelled };
        self.leave(Ending { status, outcome: Err(reason.clone()), continued_as: None });
    }

    fn leave(&mut self, ending: Ending) {
        let leaving = if ending.outcome.is_ok() { Leaving::Well } else { Leaving::Failing };
        self.ending = Some(ending);
        self.drop_all();
        self.session.guard.clear_stop();
        let frames = self.session.frames.borrow().all();
        if !frames.iter().any(|frame| self.session.frames.borrow().has_work(*frame, leaving)) {
            self.conclude();
            return;
        }
        let strand = Strand::root().child(StrandId(self.session.number()), crate::replay::Scopes::ROOT);
        let body = cleaner(&self.session, &strand, frames, leaving);
        self.begin(Spawn { strand, body }, Role::Last);
    }

    /// A branch lost, or a sibling failed: it goes, and what it and its own branches had registered in scopes of their own
    /// runs, the innermost first.
    fn drop_branch(&mut self, id: StrandId) {
        let Some(outer) = self.strands.get(&id).map(|live| self.outer_frame(&live.strand)) else { return };
        let mut inside = BTreeSet::new();
        for inner in branches::branches_of(&self.session, id) {
            self.drop_branch_quietly(inner, outer, &mut inside);
        }
        let Some(live) = self.drop_strand(id) else { return };
        let frames = self.session.frames.borrow();
        inside.extend(frames.between(live.strand.frame.get(), outer));
        let working: Vec<_> = inside.into_iter().rev().filter(|f| frames.has_work(*f, Leaving::Failing)).collect();
        drop(frames);
        if working.is_empty() {
            branches::dropped(&self.session, id, None);
            return;
        }
        let strand = live.strand.child(StrandId(self.session.number()), live.strand.scope.get());
        strand.mode.set(Mode::Recorded);
        strand.retried.set(false);
        strand.at_most_once.set(false);
        branches::dropped(&self.session, id, Some(strand.id));
        let body = cleaner(&self.session, &strand, working, Leaving::Failing);
        self.begin(Spawn { strand, body }, Role::Cleaner);
    }

    /// A branch of a branch that goes: its scopes are unwound with those around it.
    fn drop_branch_quietly(&mut self, id: StrandId, outer: FrameId, inside: &mut BTreeSet<FrameId>) {
        for inner in branches::branches_of(&self.session, id) {
            self.drop_branch_quietly(inner, outer, inside);
        }
        if let Some(live) = self.drop_strand(id) {
            inside.extend(self.session.frames.borrow().between(live.strand.frame.get(), outer));
        }
        branches::dropped(&self.session, id, None);
    }

    fn outer_frame(&self, strand: &Strand) -> FrameId {
        branches::outer_frame(&self.session, strand.id).unwrap_or(FrameId::ROOT)
    }

    fn drop_strand(&mut self, id: StrandId) -> Option<Live> {
        let mut live = self.strands.remove(&id)?;
        self.ready.retain(|ready| *ready != id);
        self.session.awaiting.borrow_mut().retain(|_, strand| *strand != id);
        self.session.outbox.borrow_mut().retain(|ask| ask.strand != id);
        self.session.abandon(&live.strand);
        if let Some(wait) = live.strand.wait.take()
            && self.waits.remove(&wait)
        {
            self.aborted.push(wait);
        }
        let entered = self.session.guard.enter();
        drop(live.fiber.take());
        drop(entered);
        Some(live)
    }

    fn drop_all(&mut self) {
        let all: Vec<_> = self.strands.keys().rev().copied().collect();
        for strand in all {
            self.drop_strand(strand);
        }
        self.session.spawns.borrow_mut().clear();
        self.session.drops.borrow_mut().clear();
        self.session.woken.borrow_mut().clear();
        *self.session.groups.borrow_mut() = branches::Groups::default();
        self.ready.clear();
    }

    fn conclude(&mut self) {
        let ending = self.ending.clone().expect("the body has ended before");
        let now = self.session.now.get();
        let end = End {
            status: ending.status,
            output: ending.outcome.clone().ok(),
            error: ending.outcome.clone().err(),
            rollback: rollback(self.session.rolled_back.get()),
            at: now,
            continued_as: ending.continued_as,
            expires_at: None,
        };
        let mut replay = self.session.replay.borrow_mut();
        if !replay.is_live() {
            if let Next::Ended = replay.upcoming() {
                drop(replay);
                self.ended = Some(end);
                return;
            }
            let divergence = replay.unreached();
            drop(replay);
            self.session.diverged.borrow_mut().get_or_insert(divergence);
            return;
        }
        let mut entry = Entry::opened(Kind::End, Position::default(), ending.status.name().into(), now);
        entry.phase = Phase::Closed;
        entry.outcome = Some(ending.outcome);
        replay.append(entry);
        drop(replay);
        self.ended = Some(end);
    }

    /// Hands new entries and acts to the log, within the run's account: what it allocated is freed there.
    pub fn flush(&self) {
        let entered = self.session.guard.enter();
        self.session.flush();
        drop(entered);
    }
}

fn rollback((ran, failed): (bool, bool)) -> Rollback {
    match (ran, failed) {
        (false, _) => Rollback::None,
        (true, false) => Rollback::Complete,
        (true, true) => Rollback::Incomplete,
    }
}

fn cleaner(
    session: &Rc<Session>,
    strand: &Rc<Strand>,
    frames: Vec<FrameId>,
    leaving: Leaving,
) -> Box<dyn FnOnce() -> Outcome<Dynamic>> {
    let (session, strand) = (Rc::clone(session), Rc::clone(strand));
    Box::new(move || {
        for frame in frames {
            cleanup::unwind(&session, &strand, frame, leaving).map_err(|fail| fail.into_error(rhai::Position::NONE))?;
            session.frames.borrow_mut().close(frame);
        }
        Ok(Dynamic::UNIT)
    })
}

#[expect(clippy::unnecessary_box_returns, reason = "results of scripts carry boxed errors")]
fn panic_error(panic: &(dyn std::any::Any + Send)) -> Box<EvalAltResult> {
    let text =
        panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    let message =
        format!("internal error: {}; hint: this is a bug of `panta`, please report it", text.unwrap_or_default());
    Fail::error("script", message).into_error(rhai::Position::NONE)
}

impl Drop for Activation {
    fn drop(&mut self) {
        self.drop_all();
    }
}
