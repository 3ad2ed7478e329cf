//! The functions of tests: `test::…`, the test object, assertions.

use std::rc::Rc;

use rhai::{
    Array, Blob, Dynamic, Engine, EvalAltResult, FnPtr, FuncRegistration, ImmutableString, Map, Module,
    NativeCallContext,
};

use super::book::{self, Hung, Mock};
use super::broken::{ASSERTION, Broken, MISUSE, Res};
use super::case::Case;
use super::crash;
use super::people;
use super::raised::{self, Raised};
use super::same::{kinds, same, shown};
use super::stage::Slot;
use crate::payload::Payload;
use crate::script::value;

/// What `test::workflow` returns.
#[derive(Clone)]
struct Test(Rc<Case>);

/// Makes them known to a script engine; `slot` holds the test that runs.
pub(super) fn register(engine: &mut Engine, slot: &Rc<Slot>) {
    let printing = Rc::clone(slot);
    engine.on_print(move |text| {
        if let Ok(stage) = printing.stage() {
            stage.print(text);
        }
    });
    engine.register_type_with_name::<Test>("test object");
    engine.register_type_with_name::<Raised>("error of a mock");
    engine.register_type_with_name::<Hung>("answer that never comes");
    namespace(engine, slot);
    before(engine);
    acts(engine, slot);
    looks(engine);
    assertions(engine);
}

fn namespace(engine: &mut Engine, slot: &Rc<Slot>) {
    let mut module = Module::new();
    let at_hand = Rc::clone(slot);
    let find = move |name: &str| -> Result<Test, Box<EvalAltResult>> {
        let stage = at_hand.stage()?;
        stage.site.names().workflow(name)?;
        Ok(Test(stage.workflow(name)))
    };
    let register = FuncRegistration::new("workflow");
    register.set_into_module(&mut module, move |context: NativeCallContext<'_>, name: ImmutableString| {
        // Rhai fills in the place of a method, and not that of a function in a namespace.
        find(&name).map_err(|mut error| {
            error.set_position(context.call_position());
            error
        })
    });
    module.set_native_fn("response", |status: i64| response(status, Dynamic::UNIT, Map::new()));
    module.set_native_fn("response", |status: i64, body: Dynamic| response(status, body, Map::new()));
    module.set_native_fn("response", response);
    module.set_native_fn("hang", || Ok(Hung));
    module.set_native_fn("error", |kind: ImmutableString| Ok(raised::error(&kind, Map::new())));
    module.set_native_fn("error", |kind: ImmutableString, fields: Map| Ok(raised::error(&kind, fields)));
    engine.register_static_module("test", module.into());
}

