//! A graph as a picture: SVG from top to bottom, the same bytes for the same graph.
//!
//! Scripts are structured, so the layout needs no search and no line crosses another: every block gets a rectangle of its own
//! and a line through it from top to bottom ([`layout`]), and is then drawn into it ([`draw`]).

mod draw;
mod layout;
mod style;

use super::Graph;

/// The picture; ends with a line break.
pub fn svg(graph: &Graph) -> String {
    let page = layout::page(graph);
    draw::page(&page, graph)
}

/// For XML text and attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
