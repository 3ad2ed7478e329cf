//! One message, from the server to the runs that it starts and the event that it becomes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::follow::{Care, Follower, Trouble, Who, listed, shown};
use super::notes::{self, KEY_KEPT, Note};
use crate::effect::imap::{After, Error, Head, Mailbox, Session};
use crate::effect::letter::{Enclosed, Letter};
use crate::effect::upload::{Upload, Uploaded};
use crate::engine::links::Sender;
use crate::engine::{Deployed, TriggerSpec};
use crate::payload::Payload;
use crate::store::Event;
use crate::trigger::mail::{Known, key};
use crate::trigger::service::{Begun, Cause, begin};

/// The event that a reply to a run's mail becomes.
const REPLY: &str = "mail.reply";

/// A message on its way.
struct Arrived<'a> {
    head: &'a Head,
    letter: Letter,
    /// The `Message-ID` of a run's mail that it answers, and who has sent that.
    answers: Option<(String, Sender)>,
    /// Under which its runs are started.
    key: String,
}

impl Follower {
    /// Takes a message for all who want it, and notes that it did.
    pub(super) async fn take(
        &mut self,
        session: &mut Session,
        mailbox: &Mailbox,
        head: &Head,
        care: Care,
    ) -> Result<(), Trouble> {
        if care == Care::Skipped {
            self.refuse(&format!(
                "the message {} of the mailbox `{}` cannot be read: it is passed over",
                head.uid, self.name
            ));
            return self.done(head.uid, Vec::new()).await;
        }
        let Some(letter) = self.fetched(session, mailbox, head, care).await? else {
            return self.done(head.uid, Vec::new()).await;
        };
        let wants: Vec<_> = self
            .listeners
            .iter()
            .filter_map(|one| Some((one.who.clone(), one.progress.wants(listed(head))?)))
            .collect();
        let is_known = wants.iter().any(|(_, known)| *known == Known::Perhaps);
        let validity = session.validity();
        let own = key(&mailbox.place(), validity, head.uid);
        let noted = self.recognised(&letter, &own, head.date, is_known).await?;
        let key = noted.as_ref().map_or(own, |noted| noted.key.clone());
        let answers = letter.answers.iter().find_map(|id| Some((id.clone(), self.handle.sender(id)?)));
        let mut arrived = Arrived { head, letter, answers, key };
        let has_triggers = wants.iter().any(|(who, _)| matches!(who, Who::Trigger(..)));
        if arrived.answers.is_some() && !has_triggers {
            // So far there are its headers.
            let whole = self.whole(session, mailbox, head, care).await?;
            arrived.letter = whole.unwrap_or(arrived.letter);
        }
        if head.size > mailbox.max_bytes && has_triggers {
            self.tell_too_large(head.size);
        }
        let was_done = is_known && noted.as_ref().is_some_and(|noted| noted.is_done);
        if self.delivered(&arrived, &wants, was_done).await? {
            self.put_away(session, mailbox, head.uid).await?;
        }
        let done = noted.filter(|noted| !noted.is_done).map(|noted| Note { is_done: true, ..noted });
        let changes = done.map(|noted| noted.change(&self.name, &arrived.letter.identity)).into_iter().collect();
        self.done(head.uid, changes).await
    }

    /// What is noted of a message, or is noted now, before anything is started for it. `None`: that is another message, which says
    /// the same of itself, and perhaps is the same, sent once more.
    async fn recognised(&self, letter: &Letter, own: &str, date: i64, is_known: bool) -> Result<Option<Note>, Trouble> {
        match notes::of(&self.handle, &self.name, &letter.identity).map_err(Trouble::NotNow)? {
            Some(noted) if !is_known && noted.key != own => Ok(None),
            Some(noted) => Ok(Some(noted)),
            None => {
                let noted = Note { key: own.to_owned(), date, at: self.handle.clock().now(), is_done: false };
                self.write(vec![noted.change(&self.name, &letter.identity)]).await?;
                Ok(Some(noted))
            }
        }
    }

    fn tell_too_large(&self, size: usize) {
        self.refuse(&format!(
            "a message of {} MiB is larger than `max_bytes` of the mailbox `{}`: the run gets its headers alone",
            size >> 20,
            self.name
        ));
    }

    /// As much of it as is needed; `None`: it is gone.
    async fn fetched(
        &self,
        session: &mut Session,
        mailbox: &Mailbox,
        head: &Head,
        care: Care,
    ) -> Result<Option<Letter>, Error> {
        let wants = |who: &Who| matches!(who, Who::Trigger(..));
        let is_triggered =
            self.listeners.iter().any(|one| wants(&one.who) && one.progress.wants(listed(head)).is_some());
        if is_triggered {
            return self.whole(session, mailbox, head, care).await;
        }
        let raw = session.headers(head.uid).await?;
        Ok(raw.map(|raw| Letter::read(&raw, head.size.max(raw.len() + 1))))
    }

    async fn whole(
        &self,
        session: &mut Session,
        mailbox: &Mailbox,
        head: &Head,
        care: Care,
    ) -> Result<Option<Letter>, Error> {
        let is_small = head.size <= mailbox.max_bytes && care == Care::Whole;
        let raw = if is_small {
            session.message(head.uid, mailbox.max_bytes).await?
        } else {
            session.headers(head.uid).await?
        };
        Ok(raw.map(|raw| {
            // Servers count line ends in ways of their own: a message that was fetched whole is whole.
            let size = if is_small { raw.len() } else { head.size.max(raw.len() + 1) };
            Letter::read(&raw, size)
        }))
    }