fn response(status: i64, body: Dynamic, headers: Map) -> Res<Map> {
    if !(100..600).contains(&status) {
        return Err(Broken::new(MISUSE, format!("`test::response`: {status} is no status of HTTP")).into());
    }
    let fields: [(&str, Dynamic); 5] = [
        ("status", status.into()),
        ("ok", (status < 400).into()),
        ("headers", Dynamic::from_map(headers)),
        ("body", body),
        ("url", "https://mock.invalid/".into()),
    ];
    Ok(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn mock_of(answer: Dynamic) -> Mock {
    match answer.clone().try_cast::<FnPtr>() {
        Some(closure) => Mock::Closure(closure),
        None => Mock::Value(answer),
    }
}

/// What is said before the workflow begins; mocks can be changed later, too.
fn before(engine: &mut Engine) {
    engine.register_fn("mock", |t: &mut Test, function: &str, answer: Dynamic| -> Res<()> {
        t.0.names().function("mock", function)?;
        t.0.book.set(function, mock_of(answer));
        Ok(())
    });
    engine.register_fn("mock_step", |t: &mut Test, name: &str, answer: Dynamic| -> Res<()> {
        t.0.names().step(name)?;
        t.0.book.set_step(name, mock_of(answer));
        Ok(())
    });
    engine.register_fn("hang", |t: &mut Test, function: &str| -> Res<()> {
        t.0.names().function("hang", function)?;
        t.0.book.set(function, Mock::Hang);
        Ok(())
    });
    engine
        .register_fn("config", |t: &mut Test, name: &str, value: Dynamic| -> Res<()> { Ok(t.0.config(name, &value)?) });
    engine.register_fn("secret", |t: &mut Test, name: &str, value: &str| -> Res<()> { Ok(t.0.secret(name, value)?) });
    engine
        .register_fn("state", |t: &mut Test, key: &str, value: Dynamic| -> Res<()> { Ok(t.0.set_state(key, &value)?) });
    engine.register_fn("file", |t: &mut Test, path: &str, content: ImmutableString| -> Res<()> {
        Ok(t.0.put_file(path, content.as_bytes())?)
    });
    engine.register_fn("file", |t: &mut Test, path: &str, content: Blob| -> Res<()> {
        Ok(t.0.put_file(path, &content)?)
    });
}

fn acts(engine: &mut Engine, slot: &Rc<Slot>) {
    engine.register_fn("start", |t: &mut Test| -> Res<String> { Ok(t.0.start(&Dynamic::UNIT)?) });
    engine.register_fn("start", |t: &mut Test, input: Dynamic| -> Res<String> { Ok(t.0.start(&input)?) });
    engine.register_fn("fire", |t: &mut Test, trigger: &str| -> Res<Dynamic> { Ok(t.0.fire(trigger, &Map::new())?) });
    engine.register_fn("fire", |t: &mut Test, trigger: &str, envelope: Map| -> Res<Dynamic> {
        Ok(t.0.fire(trigger, &envelope)?)
    });
    engine.register_fn("emit", |t: &mut Test, event: &str| emit(t, event, &Dynamic::UNIT, &Map::new()));
    engine.register_fn("emit", |t: &mut Test, event: &str, payload: Dynamic| emit(t, event, &payload, &Map::new()));
    engine.register_fn("emit", |t: &mut Test, event: &str, payload: Dynamic, options: Map| {
        emit(t, event, &payload, &options)
    });
    engine.register_fn("advance", |t: &mut Test, duration: &str| -> Res<()> { Ok(t.0.advance(duration)?) });
    engine.register_fn("cancel", |t: &mut Test| -> Res<()> { Ok(t.0.cancel()?) });
    engine
        .register_fn("answer", |t: &mut Test, index: i64, answer: Map| -> Res<()> { Ok(t.0.answer(index, &answer)?) });
    engine.register_fn("answer", |_: &mut Test, _: i64, answer: Dynamic| -> Res<()> {
        let title =
            format!("`t.answer` takes the number of a task and a map, not {}", crate::host::function::type_of(&answer));
        Err(Broken::new(MISUSE, title).hint("write `t.answer(0, #{ choice: \"done\", by: \"ann\" })`").into())
    });
    let at_hand = Rc::clone(slot);
    engine.register_fn("crash_everywhere", move |t: &mut Test| -> Res<i64> {
        crash::everywhere(&at_hand, &at_hand.stage()?, &t.0)
    });
}

fn emit(t: &mut Test, event: &str, payload: &Dynamic, options: &Map) -> Res<Array> {
    Ok(t.0.emit(event, payload, options)?.into_iter().map(|run| run.to_string().into()).collect())
}

fn looks(engine: &mut Engine) {
    let decoded = |payload: Option<&Payload>| payload.map_or(Dynamic::UNIT, value::decode);
    engine.register_fn("status", |t: &mut Test| -> Res<Dynamic> {
        Ok(t.0.run()?.map_or(Dynamic::UNIT, |run| run.status.name().into()))
    });
    engine.register_fn("output", |t: &mut Test| -> Res<Dynamic> { Ok(t.0.output()?) });
    engine.register_fn("error", move |t: &mut Test| -> Res<Dynamic> { Ok(decoded(t.0.need_run()?.error.as_ref())) });
    engine.register_fn("waiting_for", |t: &mut Test| -> Res<String> { Ok(t.0.need_run()?.waiting_for.to_string()) });
    engine.register_fn("calls", |t: &mut Test| calls(t, None));
    engine.register_fn("calls", |t: &mut Test, function: &str| -> Res<Array> {
        t.0.names().called(function)?;
        Ok(calls(t, Some(function)))
    });
    engine.register_fn("logs", |t: &mut Test| -> Res<Array> {
        Ok(t.0.logs()?.into_iter().map(Dynamic::from_map).collect())
    });
    engine.register_fn("state", |t: &mut Test, key: &str| -> Res<Dynamic> { Ok(t.0.state(key)?) });
    engine.register_fn("tasks", |t: &mut Test| -> Res<Array> { Ok(t.0.tasks()?.iter().map(people::shown).collect()) });
    engine.register_fn("now", |t: &mut Test| t.0.now().to_string());
    engine.register_fn("runs", move |t: &mut Test| -> Res<Array> {
        let runs = t.0.runs(None)?.into_iter().rev();
        Ok(runs.map(|run| value::decode(&Payload::from_json(&run.to_json()))).collect())
    });
    engine.register_fn("file", |t: &mut Test, path: &str| -> Res<Dynamic> {
        Ok(t.0.read_file(path)?.map_or(Dynamic::UNIT, |bytes| match String::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(error) => Dynamic::from_blob(error.into_bytes()),
        }))
    });
}

fn calls(t: &mut Test, function: Option<&str>) -> Array {
    let all = t.0.book.calls();
    all.iter().filter(|call| function.is_none_or(|name| *call.called.function == *name)).map(book::shown).collect()
}

fn assertions(engine: &mut Engine) {
    engine.register_fn("assert", |holds: bool| assert_that(holds, ""));
    engine.register_fn("assert", |holds: bool, message: Dynamic| assert_that(holds, &message.to_string()));
    engine.register_fn("assert_eq", |actual: Dynamic, expected: Dynamic| assert_eq_to(&actual, &expected, ""));
    engine.register_fn("assert_eq", |actual: Dynamic, expected: Dynamic, message: Dynamic| {
        assert_eq_to(&actual, &expected, &message.to_string())
    });
    engine.register_fn("assert_ne", |actual: Dynamic, other: Dynamic| -> Res<()> {
        if same(&actual, &other) {
            let text = format!("both are {}", shown(&actual));
            return Err(Broken::new(ASSERTION, "the values should differ").text(text).into());
        }
        Ok(())
    });
    engine.register_fn("assert_throws", |context: NativeCallContext, act: FnPtr| assert_throws(&context, &act, None));
    engine.register_fn("assert_throws", |context: NativeCallContext, act: FnPtr, wanted: &str| {
        assert_throws(&context, &act, Some(wanted))
    });
}

fn assert_that(holds: bool, message: &str) -> Res<()> {
    if holds {
        return Ok(());
    }
    let title = if message.is_empty() { "the condition does not hold" } else { message };
    Err(Broken::new(ASSERTION, title).into())
}

fn assert_eq_to(actual: &Dynamic, expected: &Dynamic, message: &str) -> Res<()> {
    if same(actual, expected) {
        return Ok(());
    }
    let title = if message.is_empty() { "the values are not equal" } else { message };
    let (mine, wanted) = (shown(actual), shown(expected));
    let kinds = if mine == wanted { kinds(actual, expected, "") } else { None };
    let text =
        format!("  actual: {mine}\nexpected: {wanted}{}", kinds.map_or_else(String::new, |kinds| format!("\n{kinds}")));
    Err(Broken::new(ASSERTION, title).text(text).into())
}

/// The error that the closure throws, as a map; with `wanted`, it is of that kind, or its message has that text.
fn assert_throws(context: &NativeCallContext, act: &FnPtr, wanted: Option<&str>) -> Res<Dynamic> {
    let error = match act.call_within_context::<Dynamic>(context, ()) {
        Ok(value) => {
            let broken = Broken::new(ASSERTION, "an error was expected");
            return Err(broken.text(format!("it returned {}", shown(&value))).into());
        }
        Err(error) => error,
    };
    let map = match Broken::find(&error) {
        Some(broken) => {
            let fields: [(&str, Dynamic); 2] = [("kind", "test".into()), ("message", broken.title.into())];
            fields.into_iter().map(|(key, value)| (key.into(), value)).collect()
        }
        None => crate::host::fail::error_map(&error),
    };
    let text = |key: &str| map.get(key).map(ToString::to_string).unwrap_or_default();
    if let Some(wanted) = wanted
        && text("kind") != wanted
        && !text("message").contains(wanted)
    {
        let broken = Broken::new(ASSERTION, format!("another error was expected: `{wanted}`"));
        return Err(broken.text(format!("it was `{}`: {}", text("kind"), text("message"))).into());
    }
    Ok(Dynamic::from_map(map))
}
