//! The modules that are built in: `stdlib/*.rhai`, as `std/NAME`.

use super::bundle::Stdlib;

/// Name and text of each. A file `lib/std/NAME.rhai` below the scripts folder takes the place of one.
pub const STDLIB: Stdlib = &[
    ("airflow", include_str!("../../stdlib/airflow.rhai")),
    ("alertmanager", include_str!("../../stdlib/alertmanager.rhai")),
    ("aws", include_str!("../../stdlib/aws.rhai")),
    ("azure", include_str!("../../stdlib/azure.rhai")),
    ("bottlecrm", include_str!("../../stdlib/bottlecrm.rhai")),
    ("fava", include_str!("../../stdlib/fava.rhai")),
    ("github", include_str!("../../stdlib/github.rhai")),
    ("gitlab", include_str!("../../stdlib/gitlab.rhai")),
    ("hledger", include_str!("../../stdlib/hledger.rhai")),
    ("mailman", include_str!("../../stdlib/mailman.rhai")),
    ("mariadb", include_str!("../../stdlib/mariadb.rhai")),
    ("matrix", include_str!("../../stdlib/matrix.rhai")),
    ("ntfy", include_str!("../../stdlib/ntfy.rhai")),
    ("postgres", include_str!("../../stdlib/postgres.rhai")),
    ("prefect", include_str!("../../stdlib/prefect.rhai")),
    ("request_tracker", include_str!("../../stdlib/request_tracker.rhai")),
    ("sftp", include_str!("../../stdlib/sftp.rhai")),
    ("slack", include_str!("../../stdlib/slack.rhai")),
    ("stripe", include_str!("../../stdlib/stripe.rhai")),
    ("teams", include_str!("../../stdlib/teams.rhai")),
    ("telegram", include_str!("../../stdlib/telegram.rhai")),
    ("tryton", include_str!("../../stdlib/tryton.rhai")),
    ("watsonx", include_str!("../../stdlib/watsonx.rhai")),
];
