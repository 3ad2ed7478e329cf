//! Points in time as text, and time zones by name.

use jiff::fmt::temporal::{DateTimeParser, Pieces};
use jiff::tz::{OffsetConflict, TimeZone};

use super::Timestamp;
use super::error::{Error, distance};

static PARSER: DateTimeParser = DateTimeParser::new().offset_conflict(OffsetConflict::Reject);

/// Reads a time: RFC 3339 (`2026-12-24T07:00:00Z`) or RFC 9557 with a zone (`2026-12-24T08:00[Europe/Berlin]`).
///
/// A time that a change of clocks skips is the one as long after the gap, and of one that it repeats it is the first
/// (unless an offset says which). An offset that the zone does not have then is an error. Parts of a millisecond are
/// rounded up, so that nothing that waits for the time is early.
pub fn parse_time(text: &str) -> Result<Timestamp, Error> {
    let trimmed = text.trim();
    let pieces = Pieces::parse(trimmed).map_err(|error| {
        fault(
            text,
            reason(&error),
            "write RFC 3339, such as `2026-12-24T08:00:00Z` or `2026-12-24T08:00[Europe/Berlin]`",
        )
    })?;
    let (date, instant) = (pieces.date(), pieces.offset());
    if !(0..=9999).contains(&date.year()) {
        return Err(fault(text, "its year is not between 0 and 9999", "write a year of four digits"));
    }
    if pieces.time().is_none() {
        return Err(fault(
            text,
            "it has no time of day",
            format!("write `{date}T00:00Z` or `{date}T08:00[Europe/Berlin]`"),
        ));
    }
    let parsed = match pieces.time_zone_annotation() {
        Some(annotation) => {
            if let jiff::fmt::temporal::TimeZoneAnnotationKind::Named(name) = annotation.kind() {
                zone(name.as_str())?;
            }
            PARSER.parse_zoned(trimmed).map(|zoned| zoned.timestamp())
        }
        None if instant.is_none() => {
            let hint = format!("write `{trimmed}Z` for UTC, or `{trimmed}[Europe/Berlin]`");
            return Err(fault(text, "it has neither an offset nor a zone", hint));
        }
        None => PARSER.parse_timestamp(trimmed),
    };
    let hint = "leave out the offset, or write the one that the zone has at that time";
    parsed.map(rounded_up).map_err(|error| fault(text, reason(&error), hint))
}

/// The start of a day in UTC, where the text is a plain date (`2026-12-24`), as inputs of the type `date` are; `None` where it has
/// another form.
pub fn start_of_date(text: &str) -> Option<Result<Timestamp, Error>> {
    let text = text.trim();
    let is_date = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    is_date.then(|| parse_time(&format!("{text}T00:00Z")))
}

fn rounded_up(time: jiff::Timestamp) -> Timestamp {
    let nanos = time.as_nanosecond();
    let ms = nanos.div_euclid(1_000_000) + i128::from(nanos.rem_euclid(1_000_000) != 0);
    Timestamp(i64::try_from(ms).unwrap_or(i64::MAX).min(Timestamp::MAX.0))
}

fn reason(error: &jiff::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("failed to parse ").map_or(text.clone(), |rest| format!("cannot read {rest}"));
    text.replace('\n', " ")
}

fn fault(text: &str, reason: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Time { text: text.to_owned(), reason: reason.into(), hint: hint.into() }
}

/// Finds a time zone by its IANA name (`Europe/Berlin`, `UTC`); upper and lower case do not matter.
pub fn zone(name: &str) -> Result<TimeZone, Error> {
    jiff::tz::db().get(name.trim()).map_err(|_| Error::Zone { text: name.to_owned(), hint: zone_hint(name.trim()) })
}

/// How many zones a hint lists at most: they fit on one line.
const LISTED: usize = 3;

/// No zone has a longer name; comparing longer ones with all zones would take seconds.
const LONGEST_NAME: usize = 64;

fn zone_hint(name: &str) -> String {
    if name.len() > LONGEST_NAME {
        return "use an IANA name such as `Europe/Berlin`, `America/New_York` or `UTC`".to_owned();
    }
    let wanted = name.to_lowercase().replace(' ', "_");
    let city = wanted.rsplit('/').next().unwrap_or_default();
    let mut near: Vec<(usize, String)> = jiff::tz::db()
        .available()
        .map(|zone| zone.to_string())
        .filter_map(|zone| closeness(&zone.to_lowercase(), &wanted, city).map(|score| (score, zone)))
        .collect();
    near.sort();
    near.dedup();
    if near.is_empty() {
        return "use an IANA name such as `Europe/Berlin`, `America/New_York` or `UTC`".to_owned();
    }
    let names: Vec<_> = near.iter().take(LISTED).map(|(_, zone)| format!("`{zone}`")).collect();
    format!("did you mean {}?", names.join(" or "))
}

