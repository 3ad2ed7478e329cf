//! What zone data says, as a text that changes with it.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Zones whose rules differ from each other, and have changed often.
const ZONES: [&str; 12] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Santiago",
    "Asia/Gaza",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Moscow",
    "Pacific/Apia",
    "Pacific/Auckland",
];
/// 2000 to 2040.
const SECONDS: std::ops::Range<i64> = 946_684_800..2_208_988_800;

/// All changes of offset that the zone data of this machine has for some zones, from 2000 to 2040.
pub fn zone_changes() -> String {
    let mut text = String::new();
    let Ok(from) = Timestamp::from_second(SECONDS.start) else { return text };
    for name in ZONES {
        let Ok(zone) = TimeZone::get(name) else { continue };
        let _ = write!(text, "{name}");
        for change in zone.following(from).take_while(|change| change.timestamp().as_second() < SECONDS.end) {
            let _ = write!(text, " {}{}", change.timestamp().as_second(), change.offset());
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_their_changes() {
        let text = zone_changes();
        assert_eq!(text.lines().count(), ZONES.len());
        assert!(text.lines().all(|line| line.split(' ').count() > 5), "{text}");
    }
}
