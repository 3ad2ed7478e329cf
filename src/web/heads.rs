//! How large the head of a request may be: its line and its headers.
//!
//! What reads connections has a bound of its own, and answers what is beyond with a bare status. Ours lies below it, so that whoever
//! sends a little too much is told what is wrong.

use axum::extract::Request;
use axum::http::StatusCode;

use super::Problem;

/// Bytes of a request's line and headers. Cookies and tokens are some hundred.
pub(super) const BYTES_MAX: usize = 16 << 10;
/// Headers of a request: browsers send twenty, proxies add some.
pub(super) const COUNT_MAX: usize = 100;

/// Turns requests with too large a head away.
pub(super) fn bound(request: &Request) -> Result<(), Problem> {
    let (bytes, count) = measured(request);
    if bytes <= BYTES_MAX && count <= COUNT_MAX {
        return Ok(());
    }
    let detail = format!(
        "the address and the headers have {bytes} bytes in {count} headers, and {BYTES_MAX} in {COUNT_MAX} are taken; hint: data belongs \
         into the body"
    );
    Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail))
}

fn measured(request: &Request) -> (usize, usize) {
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    // As they are sent: `name: value` and the end of the line.
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    (request.method().as_str().len() + address + headers.sum::<usize>(), request.headers().len())
}
