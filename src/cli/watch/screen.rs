//! The terminal while it is a full screen: taken over whole, and given back as it was, whatever ends the command.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use crossterm::terminal;
use tokio::sync::mpsc;

use crate::cli::output::Fault;

/// The other screen, without cursor, and without lines that wrap.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J";
const LEAVE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";
/// How long a key may stay unread by the time that the command ends.
const LOOK: Duration = Duration::from_millis(100);

/// What came of the terminal.
#[derive(Clone, Copy)]
pub(super) enum Input {
    /// A key.
    Key(KeyEvent),
    /// It has another size.
    Resized,
}

/// The screen; given back when dropped, and before a panic is told.
pub(super) struct Screen {
    inputs: mpsc::UnboundedReceiver<Input>,
    is_left: Arc<AtomicBool>,
    /// What stands on it, so that only lines that differ are written.
    drawn: Vec<String>,
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn enter() -> Result<Self, Fault> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                before(panic);
            }));
        });
        terminal::enable_raw_mode().map_err(|error| no_screen(&error))?;
        write(ENTER).inspect_err(|_| restore()).map_err(|error| no_screen(&error))?;
        let (sender, inputs) = mpsc::unbounded_channel();
        let is_left = Arc::new(AtomicBool::new(false));
        let left = Arc::clone(&is_left);
        let reader = std::thread::Builder::new().name("keys".to_owned()).spawn(move || read(&left, &sender));
        reader.inspect_err(|_| restore()).map_err(|error| no_screen(&error))?;
        Ok(Self { inputs, is_left, drawn: Vec::new() })
    }

    /// Columns and rows.
    pub(super) fn size() -> (usize, usize) {
        let (columns, rows) = terminal::size().unwrap_or((80, 24));
        (usize::from(columns).max(1), usize::from(rows).max(1))
    }

    /// The next input.
    pub(super) async fn input(&mut self) -> Input {
        match self.inputs.recv().await {
            Some(input) => {
                if matches!(input, Input::Resized) {
                    self.drawn.clear();
                }
                input
            }
            None => std::future::pending().await,
        }
    }

    /// Shows these lines, each as wide as the screen at most.
    pub(super) fn draw(&mut self, lines: &[String]) -> Result<(), Fault> {
        let mut out = String::new();
        if self.drawn.len() != lines.len() {
            out.push_str("\u{1b}[2J");
            self.drawn = vec![String::new(); lines.len()];
        }
        for (n, (line, drawn)) in lines.iter().zip(&mut self.drawn).enumerate() {
            if line != drawn {
                // Cleared first: at the end of a full line, clearing would take its last column.
                out.push_str(&format!("\u{1b}[{};1H\u{1b}[0m\u{1b}[K{line}\u{1b}[0m", n + 1));
                drawn.clone_from(line);
            }
        }
        if out.is_empty() { Ok(()) } else { write(&out).map_err(|error| no_screen(&error)) }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.is_left.store(true, Ordering::Relaxed);
        restore();
    }
}

fn no_screen(error: &std::io::Error) -> Fault {
    Fault::unreachable(format!("the terminal cannot be used: {error}; hint: `--once` shows a table"))
}

fn write(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Gives the terminal back. Twice is as good as once.
fn restore() {
    let _ = write(LEAVE);
    let _ = terminal::disable_raw_mode();
}

fn read(is_left: &AtomicBool, sender: &mpsc::UnboundedSender<Input>) {
    while !is_left.load(Ordering::Relaxed) {
        let came = match event::poll(LOOK) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let input = match came {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Input::Key(key),
            Ok(Event::Resize(..)) => Input::Resized,
            Ok(_) => continue,
            Err(_) => return,
        };
        if sender.send(input).is_err() {
            return;
        }
    }
}
