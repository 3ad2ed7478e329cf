//! The flow of a bundle, drawn with the functions that scripts can call.

use crate::diag::Diagnostic;
use crate::script::bundle::Bundle;
use crate::script::flow::{self, Graph};

/// The flow of a bundle's workflow; or why a file does not parse. Nothing is evaluated.
pub fn flow(bundle: &Bundle) -> Result<Graph, Vec<Diagnostic>> {
    thread_local! {
        // Parsing needs no functions, only the limits and the syntax.
        static ENGINE: rhai::Engine = crate::script::sandbox::engine();
    }
    ENGINE.with(|engine| flow::graph(engine, bundle, &crate::host::catalog::catalog()))
}
