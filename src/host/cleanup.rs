//! `on_rollback`, `on_exit`, `scope`, `rollback`: what is undone, and what is cleaned up whatever the outcome.
//!
//! Registrations belong to the innermost `scope`; the run is the outermost one. They run last first, compensations before
//! clean-ups, each as a step with five attempts. A scope that ends well drops its compensations: what it did stands.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use rhai::{Dynamic, FnPtr};

use super::fail::Fail;
use super::function::{Call, Function, Nature};
use super::policy::Policy;
use super::session::{Session, Strand};
use super::step::{self, Plan};
use crate::journal::{Kind, Position};
use crate::replay::Label;
use crate::script::guard;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "on_rollback",
        params: &["name: string", "body: closure"],
        returns: "()",
        nature: Nature::Control,
        doc: "Registers a compensation; captured values are copied now.",
        example: "on_rollback(\"release stock\", || print(\"released\"))",
        call: |call| on(call, Kind::Rollback),
        ..Function::BASE
    },
    Function {
        name: "on_exit",
        params: &["name: string", "body: closure"],
        returns: "()",
        nature: Nature::Control,
        doc: "Registers a clean-up that runs whatever the outcome.",
        example: "on_exit(\"close door\", || print(\"closed\"))",
        call: |call| on(call, Kind::Exit),
        ..Function::BASE
    },
    Function {
        name: "scope",
        params: &["body: closure"],
        returns: "any",
        nature: Nature::Control,
        doc: "What is registered inside belongs to it: compensations run when it is left by an error, clean-ups whenever it is left.",
        example: "scope(|| { on_exit(\"bye\", || print(\"bye\")); 1 })",
        call: scope,
        ..Function::BASE
    },
    Function {
        name: "rollback",
        params: &["reason: string"],
        returns: "()",
        nature: Nature::Control,
        doc: "Runs the compensations of the current scope now, last first, and goes on: a refusal that is no failure.",
        example: "rollback(\"the customer withdrew\")",
        call: rollback,
        ..Function::BASE
    },
];

/// A compensation scope of an activation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FrameId(u64);

impl FrameId {
    /// The run.
    pub const ROOT: Self = Self(0);
}

/// A compensation or clean-up.
#[derive(Clone)]
pub struct Registered {
    kind: Kind,
    name: Arc<str>,
    body: FnPtr,
    args: Vec<Dynamic>,
    /// The label of the step that it undoes.
    step: Option<Label>,
    /// What it undoes: a step, or what came right before it was registered.
    undoes: Option<Position>,
    #[expect(deprecated, reason = "marked as volatile, not as deprecated; the version is pinned")]
    context: Rc<rhai::NativeCallContextStore>,
}

impl Registered {
    /// A closure with its captured values copied.
    #[expect(deprecated, reason = "marked as volatile, not as deprecated; the version is pinned")]
    pub(super) fn new(call: &Call<'_>, kind: Kind, name: Arc<str>, body: &FnPtr, args: Vec<Dynamic>) -> Self {
        Self {
            kind,
            name,
            body: super::copied(body),
            args,
            step: None,
            undoes: None,
            context: Rc::new(call.context.store_data()),
        }
    }

    /// The compensation of a step.
    pub(super) fn for_step(self, label: &Label, undoes: Position) -> Self {
        Self { step: Some(label.clone()), undoes: Some(undoes), ..self }
    }
}

/// A slot that a `lock` holds, or waits for.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    pub(super) name: Arc<str>,
    pub(super) ticket: Arc<str>,
}

/// The inside of a `scope`, or of a `lock`: that one only gives its slot up, what is registered inside belongs to the scope
/// around it.
#[derive(Default)]
struct Frame {
    parent: Option<FrameId>,
    items: Vec<Registered>,
    /// The slot that leaving it gives up.
    lock: Option<Lock>,
    is_lock: bool,
}

/// The compensation scopes of a run that are open.
pub struct Frames {
    all: BTreeMap<FrameId, Frame>,
}

