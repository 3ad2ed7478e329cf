//! Sending mail through one SMTP server.
//!
//! A message gets its `Message-ID` from the idempotency key, so that a second try of the same send can be recognised by
//! whoever receives both.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde_json::{Value, json};

use super::file::{self, Place};
use super::{Allow, Attempt, Failure, Field, Sent};

/// Bytes of all attachments together. 25 MiB: what the large providers take.
const ATTACHED_BYTES: usize = 25 << 20;
/// Addresses of one message. 100: beyond it one wants a list server.
const MOST_ADDRESSES: usize = 100;

/// The server that takes the mail of all workflows.
#[derive(Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port; by default 587 with STARTTLS, 465 with TLS, 25 without.
    pub port: Option<u16>,
    /// How the connection is encrypted.
    pub security: Security,
    /// Name and password, where it wants them.
    pub login: Option<(String, String)>,
    /// The sender where a script names none.
    pub from: Option<String>,
    /// The certificates that are trusted, in place of the usual ones: a PEM file.
    pub ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for MailServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailServer").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Security {
    /// It begins in the clear and must switch to TLS.
    #[default]
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Not at all: for a server on this machine.
    None,
}

/// A message to be sent.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MailRequest {
    /// Addresses: `ann@example.com` or `Ann <ann@example.com>`.
    pub to: Vec<String>,
    /// Addresses that get a copy.
    pub cc: Vec<String>,
    /// Addresses that get a copy that the others do not see.
    pub bcc: Vec<String>,
    /// The sender; that of the server's configuration where it is left out.
    pub from: Option<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// The identifier of the message that this one answers, as `<…>`.
    pub in_reply_to: Option<String>,
    /// One line.
    pub subject: String,
    /// The plain text.
    pub text: Option<String>,
    /// The formatted text.
    pub html: Option<String>,
    /// What goes with it.
    pub attach: Vec<Attached>,
}

/// A file that goes with a message.
#[derive(Clone, PartialEq, Debug)]
pub struct Attached {
    /// As the receiver sees it.
    pub name: String,
    /// MIME type; `application/octet-stream` where it is left out.
    pub content_type: Option<String>,
    /// What is in it.
    pub contents: Contents,
}

