//! The `panta` command.

fn main() {}
