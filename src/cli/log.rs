//! The log of the daemon: what the engine says and what scripts write, a line each, on stderr.
//!
//! Whoever has something to say puts it into a bounded queue and goes on; a thread of its own hides secrets, writes the lines out,
//! and says how many were dropped when they came faster than stderr takes them. Lines of scripts come here once they are
//! durable, from the engine ([`Lines`]); lines of the engine through `tracing`.

mod collect;
mod shown;

use std::io::{IsTerminal as _, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::collect::Collector;
use self::shown::{Record, Style};
use super::output::{self, Fault};
use crate::config::{LogFormat, LogSettings};
use crate::engine::lines::{Level, Line, Lines, Writer};
use crate::time::{Clock, SystemClock};
use crate::vault::Vault;

/// Lines that wait to be written at most: some seconds of a busy daemon.
const QUEUE: usize = 16_384;
/// Bytes that they may take: a line of a script has up to 16 KB, and fields.
const QUEUE_BYTES: usize = 32 << 20;
/// Bytes that are gathered before they are written out while more lines wait.
const CHUNK: usize = 64 << 10;
/// At the end, lines that nobody reads are waited for so long.
const LAST: Duration = Duration::from_secs(2);
/// The target under which the level of scripts' lines is set: `info,script=warn`.
const SCRIPT: &str = "script";
/// What is shown unless something is said.
const LEVEL: &str = "info";

/// The queue to the writing thread. Dropped lines are counted. Its bounds are its own: a channel with bounds has the memory of all
/// its places from the start, 2 MB in each process.
struct Queue {
    sender: Mutex<Option<Sender<Record>>>,
    lines: AtomicUsize,
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl Queue {
    fn push(&self, record: Record) {
        let size = record.size();
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*sender else { return };
        let (lines, bytes) = (self.lines.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let is_room = lines < QUEUE && bytes + size <= QUEUE_BYTES;
        // Counted before it is there to be taken.
        self.lines.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size, Ordering::Relaxed);
        if !is_room || sender.send(record).is_err() {
            self.taken(size);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A line of this size is not in the queue any more.
    fn taken(&self, size: usize) {
        self.lines.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(size, Ordering::Relaxed);
    }
}

/// Takes the lines of runs.
struct Sink {
    queue: Arc<Queue>,
    levels: Targets,
}

impl Lines for Sink {
    fn wants(&self, writer: Writer, level: Level) -> bool {
        let target = if writer == Writer::Script { SCRIPT } else { "panta" };
        self.levels.would_enable(target, &collect::tracing_level(level))
    }

    fn take(&self, lines: Vec<Line>) {
        lines.into_iter().for_each(|line| self.queue.push(Record::of_line(line)));
    }

    fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }
}

/// The running log. When it is closed, what waits is written.
pub(super) struct Log {
    queue: Arc<Queue>,
    sink: Arc<Sink>,
    done: Receiver<()>,
    format: LogFormat,
}

impl Log {
    /// Starts the log of this process, on stderr.
    pub(super) fn start(settings: &LogSettings, vault: Arc<Vault>) -> Result<Self, Fault> {
        let stderr = std::io::stderr();
        let is_coloured = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let (log, collector) = Self::to(Box::new(stderr), settings, is_coloured, vault)?;
        let levels = log.sink.levels.clone();
        if log.is_json() {
            output::faults_as_json();
        }
        // A second one in a process, in tests, leaves the first.
        let _ = tracing_subscriber::registry().with(levels).with(collector).try_init();
        Ok(log)
    }

    fn to(
        out: Box<dyn Write + Send>,
        settings: &LogSettings,
        is_coloured: bool,
        vault: Arc<Vault>,
    ) -> Result<(Self, Collector), Fault> {
        let levels = settings.level.as_deref().unwrap_or(LEVEL);
        let levels: Targets = levels.parse().map_err(|error| {
            Fault::usage(format!(
                "the level `{levels}` of the log is none: {error}; hint: `info`, or `info,script=warn`"
            ))
        })?;
        let (sender, receiver) = channel();
        let (ended, done) = sync_channel(1);
        let queue = Arc::new(Queue {
            sender: Mutex::new(Some(sender)),
            lines: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        });
        let format = settings.format.unwrap_or_default();
        let writing = Writing { out, style: Style { format, is_coloured }, vault, queue: Arc::clone(&queue), told: 0 };
        std::thread::Builder::new()
            .name("stderr".into())
            .spawn(move || {
                writing.run(&receiver);
                let _ = ended.send(());
            })
            .map_err(|error| Fault::unreachable(format!("the system gives no thread for the log: {error}")))?;
        let sink = Arc::new(Sink { queue: Arc::clone(&queue), levels });
        Ok((Self { queue: Arc::clone(&queue), sink, done, format }, Collector::new(queue)))
    }

    /// Who shows the lines of runs.
    pub(super) fn lines(&self) -> Arc<dyn Lines> {
        Arc::clone(&self.sink) as _
    }

    /// What says a line to people: as it is, or, where all lines are JSON, as one of them.
    pub(super) fn voice(&self) -> fn(&str) {
        if self.is_json() { |text| tracing::info!("{text}") } else { output::note }
    }

    /// What says that something went wrong with the process itself: a warning of the log, in whatever form that has.
    pub(super) fn alarm() -> fn(&str) {
        |text| tracing::warn!("{text}")
    }

    /// Whether each line is JSON, and nothing else may be written.
    pub(super) fn is_json(&self) -> bool {
        self.format == LogFormat::Json
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        *self.queue.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.done.recv_timeout(LAST);
    }
}

/// The writing side.
struct Writing {
    out: Box<dyn Write + Send>,
    style: Style,
    vault: Arc<Vault>,
    queue: Arc<Queue>,
    /// Dropped lines that were told of.
    told: u64,
}

impl Writing {
    fn run(mut self, receiver: &Receiver<Record>) {
        let mut chunk = String::new();
        // Nothing is dropped while nothing waits: what was is told of behind the lines that were there then.
        while let Ok(record) = receiver.recv() {
            self.add(&record, &mut chunk);
            while chunk.len() < CHUNK
                && let Ok(record) = receiver.try_recv()
            {
                self.add(&record, &mut chunk);
            }
            self.flush(&mut chunk);
        }
        self.flush(&mut chunk);
    }

    fn add(&self, record: &Record, chunk: &mut String) {
        self.queue.taken(record.size());
        self.style.write(record, &self.vault, chunk);
    }

    fn flush(&mut self, chunk: &mut String) {
        let dropped = self.queue.dropped.load(Ordering::Relaxed);
        if dropped > self.told {
            let said =
                format!("{} lines of this log were dropped: they come faster than they are taken", dropped - self.told);
            self.told = dropped;
            self.style.write(&Record::own(SystemClock.now(), Level::Warn, said), &self.vault, chunk);
        }
        // Nobody there to read it is no error.
        let _ = self.out.write_all(chunk.as_bytes()).and_then(|()| self.out.flush());
        chunk.clear();
    }
}

#[cfg(test)]
mod tests;
