//! The performer: what is shared by all commands of a worker.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::ai::Models;
use super::http::{Breakers, Clients, Means};
use super::mail::MessageIds;
use super::message::{self, Brokers};
use super::oauth::OAuth;
use super::scrub::Scrub;
use super::shell::{self, Keeper, Programs};
use super::sql::{self, Databases};
use super::{Allow, Failure, Kind, MailServer, Outcome, Reply, Request, Secrets, ai, file, http, mail};

/// Performs requests. Cheap to clone; clones share connections.
///
/// A pooled connection is driven by the runtime on which it was opened: give each worker (thread and runtime) one
/// `Performer::new`, and each workflow a clone [`at`](Self::at) its folder.
#[derive(Clone)]
pub struct Performer {
    clients: Arc<Clients>,
    limits: Limits,
    folder: Arc<Path>,
    mail: Option<Arc<MailServer>>,
    message_ids: Option<Arc<MessageIds>>,
    programs: Programs,
    databases: Option<Arc<Databases>>,
    brokers: Option<Arc<Brokers>>,
    oauth: Option<Arc<OAuth>>,
    breakers: Arc<Breakers>,
    models: Option<Arc<Models>>,
}

/// The bounds of one command. Requests may ask for other times and sizes where they have a field for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Until a connection stands, TLS included. 10 s: three lost SYN packets are 7 s.
    pub connect: Duration,
    /// From the first byte sent to the last received, redirects included. 30 s: beyond what services let a caller wait.
    pub request: Duration,
    /// The same where the response goes to a file. 10 min: a gigabyte over a slow line.
    pub download: Duration,
    /// A response body, decompressed. 32 MiB: it becomes a value of the script and an entry of the journal.
    pub body_bytes: u64,
    /// A response body that goes to a file. 1 GiB.
    pub saved_bytes: u64,
    /// The body that an error carries; longer ones are cut. 64 KiB: an error page, not a payload.
    pub error_body_bytes: u64,
    /// A file that is read into a value. 32 MiB, as for bodies.
    pub file_bytes: u64,
    /// Files that a list names, and eight times as many that it looks at. 10,000: it becomes a value of the script.
    pub listed_files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            download: Duration::from_mins(10),
            body_bytes: 32 << 20,
            saved_bytes: 1 << 30,
            error_body_bytes: 64 << 10,
            file_bytes: 32 << 20,
            listed_files: 10_000,
        }
    }
}

/// The circumstances under which a request is performed.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// Which try this is, from 1.
    pub number: u32,
    /// The same on every attempt and replay of this command, and unique to it.
    pub idempotency_key: &'a str,
    /// What [`Performer::prepare`] returned before the first try, from the recorded intent.
    pub undo: Option<&'a str>,
    /// An intent was recorded by an earlier try that may have happened, wholly or in part.
    pub again: bool,
    /// What the workflow may touch.
    pub allow: &'a Allow,
    /// Where secrets come from.
    pub secrets: &'a dyn Secrets,
    /// The trace to which the command belongs: sent with HTTP requests that name none themselves.
    pub trace: Option<&'a TraceHeaders>,
}

/// The headers by which a trace is handed on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceHeaders {
    /// `traceparent`.
    pub parent: String,
    /// `tracestate`.
    pub state: Option<String>,
}

impl Performer {
    /// A performer for one worker. Files are refused until it is [`at`](Self::at) a folder.
    pub fn new(limits: Limits) -> Self {
        let clients = Arc::new(Clients::new(limits.connect));
        Self {
            clients,
            limits,
            folder: Arc::from(Path::new("")),
            mail: None,
            message_ids: None,
            programs: Programs::new(None),
            databases: None,
            brokers: None,
            oauth: None,
            breakers: Arc::default(),
            models: None,
        }
    }

    /// The same, working in this folder (`workspace/<workflow>`, an absolute path; created when first written to).
    #[must_use]
    pub fn at(&self, folder: impl Into<PathBuf>) -> Self {
        Self { folder: Arc::from(folder.into()), ..self.clone() }
    }

    /// The same, sending mail through this server.
    #[must_use]
    pub fn with_mail(self, mail: Option<Arc<MailServer>>) -> Self {
        Self { mail, ..self }
    }

    /// The same, with messages whose replies can be recognised.
    #[must_use]
    pub fn with_message_ids(self, ids: Arc<MessageIds>) -> Self {
        Self { message_ids: Some(ids), ..self }
    }

    /// The same, with somebody who ends programs when this process dies.
    #[must_use]
    pub fn with_keeper(self, keeper: Option<Arc<Keeper>>) -> Self {
        Self { programs: Programs::new(keeper), ..self }
    }

