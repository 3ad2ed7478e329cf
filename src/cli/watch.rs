//! `panta watch`: all that a daemon does, live on the full screen; elsewhere a table once, or a line a change.
//!
//! One loop takes keys, news and answers in turn and draws; whoever reads from somewhere does so on a task of its own and
//! sends what came, so that nothing holds up the keys.

mod act;
mod keys;
mod model;
mod run;
mod screen;
mod view;

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Common;
use super::access::Access;
use super::client::{Client, escaped};
use super::follow::interrupted;
use super::output::{Exit, Fault, Stream, json as print_json, line, note};
use super::sse::{Came, Events};
use super::table;
use act::Act;
use keys::Wish;
use model::{Fresh, Model};
use screen::{Input, Screen};

/// Shows live what a daemon does
#[derive(Args, Debug)]
pub(super) struct Watch {
    /// Of this workflow
    #[arg(long)]
    workflow: Option<String>,
    /// Shows it once, as a table
    #[arg(long)]
    once: bool,
}

/// Between two drawings at most: as fast as one can read.
const FRAME: Duration = Duration::from_millis(50);
/// Ages are shown in seconds at first.
const TICK: Duration = Duration::from_secs(1);
/// Finished runs that are read at first.
const NEWEST: usize = 200;
/// Open ones: more cannot be looked through by a person.
const OPEN: usize = 1_000;

/// What comes to the loop beside keys and news.
enum Told {
    /// Everything, read anew.
    Fresh(Box<Fresh>),
    /// Something was done, or not: what to say.
    Said(String),
}

impl Watch {
    pub(super) async fn execute(&self, common: &Common, access: Access) -> Result<Exit, Fault> {
        let client = access.daemon()?;
        if common.json && !self.once {
            return self.changes(&client).await;
        }
        let is_live = Stream::Out.is_terminal() && std::io::IsTerminal::is_terminal(&std::io::stdin()) && !common.json;
        if self.once || !is_live {
            return self.once(&client, common.json).await;
        }
        Live::begin(client, self.workflow.clone()).await?.watch().await
    }

    fn path(&self) -> String {
        let workflow = self.workflow.as_deref().map(|name| format!("?workflow={}", escaped(name)));
        format!("/api/v1/stream{}", workflow.unwrap_or_default())
    }

    /// A line a change, until nobody reads or somebody ends it.
    async fn changes(&self, client: &Client) -> Result<Exit, Fault> {
        let mut events = Events::open(client, &self.path());
        let mut interrupted = std::pin::pin!(interrupted());
        loop {
            let came = tokio::select! {
                came = events.next() => came,
                () = &mut interrupted => return Ok(Exit::Done),
            };
            match came {
                Came::Event(name, data) if name == "reset" => print_json(&json!({ "event": name, "reset": data })),
                Came::Event(name, data) => print_json(&json!({ "event": &name, &name: data })),
                Came::Broken(why) => note(&format!("{why}; trying again")),
                Came::Refused(fault) => return Err(fault),
                Came::Open => {}
                Came::End => return Ok(Exit::Done),
            }
        }
    }

    async fn once(&self, client: &Client, as_json: bool) -> Result<Exit, Fault> {
        let mut model = Model::new(client.base(), self.workflow.clone());
        model.refresh(read(client, self.workflow.as_deref()).await?);
        if as_json {
            print_json(&model.to_json());
            return Ok(Exit::Done);
        }
        line(&model.summary());
        let rows: Vec<_> = model.shown().iter().map(|run| super::runs::row(run)).collect();
        table::table(super::runs::HEAD, &rows);
        Ok(Exit::Done)
    }
}

/// All that is shown, read from the daemon.
async fn read(client: &Client, workflow: Option<&str>) -> Result<Fresh, Fault> {
    let of = workflow.map(|name| format!("&workflow={}", escaped(name))).unwrap_or_default();
    let list = |answer: Value, field: &str| answer[field].as_array().cloned().unwrap_or_default();
    let open = "queued,running,waiting,paused,quarantined,diverged";
    // A daemon that has read its rows has forgotten nothing: what changes meanwhile comes as news.
    Ok(Fresh {
        workflows: list(client.get("/api/v1/workflows").await?, "workflows"),
        newest: list(client.get(&format!("/api/v1/runs?limit={NEWEST}{of}")).await?, "runs"),
        open: list(client.get(&format!("/api/v1/runs?limit={OPEN}&status={open}{of}")).await?, "runs"),
        tasks: list(client.get(&format!("/api/v1/tasks?limit={OPEN}&status=open{of}")).await?, "tasks"),
        reloads: list(client.get("/api/v1/reloads").await?, "reloads"),
    })
}

