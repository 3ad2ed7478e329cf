//! `time::*`: reading, writing and calculating with times. What depends on what is known of zones, or on the configuration,
//! is recorded, so that a replay years later gives the same; the rest is pure.

use rhai::{Dynamic, Map};

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options};
use super::session::{self, Mode, encode, encode_error, hash_text};
use super::state;
use crate::journal::Kind;
use crate::replay::Command;
use crate::script::value;
use crate::time::{Calendar, CalendarText, Moment, UNITS, names_a_zone, parse_duration, parse_written, zone};

/// What a calendar says, in the script and below `[calendars.NAME]`.
const CALENDAR: &str = "string or map: zone, hours, days, holidays";
/// A format is a line.
const LONGEST_FORMAT: usize = 200;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "time::parse",
        params: &["text: string", "options: map?"],
        options: &[
            Choice::new("format", "string", "how it is written, as for `strptime`: `%d.%m.%Y %H:%M`"),
            Choice::new("zone", "string", "where it is meant, if the text does not say; UTC unless given"),
        ],
        returns: "string",
        nature: Nature::Pure,
        doc: "Reads a time, or a date (its midnight), and returns it in UTC. Recorded where a zone is named.",
        example: "time::parse(\"24.12.2026 08:00\", #{ format: \"%d.%m.%Y %H:%M\", zone: \"Europe/Berlin\" })",
        call: parse,
        ..Function::BASE
    },
    Function {
        name: "time::format",
        params: &["time: time", "format: string", "zone: string?"],
        returns: "string",
        nature: Nature::Pure,
        doc: "A time as text, as `strftime` writes it, in English; in the zone, or else as the time is written. Recorded where a zone is named.",
        example: "time::format(\"2026-12-24T08:00:00Z\", \"%A, %d %B %Y\")",
        call: format,
        ..Function::BASE
    },
    Function {
        name: "time::add",
        params: &["time: time", "duration: string"],
        returns: "string",
        nature: Nature::Pure,
        doc: "So much later, or earlier with `-` in front of the duration. A day is 24 hours. Recorded where a zone is named.",
        example: "time::add(\"2026-12-24T08:00:00Z\", \"-1d 12h\")",
        call: add,
        ..Function::BASE
    },
    Function {
        name: "time::diff",
        params: &["a: time", "b: time"],
        returns: "float",
        nature: Nature::Pure,
        doc: "How many seconds `a` is later than `b`; negative when it is earlier. Recorded where a zone is named.",
        example: "time::diff(\"2026-12-24T08:01:30Z\", \"2026-12-24T08:00:00Z\")",
        call: diff,
        ..Function::BASE
    },
    Function {
        name: "time::in_zone",
        params: &["time: time", "zone: string"],
        returns: "string",
        nature: Nature::Internal,
        doc: "The same moment as clocks in the zone show it: `2026-12-24T09:00:00.000+01:00[Europe/Berlin]`. Recorded.",
        example: "time::in_zone(\"2026-12-24T08:00:00Z\", \"Europe/Berlin\")",
        call: |call| {
            let (text, name) = (call.text(0)?, call.text(1)?);
            recorded(call, true, |call| {
                let tz = zone(&name).map_err(|error| refused(call, &error))?;
                Ok(moment(call, &text)?.in_zone(tz).text().into())
            })
        },
        ..Function::BASE
    },
    Function {
        name: "time::start_of",
        params: &["time: time", "unit: string", "zone: string?"],
        returns: "string",
        nature: Nature::Pure,
        doc: "The beginning of the minute, hour, day, week (Monday), month, quarter or year, in the zone or as the time is written. \
              Recorded where a zone is named.",
        example: "time::start_of(\"2026-12-24T08:00:00Z\", \"month\")",
        call: start_of,
        ..Function::BASE
    },
    Function {
        name: "time::add_business",
        params: &["time: time", "duration: duration", "calendar: string or map"],
        options: &[
            Choice::new("zone", "string", "where the work is done; UTC unless given"),
            Choice::new("hours", "string", "`09:00-17:00`; the whole day unless given"),
            Choice::new("days", "string or list of string", "`MON-FRI`, which it is unless given"),
            Choice::new("holidays", "list of string", "dates without work"),
        ],
        returns: "string",
        nature: Nature::Internal,
        errors: &["not_found"],
        doc: "So much working time later: days count working days, hours the time of work. The calendar is one of the configuration \
              (`[calendars.NAME]`), or a map as there. Recorded.",
        example: "time::add_business(\"2026-12-24T15:00:00Z\", \"1d 2h\", #{ zone: \"Europe/Berlin\", hours: \"09:00-17:00\", holidays: [\"2026-12-25\"] })",
        call: add_business,
        ..Function::BASE
    },
];

fn refused(call: &Call<'_>, error: &crate::time::Error) -> Fail {
    call.invalid(format!("{error}; hint: {}", error.hint()))
}

