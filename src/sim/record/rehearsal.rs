//! A recorded run, played in virtual time with the recorded answers.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rhai::{Dynamic, Map};

use super::Error;
use super::answers::Answers;
use crate::engine::recording::{Recorded, Recording};
use crate::host::session::{Called, hash_text};
use crate::id::RunId;
use crate::journal::{Entry, Kind, Phase};
use crate::payload::Payload;
use crate::script::literal::{WHOLE, literal, quoted};
use crate::script::secret::find_placeholders;
use crate::script::{lex, value};
use crate::sim::book::{Book, Prompter};
use crate::sim::broken::{Broken, MISUSE};
use crate::sim::case::{Case, Did, Plan, first_run};
use crate::sim::same::same;
use crate::sim::site::Site;
use crate::store::{Run, Store};

/// Wake-ups that a rehearsal waits through at most.
const MOST_WAKES: usize = 100_000;

/// What a test says before the workflow starts.
#[derive(Clone, Default)]
pub(super) struct Setting {
    pub(super) config: BTreeMap<String, Dynamic>,
    pub(super) secrets: BTreeSet<String>,
    pub(super) state: BTreeMap<String, Dynamic>,
}

impl Setting {
    pub(super) fn of(recording: &Recording) -> Self {
        let mut setting = Self::default();
        for recorded in &recording.0 {
            if let Some(read) = value::decode(&recorded.settings).try_cast::<Map>() {
                setting.config.extend(read.into_iter().map(|(name, value)| (name.to_string(), value)));
            }
            // What else was read has the hash of its name in the journal.
            for name in named(recorded, "config") {
                let read = |entry: &&Entry| {
                    entry.kind == Kind::Effect && *entry.name == *"config" && entry.arguments == hash_text(&name)
                };
                let outcome = recorded.journal.iter().find(read).and_then(|entry| entry.outcome.as_ref());
                setting.config.extend(outcome.and_then(|o| o.as_ref().ok()).map(|v| (name, value::decode(v))));
            }
            setting.secrets.extend(named(recorded, "secret"));
        }
        setting
    }
}

/// The literal names that the sources give to a function of one argument or more.
fn named(recorded: &Recorded, function: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in recorded.bundle.sources.values() {
        let tokens = lex::code(&source.text);
        for three in tokens.windows(3).filter(|three| three[0].text == function && three[1].text == "(") {
            let text = three[2].text.trim();
            let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            names.extend(inner.filter(|inner| !inner.contains('\\')).map(str::to_owned));
        }
    }
    names
}

/// What was played, and what came of it.
pub(super) struct Rehearsal {
    /// The acts of the test, as its lines.
    pub(super) acts: Vec<String>,
    /// By function, the answers in the order of the calls.
    pub(super) answers: BTreeMap<String, Vec<String>>,
    /// The run as it ended.
    pub(super) run: Run,
    case: Case,
    looked_at: BTreeSet<(String, String)>,
}

/// Something that comes from outside.
enum Coming<'a> {
    Event { name: &'a str, payload: Dynamic },
    Answer(Map),
    Cancel,
}

impl Rehearsal {
    pub(super) fn play(recording: &Recording, site: &Rc<Site>, setting: &Setting) -> Result<Self, Error> {
        let nobody = Rc::new(|_: &_, _: Vec<Dynamic>| Ok(Dynamic::UNIT));
        let places = Rc::new(|file: &str, line: u32, _: &str| crate::diag::Place {
            line: line as usize,
            ..crate::diag::Place::file(file)
        });
        let book = Rc::new(Book::new(nobody, places));
        let run = &recording.0[0];
        let case = Case::new(&run.workflow, Rc::clone(site), Rc::clone(&book), Plan::default());
        for (name, given) in &setting.config {
            case.config(name, given)?;
        }
        for name in &setting.secrets {
            case.secret(name, "placeholder")?;
        }
        for (key, given) in &setting.state {
            case.set_state(key, given)?;
        }
        let stage = Stage::new(recording, &case);
        *book.prompter.borrow_mut() = Some(stage.prompter());
        let acts = stage.act(&case)?;
        let looked_at = book.looked_at.borrow().clone();
        let answers = stage.answers.given.take();
        let run = case.need_run()?;
        Ok(Self { acts, answers, run, case, looked_at })
    }