    /// Hands it to those who want it. Whether anybody has taken it.
    async fn delivered(&self, arrived: &Arrived<'_>, wants: &[(Who, Known)], was_done: bool) -> Result<bool, Trouble> {
        let mut is_taken = false;
        if let Some((id, sender)) = &arrived.answers
            && !was_done
            && wants.iter().any(|(who, _)| matches!(who, Who::Replies))
        {
            self.answered(arrived, id, *sender).await?;
            is_taken = true;
        }
        let mut by_workflow: BTreeMap<Arc<str>, Vec<(&Arc<Deployed>, &TriggerSpec)>> = BTreeMap::new();
        for (who, _) in wants {
            if let Who::Trigger(deployed, spec) = who
                && (arrived.answers.is_none() || spec.options["replies"] == true)
            {
                by_workflow.entry(Arc::clone(&deployed.name)).or_default().push((deployed, spec));
            }
        }
        for (workflow, triggers) in by_workflow {
            let (files, shown) = self.saved(arrived, Some(&workflow)).await?;
            let mut has_run = false;
            for (deployed, spec) in triggers {
                match begin(&self.handle, self.cause(arrived, deployed, spec, &shown)).await {
                    Begun::Run(_) => has_run = true,
                    Begun::Never(_) => {}
                    Begun::NotNow(why) => return Err(Trouble::NotNow(why)),
                }
            }
            if !has_run {
                files.into_iter().for_each(Uploaded::remove);
            }
            is_taken |= has_run;
        }
        Ok(is_taken)
    }

    fn payload(&self, arrived: &Arrived<'_>, files: &[Value]) -> Map<String, Value> {
        let mut payload = arrived.letter.fields.clone();
        payload.insert("mailbox".to_owned(), self.name.as_str().into());
        payload.insert("received_at".to_owned(), shown(arrived.head.date));
        payload.insert("attachments".to_owned(), files.to_vec().into());
        payload
    }

    fn cause<'a>(
        &self,
        arrived: &Arrived<'_>,
        deployed: &'a Arc<Deployed>,
        spec: &'a TriggerSpec,
        files: &[Value],
    ) -> Cause<'a> {
        let payload = Value::Object(self.payload(arrived, files));
        Cause {
            key: Some(arrived.key.clone()),
            within: Some(KEY_KEPT),
            info: json!({
                "mailbox": self.name, "message_id": payload["message_id"], "from": payload["from"]["address"],
                "subject": payload["subject"], "received_at": payload["received_at"],
            }),
            seen: Some(payload.clone()),
            input: payload,
            ..Cause::of(&deployed.name, spec)
        }
    }

    /// Tells the run that has sent what this answers.
    async fn answered(&self, arrived: &Arrived<'_>, id: &str, sender: Sender) -> Result<(), Trouble> {
        let workflow = self.handle.sender_workflow(sender);
        let (_, shown) = self.saved(arrived, workflow.as_ref()).await?;
        let payload = Value::Object(self.payload(arrived, &shown));
        let event = Event {
            seq: 0,
            id: format!("mail:{}", arrived.key).into(),
            name: REPLY.into(),
            key: Some(id.into()),
            payload: Payload::from_json(&payload),
            run: None,
            at: self.handle.clock().now(),
        };
        self.handle.emit(event).await.map(drop).map_err(|error| Trouble::NotNow(error.to_string()))
    }

    /// Saves the files of a message in a workflow's folder; what a payload says of them. Without a workflow they are told of alone.
    async fn saved(
        &self,
        arrived: &Arrived<'_>,
        workflow: Option<&Arc<str>>,
    ) -> Result<(Vec<Uploaded>, Vec<Value>), Trouble> {
        let files = &arrived.letter.files;
        let facts =
            |file: &Enclosed| json!({ "name": file.name, "content_type": file.content_type, "size": file.bytes.len() });
        let mut shown: Vec<_> = files.iter().map(facts).collect();
        let (Some(workflow), false) = (workflow, files.is_empty()) else { return Ok((Vec::new(), shown)) };
        let folder = self.handle.workspace().join(&**workflow);
        let below = format!("mail/{}/{}", plain(&self.name), plain(&arrived.key));
        let files = files.clone();
        let saving = move || {
            let one = |file: &Enclosed| {
                let mut upload = Upload::create(&folder, &format!("{below}/{}", file.name))?;
                upload.write(&file.bytes)?;
                upload.finish()
            };
            files.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        let saved = tokio::task::spawn_blocking(saving).await.map_err(|error| Trouble::NotNow(error.to_string()))?;
        let saved =
            saved.map_err(|failure| Trouble::NotNow(format!("an attachment cannot be saved: {}", failure.message)))?;
        for (file, shown) in saved.iter().zip(&mut shown) {
            shown["path"] = file.path.as_str().into();
            shown["sha256"] = file.sha256.as_str().into();
        }
        Ok((saved, shown))
    }

    /// What the operator wants to become of a message that was taken. What the server refuses is told, and stops nothing.
    async fn put_away(&mut self, session: &mut Session, mailbox: &Mailbox, uid: u32) -> Result<(), Trouble> {
        let done = match &mailbox.after {
            After::Leave => return Ok(()),
            After::Seen => session.seen(uid).await,
            After::Move(folder) => session.move_to(uid, folder).await,
        };
        match done {
            Err(error @ Error::Refused { .. }) => {
                self.told(&format!("messages stay as they were: {error}"));
                Ok(())
            }
            done => Ok(done?),
        }
    }
}

/// A name for a folder.
fn plain(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).collect();
    if name.is_empty() { "mailbox".to_owned() } else { name }
}
