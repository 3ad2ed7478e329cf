//! Order to cash, over an ERP, mail and a payment webhook, killed on the way.

use super::program::Running;

pub(crate) fn survives_ten_kills(running: &Running) {
    drop(running.path("tryton"));
}
