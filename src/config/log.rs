//! `[log]`: how the daemon's own log looks, and how much is in it.

use std::str::FromStr;

use toml::Spanned;
use toml::de::DeValue;

use super::file::Reader;

const KEYS: [&str; 2] = ["format", "level"];

/// How a line of the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// Text.
    #[default]
    People,
    /// An object.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "people" => Ok(Self::People),
            "json" => Ok(Self::Json),
            other => Err(format!("`{other}` is no format of the log; hint: write `people` or `json`")),
        }
    }
}

/// What is said of the log; `None` leaves the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// How lines look.
    pub format: Option<LogFormat>,
    /// What is shown: `info`, or by where it comes from: `warn,script=info,panta::engine=debug`.
    pub level: Option<String>,
}

impl Reader<'_> {
    pub(super) fn log(&mut self, value: &Spanned<DeValue<'_>>) -> LogSettings {
        let mut log = LogSettings::default();
        let Some(table) = self.table(value) else { return log };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "format" => {
                    let read = self.text(value).map(|text| text.parse());
                    log.format = read.transpose().map_err(|why| self.fault(why, value.span())).ok().flatten();
                }
                "level" => log.level = self.text(value),
                other => self.unknown(other, key.span(), &KEYS),
            }
        }
        log
    }
}
