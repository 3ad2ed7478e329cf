//! Steps that have begun and not ended.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::journal::Position;

/// Steps whose bodies are being evaluated, in the order in which they began: few at a time, and the last mostly ends first.
#[derive(Debug, Default)]
pub struct OpenSteps(RefCell<Vec<(Position, Arc<str>)>>);

impl OpenSteps {
    /// A step begins.
    pub fn begin(&self, position: &Position, name: &Arc<str>) {
        self.0.borrow_mut().push((position.clone(), Arc::clone(name)));
    }

    /// It has ended.
    pub fn end(&self, position: &Position) {
        let mut open = self.0.borrow_mut();
        if let Some(at) = open.iter().rposition(|(other, _)| other == position) {
            open.remove(at);
        }
    }

    /// Names by position of those that are open.
    pub fn take(&self) -> BTreeMap<Position, Arc<str>> {
        self.0.take().into_iter().collect()
    }
}
