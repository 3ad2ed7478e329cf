//! Where in a run a command stands.

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// How a scope was entered from the command that opened it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Sub {
    /// The n-th attempt of a step or a retry, from 1. Shown as `#n`.
    Attempt(u32),
    /// The n-th branch of a `parallel` or `race`, from 0. Shown as `.n`.
    Branch(u32),
}

/// One scope on the way to a command: the ordinal of the command that opened it, and how.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Segment {
    /// Ordinal of the opening command in its own scope.
    pub ordinal: u32,
    /// Attempt or branch.
    pub sub: Sub,
}

/// The place of a command: the scopes around it, and its ordinal in the innermost one.
///
/// Shown as `3`, `3#2.0` (first command in the second attempt of command 3) or `4.1.0` (in branch 1 of command 4).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Position {
    /// The scopes from the run inwards; empty for commands of the run itself.
    pub scope: Vec<Segment>,
    /// How many commands were issued in that scope before, from 0.
    pub ordinal: u32,
}

impl Position {
    /// The position as text in which attempts do not count: the same on every attempt of the same command.
    pub fn without_attempts(&self) -> String {
        let mut text = String::with_capacity(4 * self.scope.len() + 4);
        for segment in &self.scope {
            // Writing to a string does not fail.
            let _ = match segment.sub {
                Sub::Attempt(_) => write!(text, "{}.", segment.ordinal),
                Sub::Branch(n) => write!(text, "{}.{n}.", segment.ordinal),
            };
        }
        let _ = write!(text, "{}", self.ordinal);
        text
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.scope {
            match segment.sub {
                Sub::Attempt(n) => write!(f, "{}#{n}.", segment.ordinal)?,
                Sub::Branch(n) => write!(f, "{}.{n}.", segment.ordinal)?,
            }
        }
        write!(f, "{}", self.ordinal)
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || format!("`{text}` is no position; hint: positions look like `3`, `3#2.0` or `4.1.0`");
        let number = |part: &str| part.parse::<u32>().map_err(|_| bad());
        let mut parts = text.split('.').peekable();
        let mut position = Self::default();
        while let Some(part) = parts.next() {
            if let Some((ordinal, attempt)) = part.split_once('#') {
                position.scope.push(Segment { ordinal: number(ordinal)?, sub: Sub::Attempt(number(attempt)?) });
            } else if parts.peek().is_none() {
                position.ordinal = number(part)?;
                return Ok(position);
            } else {
                let branch = parts.next().ok_or_else(bad)?;
                position.scope.push(Segment { ordinal: number(part)?, sub: Sub::Branch(number(branch)?) });
            }
        }
        Err(bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["3", "3#2.0", "4.1.0", "4.1.7#1.2", "0#1.0#2.0"] {
            assert_eq!(text.parse::<Position>().expect("parses").to_string(), text);
        }
        for bad in ["", "x", "3#2", "4.1", "3#.0", "1.2.3.4", "-1"] {
            assert!(bad.parse::<Position>().is_err(), "{bad} is refused");
        }
    }

    #[test]
    fn attempts_do_not_count_for_the_key() {
        let first: Position = "3#1.4.1.0".parse().expect("parses");
        let second: Position = "3#2.4.1.0".parse().expect("parses");
        assert_eq!(first.without_attempts(), second.without_attempts());
    }
}
