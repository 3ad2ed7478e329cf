//! One connection to a mailbox: logging in, and the few commands that following it takes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::answer::{Answer, Status, Token};
use super::fields::{coded, counted, fetched, head, number, quoted};
use super::wire::Wire;
use super::{Error, Mailbox, folder};
use crate::effect::mail::Security;
use crate::effect::tls;

/// Until a connection stands, with TLS. 20 s: three lost SYN packets are 7.
const CONNECT: Duration = Duration::from_secs(20);
/// For a command, whatever it takes. A server that drips a message is left after that.
const COMMAND: Duration = Duration::from_mins(5);
/// Bytes of a literal where none is asked for.
const SMALL: usize = 4 << 10;
/// Bytes of all headers of a message.
const HEADERS_MOST: usize = 1 << 20;

/// A connection that is logged in.
pub struct Session {
    wire: Wire,
    number: u32,
    capabilities: BTreeSet<String>,
    selected: Option<Selected>,
}

/// The folder that is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Selected {
    validity: u32,
    /// How many messages are in it.
    exists: u32,
    /// Something came since it was last listed.
    has_news: bool,
}

/// What a server says of a folder that it opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The numbering of its messages. Another one than before: all numbers mean other messages.
    pub validity: u32,
    /// The number that the next message gets, at least.
    pub next: u32,
    /// How many messages are in it.
    pub exists: u32,
}

/// What a list says of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its number.
    pub uid: u32,
    /// When the server got it, in seconds since 1970.
    pub date: i64,
    /// Bytes.
    pub size: usize,
}

impl Session {
    /// Connects, and logs in.
    pub(super) async fn open(mailbox: &Mailbox, password: &str) -> Result<Self, Error> {
        let connecting = tokio::time::timeout(CONNECT, connect(mailbox));
        let (wire, is_known) = connecting.await.map_err(|_| unreachable_host(mailbox, "it does not answer"))??;
        let mut session = Self { wire, number: 0, capabilities: BTreeSet::new(), selected: None };
        if !is_known {
            session.log_in(mailbox, password).await?;
        }
        // Others may be offered to those who are let in.
        session.ask_capabilities().await?;
        Ok(session)
    }

    /// Opens a folder.
    pub async fn select(&mut self, name: &str, is_read_only: bool) -> Result<Opened, Error> {
        let verb = if is_read_only { "EXAMINE" } else { "SELECT" };
        let (mut validity, mut next, mut exists) = (None, None, 0);
        self.command(&format!("{verb} {}", quoted(&folder::encoded(name))?), SMALL, |answer| match answer {
            Answer::Status { text, .. } => {
                validity = coded(text, "UIDVALIDITY").or(validity);
                next = coded(text, "UIDNEXT").or(next);
            }
            Answer::Data(tokens) => exists = counted(tokens, "EXISTS").unwrap_or(exists),
            Answer::Continue(_) => {}
        })
        .await?;
        self.selected = Some(Selected { validity: validity.unwrap_or_default(), exists, has_news: false });
        let validity = validity.filter(|validity| *validity > 0).ok_or_else(|| {
            Error::Settings(format!("the server has no lasting numbers for the messages of `{name}` (UIDVALIDITY)"))
        })?;
        let next = match next {
            Some(next) => next,
            None => self.heads(1, usize::MAX, |_| false).await?.1.map_or(1, |last| last.uid.saturating_add(1)),
        };
        Ok(Opened { validity, next, exists })
    }

    /// The numbering of the folder that is open.
    pub fn validity(&self) -> u32 {
        self.selected.unwrap_or_default().validity
    }

