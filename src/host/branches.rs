//! `parallel`, `parallel_map`, `race`, `timeout`: strands side by side.
//!
//! Branches are not recorded themselves: their commands are, and the order in which those complete decides everything
//! else, so a replay makes, ends and cancels branches as the first execution did.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use rhai::{Array, Dynamic, FnPtr, Map};

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};
use super::session::{self, Answer, Mode, Session, Spawn, Strand, StrandId};
use crate::replay::ScopeId;
use crate::script::guard::Outcome;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "parallel",
        params: &["branches: list or map of closures"],
        returns: "list or map",
        nature: Nature::Control,
        doc: "Runs all branches at the same time and returns their values in the same shape. If one throws, the others are cancelled and its error is thrown.",
        example: "parallel(#{ a: || 1, b: || 2 })",
        call: parallel,
        ..Function::BASE
    },
    Function {
        name: "parallel_map",
        params: &["items: list", "options: map?", "body: closure"],
        options: &[
            Choice::new("limit", "int", "how many branches at a time; 64 unless given"),
            Choice::new("collect", "bool", "every item yields `#{ ok, value, error }`, and none is cancelled"),
        ],
        returns: "list",
        nature: Nature::Control,
        doc: "One branch an item, 64 at a time unless `limit` says otherwise; with `collect` every item yields `#{ ok, value, error }`.",
        example: "parallel_map([1, 2, 3], #{ limit: 2 }, |x| x * 2)",
        call: parallel_map,
        ..Function::BASE
    },
    Function {
        name: "race",
        params: &["branches: list or map of closures"],
        returns: "map: winner, value",
        nature: Nature::Control,
        doc: "The first branch to finish, by value or by error, decides; the others are cancelled. Returns `#{ winner, value }`.",
        example: "race([|| 1, || 2]).winner",
        call: race,
        ..Function::BASE
    },
    Function {
        name: "timeout",
        params: &["duration: duration", "body: closure"],
        returns: "any",
        nature: Nature::Control,
        errors: &["timeout"],
        doc: "Throws `#{ kind: \"timeout\" }` when its body is not done in time; what it waits for is cancelled.",
        example: "timeout(\"5s\", || 1)",
        call: |call| {
            let duration = crate::time::parse_duration(&call.text(0)?).map_err(|e| call.invalid(e))?;
            timeout(call, duration, &call.closure(1)?, Vec::new())
        },
        ..Function::BASE
    },
];

/// How many branches of `parallel_map` run at a time unless said otherwise.
const LIMIT: usize = 64;
/// Branches of one call: each costs a stack, and a run's live ones are all in memory.
const MOST: usize = 100_000;

type Body = Box<dyn FnOnce() -> Outcome<Dynamic>>;

/// When a group is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Until {
    /// All have ended, or one has failed.
    All,
    /// All have ended.
    Collected,
    /// One has ended.
    First,
}

/// Branches that belong together, and the strand that waits for them.
struct Group {
    parent: Rc<Strand>,
    until: Until,
    /// Bodies that are not begun; taken from the end.
    rest: Vec<(usize, Body)>,
    running: BTreeMap<StrandId, (usize, ScopeId)>,
    cleaning: usize,
    results: Vec<Option<Outcome<Dynamic>>>,
    /// The branch that decided, for `First` and a failed `All`.
    decided: Option<usize>,
    scope: ScopeId,
    ordinal: u32,
    limit: usize,
    /// The second branch is the timer of a `timeout`.
    timed: bool,
}

/// The groups of a run.
#[derive(Default)]
pub struct Groups {
    all: BTreeMap<u64, Group>,
    of: BTreeMap<StrandId, u64>,
}

fn parallel(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (keys, closures) = branches(call)?;
    let results = run(call, closures, Until::All, LIMIT.max(MOST))?.0;
    let mut values = Vec::with_capacity(results.len());
    for result in results {
        values.push(result.expect("all branches ended well")?);
    }
    Ok(shaped(keys, values))
}