/// Smaller is closer; nothing when a zone is not what was meant.
fn closeness(zone: &str, wanted: &str, city: &str) -> Option<usize> {
    if city.len() < 3 {
        return None;
    }
    let zone_city = zone.rsplit('/').next().unwrap_or_default();
    let whole = distance(zone, wanted);
    let by_city = distance(zone_city, city);
    let slips = city.len() / 4;
    if whole <= slips || by_city <= slips {
        return Some(whole.min(by_city * 2));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> String {
        parse_time(text).unwrap_or_else(|error| panic!("{error}; hint: {}", error.hint())).to_string()
    }

    fn refused(text: &str) -> (String, String) {
        let error = parse_time(text).unwrap_err();
        (error.to_string(), error.hint().to_owned())
    }

    #[test]
    fn times_with_offset_or_zone_are_read() {
        assert_eq!(at("2026-12-24T08:00[Europe/Berlin]"), "2026-12-24T07:00:00.000Z");
        assert_eq!(at("2026-12-24T08:00:00+01:00[Europe/Berlin]"), "2026-12-24T07:00:00.000Z");
        assert_eq!(at("2026-12-24T07:00:00.5Z"), "2026-12-24T07:00:00.500Z");
        assert_eq!(at(" 2026-12-24 07:00Z "), "2026-12-24T07:00:00.000Z");
        assert_eq!(at("1969-12-31T23:59:59.9991Z"), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_repeated_time_is_the_first_unless_an_offset_says_which() {
        assert_eq!(at("2026-10-25T02:30[Europe/Berlin]"), "2026-10-25T00:30:00.000Z");
        assert_eq!(at("2026-10-25T02:30+01:00[Europe/Berlin]"), "2026-10-25T01:30:00.000Z");
        assert_eq!(at("2026-03-29T02:30[Europe/Berlin]"), "2026-03-29T01:30:00.000Z");
    }

    #[test]
    fn an_offset_that_the_zone_does_not_have_is_refused() {
        let (message, hint) = refused("2026-12-24T08:00+02:00[Europe/Berlin]");
        assert!(message.contains("offset"), "{message}");
        assert!(hint.starts_with("leave out the offset"), "{hint}");
    }

    #[test]
    fn a_date_alone_and_a_time_without_zone_are_refused_with_a_way_out() {
        let begins =
            |text| start_of_date(text).map(|begins| begins.map(|time| time.to_string()).map_err(|e| e.to_string()));
        assert_eq!(begins(" 2026-12-24 "), Some(Ok("2026-12-24T00:00:00.000Z".to_owned())));
        assert!(begins("2026-13-24").is_some_and(|begins| begins.is_err()));
        assert_eq!((begins("20261224"), begins("2026-12-24T08:00Z"), begins("90s")), (None, None, None));
        assert_eq!(refused("2026-12-24").1, "write `2026-12-24T00:00Z` or `2026-12-24T08:00[Europe/Berlin]`");
        assert_eq!(
            refused("2026-12-24T08:00").1,
            "write `2026-12-24T08:00Z` for UTC, or `2026-12-24T08:00[Europe/Berlin]`"
        );
        assert_eq!(refused("2026-12-24T08:00[Europe/Berlni]").1, "did you mean `Europe/Berlin`?");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "tomorrow", "2026-13-01T00:00Z", "+012026-01-01T00:00Z", "-002026-01-01T00:00Z", "2026-02-30T00:00Z"]
        {
            assert!(refused(text).0.contains("is not a time"), "{text}");
        }
        refused("9999-12-31T23:59:59Z[Ä]");
    }

    #[test]
    fn an_unknown_zone_lists_what_was_meant() {
        let hint = |name: &str| zone(name).unwrap_err().hint().to_owned();
        assert_eq!(hint("Europe/Berln"), "did you mean `Europe/Berlin`?");
        assert_eq!(hint("berlin"), "did you mean `Europe/Berlin`?");
        assert_eq!(hint("New York"), "did you mean `America/New_York`?");
        assert!(hint("Mars").starts_with("use an IANA name"));
        assert!(zone("europe/prague").is_ok() && zone("UTC").is_ok());
    }
}