    /// The same, with these databases.
    #[must_use]
    pub fn with_databases(self, databases: Option<Arc<Databases>>) -> Self {
        Self { databases, ..self }
    }

    /// The same, with these brokers.
    #[must_use]
    pub fn with_brokers(self, brokers: Option<Arc<Brokers>>) -> Self {
        Self { brokers, ..self }
    }

    /// The same, with tokens of these clients.
    #[must_use]
    pub fn with_oauth(self, oauth: Option<Arc<OAuth>>) -> Self {
        Self { oauth, ..self }
    }

    /// The same, asking these models.
    #[must_use]
    pub fn with_models(self, models: Option<Arc<Models>>) -> Self {
        Self { models, ..self }
    }

    /// The same, knowing which hosts fail from others that share this.
    #[must_use]
    pub fn with_breakers(self, breakers: Arc<Breakers>) -> Self {
        Self { breakers, ..self }
    }

    /// What redoing a half-done `request` will need, as JSON text, to be recorded with the intent. Blocks for a moment.
    /// Fails where performing is sure to fail.
    pub fn prepare(&self, request: &Request, allow: &Allow) -> Result<Option<String>, Failure> {
        match request {
            Request::File(request) if request.kind() == Kind::Mutating => file::prepare(request, &self.place(allow)),
            _ => Ok(None),
        }
    }

    /// Whether a workflow may do this, as far as can be said without looking outside.
    pub fn admit(request: &Request, allow: &Allow) -> Result<(), Failure> {
        match request {
            Request::Http(request) => {
                http::admit(&request.url, allow)?;
                let Some(http::Auth::OAuth2(client)) = &request.auth else { return Ok(()) };
                allow.admit_secret(&format!("oauth2:{client}"))
            }
            Request::File(_) => Ok(()),
            Request::Mail(_) => mail::admit(allow),
            Request::Shell(request) => shell::admit(request, allow),
            Request::Sql(request) => sql::admit(request, allow),
            Request::Ai(request) => ai::admit(&request.name, allow),
            Request::Message(request) => message::admit(request, allow),
        }
    }

    /// Performs `request`. Dropping the future abandons it: a connection is closed, a file that is being written
    /// atomically does not appear, another file act that has begun is finished in the background.
    pub async fn perform(&self, request: &Request, attempt: Attempt<'_>) -> Outcome {
        let place = self.place(attempt.allow);
        match request {
            Request::Http(request) => http::perform(request, &attempt, &self.means(&place)).await,
            Request::File(request) => {
                let outcome = file::perform(request, &attempt, place).await.map(Reply::File);
                Scrub::new(attempt.secrets).outcome(outcome)
            }
            Request::Ai(request) => {
                let asked = ai::perform(request, &attempt, self.models.as_ref(), &self.means(&place)).await;
                asked.map(Reply::Ai)
            }
            Request::Mail(request) => {
                let server = self.mail.as_deref();
                let sent =
                    mail::perform(request, &attempt, server, self.message_ids.as_deref(), place, self.limits.request)
                        .await;
                Scrub::new(attempt.secrets).outcome(sent.map(Reply::Mail))
            }
            Request::Shell(request) => {
                let ended = shell::perform(request, &attempt, place, &self.limits, &self.programs).await;
                Scrub::new(attempt.secrets).outcome(ended.map(Reply::Shell))
            }
            Request::Sql(request) => {
                let answer = sql::perform(request, &attempt, place, &self.limits, self.databases.as_ref()).await;
                Scrub::new(attempt.secrets).outcome(answer.map(Reply::Sql))
            }
            Request::Message(request) => {
                let taken = message::perform(request, &attempt, &self.limits, self.brokers.as_ref()).await;
                Scrub::new(attempt.secrets).outcome(taken.map(Reply::Message))
            }
        }
    }

    fn means<'a>(&'a self, place: &'a file::Place) -> Means<'a> {
        let (clients, limits, breakers) = (&*self.clients, &self.limits, &*self.breakers);
        Means { clients, limits, place, breakers, oauth: self.oauth.as_ref() }
    }

    /// Removes the folder that [`FileRequest::Temp`](super::FileRequest::Temp) made for this run, when there is one.
    pub fn remove_temp(&self, run: &str) -> Result<(), Failure> {
        file::remove_temp(run, &self.place(&Allow::default()))
    }

    fn place(&self, allow: &Allow) -> file::Place {
        file::Place::new(&self.folder, &allow.files, self.limits)
    }
}