fn parallel_map(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let last = call.args.len() - 1;
    let body = call.closure(last)?;
    let options = call.options(if last == 2 { 1 } else { usize::MAX })?;
    let items = call.args[0]
        .clone()
        .try_cast::<Array>()
        .ok_or_else(|| call.invalid("the items must be a list; hint: for a map use `m.keys()`"))?;
    let limit = match options.int("limit")? {
        None => LIMIT,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|n| (1..=MOST).contains(n))
            .ok_or_else(|| call.invalid(format!("option `limit` must lie between 1 and {MOST}, not {limit}")))?,
    };
    let until = if options.flag("collect")? { Until::Collected } else { Until::All };
    let closures = items.into_iter().map(|item| (body.clone(), vec![item])).collect();
    let results = run(call, closures, until, limit)?.0;
    let mut values = Array::with_capacity(results.len());
    for result in results {
        let result = result.expect("all branches ended").map_err(Fail::from);
        values.push(if until == Until::Collected { super::attempted(result)? } else { result? });
    }
    Ok(values.into())
}

fn race(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (keys, closures) = branches(call)?;
    if closures.is_empty() {
        return Err(call.invalid("needs at least one branch"));
    }
    let (mut results, decided) = run(call, closures, Until::First, MOST)?;
    let winner = decided.expect("a race has a winner");
    let value = results[winner].take().expect("the winner has ended")?;
    let mut map = Map::new();
    let name = keys.map_or_else(|| Dynamic::from(winner as i64), |keys| keys[winner].clone().into());
    map.insert("winner".into(), name);
    map.insert("value".into(), value);
    Ok(Dynamic::from_map(map))
}

/// Runs a body against a durable timer.
pub(super) fn timeout(call: &Call<'_>, duration: Duration, body: &FnPtr, args: Vec<Dynamic>) -> Result<Dynamic, Fail> {
    let (session, strand) = call.session()?;
    super::no_pure(call, &strand)?;
    if strand.mode.get() == Mode::Polling {
        return Ok(body.call_within_context::<Dynamic>(&call.context, args)?);
    }
    let shown = crate::time::format_duration(duration);
    let line = call.line();
    let timer: Body = Box::new(move || {
        let (session, strand) = session::current().expect("a branch runs in a session");
        let command = session::command(crate::journal::Kind::Timer, "timeout", line);
        let due = session.time_of_next(&strand).plus(duration);
        let result = super::waiting::limit(&session, &strand, &command, due);
        result.map_err(|fail| fail.into_error(rhai::Position::NONE))
    });
    let bodies = vec![body_of(call, &session, body.clone(), args), timer];
    let (mut results, decided) = run_bodies(&session, &strand, bodies, Until::First, MOST, true)?;
    if decided == Some(0) {
        return Ok(results[0].take().expect("the body has ended")?);
    }
    Err(Fail::error("timeout", format!("not done within {shown}")).with("retryable", true))
}

/// A closure and its arguments.
type Branch = (FnPtr, Vec<Dynamic>);

fn branches(call: &Call<'_>) -> Result<(Option<Vec<String>>, Vec<Branch>), Fail> {
    let wrong = || call.invalid("takes a list or a map of closures, such as `[|| a(), || b()]`");
    let closure = |value: Dynamic| value.try_cast::<FnPtr>().map(|f| (f, Vec::new())).ok_or_else(wrong);
    let value = call.args[0].clone();
    if value.is_array() {
        let closures = value.cast::<Array>().into_iter().map(closure).collect::<Result<_, _>>()?;
        return Ok((None, closures));
    }
    let map = value.try_cast::<Map>().ok_or_else(wrong)?;
    let (keys, values): (Vec<_>, Vec<_>) = map.into_iter().map(|(key, value)| (key.to_string(), value)).unzip();
    Ok((Some(keys), values.into_iter().map(closure).collect::<Result<_, _>>()?))
}