fn moment(call: &Call<'_>, text: &str) -> Result<Moment, Fail> {
    Moment::parse(text).map_err(|error| refused(call, &error))
}

/// What `act` computes; from the journal, and into it, where it depends on more than its arguments.
fn recorded(
    call: &Call<'_>,
    depends: bool,
    act: impl FnOnce(&Call<'_>) -> Result<Dynamic, Fail>,
) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let current = if depends { session::current() } else { None };
    let Some((session, strand)) = current else { return act(call) };
    match strand.mode.get() {
        Mode::Pure => return Err(super::impure(call)),
        Mode::Polling => return act(call),
        Mode::Recorded => {}
    }
    let arguments = Dynamic::from_array(call.args.clone());
    let arguments = hash_text(value::encode(&arguments).map_err(|bad| call.invalid(bad))?.text());
    let command = Command { arguments, ..session::command(Kind::Effect, call.function.name, call.line()) };
    let position = match state::now(&session, &strand, &command)? {
        Ok(value) => return value,
        Err(position) => position,
    };
    let outcome = match act(call) {
        Err(Fail::Stopped) => return Err(Fail::Stopped),
        Ok(value) => Ok(encode(call.function.name, &value)?),
        Err(fail) => Err(encode_error(&fail.into_map())),
    };
    session.close(session.entry(&command, position), outcome)
}

fn parse(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let text = call.text(0)?;
    let options = call.options(1)?;
    let (format, name) = (options.text("format")?, options.text("zone")?);
    check_format(call, format.as_deref().unwrap_or_default())?;
    recorded(call, name.is_some() || names_a_zone(&text), |call| {
        let tz = zone(name.as_deref().unwrap_or("UTC")).map_err(|error| refused(call, &error))?;
        let time = parse_written(&text, format.as_deref(), &tz).map_err(|why| call.invalid(why))?;
        Ok(time.to_string().into())
    })
}

fn check_format(call: &Call<'_>, format: &str) -> Result<(), Fail> {
    if format.len() > LONGEST_FORMAT {
        return Err(call.invalid(format!("the format is longer than {LONGEST_FORMAT} bytes")));
    }
    Ok(())
}

/// The time that is the first argument, in the zone that is argument `n` if given.
fn placed(call: &Call<'_>, text: &str, name: Option<&str>) -> Result<Moment, Fail> {
    let moment = moment(call, text)?;
    let Some(name) = name else { return Ok(moment) };
    Ok(moment.in_zone(zone(name).map_err(|error| refused(call, &error))?))
}

fn zone_name(call: &Call<'_>, n: usize) -> Result<Option<String>, Fail> {
    if call.args.len() > n { call.text(n).map(Some) } else { Ok(None) }
}

fn format(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (text, format, name) = (call.text(0)?, call.text(1)?, zone_name(call, 2)?);
    check_format(call, &format)?;
    recorded(call, name.is_some() || names_a_zone(&text), |call| {
        let moment = placed(call, &text, name.as_deref())?;
        let shown = moment.format(&format).map_err(|why| call.invalid(format!("the format `{format}`: {why}")))?;
        super::json::bounded(call, shown)
    })
}

fn add(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (text, duration) = (call.text(0)?, call.text(1)?);
    let trimmed = duration.trim();
    let (back, rest) = trimmed.strip_prefix('-').map_or((false, trimmed), |rest| (true, rest));
    let length = parse_duration(rest).map_err(|error| refused(call, &error))?;
    recorded(call, names_a_zone(&text), |call| {
        let moment = moment(call, &text)?;
        if !back {
            return Ok(moment.plus(length).text().into());
        }
        let earlier = moment.minus(length).ok_or_else(|| call.invalid("the result is before the year 0"))?;
        Ok(earlier.text().into())
    })
}

fn diff(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (a, b) = (call.text(0)?, call.text(1)?);
    recorded(call, names_a_zone(&a) || names_a_zone(&b), |call| {
        let (a, b) = (moment(call, &a)?.time(), moment(call, &b)?.time());
        Ok(((a.0 - b.0) as f64 / 1000.0).into())
    })
}

fn start_of(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (text, unit, name) = (call.text(0)?, call.text(1)?, zone_name(call, 2)?);
    if !UNITS.contains(&unit.as_str()) {
        let hint = crate::diag::suggest::did_you_mean(&unit, UNITS)
            .unwrap_or_else(|| format!("units are {}", UNITS.join(", ")));
        return Err(call.invalid(format!("there is no unit `{unit}`; hint: {hint}")));
    }
    recorded(call, name.is_some() || names_a_zone(&text), |call| {
        let start = placed(call, &text, name.as_deref())?.start_of(&unit);
        let start = start.ok_or_else(|| call.invalid("the result is out of the range of times"))?;
        Ok(start.text().into())
    })
}