impl Default for Frames {
    fn default() -> Self {
        Self { all: BTreeMap::from([(FrameId::ROOT, Frame::default())]) }
    }
}

impl Frames {
    /// The scopes that lie inside of `outer`, seen from `inner`: innermost first, `outer` left out.
    pub fn between(&self, inner: FrameId, outer: FrameId) -> Vec<FrameId> {
        let mut found = Vec::new();
        let mut at = Some(inner);
        while let Some(id) = at.filter(|id| *id != outer) {
            found.push(id);
            at = self.all.get(&id).and_then(|frame| frame.parent);
        }
        found
    }

    /// All that are open, the innermost first.
    pub fn all(&self) -> Vec<FrameId> {
        self.all.keys().rev().copied().collect()
    }

    /// Whether leaving this scope has something to do.
    pub fn has_work(&self, id: FrameId, leaving: Leaving) -> bool {
        let has = |frame: &Frame| frame.items.iter().any(|item| leaving.runs(item.kind));
        self.all.get(&id).is_some_and(|frame| has(frame) || frame.lock.is_some() && leaving.runs(Kind::Exit))
    }

    /// Names and tickets of the slots that are held, or waited for.
    pub fn locks(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let locks = self.all.values().filter_map(|frame| frame.lock.as_ref());
        locks.map(|lock| (Arc::clone(&lock.name), Arc::clone(&lock.ticket))).collect()
    }

    /// Whether a slot is held, or waited for.
    pub fn holds_lock(&self) -> bool {
        self.all.values().any(|frame| frame.lock.is_some())
    }

    /// From a scope outwards.
    fn outwards(&self, id: FrameId) -> impl Iterator<Item = (FrameId, &Frame)> {
        let of = |id: FrameId| self.all.get(&id).map(|frame| (id, frame));
        std::iter::successors(of(id), move |(_, frame)| frame.parent.and_then(of))
    }

    /// The scope in which something at this place is registered.
    fn scope_of(&self, id: FrameId) -> FrameId {
        self.outwards(id).find(|(_, frame)| !frame.is_lock).map_or(FrameId::ROOT, |(id, _)| id)
    }

    /// Whether anything would be undone if the run failed now.
    pub fn has_compensations(&self) -> bool {
        self.all.values().flat_map(|frame| &frame.items).any(|item| item.kind == Kind::Rollback)
    }

    /// Forgets a scope.
    pub fn close(&mut self, id: FrameId) {
        if id == FrameId::ROOT {
            self.all.insert(id, Frame::default());
        } else {
            self.all.remove(&id);
        }
    }
}

/// How a scope is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaving {
    /// Its body returned.
    Well,
    /// By an error, a cancellation, a limit.
    Failing,
    /// It goes on: `rollback`.
    Staying,
}

impl Leaving {
    fn runs(self, kind: Kind) -> bool {
        match self {
            Self::Well => kind == Kind::Exit,
            Self::Failing => true,
            Self::Staying => kind == Kind::Rollback,
        }
    }
}

/// Registers with the strand's scope.
pub(super) fn register(session: &Session, strand: &Strand, item: Registered) {
    let mut frames = session.frames.borrow_mut();
    let scope = frames.scope_of(strand.frame.get());
    if let Some(frame) = frames.all.get_mut(&scope) {
        frame.items.push(item);
    }
}

/// Whether this line of execution is inside of a `lock` with that name.
pub(super) fn is_inside_lock(session: &Session, strand: &Strand, name: &str) -> bool {
    let frames = session.frames.borrow();
    frames.outwards(strand.frame.get()).any(|(_, frame)| frame.lock.as_ref().is_some_and(|lock| *lock.name == *name))
}

/// Opens the inside of a `lock`: from here on the slot is given up however it is left. Returns it and what is around it.
pub(super) fn enter_lock(session: &Session, strand: &Strand, lock: Lock) -> (FrameId, FrameId) {
    let id = FrameId(session.number());
    let outer = strand.frame.replace(id);
    let frame = Frame { parent: Some(outer), lock: Some(lock), is_lock: true, ..Frame::default() };
    session.frames.borrow_mut().all.insert(id, frame);
    (id, outer)
}