fn shaped(keys: Option<Vec<String>>, values: Vec<Dynamic>) -> Dynamic {
    match keys {
        None => values.into(),
        Some(keys) => Dynamic::from_map(keys.into_iter().map(Into::into).zip(values).collect()),
    }
}

fn body_of(call: &Call<'_>, session: &Rc<Session>, closure: FnPtr, args: Vec<Dynamic>) -> Body {
    #[expect(deprecated, reason = "marked as volatile, not as deprecated; the version is pinned")]
    let stored = call.context.store_data();
    let engine = Rc::clone(&session.engine);
    Box::new(move || {
        #[expect(deprecated, reason = "marked as volatile, not as deprecated; the version is pinned")]
        let context = stored.create_context(&engine);
        closure.call_within_context::<Dynamic>(&context, args)
    })
}

type Ended = (Vec<Option<Outcome<Dynamic>>>, Option<usize>);

fn run(call: &Call<'_>, closures: Vec<Branch>, until: Until, limit: usize) -> Result<Ended, Fail> {
    let (session, strand) = call.session()?;
    super::no_pure(call, &strand)?;
    if closures.len() > MOST {
        return Err(call.invalid(format!(
            "has {} branches, at most {MOST} are possible; hint: split the list with `chunk`",
            closures.len()
        )));
    }
    let bodies = closures.into_iter().map(|(closure, args)| body_of(call, &session, closure, args)).collect();
    run_bodies(&session, &strand, bodies, until, limit, false)
}

fn run_bodies(
    session: &Rc<Session>,
    strand: &Rc<Strand>,
    bodies: Vec<Body>,
    until: Until,
    limit: usize,
    timed: bool,
) -> Result<Ended, Fail> {
    let scope = strand.scope.get();
    let ordinal = session.replay.borrow_mut().scopes.advance(scope).ordinal;
    let count = bodies.len();
    if count == 0 {
        return Ok((Vec::new(), None));
    }
    let mut rest: Vec<_> = bodies.into_iter().enumerate().collect();
    rest.reverse();
    let id = session.number();
    let group = Group {
        parent: Rc::clone(strand),
        until,
        rest,
        running: BTreeMap::new(),
        cleaning: 0,
        results: std::iter::repeat_with(|| None).take(count).collect(),
        decided: None,
        scope,
        ordinal,
        limit,
        timed,
    };
    session.groups.borrow_mut().all.insert(id, group);
    fill(session, id);
    let Answer::Joined = session.suspend(strand) else { unreachable!("branches are joined") };
    let mut group = session.groups.borrow_mut().all.remove(&id).expect("the group waits for its parent");
    if until == Until::All
        && let Some(failed) = group.decided
    {
        return Err(group.results[failed].take().expect("it has ended").map_or_else(Fail::from, |_| Fail::Stopped));
    }
    Ok((group.results, group.decided))
}

/// Begins branches up to the limit.
fn fill(session: &Rc<Session>, id: u64) {
    let mut groups = session.groups.borrow_mut();
    let Groups { all, of } = &mut *groups;
    let Some(group) = all.get_mut(&id) else { return };
    while group.decided.is_none() && group.running.len() < group.limit {
        let Some((index, body)) = group.rest.pop() else { return };
        let strand = StrandId(session.number());
        let scope = session.replay.borrow_mut().scopes.branch(group.scope, group.ordinal, index as u32);
        group.running.insert(strand, (index, scope));
        of.insert(strand, id);
        let strand = group.parent.child(strand, scope);
        session.spawns.borrow_mut().push_back(Spawn { strand, body });
    }
}