fn add_business(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (text, duration) = (call.text(0)?, call.text(1)?);
    parse_duration(&duration).map_err(|error| refused(call, &error))?;
    let given = call.args[2].clone();
    if !given.is_string() && !given.is_map() {
        return Err(call.invalid(format!("`calendar` must be a {CALENDAR}, not {}", super::function::type_of(&given))));
    }
    recorded(call, true, |call| {
        let calendar = if given.is_string() { configured(call, &given.to_string())? } else { given };
        let calendar = calendar.try_cast::<Map>().ok_or_else(|| call.invalid("the calendar is no map"))?;
        let calendar = Calendar::read(&calendar_text(call, calendar)?)
            .map_err(|why| call.invalid(format!("the calendar: {why}")))?;
        let end = calendar.add(&moment(call, &text)?, &duration).map_err(|why| call.invalid(why))?;
        Ok(end.text().into())
    })
}

/// A calendar of the configuration, which keeps it among the settings.
fn configured(call: &Call<'_>, name: &str) -> Result<Dynamic, Fail> {
    let found = session::current().and_then(|(session, _)| session.world.config(&format!("calendars.{name}")));
    found.map(|calendar| value::decode(&calendar)).ok_or_else(|| {
        let missing = format!(
            "`{}`: there is no calendar `{name}`; hint: add `[calendars.{name}]` to `panta.toml`",
            call.function.name
        );
        Fail::error("not_found", missing)
    })
}

fn calendar_text(call: &Call<'_>, map: Map) -> Result<CalendarText, Fail> {
    let options = Options::checked(map, call.function.name, &call.function.keys(None))?;
    let texts = |key: &str| -> Result<Option<Vec<String>>, Fail> {
        let Some(list) = options.list(key)? else { return Ok(None) };
        let texts = list.into_iter().map(Dynamic::into_string).collect::<Result<_, _>>();
        texts.map(Some).map_err(|_| call.invalid(format!("`{key}` is a list of texts")))
    };
    let days = match options.get("days").filter(|days| days.is_string()) {
        Some(days) => Some(vec![days.to_string()]),
        None => texts("days")?,
    };
    let holidays = texts("holidays")?.unwrap_or_default();
    Ok(CalendarText { zone: options.text("zone")?, hours: options.text("hours")?, days, holidays })
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::shown;

    #[test]
    fn times_are_read_written_and_counted() {
        assert_eq!(shown("time::parse(\"2030-01-01\")"), "2030-01-01T00:00:00.000Z");
        assert_eq!(
            shown("time::parse(\"24.12.2026\", #{ format: \"%d.%m.%Y\", zone: \"Europe/Berlin\" })"),
            "2026-12-23T23:00:00.000Z"
        );
        assert_eq!(shown("time::format(\"2026-12-24T08:00:00+02:00\", \"%a %d.%m. %H:%M\")"), "Thu 24.12. 08:00");
        assert_eq!(shown("time::format(\"2026-12-24T08:00:00Z\", \"%H:%M %Z\", \"Europe/Berlin\")"), "09:00 CET");
        assert_eq!(shown("time::add(\"2026-12-24T08:00:00Z\", \"-1d 12h\")"), "2026-12-22T20:00:00.000Z");
        assert_eq!(shown("time::diff(\"2026-12-24T08:00:00Z\", \"2026-12-24T09:00:00.5+01:00\")"), "-0.5");
        assert_eq!(
            shown("time::start_of(\"2026-12-24T23:30:00Z\", \"day\", \"Europe/Berlin\")"),
            "2026-12-25T00:00:00.000+01:00[Europe/Berlin]"
        );
        assert_eq!(
            shown(
                "time::add_business(\"2026-12-24T15:00:00Z\", \"1d 2h\", #{ zone: \"Europe/Berlin\", hours: \"09:00-17:00\", holidays: [\"2026-12-25\"] })"
            ),
            "2026-12-29T10:00:00.000+01:00[Europe/Berlin]"
        );
    }

    #[test]
    fn what_is_no_time_is_told() {
        assert!(shown("time::parse(\"soon\")").contains("is not a time"));
        assert!(shown("time::format(\"2026-12-24T08:00:00Z\", \"%!\")").contains("the format `%!`"));
        assert!(shown("time::start_of(\"2026-12-24T08:00:00Z\", \"weak\")").contains("did you mean `week`?"));
        assert!(shown("time::in_zone(\"2026-12-24T08:00:00Z\", \"Berlin\")").contains("did you mean `Europe/Berlin`?"));
        assert!(shown("time::add(\"0000-01-02T00:00Z\", \"-9d\")").contains("before the year 0"));
        assert!(
            shown("time::add_business(\"2026-12-24T15:00:00Z\", \"2d\", \"de\")").contains("there is no calendar `de`")
        );
        assert!(
            shown("time::add_business(\"2026-12-24T15:00:00Z\", \"2d\", #{ hour: 1 })")
                .contains("did you mean `hours`?")
        );
    }
}