fn on(call: &Call<'_>, kind: Kind) -> Result<Dynamic, Fail> {
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let next = session.replay.borrow().scopes.next_position(strand.scope.get());
    let undoes = next.ordinal.checked_sub(1).map_or(next.clone(), |ordinal| Position { ordinal, ..next });
    let item = Registered::new(call, kind, call.text(0)?.into(), &call.closure(1)?, Vec::new());
    let item = Registered { undoes: Some(undoes), ..item };
    register(&session, &strand, item);
    Ok(Dynamic::UNIT)
}

fn scope(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let body = call.closure(0)?;
    let (session, strand) = call.session()?;
    super::no_pure(call, &strand)?;
    let id = FrameId(session.number());
    let outer = strand.frame.replace(id);
    session.frames.borrow_mut().all.insert(id, Frame { parent: Some(outer), ..Frame::default() });
    let result = body.call_within_context::<Dynamic>(&call.context, ()).map_err(Fail::from);
    if guard::stopped().is_some() {
        // The engine unwinds what is open when a strand is stopped.
        return Err(Fail::Stopped);
    }
    let leaving = if result.is_ok() { Leaving::Well } else { Leaving::Failing };
    unwind(&session, &strand, id, leaving)?;
    session.frames.borrow_mut().close(id);
    strand.frame.set(outer);
    result
}

fn rollback(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let reason = call.text(0)?;
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    super::log::line(&session, &strand, "info", &format!("rollback: {reason}"), None, call.line());
    let scope = session.frames.borrow().scope_of(strand.frame.get());
    unwind(&session, &strand, scope, Leaving::Staying)?;
    Ok(Dynamic::UNIT)
}

/// Runs what leaving a scope runs: compensations last first, then clean-ups last first. A failed one does not keep the
/// others from running. Stops only when the run does.
pub fn unwind(session: &Rc<Session>, strand: &Rc<Strand>, id: FrameId, leaving: Leaving) -> Result<(), Fail> {
    for kind in [Kind::Rollback, Kind::Exit] {
        while let Some(item) = take(session, id, kind, leaving) {
            carry_out(session, strand, &item)?;
        }
    }
    let lock =
        session.frames.borrow_mut().all.get_mut(&id).filter(|_| leaving.runs(Kind::Exit)).and_then(|f| f.lock.take());
    lock.map_or(Ok(()), |lock| super::lock::release(session, strand, &lock))
}

fn take(session: &Session, id: FrameId, kind: Kind, leaving: Leaving) -> Option<Registered> {
    let mut frames = session.frames.borrow_mut();
    let frame = frames.all.get_mut(&id)?;
    let at = frame.items.iter().rposition(|item| item.kind == kind && leaving.runs(kind))?;
    Some(frame.items.remove(at))
}

fn carry_out(session: &Rc<Session>, strand: &Rc<Strand>, item: &Registered) -> Result<(), Fail> {
    #[expect(deprecated, reason = "marked as volatile, not as deprecated; the version is pinned")]
    let context = item.context.create_context(&session.engine);
    let call = Call { context, function: &FUNCTIONS[0], args: Vec::new() };
    let plan = Plan {
        policy: Some(Policy::times(5)),
        args: item.args.clone(),
        ..Plan::new(item.kind, item.name.clone(), item.body.clone())
    };
    if item.kind == Kind::Rollback
        && let Some(undoes) = &item.undoes
    {
        let position = session.replay.borrow().scopes.next_position(strand.scope.get());
        session.undone.borrow_mut().push((position, undoes.clone()));
    }
    let result = step::run(&call, session, strand, &plan);
    if item.kind == Kind::Rollback {
        let (_, failed) = session.rolled_back.get();
        session.rolled_back.set((true, failed || result.is_err()));
        if let Some(label) = &item.step {
            session.replay.borrow_mut().scopes.undo(label);
        }
    }
    match result {
        Err(Fail::Stopped) => Err(Fail::Stopped),
        _ => Ok(()),
    }
}
