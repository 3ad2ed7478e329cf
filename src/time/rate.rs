//! A rate: so many in a time, such as `"10/s"` or `"300000/min"`.

use std::time::Duration;

/// So many in a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many; at least one.
    pub count: u32,
    /// In what time.
    pub per: Duration,
}

impl Rate {
    /// A count and a unit (`s`, `m` or `min`, `h`, `d`): `10/s`, `100/min`, `5/h`, `1/d`.
    pub fn from_text(text: &str) -> Option<Self> {
        let (count, unit) = text.split_once('/')?;
        let count: u32 = count.trim().parse().ok().filter(|count| *count > 0)?;
        let seconds = match unit.trim() {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        Some(Self { count, per: Duration::from_secs(seconds) })
    }

    /// The time between two of them, in microseconds, rounded up.
    pub fn interval_us(self) -> u64 {
        (self.per.as_secs() * 1_000_000).div_ceil(u64::from(self.count))
    }
}
