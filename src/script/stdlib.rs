//! The modules that are built in: `stdlib/*.rhai`, as `std/NAME`.

use super::bundle::Stdlib;

/// Name and text of each. A file `lib/std/NAME.rhai` below the scripts folder takes the place of one.
pub const STDLIB: Stdlib = &[
    ("mariadb", include_str!("../../stdlib/mariadb.rhai")),
    ("postgres", include_str!("../../stdlib/postgres.rhai")),
    ("slack", include_str!("../../stdlib/slack.rhai")),
];