    /// Messages from this number on that are wanted, the lowest numbers first, `most` of them at most; and the one with the
    /// highest number, wanted or not.
    pub async fn heads(
        &mut self,
        from: u32,
        most: usize,
        mut is_wanted: impl FnMut(&Head) -> bool,
    ) -> Result<(Vec<Head>, Option<Head>), Error> {
        let Some(selected) = self.selected.as_mut().filter(|selected| selected.exists > 0) else {
            return Ok((Vec::new(), None));
        };
        selected.has_news = false;
        let (mut heads, mut last) = (Vec::<Head>::new(), None::<Head>);
        self.command(&format!("UID FETCH {from}:* (UID INTERNALDATE RFC822.SIZE)"), SMALL, |answer| {
            let Some(head) = fetched(answer).and_then(head) else { return };
            // `N:*` holds the last message, also where its number is below N.
            last = last.filter(|last| last.uid > head.uid).or(Some(head));
            if head.uid >= from && is_wanted(&head) {
                // Servers list by number; one that does not must not make us pass over any.
                let at = heads.partition_point(|known| known.uid < head.uid);
                heads.insert(at, head);
                heads.truncate(most);
            }
        })
        .await?;
        Ok((heads, last))
    }

    /// The headers of a message; `None`: it is not there any more.
    pub async fn headers(&mut self, uid: u32) -> Result<Option<Vec<u8>>, Error> {
        self.part(uid, "BODY.PEEK[HEADER]", HEADERS_MOST).await
    }

    /// A whole message; `None`: it is not there any more.
    pub async fn message(&mut self, uid: u32, most: usize) -> Result<Option<Vec<u8>>, Error> {
        self.part(uid, "BODY.PEEK[]", most).await
    }

    async fn part(&mut self, uid: u32, what: &str, most: usize) -> Result<Option<Vec<u8>>, Error> {
        let mut found = None;
        self.command(&format!("UID FETCH {uid} (UID {what})"), most, |answer| {
            let Some(fields) = fetched(answer) else { return };
            let body = fields.iter().position(|token| matches!(token, Token::Word(word) if word.starts_with("BODY[")));
            if number(fields, "UID") == Some(uid)
                && let Some(Token::Text(bytes)) = body.and_then(|at| fields.get(at + 1))
            {
                found = Some(bytes.clone());
            }
        })
        .await?;
        Ok(found)
    }

    /// Marks a message as read.
    pub async fn seen(&mut self, uid: u32) -> Result<(), Error> {
        self.command(&format!("UID STORE {uid} +FLAGS.SILENT (\\Seen)"), SMALL, |_| {}).await
    }

    /// Moves a message to another folder. Without the server's own command for that it is copied, and removed here.
    pub async fn move_to(&mut self, uid: u32, name: &str) -> Result<(), Error> {
        let target = quoted(&folder::encoded(name))?;
        if self.can("MOVE") {
            return self.command(&format!("UID MOVE {uid} {target}"), SMALL, |_| {}).await;
        }
        self.command(&format!("UID COPY {uid} {target}"), SMALL, |_| {}).await?;
        self.command(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"), SMALL, |_| {}).await?;
        // Without UIDPLUS, removing would take along what others have marked: it stays marked.
        if self.can("UIDPLUS") {
            self.command(&format!("UID EXPUNGE {uid}"), SMALL, |_| {}).await?;
        }
        Ok(())
    }

    /// Waits until the server tells of a change, for so long at most, or asks after that time where it cannot tell. `wake`
    /// ends the wait.
    pub async fn wait(&mut self, every: Duration, wake: impl Future<Output = ()>) -> Result<(), Error> {
        // Told while something else was asked: a server tells it once.
        if self.has_news() {
            return Ok(());
        }
        if self.can("IDLE") {
            return self.idle(wake).await;
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = wake => {}
        }
        self.noop().await
    }

    /// Asks whether the connection still stands, and what has changed.
    pub async fn noop(&mut self) -> Result<(), Error> {
        self.command("NOOP", SMALL, |_| {}).await
    }

    async fn idle(&mut self, wake: impl Future<Output = ()>) -> Result<(), Error> {
        /// Servers end a connection that says nothing for half an hour.
        const RENEW: Duration = Duration::from_mins(28);

        let tag = self.tag();
        self.wire.send(&format!("{tag} IDLE")).await?;
        self.go_ahead("IDLE").await?;
        let told = async {
            while !self.has_news() {
                let answer = self.wire.answer(SMALL, Some(RENEW * 2)).await?;
                self.heard(&answer)?;
            }
            Ok(())
        };
        tokio::select! {
            told = told => told?,
            () = tokio::time::sleep(RENEW) => {}
            () = wake => {}
        }
        self.wire.send("DONE").await?;
        let done = tokio::time::timeout(COMMAND, self.finish(&tag, "IDLE", SMALL, |_| {})).await;
        done.map_err(|_| Error::Network("the server does not answer".to_owned()))?
    }

    /// Until the server waits for more.
    async fn go_ahead(&mut self, name: &str) -> Result<(), Error> {
        loop {
            match self.wire.answer(SMALL, None).await? {
                Answer::Continue(_) => return Ok(()),
                Answer::Status { tag: Some(_), text, .. } => return Err(refused(name, &text)),
                other => self.heard(&other)?,
            }
        }
    }

    fn has_news(&self) -> bool {
        self.selected.is_some_and(|selected| selected.has_news)
    }

    /// Says good-bye, and does not wait for long.
    pub async fn close(mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(2), self.command("LOGOUT", SMALL, |_| {})).await;
    }

