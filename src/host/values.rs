//! What a run knows of itself and of the moment: `now`, `uuid`, `random`, `run_id`, `config`, `secret`, …

use rhai::Dynamic;
use serde_json::json;

use super::fail::Fail;
use super::function::{Call, Function, Nature};
use super::session::{self, Mode, Session, hash_text};
use super::state;
use crate::journal::Kind;
use crate::payload::Payload;
use crate::replay::Command;
use crate::script::secret::{DECLARED, SecretRef};
use crate::script::value;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "now",
        params: &[],
        returns: "string",
        nature: Nature::Internal,
        doc: "The time, in UTC, as text (RFC 3339 with milliseconds); the same on replay.",
        example: "now()",
        call: now,
        ..Function::BASE
    },
    Function {
        name: "uuid",
        params: &[],
        returns: "string",
        nature: Nature::Pure,
        doc: "A random UUID (version 4); the same on replay.",
        example: "uuid().len()",
        call: uuid,
        ..Function::BASE
    },
    Function {
        name: "random",
        params: &[],
        returns: "float",
        nature: Nature::Pure,
        doc: "A number from 0 up to, and not including, 1; the same on replay.",
        example: "random() < 1.0",
        call: |call| {
            let (session, strand) = call.session()?;
            Ok(((session.random(&strand) >> 11) as f64 / (1_u64 << 53) as f64).into())
        },
        ..Function::BASE
    },
    Function {
        name: "random_int",
        params: &["from: int", "to: int"],
        returns: "int",
        nature: Nature::Pure,
        doc: "An integer between the two, both included; the same on replay.",
        example: "random_int(1, 6) <= 6",
        call: random_int,
        ..Function::BASE
    },
    Function {
        name: "run_id",
        params: &[],
        returns: "string",
        nature: Nature::Pure,
        doc: "The id of this run.",
        example: "run_id()",
        call: |call| Ok(call.session()?.0.facts.run.to_string().into()),
        ..Function::BASE
    },
    Function {
        name: "config",
        params: &["name: string", "default: any?"],
        returns: "any",
        nature: Nature::Declarative,
        errors: &["not_found"],
        doc: "A plain setting from `[config]` of the config file, fixed for a run once read.",
        example: "config(\"billing_url\", \"http://127.0.0.1:8080\")",
        call: config,
        ..Function::BASE
    },
    Function {
        name: "secret",
        params: &["name: string"],
        returns: "secret",
        nature: Nature::Declarative,
        capability: Some("secrets"),
        doc: "A reference to a secret; its value is put in at the moment of sending, and is shown nowhere.",
        example: "secret(\"billing\")",
        call: secret,
        ..Function::BASE
    },
    Function {
        name: "trigger::info",
        params: &[],
        returns: "map",
        nature: Nature::Pure,
        doc: "What started this run: `#{ kind, … }` with headers, path, scheduled time, as the kind has them.",
        example: "trigger::info().kind",
        call: |call| Ok(value::decode(&call.session()?.0.facts.trigger)),
        ..Function::BASE
    },
];

fn now(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (session, strand) = call.session()?;
    super::no_pure(call, &strand)?;
    if strand.mode.get() != Mode::Recorded {
        return Ok(session.now.get().to_string().into());
    }
    let command = session::command(Kind::Effect, "now", call.line());
    let position = match state::now(&session, &strand, &command)? {
        Ok(value) => return value,
        Err(position) => position,
    };
    let time = Payload::from_json(&json!(session.now.get()));
    session.close(session.entry(&command, position), Ok(time))
}

fn uuid(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (session, strand) = call.session()?;
    let bits = u128::from(session.random(&strand)) << 64 | u128::from(session.random(&strand));
    Ok(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string().into())
}

fn random_int(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (from, to) = (call.int(0)?, call.int(1)?);
    if from > to {
        return Err(call.invalid(format!("{from} is larger than {to}")));
    }
    let (session, strand) = call.session()?;
    let size = (i128::from(to) - i128::from(from) + 1) as u128;
    let picked = (u128::from(session.random(&strand)) * size) >> 64;
    Ok(((i128::from(from) + picked as i128) as i64).into())
}

fn config(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let name = call.text(0)?;
    let default = call.arg(1).cloned();
    let missing = || {
        Fail::error(
            "not_found",
            format!("`config`: there is no setting `{name}`; hint: add it below `[config]` in `panta.toml`"),
        )
    };
    let Some((session, strand)) = session::current() else {
        if !super::declare::is_collecting() {
            return Err(call.invalid(
                "cannot be read inside of a closure of a declaration; hint: read it into a constant at the top: `const URL = config(\"url\");`",
            ));
        }
        return super::declare::setting(&name).or(default).ok_or_else(missing);
    };
    if strand.mode.get() == Mode::Pure {
        return Err(super::impure(call));
    }
    if strand.mode.get() == Mode::Polling {
        return read(&session, &name).map(|found| value::decode(&found)).or(default).ok_or_else(missing);
    }
    let command = Command { arguments: hash_text(&name), ..session::command(Kind::Effect, "config", call.line()) };
    let position = match state::now(&session, &strand, &command)? {
        Ok(recorded) => {
            if let Ok(found) = &recorded
                && let Ok(payload) = value::encode(found)
            {
                session.settings.borrow_mut().insert(name.clone(), payload);
            }
            return recorded;
        }
        Err(position) => position,
    };
    let found = match (read(&session, &name), default) {
        (Some(found), _) => found,
        (None, Some(default)) => session::encode("config", &default)?,
        (None, None) => {
            return session.close(session.entry(&command, position), Err(session::encode_error(&missing().into_map())));
        }
    };
    session.settings.borrow_mut().insert(name, found.clone());
    session.close(session.entry(&command, position), Ok(found))
}

fn read(session: &Session, name: &str) -> Option<Payload> {
    let fixed = session.settings.borrow().get(name).cloned();
    fixed.or_else(|| session.world.config(name))
}

fn secret(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let name = call.text(0)?;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.') {
        return Err(call.invalid(format!("`{name}` is no name of a secret; hint: letters, digits, `_`, `-` and `.`")));
    }
    Ok(reference(&name))
}

/// A reference to a secret, as `secret` makes it here.
pub(super) fn reference(name: &str) -> Dynamic {
    let origin = session::current().map_or_else(|| DECLARED.to_owned(), |(session, _)| session.origin(name));
    Dynamic::from(SecretRef { name: name.into(), origin: origin.into() })
}
