//! Following one mailbox: the connection, who listens, and what is new.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::notes;
use crate::effect::imap::{After, Error, Head, Mailbox, Mailboxes, Session};
use crate::engine::{Deployed, Handle, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::trigger::mail::{Listed, Numbering, Progress};
use crate::trigger::service::{AGAIN, SCOPE, note, write};

/// Messages that are listed at a time.
const LISTED: usize = 500;
/// The longest pause after which a server is tried again.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// How often what is old is forgotten.
const FORGETS: Duration = Duration::from_hours(6);
/// A message whose tries have weighed so much is taken without what makes it fail, and one of twice that not at all.
const PATIENCE: u32 = 12;
/// What a try weighs after which the server has said nonsense, where it is 1 for one that broke off.
const NONSENSE: u32 = 4;

/// One who listens to a mailbox.
pub(super) struct Listener {
    pub(super) who: Who,
    /// Where the store has how far it is.
    key: String,
    pub(super) progress: Progress,
}

/// What becomes of a message.
#[derive(Clone)]
pub(super) enum Who {
    /// It starts a run.
    Trigger(Arc<Deployed>, TriggerSpec),
    /// It becomes an event, where it is a reply to what a run has sent.
    Replies,
}

/// How a message is taken that failed before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Care {
    /// Whole.
    Whole,
    /// Its headers alone.
    Headers,
    /// Not at all.
    Skipped,
}

/// Why following ends for now.
pub(super) enum Trouble {
    /// The mailbox.
    Mailbox(Error),
    /// The engine or the store cannot do it now: the connection is as good as before.
    NotNow(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Mailbox(error)
    }
}

/// Follows one mailbox.
pub(super) struct Follower {
    pub(super) handle: Handle,
    pub(super) name: String,
    mailboxes: Option<Arc<Mailboxes>>,
    pub(super) listeners: Vec<Listener>,
    /// What was wrong the last time.
    problem: Option<String>,
    /// The message that failed, and what its tries weigh.
    failed: Option<(u32, u32)>,
    pause: Duration,
    forgot: Option<Duration>,
}

impl Follower {
    pub(super) fn new(handle: Handle, name: &str) -> Self {
        let mailboxes = handle.mailboxes().cloned();
        let (listeners, name) = (Vec::new(), name.to_owned());
        Self { handle, name, mailboxes, listeners, problem: None, failed: None, pause: AGAIN, forgot: None }
    }

    /// Until it is dropped.
    pub(super) async fn follow(mut self) {
        let Some(mailboxes) = self.mailboxes.take() else { return };
        let Some(mailbox) = mailboxes.get(&self.name) else { return };
        let mut deployments = self.handle.deployments();
        loop {
            deployments.mark_unchanged();
            if self.wanted(mailbox).is_empty() {
                if deployments.changed().await.is_err() {
                    return;
                }
                continue;
            }
            // Otherwise nobody listens any more.
            if let Err(trouble) = self.connected(&mailboxes, mailbox).await {
                self.paused(trouble).await;
            }
        }
    }

