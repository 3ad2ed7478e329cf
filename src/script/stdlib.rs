//! The modules that are built in: `stdlib/*.rhai`, as `std/NAME`.

use super::bundle::Stdlib;

/// Name and text of each. A file `lib/std/NAME.rhai` below the scripts folder takes the place of one.
pub const STDLIB: Stdlib = &[
    ("bottlecrm", include_str!("../../stdlib/bottlecrm.rhai")),
    ("fava", include_str!("../../stdlib/fava.rhai")),
    ("hledger", include_str!("../../stdlib/hledger.rhai")),
    ("slack", include_str!("../../stdlib/slack.rhai")),
    ("tryton", include_str!("../../stdlib/tryton.rhai")),
];