/// A strand has ended: its group goes on, is decided, or is over.
pub fn ended(session: &Rc<Session>, strand: StrandId, result: Outcome<Dynamic>) {
    let mut groups = session.groups.borrow_mut();
    let Some(id) = groups.of.remove(&strand) else { return };
    let Some(group) = groups.all.get_mut(&id) else { return };
    let Some((index, scope)) = group.running.remove(&strand) else { return };
    session.replay.borrow_mut().scopes.close(scope);
    let failed = result.is_err();
    group.results[index] = Some(result);
    if group.decided.is_none() && (group.until == Until::First || (group.until == Until::All && failed)) {
        group.decided = Some(index);
        group.rest.clear();
        session.drops.borrow_mut().extend(group.running.keys().copied());
    }
    drop(groups);
    fill(session, id);
    join(session, id);
}

/// A branch was dropped; `cleaning` where a clean-up strand works in its place.
pub fn dropped(session: &Rc<Session>, strand: StrandId, cleaning: Option<StrandId>) {
    let mut groups = session.groups.borrow_mut();
    let Some(id) = groups.of.remove(&strand) else { return };
    if let Some(cleaner) = cleaning {
        groups.of.insert(cleaner, id);
    }
    let Some(group) = groups.all.get_mut(&id) else { return };
    group.running.remove(&strand);
    group.cleaning += usize::from(cleaning.is_some());
    drop(groups);
    join(session, id);
}

/// A clean-up strand of a dropped branch has ended.
pub fn cleaned(session: &Rc<Session>, strand: StrandId) {
    let mut groups = session.groups.borrow_mut();
    let Some(id) = groups.of.remove(&strand) else { return };
    if let Some(group) = groups.all.get_mut(&id) {
        group.cleaning -= 1;
    }
    drop(groups);
    join(session, id);
}

fn join(session: &Rc<Session>, id: u64) {
    let groups = session.groups.borrow();
    let Some(group) = groups.all.get(&id) else { return };
    if group.running.is_empty() && group.rest.is_empty() && group.cleaning == 0 {
        group.parent.answer.replace(Some(Answer::Joined));
        session.woken.borrow_mut().push_back(group.parent.id);
    }
}

/// The branches that a strand waits for, in order: they go when it goes.
pub fn branches_of(session: &Rc<Session>, strand: StrandId) -> Vec<StrandId> {
    let mut groups = session.groups.borrow_mut();
    let ids: Vec<_> = groups.all.iter().filter(|(_, g)| g.parent.id == strand).map(|(id, _)| *id).collect();
    ids.into_iter().filter_map(|id| groups.all.remove(&id)).flat_map(|group| group.running.into_keys()).collect()
}

/// Whether a strand waits for branches of its own.
pub fn is_joining(session: &Session, strand: StrandId) -> bool {
    session.groups.borrow().all.values().any(|group| group.parent.id == strand)
}

/// The timers of the `timeout`s around a strand, the outermost first.
pub fn timers_around(session: &Session, strand: StrandId) -> Vec<StrandId> {
    let groups = session.groups.borrow();
    let mut timers = Vec::new();
    let mut at = strand;
    while let Some(group) = groups.of.get(&at).and_then(|id| groups.all.get(id)) {
        if group.timed && group.running.get(&at).is_some_and(|(index, _)| *index == 0) {
            timers.extend(group.running.iter().find(|(_, (index, _))| *index == 1).map(|(timer, _)| *timer));
        }
        at = group.parent.id;
    }
    timers.reverse();
    timers
}

/// The branch that began in this scope, while it runs.
pub fn strand_in(session: &Session, scope: &[crate::journal::Segment]) -> Option<StrandId> {
    let groups = session.groups.borrow();
    let replay = session.replay.borrow();
    let mut running = groups.all.values().flat_map(|group| &group.running);
    running.find(|(_, (_, own))| replay.scopes.path(*own) == scope).map(|(strand, _)| *strand)
}

/// The compensation scope in which the branches of this strand's group were begun.
pub fn outer_frame(session: &Rc<Session>, strand: StrandId) -> Option<super::cleanup::FrameId> {
    let groups = session.groups.borrow();
    groups.of.get(&strand).and_then(|id| groups.all.get(id)).map(|group| group.parent.frame.get())
}
