//! `panta backfill`: runs for times of a schedule that have passed.

use std::io::{BufRead as _, IsTerminal as _};

use clap::Args;
use serde_json::{Value, json};

use super::Common;
use super::access::Access;
use super::client::{Client, escaped};
use super::output::{Exit, Fault, json as print_json, line, note, text};

/// Times of one request: it is answered within moments.
const CHUNK: usize = 200;

/// Starts runs for times of a schedule that have passed
#[derive(Args, Debug)]
pub(super) struct Backfill {
    /// The workflow
    workflow: String,
    /// The first time that counts: `2026-03-01T00:00Z`, `2026-03-01T00:00[Europe/Berlin]`
    #[arg(long, value_name = "TIME")]
    from: String,
    /// The first time that counts no more
    #[arg(long, value_name = "TIME")]
    to: String,
    /// Only times that have no run; else those that have one are started anew
    #[arg(long)]
    only_missing: bool,
    /// Which schedule, where the workflow has several
    #[arg(long, value_name = "ID")]
    trigger: Option<String>,
    /// At most so many, the oldest first
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Shows the times, and starts nothing
    #[arg(long)]
    dry_run: bool,
    /// Does not ask
    #[arg(long)]
    yes: bool,
}

/// What was done so far.
#[derive(Default)]
struct Sum {
    started: usize,
    there: usize,
    refused: usize,
}

impl Backfill {
    pub(super) async fn execute(&self, common: &Common, access: Access) -> Result<Exit, Fault> {
        let client = access.daemon()?;
        let planned = self.planned(&client).await?;
        let count: usize = planned.iter().map(|page| number(page, "count")).sum();
        if self.dry_run {
            self.show(common, &planned);
            return Ok(Exit::Done);
        }
        if count == 0 {
            if common.json {
                print_json(&json!({ "started": 0, "there": 0, "refused": 0 }));
            }
            note("there is no time to start a run for");
            return Ok(Exit::Done);
        }
        if !self.yes && !self.agreed(&planned, count)? {
            note("nothing was started");
            return Ok(Exit::Failed);
        }
        self.perform(common, &client, count).await
    }

    /// What would be started, page by page.
    async fn planned(&self, client: &Client) -> Result<Vec<Value>, Fault> {
        let (mut from, mut left) = (self.from.clone(), self.limit.unwrap_or(usize::MAX));
        let mut pages = Vec::new();
        while left > 0 {
            let page = self.ask(client, &from, left.min(1_000), true, None).await?;
            left -= number(&page, "count").min(left);
            let next = text(&page, "next").to_owned();
            pages.push(page);
            if next.is_empty() {
                break;
            }
            from = next;
        }
        Ok(pages)
    }

    async fn ask(
        &self,
        client: &Client,
        from: &str,
        limit: usize,
        dry_run: bool,
        batch: Option<&str>,
    ) -> Result<Value, Fault> {
        let path = format!("/api/v1/workflows/{}/backfill", escaped(&self.workflow));
        let body = json!({
            "from": from, "to": self.to, "only_missing": self.only_missing, "trigger": self.trigger,
            "limit": limit, "dry_run": dry_run,
        });
        let headers: Vec<_> = batch.iter().map(|batch| ("idempotency-key", *batch)).collect();
        client.post(&path, &body, &headers).await
    }

    fn show(&self, common: &Common, planned: &[Value]) {
        if common.json {
            planned.iter().for_each(print_json);
            return;
        }
        let times = planned.iter().flat_map(|page| page["times"].as_array().into_iter().flatten());
        for time in times {
            let run = text(time, "run");
            line(&if run.is_empty() {
                text(time, "at").to_owned()
            } else {
                format!("{} again, after {run}", text(time, "at"))
            });
        }
        note(&self.sentence(planned));
    }

    fn sentence(&self, planned: &[Value]) -> String {
        let sum = |field: &str| -> usize { planned.iter().map(|page| number(page, field)).sum() };
        let (count, existing) = (sum("count"), sum("existing"));
        let trigger = planned.first().map_or("", |page| text(page, "trigger"));
        let about = match existing {
            0 => String::new(),
            _ if self.only_missing => format!("; {existing} times have a run already"),
            _ => format!("; {existing} of them anew, as they have a run already"),
        };
        format!("{count} runs of `{}` for {trigger}{about}", self.workflow)
    }

    /// Asks whoever sits at the terminal.
    fn agreed(&self, planned: &[Value], count: usize) -> Result<bool, Fault> {
        if !std::io::stdin().is_terminal() {
            let what = self.sentence(planned);
            return Err(Fault::usage(format!(
                "this starts {what}; hint: `--yes` does it, `--dry-run` lists the times"
            )));
        }
        note(&format!("{}; start {}? [y/N]", self.sentence(planned), if count == 1 { "it" } else { "them" }));
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        read.map_err(|error| Fault::usage(format!("the answer cannot be read: {error}")))?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    async fn perform(&self, common: &Common, client: &Client, count: usize) -> Result<Exit, Fault> {
        let batch = crate::id::RunId::new().to_string();
        let (mut from, mut left, mut sum) = (self.from.clone(), count, Sum::default());
        loop {
            let done = self.ask(client, &from, left.min(CHUNK), false, Some(&batch)).await?;
            sum.add(common, &done);
            if let Some(problem) = done["problem"].as_str() {
                sum.tell(common);
                let hint = "hint: the same with `--only-missing` goes on";
                return Err(Fault::unreachable(format!("it ended early: {problem}; {hint}")));
            }
            left -= number(&done, "count").min(left);
            let next = text(&done, "next");
            if next.is_empty() || left == 0 {
                break;
            }
            next.clone_into(&mut from);
        }
        sum.tell(common);
        Ok(if sum.refused > 0 { Exit::Failed } else { Exit::Done })
    }
}

impl Sum {
    fn add(&mut self, common: &Common, done: &Value) {
        let list = |name: &str| done[name].as_array().map_or(&[][..], Vec::as_slice).to_vec();
        self.started += list("started").len();
        self.there += list("there").len();
        self.refused += list("refused").len();
        if !common.json {
            list("started").iter().for_each(|one| line(&format!("{}  {}", text(one, "at"), text(one, "run"))));
            list("refused").iter().for_each(|one| note(&format!("{}: {}", text(one, "at"), text(one, "reason"))));
        }
    }

    fn tell(&self, common: &Common) {
        let Self { started, there, refused } = self;
        if common.json {
            print_json(&json!({ "started": started, "there": there, "refused": refused }));
        } else {
            note(&format!("started {started}, there already {there}, refused {refused}"));
        }
    }
}

fn number(page: &Value, field: &str) -> usize {
    page[field].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
}
