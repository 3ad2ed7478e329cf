//! A mailbox on this machine that speaks as much IMAP as following one takes, and can misbehave.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Whom it lets in.
pub(crate) const USER: &str = "desk";
pub(crate) const PASSWORD: &str = "pa\"ss\\word";

/// A message in the folder.
pub(crate) struct Kept {
    pub(crate) uid: u32,
    pub(crate) raw: Vec<u8>,
    pub(crate) is_seen: bool,
    /// Second of the day on which it came.
    second: u32,
}

pub(crate) struct State {
    pub(crate) validity: u32,
    next: u32,
    pub(crate) messages: Vec<Kept>,
    pub(crate) moved: Vec<(String, Vec<u8>)>,
    pub(crate) password: &'static str,
    /// Whether it tells of arrivals by itself.
    pub(crate) has_idle: bool,
    /// Connections so far, and how many of them were let in.
    pub(crate) connections: usize,
    pub(crate) sessions: usize,
    /// How many messages are cut in their middle, and the connection with them.
    pub(crate) cuts: usize,
    /// Said in place of the text of the message with this number.
    pub(crate) nonsense: Option<(u32, &'static str)>,
    /// The message with this number is longer than its size.
    pub(crate) grows: Option<u32>,
    /// Said for every command that changes a message.
    pub(crate) is_read_only: bool,
    second: u32,
}

/// The server. It ends with the test.
pub(crate) struct Fake {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            validity: 7,
            next: 1,
            messages: Vec::new(),
            moved: Vec::new(),
            password: PASSWORD,
            has_idle: true,
            connections: 0,
            sessions: 0,
            cuts: 0,
            nonsense: None,
            grows: None,
            is_read_only: false,
            second: 0,
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || Connection { stream, state, exists: 0 }.serve());
            }
        });
        Self { port, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A message arrives.
    pub(crate) fn deliver(&self, text: &str) {
        let mut state = self.state();
        let (uid, second) = (state.next, state.second);
        let raw = text.replace('\n', "\r\n").into_bytes();
        state.messages.push(Kept { uid, raw, is_seen: false, second });
        (state.next, state.second) = (uid + 1, second + 1);
    }

    /// All messages get other numbers.
    pub(crate) fn renumber(&self) {
        let mut state = self.state();
        state.validity += 1;
        state.messages.iter_mut().zip(1..).for_each(|(message, uid)| message.uid = uid);
        state.next = state.messages.len() as u32 + 1;
    }
}

struct Connection {
    stream: TcpStream,
    state: Arc<Mutex<State>>,
    /// How many messages it was told of.
    exists: usize,
}

impl Connection {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn say(&mut self, text: &str) -> Option<()> {
        self.stream.write_all(format!("{text}\r\n").as_bytes()).ok()
    }