    fn can(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }

    async fn ask_capabilities(&mut self) -> Result<(), Error> {
        let mut found = BTreeSet::new();
        self.command("CAPABILITY", SMALL, |answer| {
            let Answer::Data(tokens) = answer else { return };
            let words = tokens.iter().filter_map(|token| match token {
                Token::Word(word) => Some(word.to_ascii_uppercase()),
                _ => None,
            });
            let mut words = words.peekable();
            if words.next_if(|word| word == "CAPABILITY").is_some() {
                found.extend(words);
            }
        })
        .await?;
        self.capabilities = found;
        Ok(())
    }

    async fn log_in(&mut self, mailbox: &Mailbox, password: &str) -> Result<(), Error> {
        self.ask_capabilities().await?;
        let done = if self.can("AUTH=PLAIN") {
            self.authenticate(&mailbox.user, password).await
        } else if self.can("LOGINDISABLED") {
            return Err(Error::Settings(
                "the server takes no password on this connection; hint: `security = \"tls\"`".to_owned(),
            ));
        } else {
            let line = format!("LOGIN {} {}", quoted(&mailbox.user)?, quoted(password)?);
            self.command_as("LOGIN", &line, SMALL, |_| {}).await
        };
        done.map_err(|error| match error {
            Error::Refused { why, .. } => Error::Login {
                user: mailbox.user.clone(),
                secret: mailbox.secret.clone(),
                why: why.replace(password, "***"),
            },
            other => other,
        })
    }

    /// Takes names and passwords in any letters.
    async fn authenticate(&mut self, user: &str, password: &str) -> Result<(), Error> {
        let tag = self.tag();
        self.wire.send(&format!("{tag} AUTHENTICATE PLAIN")).await?;
        self.go_ahead("AUTHENTICATE").await?;
        self.wire.send(&STANDARD.encode(format!("\0{user}\0{password}"))).await?;
        self.finish(&tag, "AUTHENTICATE", SMALL, |_| {}).await
    }

    fn tag(&mut self) -> String {
        self.number += 1;
        format!("p{}", self.number)
    }

    async fn command(&mut self, line: &str, most: usize, each: impl FnMut(&Answer)) -> Result<(), Error> {
        let mut words = line.split(' ');
        let verb = words.next().unwrap_or_default();
        let name = if verb == "UID" { format!("UID {}", words.next().unwrap_or_default()) } else { verb.to_owned() };
        self.command_as(&name, line, most, each).await
    }

    /// Sends a line, and hands over every response until the last; literals have `most` bytes at most. Errors have `name`.
    async fn command_as(
        &mut self,
        name: &str,
        line: &str,
        most: usize,
        each: impl FnMut(&Answer),
    ) -> Result<(), Error> {
        let tag = self.tag();
        self.wire.send(&format!("{tag} {line}")).await?;
        let done = tokio::time::timeout(COMMAND, self.finish(&tag, name, most, each)).await;
        done.map_err(|_| Error::Network(format!("`{name}` takes longer than {} s", COMMAND.as_secs())))?
    }

