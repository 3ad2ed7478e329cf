//! The modules that are built in: `stdlib/*.rhai`, as `std/NAME`.

use super::bundle::Stdlib;

/// Name and text of each. A file `lib/std/NAME.rhai` below the scripts folder takes the place of one.
pub const STDLIB: Stdlib = &[
    ("once", include_str!("../../stdlib/once.rhai")),
    ("request_tracker", include_str!("../../stdlib/request_tracker.rhai")),
    ("slack", include_str!("../../stdlib/slack.rhai")),
];
