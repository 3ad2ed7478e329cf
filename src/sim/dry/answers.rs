//! Answers that were given for a dry run: by the name of a function, a step, an event or a task.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

/// What answers one name.
#[derive(Clone, Debug)]
enum Given {
    /// One after the other; then what is made up.
    InOrder(VecDeque<Value>),
    /// Each time the same.
    Always(Value),
}

/// All that was given.
#[derive(Debug, Default)]
pub struct Answers {
    named: RefCell<BTreeMap<String, (Given, Cell<bool>)>>,
}

impl Answers {
    /// From `{ "name": [answer, …] }`. A value that is no list is the answer each time.
    pub fn from_json(answers: Value) -> Result<Self, String> {
        let Value::Object(answers) = answers else {
            return Err(
                "it is no map; hint: it looks like `{\"http::post\": [{\"status\": 201, \"body\": {}}]}`".into()
            );
        };
        let given = |answer| match answer {
            Value::Array(list) => Given::InOrder(list.into()),
            one => Given::Always(one),
        };
        let named = answers.into_iter().map(|(name, answer)| (name, (given(answer), Cell::new(false))));
        Ok(Self { named: RefCell::new(named.collect()) })
    }

    /// The next answer of a name.
    pub(super) fn take(&self, name: &str) -> Option<Value> {
        let mut named = self.named.borrow_mut();
        let (given, is_used) = named.get_mut(name)?;
        is_used.set(true);
        match given {
            Given::InOrder(list) => list.pop_front(),
            Given::Always(answer) => Some(answer.clone()),
        }
    }

    /// Whether a name has an answer left.
    pub(super) fn has(&self, name: &str) -> bool {
        self.named.borrow().get(name).is_some_and(|(given, _)| match given {
            Given::InOrder(list) => !list.is_empty(),
            Given::Always(_) => true,
        })
    }

    /// All names.
    pub(super) fn names(&self) -> Vec<String> {
        self.named.borrow().keys().cloned().collect()
    }

    /// Names that nothing asked for.
    pub(super) fn unused(&self) -> Vec<String> {
        let named = self.named.borrow();
        named.iter().filter(|(_, (_, is_used))| !is_used.get()).map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_used_up_and_anything_else_stays() {
        let answers = Answers::from_json(json!({ "a": [1, 2], "b": { "x": 1 }, "c": [] })).unwrap();
        assert_eq!((answers.take("a"), answers.has("a"), answers.take("a")), (Some(json!(1)), true, Some(json!(2))));
        assert_eq!((answers.has("a"), answers.take("a"), answers.take("none")), (false, None, None));
        assert_eq!((answers.take("b"), answers.take("b")), (Some(json!({ "x": 1 })), Some(json!({ "x": 1 }))));
        assert_eq!((answers.has("c"), answers.unused()), (false, vec!["c".to_owned()]));
        assert!(Answers::from_json(json!([1])).is_err());
    }
}