    async fn finish(&mut self, tag: &str, name: &str, most: usize, mut each: impl FnMut(&Answer)) -> Result<(), Error> {
        loop {
            let answer = self.wire.answer(most, None).await?;
            if let Answer::Status { tag: Some(found), status, text } = &answer {
                if found != tag {
                    return Err(Error::Protocol(format!("an answer to `{found}`, where `{tag}` was asked")));
                }
                each(&answer);
                return if *status == Status::Ok { Ok(()) } else { Err(refused(name, text)) };
            }
            if name != "LOGOUT" {
                self.heard(&answer)?;
            }
            each(&answer);
        }
    }

    /// What is told unasked. An error where it is the end.
    fn heard(&mut self, answer: &Answer) -> Result<(), Error> {
        match (answer, &mut self.selected) {
            (Answer::Status { status: Status::Bye, text, .. }, _) => {
                return Err(Error::Network(format!("the server ends the connection: {text}")));
            }
            (Answer::Data(tokens), Some(selected)) => {
                if let Some(exists) = counted(tokens, "EXISTS") {
                    (selected.exists, selected.has_news) = (exists, true);
                }
                if counted(tokens, "EXPUNGE").is_some() {
                    selected.exists = selected.exists.saturating_sub(1);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A connection that is ready for a log-in, and whether the server knows us without one.
async fn connect(mailbox: &Mailbox) -> Result<(Wire, bool), Error> {
    let stream = TcpStream::connect((mailbox.host.as_str(), mailbox.port)).await;
    let stream = stream.map_err(|error| unreachable_host(mailbox, &error.to_string()))?;
    // A refusal costs some speed and nothing else.
    let _ = stream.set_nodelay(true);
    let secured = |stream| secured(mailbox, stream);
    let mut wire = match mailbox.security {
        Security::Tls => Wire::new(secured(Box::new(stream)).await?),
        Security::StartTls | Security::None => Wire::new(Box::new(stream)),
    };
    let is_known = match wire.answer(SMALL, None).await? {
        Answer::Status { tag: None, status: Status::Ok, .. } => false,
        // Before TLS nobody can know us: who says so wants it to be left out.
        Answer::Status { tag: None, status: Status::PreAuth, .. } if mailbox.security != Security::StartTls => true,
        Answer::Status { text, .. } => return Err(Error::Network(format!("the server does not take us: {text}"))),
        _ => return Err(Error::Protocol("no greeting; hint: check `port` and `security`".to_owned())),
    };
    if mailbox.security != Security::StartTls {
        return Ok((wire, is_known));
    }
    let mut session = Session { wire, number: 0, capabilities: BTreeSet::new(), selected: None };
    session.command("STARTTLS", SMALL, |_| {}).await?;
    Ok((Wire::new(secured(session.wire.into_stream()?).await?), false))
}

async fn secured(
    mailbox: &Mailbox,
    stream: Box<dyn super::wire::Stream>,
) -> Result<Box<dyn super::wire::Stream>, Error> {
    let config = tls::trusting(mailbox.ca_file.as_deref()).map_err(|bad| Error::Settings(bad.to_string()))?;
    let name = ServerName::try_from(mailbox.host.clone())
        .map_err(|_| Error::Settings(format!("`{}` is no name of a server", mailbox.host)))?;
    let connecting = tokio_rustls::TlsConnector::from(Arc::clone(&config)).connect(name, stream);
    let stream = connecting.await.map_err(|error| unreachable_host(mailbox, &format!("no TLS: {error}")))?;
    Ok(Box::new(stream))
}

fn unreachable_host(mailbox: &Mailbox, why: &str) -> Error {
    Error::Network(format!("`{}:{}` cannot be reached: {why}", mailbox.host, mailbox.port))
}

fn refused(command: &str, why: &str) -> Error {
    Error::Refused { command: command.to_owned(), why: why.to_owned() }
}
