//! Server-sent events of a daemon, across broken lines: what comes is in order, and nothing comes twice.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::client::{Client, NoStream};
use super::output::Fault;

/// A daemon says something every 15 s; a line that is silent for longer is dead.
const SILENCE: Duration = Duration::from_secs(45);
/// Before the line is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// Events that wait to be taken.
const WAITING: usize = 64;

/// What came.
#[derive(Debug)]
pub(super) enum Came {
    /// An event: its name (`message` where it has none), and what it bears.
    Event(String, Value),
    /// The line is broken, for this reason; it is tried again.
    Broken(String),
    /// The line is there.
    Open,
    /// That is all, for good.
    End,
    /// The daemon does not give this stream.
    Refused(Fault),
}

/// A stream that is read on a task of its own; dropping it ends it.
pub(super) struct Events {
    receiver: mpsc::Receiver<Came>,
    task: JoinHandle<()>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Events {
    /// Begins to read what is at this path.
    pub(super) fn open(client: &Client, path: &str) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let (client, path) = (client.clone(), path.to_owned());
        let task = tokio::spawn(async move {
            let mut reader = Reader { last: None, sender };
            while reader.connection(&client, &path).await.is_some() {
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { receiver, task }
    }

    /// The next that came; nothing may be lost by dropping the future.
    pub(super) async fn next(&mut self) -> Came {
        self.receiver.recv().await.unwrap_or(Came::End)
    }
}

struct Reader {
    /// The id of the last event.
    last: Option<String>,
    sender: mpsc::Sender<Came>,
}

impl Reader {
    /// Reads one connection to its end; `None`: there is nothing more to read.
    async fn connection(&mut self, client: &Client, path: &str) -> Option<()> {
        let last = self.last.clone();
        let headers: Vec<_> = last.as_deref().map(|last| ("last-event-id", last)).into_iter().collect();
        let mut response = match client.stream(path, &headers).await {
            Ok(Some(response)) => response,
            Ok(None) => return self.finish(Came::End).await,
            Err(NoStream::Broken(why)) => return self.tell(Came::Broken(why)).await,
            Err(NoStream::Refused(fault)) => return self.finish(Came::Refused(fault)).await,
        };
        self.tell(Came::Open).await?;
        let mut parser = Parser::default();
        loop {
            let chunk = match tokio::time::timeout(SILENCE, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Some(()),
                Ok(Err(error)) => return self.tell(Came::Broken(error.to_string())).await,
                Err(_) => return self.tell(Came::Broken("nothing came for too long".to_owned())).await,
            };
            parser.feed(&chunk);
            while let Some(event) = parser.next() {
                if let Some(id) = event.id {
                    self.last = Some(id);
                }
                let is_end = event.name == "end";
                self.tell(Came::Event(event.name, event.data)).await?;
                if is_end {
                    return self.finish(Came::End).await;
                }
            }
        }
    }

    async fn tell(&self, came: Came) -> Option<()> {
        self.sender.send(came).await.ok()
    }

    async fn finish(&self, came: Came) -> Option<()> {
        self.tell(came).await;
        None
    }
}

/// One event.
struct Event {
    name: String,
    id: Option<String>,
    data: Value,
}

/// Bytes to events. Knows as much of the format as our daemon writes: `event`, `id`, `data`, comments, LF.
#[derive(Default)]
struct Parser {
    bytes: Vec<u8>,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.bytes.windows(2).position(|two| two == b"\n\n")?;
            let block: Vec<u8> = self.bytes.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block);
            let field = |name: &str| {
                let values = block.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(':'));
                values.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect::<Vec<_>>()
            };
            let data = field("data");
            if data.is_empty() {
                continue;
            }
            let name = field("event").first().map_or("message", |name| name).to_owned();
            let data = serde_json::from_str(&data.join("\n")).unwrap_or_default();
            return Some(Event { name, id: field("id").first().map(|id| (*id).to_owned()), data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_the_bytes_come() {
        let sent = ": alive\n\nevent: run\nid: 1f-2\ndata: {\"a\":\ndata: \"é\"}\n\nid: 3\ndata: 7\n\n".as_bytes();
        for size in [1, 2, 5, 100] {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for chunk in sent.chunks(size) {
                parser.feed(chunk);
                while let Some(event) = parser.next() {
                    events.push((event.name, event.id.unwrap_or_default(), event.data.to_string()));
                }
            }
            let expected = [("run", "1f-2", "{\"a\":\"é\"}"), ("message", "3", "7")];
            assert_eq!(events.len(), 2);
            for ((name, id, data), expected) in events.iter().zip(expected) {
                assert_eq!((&**name, &**id, &**data), expected);
            }
        }
    }
}
