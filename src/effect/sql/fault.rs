//! Errors of databases, in the terms of scripts.

use super::Statement;
use crate::effect::{Failure, Field, Sent};

/// What went wrong, for all databases alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    Unique,
    ForeignKey,
    NotNull,
    Check,
    Serialization,
    Deadlock,
    Busy,
    Syntax,
    Undefined,
    Permission,
    Auth,
    ReadOnly,
    TimedOut,
    Unavailable,
    Other,
}

impl Reason {
    /// As scripts see it.
    fn name(self) -> &'static str {
        match self {
            Self::Unique => "unique",
            Self::ForeignKey => "foreign_key",
            Self::NotNull => "not_null",
            Self::Check => "check",
            Self::Serialization => "serialization",
            Self::Deadlock => "deadlock",
            Self::Busy => "busy",
            Self::Syntax => "syntax",
            Self::Undefined => "undefined",
            Self::Permission => "permission",
            Self::Auth => "auth",
            Self::ReadOnly => "read_only",
            Self::TimedOut => "timeout",
            Self::Unavailable => "unavailable",
            Self::Other => "other",
        }
    }

    /// Whether the same may go well later: what the database has undone for the sake of others.
    fn is_retryable(self) -> bool {
        matches!(self, Self::Serialization | Self::Deadlock | Self::Busy | Self::TimedOut | Self::Unavailable)
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Unique => "it is there already: update it, or let the statement say what then (`on conflict …`)",
            Self::ForeignKey => "what it refers to is not there, or something refers to it",
            Self::NotNull | Self::Check => "the value does not fit the table's rules",
            Self::Serialization | Self::Deadlock => {
                "the database undid it for another transaction: give the step a `retry`"
            }
            Self::Busy => "another program writes to the file: give the step a `retry`, or a longer `timeout`",
            Self::Syntax => "see the place that the message names",
            Self::Undefined => "check the names of tables and columns",
            Self::Permission => "grant it to the user of the database, or use another one",
            Self::Auth => "check `user` in the `url`, and the secret with the password",
            Self::ReadOnly => {
                "`sql::query` only reads: use `sql::execute`, or `sql::transaction` for several statements"
            }
            Self::TimedOut => "give it more with `timeout`, or the table an index",
            Self::Unavailable => "the database takes no more just now: give the step a `retry`",
            Self::Other => "the message is the database's own",
        }
    }
}

/// An error of a database.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    /// The database's own code: `SQLSTATE`, or a number.
    pub(super) code: String,
    /// In the database's words.
    pub(super) message: String,
    /// Which character of the statement, from 1.
    pub(super) position: Option<usize>,
    /// The constraint that was broken.
    pub(super) constraint: Option<String>,
}

impl Fault {
    pub(super) fn new(reason: Reason, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, code: code.into(), message: message.into(), position: None, constraint: None }
    }

    /// As the failure of a statement: the n-th of a transaction.
    pub(super) fn of(self, database: &str, statement: Option<(usize, &Statement)>) -> Failure {
        let place = self.position.and_then(|at| Some(place(&statement?.1.text, at)));
        let shown = place.map(|(line, column)| format!(" (line {line}, column {column})")).unwrap_or_default();
        let number = match statement {
            Some((index, _)) if index > 0 => format!("statement {}: ", index + 1),
            _ => String::new(),
        };
        let message = format!("database `{database}`: {number}{}{shown}; hint: {}", self.message, self.reason.hint());
        let kind = if self.reason == Reason::TimedOut { "timeout" } else { "sql" };
        let mut failure = Failure { retryable: self.reason.is_retryable(), ..Failure::new(kind, message) };
        let text = |value: &str| Field::Text(value.to_owned());
        failure = failure.with("database", text(database)).with("reason", text(self.reason.name()));
        failure = failure.with("code", text(&self.code));
        if let Some(constraint) = &self.constraint {
            failure = failure.with("constraint", text(constraint));
        }
        if let Some(at) = self.position {
            failure = failure.with("position", Field::Int(at as i64));
        }
        match statement {
            Some((index, _)) => failure.with("statement", Field::Int(index as i64)),
            None => failure,
        }
    }
}

/// The line and column of a character.
fn place(text: &str, position: usize) -> (usize, usize) {
    let before: String = text.chars().take(position.saturating_sub(1)).collect();
    let line = before.matches('\n').count() + 1;
    (line, before.chars().rev().take_while(|c| *c != '\n').count() + 1)
}

/// The connection could not be made, or broke. `sent`: whether something may have happened.
pub(super) fn network(database: &str, why: &dyn std::fmt::Display, sent: Sent) -> Failure {
    let what = if sent == Sent::No { "cannot be reached" } else { "was lost" };
    let hint = "see whether it runs, and what `url` says in `[databases]` of `panta.toml`";
    let failure =
        Failure::new("network", format!("the connection to the database `{database}` {what}: {why}; hint: {hint}"));
    Failure { sent, ..failure.retryable() }.with("database", Field::Text(database.to_owned()))
}

/// Its time is over.
pub(super) fn timed_out(database: &str, time: std::time::Duration) -> Failure {
    let hint = Reason::TimedOut.hint();
    let shown = time.as_millis();
    let failure = Failure::new("timeout", format!("database `{database}`: not done within {shown} ms; hint: {hint}"));
    let text = |value: &str| Field::Text(value.to_owned());
    failure.retryable().maybe_sent().with("database", text(database)).with("reason", text(Reason::TimedOut.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_by_line_and_column() {
        let text = "select 1\nfrom für wher";
        assert_eq!((place(text, 1), place(text, 10), place(text, 19)), ((1, 1), (2, 1), (2, 10)));
        let fault = Fault { position: Some(10), ..Fault::new(Reason::Syntax, "42601", "syntax error") };
        let statement = Statement { text: text.to_owned(), params: Vec::new() };
        let failure = fault.of("crm", Some((1, &statement)));
        assert_eq!(
            failure.message,
            "database `crm`: statement 2: syntax error (line 2, column 1); hint: see the place that the message names"
        );
        assert_eq!((failure.kind, failure.retryable, failure.field("position")), ("sql", false, Some(&Field::Int(10))));
    }

    #[test]
    fn what_was_undone_for_others_may_be_tried_again() {
        let failure = Fault::new(Reason::Deadlock, "40P01", "deadlock detected").of("crm", None);
        assert!(failure.retryable && failure.sent == Sent::No && failure.kind == "sql");
        assert_eq!(Fault::new(Reason::TimedOut, "57014", "cancelled").of("crm", None).kind, "timeout");
    }
}
