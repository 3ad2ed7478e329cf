//! Colours and fonts, and how wide a text is. Widths are estimates on the safe side: there is no font to ask.

use super::super::Kind;

/// A size of text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Font {
    /// 10 px, capitals, spaced.
    What,
    /// 13 px, half bold.
    Label,
    /// 11 px.
    Detail,
}

/// Most lines of one text.
const LINES: usize = 3;

/// Tenths of a pixel at a size of 10 px.
fn advance(c: char) -> i32 {
    match c {
        'i' | 'l' | 'j' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 32,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | ' ' | '/' | '\\' | '"' | '`' | '-' => 42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '—' => 96,
        'A'..='Z' | '#' | '&' | '$' | '=' | '+' | '<' | '>' | '~' | '{' | '}' | '_' => 75,
        c if c.is_ascii() => 62,
        // Wide scripts.
        c if u32::from(c) >= 0x1100 => 104,
        _ => 75,
    }
}

/// The width of a line.
pub(super) fn width(text: &str, font: Font) -> i32 {
    let tenths: i32 = text.chars().map(advance).sum();
    let (size, spacing) = match font {
        Font::What => (10, 8 * text.chars().count() as i32),
        Font::Label => (14, 0),
        Font::Detail => (12, 0),
    };
    (tenths * size / 10 + spacing) / 10 + 1
}

/// Broken at spaces, or inside of words that are too long.
pub(super) fn wrap(text: &str, font: Font, widest: i32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if width(&longer, font) <= widest {
            line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            line.push(c);
            if width(&line, font) > widest {
                lines.push(std::mem::take(&mut line));
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    // A bracket alone on a line looks lost.
    if lines.len() > 1 && lines[lines.len() - 1].chars().count() <= 2 {
        let last = lines.pop().unwrap_or_default();
        let before = lines.len() - 1;
        lines[before].push(' ');
        lines[before].push_str(&last);
    }
    if lines.len() > LINES {
        lines.truncate(LINES);
        lines[LINES - 1].push('…');
    }
    lines
}

/// The class of a kind, which decides its colours.
pub(super) fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Trigger | Kind::Start | Kind::Done | Kind::Return => "go",
        Kind::Call => "call",
        Kind::Wait | Kind::Timeout => "wait",
        Kind::Task => "task",
        Kind::Emit | Kind::Child => "event",
        Kind::Throw => "bad",
        Kind::Undo | Kind::Exit | Kind::Rollback => "undo",
        Kind::Parallel | Kind::Race => "side",
        _ => "plain",
    }
}

/// Class, then line and fill on a light ground, then on a dark one.
const COLOURS: &[(&str, &str, &str, &str, &str)] = &[
    ("go", "#1a7f37", "#e8f7ec", "#3fb950", "#12261a"),
    ("call", "#0969da", "#e8f3ff", "#58a6ff", "#12233a"),
    ("wait", "#9a6700", "#fff8dc", "#d9a52b", "#2a2312"),
    ("task", "#8250df", "#f5eeff", "#b083f9", "#261c38"),
    ("event", "#0b7285", "#e3f6f9", "#3bc9db", "#0f2b31"),
    ("bad", "#cf222e", "#ffecea", "#ff7b72", "#35161a"),
    ("undo", "#bc4c00", "#fff1e5", "#f0883e", "#2f1d0f"),
    ("side", "#3b5bdb", "#eef2ff", "#8aa4ff", "#171f3a"),
    ("plain", "#59636e", "#f6f8fa", "#9198a1", "#1c2128"),
];

/// Ground, text, quiet text and lines, light and dark.
const GROUND: [[&str; 4]; 2] =
    [["#ffffff", "#1f2328", "#59636e", "#8c959f"], ["#0d1117", "#e6edf3", "#9198a1", "#6e7681"]];

/// The style sheet.
pub(super) fn sheet() -> String {
    let mut css = String::from(
        "text{font-family:ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;font-size:11.5px}\
         .what{font-size:10px;letter-spacing:.06em;font-weight:600}.label{font-size:13px;font-weight:600}\
         .card{stroke-width:1.2}.box{stroke-width:1.2;fill-opacity:.45}.dashed{stroke-dasharray:5 4}\
         .line{fill:none;stroke-width:1.5}.off{opacity:.45}.reached>.card,.reached>.box{stroke-width:2.6}\
         a{text-decoration:none}a:hover>.card,a:hover>.box{stroke-width:2.6}",
    );
    css.push_str(&ground(0));
    COLOURS.iter().for_each(|(class, line, fill, ..)| css.push_str(&rule(class, line, fill)));
    css.push_str("@media(prefers-color-scheme:dark){");
    css.push_str(&ground(1));
    COLOURS.iter().for_each(|(class, _, _, line, fill)| css.push_str(&rule(class, line, fill)));
    css.push('}');
    css
}

fn rule(class: &str, line: &str, fill: &str) -> String {
    format!(".{class}>.card,.{class}>.box{{stroke:{line};fill:{fill}}}.{class}>.what{{fill:{line}}}")
}

fn ground(dark: usize) -> String {
    let [ground, text, quiet, line] = GROUND[dark];
    format!(
        ".ground{{fill:{ground}}}.label{{fill:{text}}}.detail,.case{{fill:{quiet}}}\
         .case{{paint-order:stroke;stroke:{ground};stroke-width:3px}}.line{{stroke:{line}}}.tip{{fill:{line}}}"
    )
}
