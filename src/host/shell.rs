//! `shell::run`: programs, without a shell in between.

use std::rc::Rc;

use rhai::{Array, Blob, Dynamic, Map};

use super::effects::{self, Plan};
use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options, type_of};
use super::policy::Policy;
use crate::effect::shell::{Input, Written};
use crate::effect::{Reply, Request, ShellReply, ShellRequest};

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "shell::run",
    params: &["program: string", "args: list?", "options: map?"],
    options: &[
        Choice::new("cwd", "string", "the folder to run in; the workflow's own unless it says otherwise"),
        Choice::new("env", "map", "variables beside `PATH`, `HOME` and `LANG`; secrets are put in as it starts"),
        Choice::new("stdin", "string or blob", "what it reads; secrets in a text are put in as it starts"),
        Choice::new("timeout", "duration", "10 minutes unless it says otherwise; then all that it started is killed"),
        Choice::new("accept", "list of int", "codes other than 0 that do not throw"),
        Choice::new("save_to", "string", "a path: the output goes into this file, and `stdout` has the facts of it"),
        Choice::new("max_bytes", "int", "more output is an error; 32 MiB unless it says otherwise"),
        Choice::new("retry", "retry policy", "attempts, as for `retry`"),
        Choice::new("idempotency_key", "string", "in place of the derived one"),
    ],
    returns: "map: code, stdout, stderr",
    nature: Nature::Mutating,
    errors: &["shell", "timeout", "denied", "not_found", "limit", "file"],
    capability: Some("shell"),
    doc: "Runs a program that `allow.shell` lists, without a shell in between, and waits for its end; returns `#{ code, stdout, stderr }`. \
          Output that is no UTF-8 is a blob. A code other than 0 throws unless accepted; what a signal ended has 128 and its number. Its \
          environment is `PATH`, `HOME` (the workflow's folder), `LANG`, `PANTA_IDEMPOTENCY_KEY` (the same on a second try after a \
          crash), `PANTA_PROGRAM` (another value at each start) and `env`. What it leaves running is killed when it ends.",
    example: "shell::run(\"git\", [\"status\", \"--short\"], #{ timeout: \"1m\" })",
    call: run,
}];

fn run(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let options = call.options(2)?;
    let request = ShellRequest {
        program: call.text(0)?,
        args: args(call)?,
        cwd: options.text("cwd")?,
        env: env(call, &options)?,
        stdin: stdin(call, &options)?,
        timeout: options.duration("timeout")?,
        accept: options.list("accept")?.unwrap_or_default().iter().map(|v| code(call, v)).collect::<Result<_, _>>()?,
        max_bytes: options
            .int("max_bytes")?
            .map(|n| u64::try_from(n).map_err(|_| call.invalid("option `max_bytes` must not be negative")))
            .transpose()?,
        save_to: options.text("save_to")?,
    };
    if has_secret(&request.program) {
        return Err(
            call.invalid("`program` must not have a secret in it; hint: secrets go into `args`, `env` or `stdin`")
        );
    }
    let plan = Plan {
        request: Rc::new(Request::Shell(Box::new(request))),
        policy: options.get("retry").map(|value| Policy::parse(call, value)).transpose()?,
        shape,
        key: options.text("idempotency_key")?,
    };
    effects::run(call, &plan)
}

fn has_secret(text: &str) -> bool {
    !crate::script::secret::find_placeholders(text).is_empty()
}

fn args(call: &Call<'_>) -> Result<Vec<String>, Fail> {
    let list = match call.arg(1) {
        None => return Ok(Vec::new()),
        Some(value) => value.clone().try_cast::<Array>().ok_or_else(|| {
            let hint = "one text an argument: `[\"-m\", message]`";
            call.invalid(format!("`args` must be a list, not {}; hint: {hint}", type_of(value)))
        })?,
    };
    list.iter().enumerate().map(|(index, value)| plain(call, &format!("args[{index}]"), value)).collect()
}

/// A text as the program gets it: numbers as they are written.
fn plain(call: &Call<'_>, name: &str, value: &Dynamic) -> Result<String, Fail> {
    if let Some(secret) = value.clone().try_cast::<crate::script::secret::SecretRef>() {
        return Ok(secret.placeholder());
    }
    if ["array", "map", "blob", "Fn", "()"].contains(&value.type_name()) {
        return Err(call.invalid(format!("`{name}` must be a text or a number, not {}", type_of(value))));
    }
    let text = value.to_string();
    if text.contains('\0') {
        return Err(call.invalid(format!("`{name}` has a zero byte in it, which no program can get")));
    }
    Ok(text)
}

fn env(call: &Call<'_>, options: &Options) -> Result<Vec<(String, String)>, Fail> {
    let map = options.map("env")?.unwrap_or_default();
    let variable = |(name, value): (rhai::Identifier, Dynamic)| {
        let bad = |why: &str| call.invalid(format!("option `env`: `{}` {why}", name.escape_debug()));
        if name.is_empty() || name.contains(['=', '\0']) || has_secret(&name) {
            return Err(bad("is no name of a variable"));
        }
        if name == "PATH" || ["LD_", "DYLD_", "PANTA_"].iter().any(|begin| name.starts_with(begin)) {
            return Err(bad("cannot be set: it would decide which program runs, or is panta's own; hint: list the \
                            program by its absolute path in `allow.shell`"));
        }
        Ok((name.to_string(), plain(call, &format!("env.{name}"), &value)?))
    };
    map.into_iter().map(variable).collect()
}

fn stdin(call: &Call<'_>, options: &Options) -> Result<Option<Input>, Fail> {
    Ok(match options.get("stdin") {
        Some(value) if value.is_blob() => Some(Input::Bytes(value.clone().cast::<Blob>())),
        Some(value) if value.is_map() || value.is_array() => {
            let hint = "`json::encode` makes text";
            return Err(call.invalid(format!("option `stdin` is text or bytes, not {}; hint: {hint}", type_of(value))));
        }
        _ => options.text("stdin")?.map(Input::Text),
    })
}

fn code(call: &Call<'_>, value: &Dynamic) -> Result<i32, Fail> {
    let wrong = || call.invalid(format!("option `accept` lists codes between 0 and 255, not {value}"));
    value.as_int().ok().and_then(|n| i32::try_from(n).ok()).filter(|n| (0..256).contains(n)).ok_or_else(wrong)
}

fn shape(reply: Reply) -> Dynamic {
    let Reply::Shell(ShellReply { code, stdout, stderr }) = reply else {
        unreachable!("a program gets the reply of a program")
    };
    let stdout = match stdout {
        Written::Text(text) => text.into(),
        Written::Bytes(bytes) => Dynamic::from_blob(bytes),
        Written::Saved(stat) => super::file::stat_map(stat),
    };
    let fields = [("code", i64::from(code).into()), ("stdout", stdout), ("stderr", stderr.into())];
    Dynamic::from_map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>())
}