/// What is in an attachment.
#[derive(Clone, PartialEq, Debug)]
pub enum Contents {
    /// A file of the workflow, by path.
    File(String),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl MailRequest {
    pub(super) fn arguments(&self) -> Value {
        let attached = |attached: &Attached| match &attached.contents {
            Contents::File(path) => json!([attached.name, "file", path]),
            Contents::Bytes(bytes) => json!([attached.name, file::digest(bytes)]),
        };
        let mut arguments = json!([
            "mail",
            self.to,
            self.cc,
            self.bcc,
            self.from,
            self.reply_to,
            self.subject,
            self.text,
            self.html,
            self.attach.iter().map(attached).collect::<Vec<_>>()
        ]);
        // Journals of earlier releases have the arguments without it.
        if let (Some(id), Some(list)) = (&self.in_reply_to, arguments.as_array_mut()) {
            list.push(id.as_str().into());
        }
        arguments
    }
}

/// Makes what stands before the `@` of a `Message-ID` of the idempotency key, so that replies can be recognised.
pub type MessageIds = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Whether a workflow may send mail.
pub(super) fn admit(allow: &Allow) -> Result<(), Failure> {
    if allow.mail {
        return Ok(());
    }
    Err(Failure::denied("the workflow may not send mail; hint: add `allow: #{ mail: true }` to its `workflow(…)`"))
}

/// Hands a message to the server. What is returned is its `Message-ID`.
pub(super) async fn perform(
    request: &MailRequest,
    attempt: &Attempt<'_>,
    server: Option<&MailServer>,
    ids: Option<&MessageIds>,
    place: Place,
    time: Duration,
) -> Result<String, Failure> {
    admit(attempt.allow)?;
    let server = server.ok_or_else(|| {
        Failure::new("mail", "no mail server is configured; hint: add a section `[mail]` with `host` to `panta.toml`")
    })?;
    let attached = request.attach.clone();
    let parts =
        file::off_thread(move || attached.iter().map(|one| part(one, &place)).collect::<Result<_, _>>()).await?;
    let own = ids.and_then(|ids| ids(attempt.idempotency_key));
    let id = format!("<{}@{}>", own.as_deref().unwrap_or(attempt.idempotency_key), server.host);
    let message = message(request, server, id.clone(), parts)?;
    let ca_file = server.ca_file.clone();
    let pem = file::off_thread(move || Ok(ca_file.map(std::fs::read))).await?;
    let sending = transport(server, pem.as_ref(), time)?.send(message).await;
    sending.map(|_| id).map_err(|error| failure(&error, server))
}

fn message(request: &MailRequest, server: &MailServer, id: String, parts: Vec<SinglePart>) -> Result<Message, Failure> {
    let from = request.from.as_deref().or(server.from.as_deref()).ok_or_else(|| {
        Failure::invalid("a message needs a sender; hint: give `from`, or set `from` in `[mail]` of `panta.toml`")
    })?;
    let count = request.to.len() + request.cc.len() + request.bcc.len();
    if count == 0 || count > MOST_ADDRESSES {
        return Err(Failure::invalid(format!(
            "a message goes to between 1 and {MOST_ADDRESSES} addresses, not {count}"
        )));
    }
    let mut builder = Message::builder().message_id(Some(id)).from(mailbox(from)?).subject(&request.subject);
    for to in &request.to {
        builder = builder.to(mailbox(to)?);
    }
    for cc in &request.cc {
        builder = builder.cc(mailbox(cc)?);
    }
    for bcc in &request.bcc {
        builder = builder.bcc(mailbox(bcc)?);
    }
    if let Some(address) = &request.reply_to {
        builder = builder.reply_to(mailbox(address)?);
    }
    if let Some(id) = &request.in_reply_to {
        builder = builder.in_reply_to(id.clone()).references(id.clone());
    }
    let built = match (body(request), parts.is_empty()) {
        (Body::One(part), true) => builder.singlepart(part),
        (Body::Both(parts), true) => builder.multipart(parts),
        (Body::One(part), false) => builder.multipart(with(MultiPart::mixed().singlepart(part), parts)),
        (Body::Both(both), false) => builder.multipart(with(MultiPart::mixed().multipart(both), parts)),
    };
    built.map_err(|error| Failure::invalid(format!("the message cannot be written: {error}")))
}

enum Body {
    One(SinglePart),
    Both(MultiPart),
}

fn body(request: &MailRequest) -> Body {
    match (&request.text, &request.html) {
        (Some(text), Some(html)) => Body::Both(MultiPart::alternative_plain_html(text.clone(), html.clone())),
        (None, Some(html)) => Body::One(SinglePart::html(html.clone())),
        (text, None) => Body::One(SinglePart::plain(text.clone().unwrap_or_default())),
    }
}

fn with(mixed: MultiPart, parts: Vec<SinglePart>) -> MultiPart {
    parts.into_iter().fold(mixed, MultiPart::singlepart)
}

fn part(attached: &Attached, place: &Place) -> Result<SinglePart, Failure> {
    let bytes = match &attached.contents {
        Contents::Bytes(bytes) => bytes.clone(),
        Contents::File(path) => file::bytes(path, place, ATTACHED_BYTES as u64)?,
    };
    if bytes.len() > ATTACHED_BYTES {
        let most = ATTACHED_BYTES >> 20;
        return Err(Failure::limit(format!("the attachment `{}` has more than {most} MiB", attached.name)));
    }
    let kind = attached.content_type.as_deref().unwrap_or("application/octet-stream");
    let kind = ContentType::parse(kind)
        .map_err(|_| Failure::invalid(format!("`{kind}` is no content type; hint: write `application/pdf`")))?;
    Ok(Attachment::new(attached.name.clone()).body(bytes, kind))
}

fn mailbox(text: &str) -> Result<Mailbox, Failure> {
    text.parse().map_err(|_| {
        Failure::invalid(format!(
            "`{text}` is no mail address; hint: write `ann@example.com` or `Ann <ann@example.com>`"
        ))
    })
}

fn transport(
    server: &MailServer,
    pem: Option<&std::io::Result<Vec<u8>>>,
    time: Duration,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
    let tls = || {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new("mail", format!("`{}` cannot be called by TLS: {error}", server.host))
        };
        let mut parameters = TlsParameters::builder(server.host.clone());
        if let (Some(file), Some(pem)) = (&server.ca_file, pem) {
            let unread = |error: &dyn std::fmt::Display| {
                let file = file.display();
                failed(&format!(
                    "the certificates in `{file}` cannot be read: {error}; hint: `ca_file` names a PEM file"
                ))
            };
            let pem = pem.as_ref().map_err(|error| unread(error))?;
            parameters = parameters.add_root_certificate(Certificate::from_pem(pem).map_err(|error| unread(&error))?);
            parameters = parameters.certificate_store(CertificateStore::None);
        }
        parameters.build().map_err(|error| failed(&error))
    };
    let (tls, usual) = match server.security {
        Security::StartTls => (Tls::Required(tls()?), 587),
        Security::Tls => (Tls::Wrapper(tls()?), 465),
        Security::None => (Tls::None, 25),
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
        .port(server.port.unwrap_or(usual))
        .tls(tls)
        .timeout(Some(time));
    let login = server.login.clone().map(|(user, password)| Credentials::new(user, password));
    Ok(match login {
        Some(login) => builder.credentials(login).build(),
        None => builder.build(),
    })
}

/// The address of a refused connection, and answers of the server that say no for good, are not worth another try.
fn failure(error: &lettre::transport::smtp::Error, server: &MailServer) -> Failure {
    let status = error.status().map(|code| i64::from(u16::from(code)));
    let refused = {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
        std::iter::from_fn(|| {
            let this = source?;
            source = this.source();
            Some(this)
        })
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    let message = format!("the mail server `{}` did not take the message: {error}", server.host);
    let failure = Failure::new("mail", message);
    let failure = match status {
        Some(status) => failure.with("status", Field::Int(status)),
        None => failure,
    };
    let sent = if refused || error.is_permanent() { Sent::No } else { Sent::Maybe };
    Failure { retryable: !error.is_permanent() && !error.is_client(), sent, ..failure }
}

#[cfg(test)]
mod tests;
