//! Pages: plain HTML that works without scripts and loads nothing.

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f;background:#fff}\
h1{font-size:1.4rem}p.text{white-space:pre-wrap}label{display:block;margin:1rem 0 .25rem}input,select,textarea{font:inherit;width:100%;\
box-sizing:border-box;padding:.4rem;border:1px solid #767680;border-radius:.3rem}button{font:inherit;margin:1.5rem .75rem 0 0;padding:.5rem 1.5rem;\
border:1px solid #1b1b1f;border-radius:.3rem;background:#fff;cursor:pointer}.fault{color:#b3261e}.small{color:#5b5b66;font-size:.9rem}\
@media(prefers-color-scheme:dark){body,button{background:#1b1b1f;color:#eee}button{border-color:#eee}input,select,textarea{background:#26262b;color:#eee}\
.fault{color:#ffb4ab}.small{color:#aaa}}";

/// A page with this title and what follows it, as HTML; with the headers that keep it to itself.
pub(super) fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let style = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).expect("a hash is plain text");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, policy),
        // An address may entitle: no other site is to learn it.
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    let title = escaped(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    );
    (status, headers, html).into_response()
}

/// Text as HTML, in elements and in quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}
