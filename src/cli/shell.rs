//! `panta completions` and `panta man`: made from the description of the command line.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::output::{Exit, Fault};

/// Prints completions for a shell
#[derive(Args, Debug)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

/// Prints the manual page
#[derive(Args, Debug)]
pub(super) struct Man {}

impl Completions {
    pub(super) fn execute(&self) -> Exit {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "panta", &mut text);
        print(&text)
    }
}

impl Man {
    /// One page: every command with its options.
    pub(super) fn execute() -> Result<Exit, Fault> {
        let mut text = Vec::new();
        let mut command = super::Cli::command();
        command.build();
        let made = clap_mangen::Man::new(command).render(&mut text);
        made.map_err(|error| Fault::new(Exit::Failed, format!("the page cannot be made: {error}")))?;
        Ok(print(&text))
    }
}

/// Nobody there to read it is no error.
fn print(text: &[u8]) -> Exit {
    let _ = std::io::stdout().lock().write_all(text);
    Exit::Done
}
