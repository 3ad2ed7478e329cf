//! The shipped scripts, run as they are; and every name and example that scripts may rely on.

mod csv_import;
mod deploy;
mod examples;
mod hello;
mod invoice;
mod names;
mod services;
mod tested;
mod uptime;