/// The full screen, as long as somebody looks.
struct Live {
    client: Client,
    workflow: Option<String>,
    model: Model,
    events: Events,
    /// The steps of the run that is looked at.
    steps: Option<Events>,
    told: (mpsc::UnboundedSender<Told>, mpsc::UnboundedReceiver<Told>),
    /// All is being read anew.
    is_reading: bool,
}

impl Live {
    async fn begin(client: Client, workflow: Option<String>) -> Result<Self, Fault> {
        let path = Watch { workflow: workflow.clone(), once: false }.path();
        let events = Events::open(&client, &path);
        let mut model = Model::new(client.base(), workflow.clone());
        // What is wrong with the daemon or the token is said on the plain terminal.
        model.refresh(read(&client, workflow.as_deref()).await?);
        Ok(Self { client, workflow, model, events, steps: None, told: mpsc::unbounded_channel(), is_reading: false })
    }

    async fn watch(mut self) -> Result<Exit, Fault> {
        let mut screen = Screen::enter()?;
        let mut interrupted = std::pin::pin!(interrupted());
        let mut tick = tokio::time::interval(TICK);
        loop {
            screen.draw(&view::draw(&mut self.model, Screen::size()))?;
            tokio::select! {
                input = screen.input() => if self.take(input) { break },
                came = self.events.next() => if let Some(fault) = self.news(came) { return Err(fault) },
                came = next_step(&mut self.steps) => self.step(came),
                Some(told) = self.told.1.recv() => self.heard(told),
                _ = tick.tick() => self.count_anew(),
                () = &mut interrupted => break,
            }
            // A burst of news is one drawing; keys are never held up by it.
            self.gather().await;
        }
        Ok(Exit::Done)
    }

    /// Takes what comes within a moment.
    async fn gather(&mut self) {
        let end = tokio::time::Instant::now() + FRAME;
        while let Ok(came) = tokio::time::timeout_at(end, self.events.next()).await {
            if self.news(came).is_some() {
                return;
            }
        }
    }

    /// Does what a key says; whether that is to end.
    fn take(&mut self, input: Input) -> bool {
        let Input::Key(key) = input else { return false };
        match keys::pressed(&mut self.model, key) {
            Wish::Nothing => {}
            Wish::End => return true,
            Wish::Look(run) => self.steps = Some(Events::open(&self.client, &format!("/api/v1/runs/{run}/stream"))),
            Wish::Back => self.steps = None,
            Wish::Act(act) => self.act(act),
        }
        false
    }

    fn act(&mut self, act: Act) {
        let (client, told) = (self.client.clone(), self.told.0.clone());
        self.model.say(&format!("{} …", act.doing()));
        tokio::spawn(async move {
            let _ = told.send(Told::Said(act.perform(&client).await));
        });
    }

    /// Takes what came of the stream; a fault where there is none for this caller.
    fn news(&mut self, came: Came) -> Option<Fault> {
        match came {
            Came::Event(name, _) if name == "reset" => self.read_anew(),
            Came::Event(name, data) => self.model.news(&name, data),
            Came::Open => self.model.link(None),
            Came::Broken(why) => self.model.link(Some(why)),
            Came::Refused(fault) => return Some(fault),
            Came::End => self.model.link(Some("the daemon ended the stream".to_owned())),
        }
        None
    }

    fn step(&mut self, came: Came) {
        match came {
            Came::Event(name, data) => self.model.step(&name, data),
            Came::Refused(fault) => {
                self.model.say(&fault.text);
                self.steps = None;
            }
            Came::End => self.steps = None,
            Came::Open | Came::Broken(_) => {}
        }
    }

    /// Counts are of all runs, which news of some do not tell.
    fn count_anew(&mut self) {
        if self.model.is_stale() {
            self.read_anew();
        }
    }

    fn read_anew(&mut self) {
        if std::mem::replace(&mut self.is_reading, true) {
            return;
        }
        self.model.begin_refresh();
        let (client, workflow, told) = (self.client.clone(), self.workflow.clone(), self.told.0.clone());
        tokio::spawn(async move {
            let _ = told.send(match read(&client, workflow.as_deref()).await {
                Ok(fresh) => Told::Fresh(Box::new(fresh)),
                Err(fault) => Told::Said(fault.text),
            });
        });
    }

    fn heard(&mut self, told: Told) {
        match told {
            Told::Fresh(fresh) => {
                self.is_reading = false;
                self.model.refresh(*fresh);
            }
            Told::Said(said) => {
                self.is_reading = false;
                self.model.say(&said);
            }
        }
    }
}

async fn next_step(steps: &mut Option<Events>) -> Came {
    match steps {
        Some(steps) => steps.next().await,
        None => std::future::pending().await,
    }
}