    /// Waits before the next try, and says why.
    async fn paused(&mut self, trouble: Trouble) {
        // One message that is nonsense is no reason to leave the server alone for long.
        let is_one_message = self.failed.is_some() && matches!(trouble, Trouble::Mailbox(Error::Protocol(_)));
        self.told(&match trouble {
            Trouble::Mailbox(error) => error.to_string(),
            Trouble::NotNow(why) => why,
        });
        tokio::time::sleep(self.pause).await;
        if !is_one_message {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Who listens, by what is deployed now.
    fn wanted(&self, mailbox: &Mailbox) -> Vec<(Who, String)> {
        let mut all = Vec::new();
        for deployed in self.handle.workflows() {
            for spec in &deployed.triggers {
                if spec.kind == TriggerKind::Mail && spec.subject == self.name {
                    let key = format!("{}/{}", deployed.name, spec.id);
                    all.push((Who::Trigger(Arc::clone(&deployed), spec.clone()), key));
                }
            }
        }
        if mailbox.replies || !all.is_empty() {
            all.push((Who::Replies, format!("$replies/{}", self.name)));
        }
        all
    }

    /// Connects, and follows until nobody listens any more.
    async fn connected(&mut self, mailboxes: &Mailboxes, mailbox: &Mailbox) -> Result<(), Trouble> {
        let mut session = mailboxes.open(mailbox).await?;
        loop {
            let mut deployments = self.handle.deployments();
            self.meet(&mut session, mailbox).await?;
            if self.listeners.is_empty() {
                session.close().await;
                return Ok(());
            }
            while !deployments.has_changed().unwrap_or(true) {
                match self.sweep(&mut session, mailbox).await {
                    Ok(()) => (self.problem, self.pause) = (None, AGAIN),
                    Err(Trouble::NotNow(why)) => {
                        self.told(&why);
                        tokio::time::sleep(AGAIN).await;
                        session.noop().await?;
                        continue;
                    }
                    Err(trouble) => return Err(trouble),
                }
                let changed = async {
                    let _ = deployments.changed().await;
                    deployments.mark_changed();
                };
                session.wait(mailbox.every, changed).await?;
            }
        }
    }

    /// Opens the folder, and sees how far each who listens has come.
    async fn meet(&mut self, session: &mut Session, mailbox: &Mailbox) -> Result<(), Trouble> {
        let now = self.handle.clock().elapsed();
        if self.forgot.is_none_or(|at| now.saturating_sub(at) > FORGETS) {
            notes::forget(&self.handle, &self.name).await.map_err(Trouble::NotNow)?;
            self.forgot = Some(now);
        }
        let opened = session.select(&mailbox.folder, mailbox.after == After::Leave).await?;
        let (_, newest) = session.heads(opened.next.saturating_sub(1).max(1), 0, |_| false).await?;
        let next = newest.map_or(opened.next, |newest| opened.next.max(newest.uid.saturating_add(1)));
        let numbering = Numbering { validity: opened.validity, next };
        let newest = newest.map_or(i64::MIN, |newest| newest.date);
        let forgotten = notes::forgotten(&self.handle, &self.name).map_err(Trouble::NotNow)?;
        let (place, mut changes) = (mailbox.place(), Vec::new());
        self.listeners.clear();
        for (who, key) in self.wanted(mailbox) {
            let noted = self.handle.store().state(SCOPE, &key).map_err(|error| Trouble::NotNow(error.to_string()))?;
            let noted = noted.and_then(|noted| Progress::of_json(&noted.to_json()));
            let progress = match noted.clone() {
                Some(noted) => noted.meet(&place, numbering, newest, forgotten),
                None => Progress::begin(&place, numbering, newest),
            };
            if noted.as_ref() != Some(&progress) {
                changes.push(note(&key, Some(&progress.to_json())));
            }
            self.listeners.push(Listener { who, key, progress });
        }
        self.write(changes).await
    }

    /// Takes all that is new.
    async fn sweep(&mut self, session: &mut Session, mailbox: &Mailbox) -> Result<(), Trouble> {
        while let Some(from) = self.listeners.iter().map(|listener| listener.progress.from()).min() {
            let listeners = &self.listeners;
            let is_wanted =
                |head: &Head| listeners.iter().any(|listener| listener.progress.wants(listed(head)).is_some());
            let (heads, newest) = session.heads(from, LISTED, is_wanted).await?;
            if heads.is_empty() {
                return self.passed_over(newest).await;
            }
            for head in &heads {
                self.one(session, mailbox, head).await?;
            }
        }
        Ok(())
    }

    /// None of the messages up to this one is wanted.
    async fn passed_over(&mut self, newest: Option<Head>) -> Result<(), Trouble> {
        let Some(newest) = newest else { return Ok(()) };
        let behind = |listener: &&mut Listener| listener.progress.from() <= newest.uid;
        let mut changes = Vec::new();
        for listener in self.listeners.iter_mut().filter(behind) {
            listener.progress = listener.progress.after(newest.uid);
            changes.push(note(&listener.key, Some(&listener.progress.to_json())));
        }
        self.write(changes).await
    }

    /// Takes a message; one that keeps failing does not stop the others.
    async fn one(&mut self, session: &mut Session, mailbox: &Mailbox, head: &Head) -> Result<(), Trouble> {
        let (weight, care) = (self.weight(head.uid), self.care(head.uid));
        let taken = self.take(session, mailbox, head, care).await;
        self.failed = match &taken {
            Ok(()) => None,
            Err(Trouble::Mailbox(Error::Protocol(_))) => Some((head.uid, weight + NONSENSE)),
            Err(Trouble::Mailbox(_)) => Some((head.uid, weight + 1)),
            Err(Trouble::NotNow(_)) => Some((head.uid, weight)),
        };
        taken
    }

    /// What the tries of this message weigh so far.
    fn weight(&self, uid: u32) -> u32 {
        self.failed.filter(|(failed, _)| *failed == uid).map_or(0, |(_, weight)| weight)
    }

    pub(super) fn care(&self, uid: u32) -> Care {
        match self.weight(uid) {
            weight if weight >= PATIENCE * 2 => Care::Skipped,
            weight if weight >= PATIENCE => Care::Headers,
            _ => Care::Whole,
        }
    }

    /// Notes that a message was taken by all who listen, beside these changes.
    pub(super) async fn done(&mut self, uid: u32, mut changes: Vec<crate::store::Change>) -> Result<(), Trouble> {
        let after = |listener: &Listener| listener.progress.after(uid);
        let news = self.listeners.iter().filter(|listener| listener.progress.from() <= uid);
        changes.extend(news.map(|listener| note(&listener.key, Some(&after(listener).to_json()))));
        self.write(changes).await?;
        for listener in &mut self.listeners {
            listener.progress = after(listener);
        }
        Ok(())
    }

    pub(super) async fn write(&self, changes: Vec<crate::store::Change>) -> Result<(), Trouble> {
        if changes.is_empty() || write(&self.handle, changes).await {
            return Ok(());
        }
        Err(Trouble::NotNow("the store takes no notes now".to_owned()))
    }

    /// Says once what is wrong.
    pub(super) fn told(&mut self, problem: &str) {
        let problem = self.handle.text_from_outside(problem);
        if self.problem.as_ref() == Some(&problem) {
            return;
        }
        tracing::warn!("the mailbox `{}` cannot be followed: {problem}", self.name);
        self.refuse(&problem);
        self.problem = Some(problem);
    }

    /// Shows it at every trigger that listens.
    pub(super) fn refuse(&self, problem: &str) {
        for deployed in self.handle.workflows() {
            let triggers = deployed.triggers.iter();
            for spec in triggers.filter(|spec| spec.kind == TriggerKind::Mail && spec.subject == self.name) {
                self.handle.refuse(&deployed.name, &spec.id, problem);
            }
        }
    }
}

pub(super) fn listed(head: &Head) -> Listed {
    Listed { uid: head.uid, date: head.date }
}

/// A time in seconds, as payloads have it.
pub(super) fn shown(date: i64) -> Value {
    serde_json::to_value(crate::time::Timestamp(date.saturating_mul(1_000))).unwrap_or_default()
}