    /// Values that must have been kept before, by key: with them, what was read is what is recorded.
    pub(super) fn kept(&self, recording: &Recording) -> BTreeMap<String, Dynamic> {
        let workflow = &recording.0[0].workflow;
        let keys = self.looked_at.iter().filter(|(name, _)| **name == **workflow).map(|(_, key)| key);
        keys.filter_map(|key| Some((key.clone(), self.kept_of(key, recording)?))).collect()
    }

    fn kept_of(&self, key: &str, recording: &Recording) -> Option<Dynamic> {
        let first = |journal: &[Entry]| {
            let of_key = |entry: &&Entry| entry.kind == Kind::State && entry.arguments == hash_text(key);
            journal.iter().find(of_key).cloned()
        };
        let recorded = first(&recording.0[0].journal)?;
        let played = first(&self.case.journal(self.run.id).ok()?)?;
        let (was, is) = (recorded.outcome.as_ref()?.as_ref().ok()?, played.outcome.as_ref()?.as_ref().ok()?);
        if was == is {
            return None;
        }
        let (was, is) = (value::decode(was), value::decode(is));
        match &*recorded.name {
            "state::add" => Some(was.as_int().ok()?.checked_sub(is.as_int().ok()?)?.into()),
            // Of an update, what came of it is the best guess: many say the same again.
            "state::get" | "state::update" => Some(was),
            _ => None,
        }
    }

    /// An error unless it ended as it did.
    pub(super) fn check(&self, recorded: &Recorded) -> Result<(), Error> {
        if self.run.status == recorded.status {
            return Ok(());
        }
        let why = self.run.error.as_ref().map(|error| error.to_json()["message"].to_string());
        let why = why.unwrap_or_else(|| format!("it waits for {}", self.run.waiting_for));
        Err(Error::Cannot(format!(
            "in virtual time it is `{}`, not `{}` ({}); hint: `panta replay` shows it as it was",
            self.run.status.name(),
            recorded.status.name(),
            crate::script::secret::mask(&why)
        )))
    }

    /// What of a recorded value came out again, as `(path below the value, text)`; with whether that is all.
    pub(super) fn agreed(recorded: &Payload, played: &Payload) -> (Vec<(String, String)>, bool) {
        let (was, is) = (value::decode(recorded), value::decode(played));
        let is_plain =
            |value: &Dynamic| value::encode(value).is_ok_and(|payload| find_placeholders(payload.text()).is_empty());
        if same(&was, &is) && is_plain(&was) {
            return (vec![(String::new(), literal(&was, WHOLE))], true);
        }
        let (Some(was), Some(is)) = (was.try_cast::<Map>(), is.try_cast::<Map>()) else { return (Vec::new(), false) };
        let agrees = was.iter().filter(|(key, was)| is.get(*key).is_some_and(|is| same(was, is)) && is_plain(was));
        (agrees.map(|(key, was)| (format!("[{}]", quoted(key)), literal(was, WHOLE))).collect(), false)
    }
}

/// What a rehearsal plays with.
struct Stage {
    recording: Rc<Recording>,
    answers: Rc<Answers>,
    store: std::sync::Arc<crate::store::memory::Memory>,
    /// Which recorded run a played one stands for.
    known: Rc<RefCell<BTreeMap<RunId, usize>>>,
}

impl Stage {
    fn new(recording: &Recording, case: &Case) -> Self {
        Self {
            recording: Rc::new(recording.clone()),
            answers: Rc::new(Answers::of(recording)),
            store: std::sync::Arc::clone(&case.store),
            known: Rc::new(RefCell::new(BTreeMap::from([(first_run(), 0)]))),
        }
    }

    fn prompter(&self) -> Prompter {
        let (recording, answers, known) =
            (Rc::clone(&self.recording), Rc::clone(&self.answers), Rc::clone(&self.known));
        let store = std::sync::Arc::clone(&self.store);
        Rc::new(move |run: RunId, called: &Called| {
            let Some(position) = &called.position else {
                let title = format!("`{}` (line {}) was called inside of `wait_until`", called.function, called.line);
                return Err(Broken::new(MISUSE, title).hint("polls are not recorded; write this test by hand"));
            };
            let number = number_of(run, &recording, &store, &known);
            let number = number.ok_or_else(|| {
                Broken::new(MISUSE, format!("`{}` was called by a run that is not recorded", called.function))
                    .hint("runs that were pruned, or started by an event of the run, are not part of a test")
            })?;
            Ok(answers.to(number, &position.to_string(), called))
        })
    }

