//! The modules that are built in: `stdlib/*.rhai`, as `std/NAME`.

use super::bundle::Stdlib;

/// Name and text of each. A file `lib/std/NAME.rhai` below the scripts folder takes the place of one.
pub const STDLIB: Stdlib = &[
    ("aws", include_str!("../../stdlib/aws.rhai")),
    ("azure", include_str!("../../stdlib/azure.rhai")),
    ("slack", include_str!("../../stdlib/slack.rhai")),
];
