//! `notify`: telling people something, through a channel of the config.
//!
//! What is told becomes durable with the entry of the call, so it is told exactly once whatever crashes in between, and a replay
//! tells nothing. That it is then delivered is the engine's business. In a test it is a call like one of the outside: it is
//! counted, and may be mocked; without a mock it tells nobody.

use std::sync::Arc;

use rhai::Dynamic;

use super::effects::stand_in;
use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};
use super::session::{self, Act, Mode, encode_error, hash_arguments};
use super::state;
use crate::journal::{Entry, Kind};
use crate::payload::Payload;
use crate::replay::Command;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "notify",
    params: &["channel: string", "text: string", "options: map?"],
    options: &[Choice::new(
        "title",
        "string?",
        "one line above the text; without it the first line of the text is that",
    )],
    returns: "()",
    nature: Nature::Internal,
    errors: &["not_found"],
    doc: "Tells a channel of the config, or a person or a group of it: `[channels.ops]`. It is told exactly once, delivered as soon as \
          the channel takes it, and the run does not wait for that. Equal ones that follow each other are told once, with their number.",
    example: "notify(\"ops\", \"the nightly import took twice as long as ever\")",
    call: notify,
    ..Function::BASE
}];

fn notify(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let options = call.options(2)?;
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let (channel, text) = (call.text(0)?, call.text(1)?);
    if channel.trim().is_empty() {
        return Err(
            call.invalid("`channel` is the name of a channel, a person or a group; hint: `notify(\"ops\", text)`")
        );
    }
    // Checked before anything is recorded, so that a bad one is an error of the call on every replay.
    let title = options.text("title")?;
    if session.world.watches_calls() && strand.mode.get() == Mode::Recorded {
        session.world.known_channel(&channel).map_err(|problem| unknown(call, &problem))?;
        return stand_in(&call.context, call.function.name, &call.args);
    }
    let arguments = hash_arguments(&format!("{channel}\n{}\n{text}", title.as_deref().unwrap_or_default()));
    let command = Command { arguments, ..session::command(Kind::Effect, call.function.name, call.line()) };
    let position = match state::now(&session, &strand, &command)? {
        Ok(value) => return value,
        Err(position) => position,
    };
    let id: Arc<str> = format!("{}.{position}", session.facts.run).into();
    let detail = Payload::from_json(&serde_json::json!({ "channel": channel }));
    let entry = Entry { detail: Some(detail), ..session.entry(&command, position) };
    if let Err(problem) = session.world.known_channel(&channel) {
        return session.close(entry, Err(encode_error(&unknown(call, &problem).into_map())));
    }
    let (title, text) = titled(title, text);
    session.acts.borrow_mut().push(Act::Notify { id, channel: channel.into(), title, text });
    session.close(entry, Ok(Payload::unit()))
}

fn unknown(call: &Call<'_>, problem: &str) -> Fail {
    Fail::error("not_found", format!("`{}`: {problem}", call.function.name))
}

/// Without a title the first line is one, and the others are the text.
fn titled(title: Option<String>, text: String) -> (String, String) {
    match title.filter(|title| !title.trim().is_empty()) {
        Some(title) => (title, text),
        None => match text.trim().split_once('\n') {
            Some((first, rest)) => (first.trim().to_owned(), rest.trim().to_owned()),
            None => (text.trim().to_owned(), String::new()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_a_title() {
        let of = |title: Option<&str>, text: &str| titled(title.map(str::to_owned), text.to_owned());
        assert_eq!(of(None, "one\n\ntwo\nthree"), ("one".to_owned(), "two\nthree".to_owned()));
        assert_eq!(of(None, "one"), ("one".to_owned(), String::new()));
        assert_eq!(of(Some("t"), "one\ntwo"), ("t".to_owned(), "one\ntwo".to_owned()));
        assert_eq!(of(Some(" "), "one"), ("one".to_owned(), String::new()));
    }
}
