//! What a workflow's declaration lays down for its own runs while they are evaluated.

use super::fail::Fail;
use super::policy::Policy;
use super::schema::{Schema, sentence};
use super::session::encode_error;
use crate::payload::Payload;

/// See the fields. By default nothing is laid down.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// What the input of the next run of a chain must look like.
    pub input: Option<Schema>,
    /// What the output must look like.
    pub output: Option<Schema>,
    /// The policy of steps that have none of their own.
    pub(super) retry: Option<Policy>,
}

impl Rules {
    /// From a declaration.
    pub fn of(declaration: &super::declare::Declaration) -> Self {
        Self { input: declaration.input.clone(), output: declaration.output.clone(), retry: declaration.policy.clone() }
    }

    /// The output as the schema has it; else an error map with every fault.
    pub fn accept_output(&self, output: Payload) -> Result<Payload, Payload> {
        let Some(schema) = &self.output else { return Ok(output) };
        schema.accept(&output.to_json()).map_err(|faults| {
            let message = format!("the output does not fit the workflow: {}", sentence(&faults));
            let path = faults.first().map(|fault| fault.path.clone()).unwrap_or_default();
            let fail =
                Fail::error("invalid", message).with("path", path).with("faults", super::schema::listed(&faults));
            encode_error(&fail.into_map())
        })
    }
}