    /// Starts it, and has come what came.
    fn act(&self, case: &Case) -> Result<Vec<String>, Error> {
        let first = &self.recording.0[0];
        let input = value::decode(&Payload::from_json(&first.input.to_json()));
        let mut acts = Acts { lines: Vec::new(), passed: 0 };
        acts.lines.push(format!("t.start({});", literal(&input, WHOLE)));
        case.start(&input)?;
        for (number, entry) in self.comings() {
            if !self.reach(case, number, entry, &mut acts)? {
                continue;
            }
            match coming(entry) {
                Some(Coming::Event { name, payload }) => {
                    let options: Map =
                        self.key(number, entry).into_iter().map(|key| ("key".into(), key.into())).collect();
                    let options_text = literal(&options.clone().into(), WHOLE);
                    let options_text = if options.is_empty() { String::new() } else { format!(", {options_text}") };
                    acts.push(format!("t.emit({}, {}{options_text});", quoted(name), literal(&payload, WHOLE)));
                    case.emit(name, &payload, &options)?;
                }
                Some(Coming::Answer(answer)) => {
                    let index = self.task(case, number, entry)?;
                    acts.push(format!("t.answer({index}, {});", literal(&answer.clone().into(), WHOLE)));
                    case.answer(index, &answer)?;
                }
                Some(Coming::Cancel) => {
                    acts.push("t.cancel();".to_owned());
                    case.cancel()?;
                }
                None => {}
            }
        }
        Self::finish(case, &mut acts)?;
        Ok(acts.done())
    }

    /// What came from outside, in the order in which it did.
    fn comings(&self) -> Vec<(usize, &Entry)> {
        let mut all = Vec::new();
        for (number, run) in self.recording.0.iter().enumerate() {
            all.extend(run.journal.iter().filter(|entry| coming(entry).is_some()).map(|entry| (number, entry)));
        }
        all.sort_by_key(|(_, entry)| entry.ended_at);
        all
    }

    /// Lets time pass until the run waits for what comes, with all behind it that was before. False: it needs it no more.
    fn reach(&self, case: &Case, number: usize, entry: &Entry, acts: &mut Acts) -> Result<bool, Error> {
        for _ in 0..MOST_WAKES {
            let Some(played) = self.played(case, number)? else {
                if acts.wait(case)? {
                    continue;
                }
                return Ok(false);
            };
            let journal = case.journal(played)?;
            let closed: BTreeSet<_> = places(&journal, Phase::Closed).collect();
            if entry.kind != Kind::Cancel && closed.contains(&place(entry)) {
                return Ok(false);
            }
            let before = self.recording.0[number].journal.iter().take_while(|other| *other != entry);
            let before = before.filter(|other| other.phase == Phase::Closed && is_ordered(other));
            let is_due = before.map(place).all(|place| closed.contains(&place));
            let is_open = entry.kind == Kind::Cancel || places(&journal, Phase::Opened).any(|at| at == place(entry));
            if is_due && is_open {
                return Ok(true);
            }
            if !acts.wait(case)? {
                return Ok(is_open);
            }
        }
        Err(Error::Cannot(format!("it never comes to `{}` (line {})", entry.name, entry.line)))
    }

    /// The played run that stands for a recorded one.
    fn played(&self, case: &Case, number: usize) -> Did<Option<RunId>> {
        let runs = case.runs(None)?;
        let is_it = |run: &&Run| number_of(run.id, &self.recording, &self.store, &self.known) == Some(number);
        Ok(runs.iter().find(is_it).map(|run| run.id))
    }

    /// The key of the event that an entry waited for.
    fn key(&self, number: usize, entry: &Entry) -> Option<String> {
        let begun = |other: &&Entry| {
            other.kind == entry.kind && other.phase == Phase::Opened && other.position == entry.position
        };
        let opened = self.recording.0[number].journal.iter().find(begun)?;
        opened.detail.as_ref()?.to_json()["key"].as_str().map(str::to_owned)
    }