    fn serve(mut self) -> Option<()> {
        self.state().connections += 1;
        let mut lines = BufReader::new(self.stream.try_clone().ok()?);
        self.say("* OK ready")?;
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            let (tag, command) = line.split_once(' ').unwrap_or((line, ""));
            if command == "IDLE" {
                self.idle(&mut lines)?;
            } else if !self.obey(command)? {
                self.say(&format!("{tag} NO not so"))?;
                continue;
            }
            self.news()?;
            self.say(&format!("{tag} OK done"))?;
            if command == "LOGOUT" {
                return None;
            }
        }
    }

    fn news(&mut self) -> Option<()> {
        let exists = self.state().messages.len();
        if exists != self.exists {
            self.exists = exists;
            self.say(&format!("* {exists} EXISTS"))?;
        }
        Some(())
    }

    fn idle(&mut self, lines: &mut BufReader<TcpStream>) -> Option<()> {
        self.say("+ idling")?;
        self.stream.set_read_timeout(Some(Duration::from_millis(2))).ok()?;
        let mut line = String::new();
        while !line.contains("DONE") {
            match lines.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    self.news()?;
                }
                Err(_) => return None,
            }
        }
        self.stream.set_read_timeout(None).ok()
    }

    /// Whether it does as it is told; `None`: the connection is over.
    fn obey(&mut self, command: &str) -> Option<bool> {
        let words: Vec<_> = command.split(' ').collect();
        match words[..] {
            ["CAPABILITY"] => {
                let idle = if self.state().has_idle { " IDLE" } else { "" };
                self.say(&format!("* CAPABILITY IMAP4rev1 MOVE{idle}"))?;
            }
            ["LOGIN", ..] => {
                let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
                let expected = format!("LOGIN {} {}", quoted(USER), quoted(self.state().password));
                self.state().sessions += usize::from(command == expected);
                return Some(command == expected);
            }
            ["SELECT" | "EXAMINE", _] => {
                let state = self.state();
                let (validity, next, exists) = (state.validity, state.next, state.messages.len());
                drop(state);
                self.exists = exists;
                self.say(&format!("* FLAGS (\\Seen)\r\n* {} EXISTS\r\n* OK [UIDVALIDITY {validity}] numbers\r\n* OK [UIDNEXT {next}] next", self.exists))?;
            }
            ["UID", "FETCH", range, ..] => self.fetch(range, command)?,
            ["UID", "STORE", uid, "+FLAGS.SILENT", "(\\Seen)"] => {
                let mut state = self.state();
                let uid: u32 = uid.parse().ok()?;
                let is_read_only = state.is_read_only;
                state
                    .messages
                    .iter_mut()
                    .filter(|message| message.uid == uid)
                    .for_each(|message| message.is_seen = !is_read_only);
                return Some(!is_read_only);
            }
            ["UID", "MOVE", uid, ..] => {
                let uid: u32 = uid.parse().ok()?;
                let mut state = self.state();
                let at = state.messages.iter().position(|message| message.uid == uid)?;
                let message = state.messages.remove(at);
                state.moved.push((words[3..].join(" "), message.raw));
                drop(state);
                self.exists -= 1;
                self.say(&format!("* {} EXPUNGE", at + 1))?;
            }
            ["NOOP" | "LOGOUT"] => {}
            _ => return Some(false),
        }
        Some(true)
    }

    fn fetch(&mut self, range: &str, command: &str) -> Option<()> {
        let state = Arc::clone(&self.state);
        let mut state = state.lock().unwrap();
        let last = state.messages.last().map_or(0, |message| message.uid);
        let (from, to) = match range.strip_suffix(":*") {
            // As servers do: the last message is in it, also where the range begins behind it.
            Some(from) => (from.parse::<u32>().ok()?.min(last), last),
            None => (range.parse().ok()?, range.parse().ok()?),
        };
        let (cuts, nonsense, grows) = (state.cuts, state.nonsense, state.grows);
        for (message, number) in
            state.messages.iter().zip(1..).filter(|(message, _)| (from..=to).contains(&message.uid))
        {
            let (uid, size, second) = (message.uid, message.raw.len(), message.second);
            if !command.contains("BODY.PEEK") {
                let time = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
                self.say(&format!(
                    "* {number} FETCH (UID {uid} INTERNALDATE \" 1-Jul-2025 {time} +0000\" RFC822.SIZE {size})"
                ))?;
                continue;
            }
            if let Some((_, nonsense)) = nonsense.filter(|(bad, _)| *bad == uid) {
                return self.say(nonsense);
            }
            let head = message.raw.windows(4).position(|four| four == b"\r\n\r\n").map_or(size, |at| at + 4);
            let (what, end) = if command.contains("[HEADER]") { ("BODY[HEADER]", head) } else { ("BODY[]", size) };
            if what == "BODY[]" && grows == Some(uid) {
                return self.say(&format!("* {number} FETCH (UID {uid} {what} {{{}}}", size * 100));
            }
            write!(self.stream, "* {number} FETCH (UID {uid} {what} {{{end}}}\r\n").ok()?;
            if cuts > 0 {
                let _ = self.stream.write_all(&message.raw[..end / 2]);
                state.cuts -= 1;
                return None;
            }
            self.stream.write_all(&message.raw[..end]).ok()?;
            self.say(")")?;
        }
        Some(())
    }
}
