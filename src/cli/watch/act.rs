//! What can be done to a run from the screen, after a question.

use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::output::text;
use crate::cli::table::short_id;

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    Cancel,
    Pause,
    Resume,
}

/// Something to be done to a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Act {
    pub(super) deed: Deed,
    pub(super) run: String,
    pub(super) workflow: String,
}

impl Deed {
    fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

impl Act {
    /// What is asked before it is done.
    pub(super) fn question(&self) -> String {
        let about = match self.deed {
            Deed::Cancel => "; what it did is undone where it says how",
            Deed::Pause | Deed::Resume => "",
        };
        format!("{} run {} of `{}`{about}? [y/n]", self.deed.name(), short_id(&self.run), self.workflow)
    }

    /// While it is done.
    pub(super) fn doing(&self) -> String {
        format!("{}: run {}", self.deed.name(), short_id(&self.run))
    }

    /// Does it; what came of it, in words.
    pub(super) async fn perform(self, client: &Client) -> String {
        let path = format!("/api/v1/runs/{}/{}", self.run, self.deed.name());
        let body = match self.deed {
            Deed::Cancel => json!({ "reason": "cancelled in `panta watch`" }),
            Deed::Pause | Deed::Resume => json!({}),
        };
        match client.send(Method::POST, &path, Some(&body), &[]).await {
            Err(fault) => fault.text,
            Ok(answer) if (200..300).contains(&answer.status) => format!("{}: accepted", self.doing()),
            Ok(answer) => format!("{}: {}", self.doing(), refusal(answer.status, &answer.body)),
        }
    }
}

fn refusal(status: u16, body: &Value) -> String {
    match text(body, "detail") {
        "" => format!("the daemon answered {status}"),
        detail => detail.to_owned(),
    }
}
