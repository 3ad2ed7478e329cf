//! Ids as people give them: the beginning or the end of one is enough, as long as it is that of one run or task alone.
//!
//! The arguments that are ids are found by their type, so that no command has to know of this: a first look at the command
//! line takes any text for them, what is short is looked up, and the second look gets the whole ids.

use std::any::TypeId;
use std::collections::BTreeMap;

use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _};
use serde_json::Value;

use super::access::Access;
use super::output::{Fault, short, text};
use super::tasks::Wanted;
use super::{Cli, Common};
use crate::id::{RunId, TaskId};
use crate::store::RunFilter;

/// Fewer characters than this are typed by mistake.
const LEAST: usize = 4;
/// Runs and tasks that are looked through, newest first.
const MOST: usize = 100_000;
/// Those of one page.
const PAGE: usize = 1_000;
/// Candidates that are shown.
const SHOWN: usize = 10;

/// Whole ids, by what was given for them.
type Found = BTreeMap<String, String>;

/// What is named by an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Run,
    Task,
}

impl Kind {
    fn of(arg: &clap::Arg) -> Option<Self> {
        let id = arg.get_value_parser().type_id();
        if id == TypeId::of::<RunId>() {
            return Some(Self::Run);
        }
        (id == TypeId::of::<TaskId>()).then_some(Self::Task)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Task => "task",
        }
    }
}

/// The command line, with whole ids in place of short ones.
pub(super) async fn parsed(line: Vec<std::ffi::OsString>) -> Result<Result<Cli, clap::Error>, Fault> {
    let command = Cli::command();
    let loose = with_ids(command.clone(), &|arg, _| arg.value_parser(clap::value_parser!(String)));
    let matches = match loose.try_get_matches_from(&line) {
        Ok(matches) => matches,
        Err(error) => return Ok(Err(error)),
    };
    let given = short_ids(&command, &matches);
    if given.is_empty() {
        return Ok(Cli::try_parse_from_line(command, &line));
    }
    let verb = leaf(&command, &matches);
    let Some(common) = verb.and_then(|(_, matches)| Common::from_arg_matches(matches).ok()) else {
        return Ok(Cli::try_parse_from_line(command, &line));
    };
    let found = look_up(&common, given).await?;
    let strict = with_ids(command, &|arg, kind| {
        let found = found.clone();
        let whole = move |text: &str| found.get(text).cloned().unwrap_or_else(|| text.to_owned());
        match kind {
            Kind::Run => arg.value_parser(move |text: &str| whole(text).parse::<RunId>()),
            Kind::Task => arg.value_parser(move |text: &str| whole(text).parse::<TaskId>()),
        }
    });
    Ok(Cli::try_parse_from_line(strict, &line))
}

impl Cli {
    fn try_parse_from_line(command: Command, line: &[std::ffi::OsString]) -> Result<Self, clap::Error> {
        Self::from_arg_matches(&command.try_get_matches_from(line)?)
    }
}

/// The command with its ids changed.
fn with_ids(command: Command, change: &dyn Fn(clap::Arg, Kind) -> clap::Arg) -> Command {
    let changed = command.mut_args(|arg| match Kind::of(&arg) {
        Some(kind) => change(arg, kind),
        None => arg,
    });
    changed.mut_subcommands(|verb| with_ids(verb, change))
}

/// The verb that was given, and what it got.
fn leaf<'a>(command: &'a Command, matches: &'a ArgMatches) -> Option<(&'a Command, &'a ArgMatches)> {
    match matches.subcommand() {
        Some((name, inner)) => leaf(command.find_subcommand(name)?, inner),
        None => Some((command, matches)),
    }
}

/// What was given as an id and is too short for one.
fn short_ids(command: &Command, matches: &ArgMatches) -> Vec<(Kind, String)> {
    let Some((verb, matches)) = leaf(command, matches) else { return Vec::new() };
    let ids = verb.get_arguments().filter_map(|arg| Some((arg.get_id().as_str(), Kind::of(arg)?)));
    let given = ids.flat_map(|(id, kind)| {
        let values = matches.try_get_many::<String>(id).ok().flatten();
        values.into_iter().flatten().map(move |text| (kind, text.clone()))
    });
    let is_part = |text: &str| {
        let has_form = text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        has_form && (LEAST..36).contains(&text.len()) && text.parse::<RunId>().is_err()
    };
    given.filter(|(_, text)| is_part(text)).collect()
}

async fn look_up(common: &Common, given: Vec<(Kind, String)>) -> Result<Found, Fault> {
    let config = common.config(&super::default_scripts())?;
    let access = Access::open(common, &config)?;
    let mut known: Vec<(Kind, Vec<Value>)> = Vec::new();
    let mut found = Found::new();
    for (kind, part) in given {
        if !known.iter().any(|(of, _)| *of == kind) {
            let all = match kind {
                Kind::Run => runs(&access).await?,
                Kind::Task => {
                    let wanted = Wanted { to: None, status: None, workflow: None, run: None, limit: PAGE };
                    access.tasks(&config, &wanted).await?
                }
            };
            known.push((kind, all));
        }
        let all = known.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, all)| all);
        found.insert(part.clone(), only(kind, &part, all)?);
    }
    Ok(found)
}

/// All runs, newest first, as far as they are looked through.
async fn runs(access: &Access) -> Result<Vec<Value>, Fault> {
    let mut all: Vec<Value> = Vec::new();
    while all.len() < MOST {
        let before = all.last().and_then(|run| text(run, "run").parse().ok());
        let page = access.runs(&RunFilter { limit: PAGE, before, ..RunFilter::default() }).await?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            break;
        }
    }
    Ok(all)
}

/// The one whose id begins or ends like this.
fn only(kind: Kind, part: &str, all: &[Value]) -> Result<String, Fault> {
    let (name, part) = (kind.name(), part.to_ascii_lowercase());
    let fits = |one: &&Value| text(one, name).starts_with(&part) || text(one, name).ends_with(&part);
    let candidates: Vec<&Value> = all.iter().filter(fits).collect();
    match candidates.as_slice() {
        [one] => Ok(text(one, name).to_owned()),
        [] => Err(Fault::usage(format!(
            "there is no {name} whose id begins or ends with `{part}`; hint: `panta {name}s` lists them"
        ))),
        several => {
            let shown = several.iter().take(SHOWN).map(|one| {
                let about = if kind == Kind::Task { text(one, "title") } else { text(one, "workflow") };
                format!("\n  {}  {:<10}  {}", text(one, name), text(one, "status"), short(about, 60))
            });
            let more = several.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
            let count = several.len();
            Err(Fault::usage(format!(
                "`{part}` is part of the ids of {count} {name}s; hint: give more of it{}{more}",
                shown.collect::<String>()
            )))
        }
    }
}