    /// The number of the open task that a run asked at a position.
    fn task(&self, case: &Case, number: usize, entry: &Entry) -> Result<i64, Error> {
        let played = self.played(case, number)?;
        let journal = played.map(|run| case.journal(run)).transpose()?.unwrap_or_default();
        let asked = journal
            .iter()
            .find(|other| other.kind == Kind::Task && other.position == entry.position)
            .and_then(|other| other.detail.as_ref());
        let id = asked.map(|detail| detail.to_json()["task"].to_string()).unwrap_or_default();
        let tasks = case.tasks()?;
        let index = tasks.iter().position(|task| format!("\"{}\"", task.id) == id);
        let missing = || Error::Cannot(format!("the task `{}` is not open when it is answered", entry.name));
        Ok(index.ok_or_else(missing)? as i64)
    }

    fn finish(case: &Case, acts: &mut Acts) -> Result<(), Error> {
        for _ in 0..MOST_WAKES {
            if case.need_run()?.status.is_final() || !acts.wait(case)? {
                return Ok(());
            }
        }
        Err(Error::Cannot("it never ends".to_owned()))
    }
}

/// The recorded run that a played one stands for: the first is the first, others are found where they were started.
fn number_of(
    run: RunId,
    recording: &Recording,
    store: &crate::store::memory::Memory,
    known: &RefCell<BTreeMap<RunId, usize>>,
) -> Option<usize> {
    if let Some(number) = known.borrow().get(&run) {
        return Some(*number);
    }
    let parents: Vec<_> = known.borrow().iter().map(|(run, number)| (*run, *number)).collect();
    for (parent, number) in parents {
        let journal = crate::journal::History::read(Store::journal(store, parent).ok()?).ok()?.into_entries();
        let starts = |entry: &&Entry, run: RunId| {
            entry.kind == Kind::Child && entry.detail.as_ref().is_some_and(|d| d.to_json()["run"] == run.to_string())
        };
        let Some(start) = journal.iter().find(|entry| starts(entry, run)) else { continue };
        let mut at_place =
            recording.0[number].journal.iter().filter(|e| e.kind == Kind::Child && e.position == start.position);
        let child = at_place.find_map(|entry| entry.detail.as_ref()?.to_json()["run"].as_str()?.parse().ok());
        let found = recording.0.iter().position(|recorded| Some(recorded.run) == child)?;
        known.borrow_mut().insert(run, found);
        return Some(found);
    }
    None
}

fn is_ordered(entry: &Entry) -> bool {
    !matches!(entry.kind, Kind::Start | Kind::Log | Kind::End | Kind::Cancel | Kind::Repair)
}

fn place(entry: &Entry) -> String {
    entry.position.to_string()
}

fn places(journal: &[Entry], phase: Phase) -> impl Iterator<Item = String> {
    journal.iter().filter(move |entry| entry.phase == phase && is_ordered(entry)).map(place)
}

/// What an entry says that came from outside.
fn coming(entry: &Entry) -> Option<Coming<'_>> {
    let detail = || entry.detail.as_ref().map(Payload::to_json).unwrap_or_default();
    match (entry.kind, &entry.outcome) {
        (Kind::Cancel, _) if detail()["kind"] != "timeout" => Some(Coming::Cancel),
        (Kind::Event, Some(Ok(payload))) if detail()["seq"].is_u64() => {
            Some(Coming::Event { name: &entry.name, payload: value::decode(payload) })
        }
        (Kind::Task, Some(Ok(answer))) => {
            let mut answer = value::decode(answer).try_cast::<Map>()?;
            answer.retain(|key, value| matches!(key.as_str(), "choice" | "data" | "by") && !value.is_unit());
            Some(Coming::Answer(answer))
        }
        _ => None,
    }
}

/// The lines of a test, and the time that passes between them.
struct Acts {
    lines: Vec<String>,
    passed: u64,
}

impl Acts {
    /// Lets time pass to the next moment at which something happens. False: nothing will.
    fn wait(&mut self, case: &Case) -> Did<bool> {
        let Some(next) = case.next_wake() else { return Ok(false) };
        // At least a little, so that what is due now is done.
        let ms = (next.since(case.now()).as_millis() as u64).max(1);
        case.advance(&format!("{ms}ms"))?;
        self.passed += ms;
        Ok(true)
    }

    fn push(&mut self, line: String) {
        self.pass();
        self.lines.push(line);
    }

    fn pass(&mut self) {
        if self.passed > 0 {
            self.lines.push(format!("t.advance(\"{}\");", duration(std::mem::take(&mut self.passed))));
        }
    }

    fn done(mut self) -> Vec<String> {
        self.pass();
        self.lines
    }
}

fn duration(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units.iter().find(|(unit, _)| ms.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}
