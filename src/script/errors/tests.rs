//! What people see: source and message together.

mod habits;
mod limits;
mod names;
mod places;
mod syntax;
mod thrown;
mod values;
mod words;

use std::collections::BTreeMap;
use std::rc::Rc;

use rhai::{Dynamic, Engine, EvalAltResult};

use super::super::bundle::Bundle;
use super::super::catalog::{Catalog, Kind, Signature};
use super::super::fiber::{Fiber, Pause, StackPool, Turn};
use super::super::guard::{Guard, Limits, Stop};
use super::super::program::{Constants, Program, install};
use super::super::rewrite::rewrite;
use super::super::sandbox;
use crate::diag::{Color, Diagnostic};

fn engine() -> Engine {
    let mut engine = sandbox::engine();
    engine.set_max_call_levels(6);
    install(&mut engine);
    engine
}

fn catalog() -> Catalog {
    let signature = |name: &str, min, max| Signature::new(name, min, max, Kind::Internal);
    Catalog::new([signature("sleep", 1, 1), signature("http::get", 1, 2), signature("step", 2, 3)])
}

/// The message; before it the source, if it has several lines.
fn shown(source: &str, message: &str) -> String {
    if source.contains('\n') { format!("{source}\n\n{message}") } else { message.to_owned() }
}

fn parse(source: &str) -> String {
    let faults = Bundle::of_text("main.rhai", source)
        .and_then(|bundle| Program::compile_with(&engine(), &bundle, rewrite))
        .unwrap_err();
    shown(source, &faults[0].render(Color::Plain))
}

fn eval(source: &str) -> String {
    let message = eval_files(&[("main.rhai", source)]);
    shown(source, &message)
}

fn eval_files(files: &[(&str, &str)]) -> String {
    let (program, engine) = (Rc::new(compile(files)), Rc::new(engine()));
    let error = program.run(&engine, &Constants::default(), Dynamic::UNIT).unwrap_err();
    program.diagnose(&engine, &error, &catalog()).render(Color::Plain)
}

fn compile(files: &[(&str, &str)]) -> Program {
    let files: BTreeMap<_, _> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let bundle = Bundle::load("main.rhai", &files, &[]).unwrap();
    Program::compile_with(&engine(), &bundle, rewrite).unwrap()
}

/// What is said when the script passes one of its limits, or, with `at`, is stopped at that operation. `None`: neither.
fn limited(files: &[(&str, &str)], limits: Limits, at: Option<u64>) -> Option<Diagnostic> {
    let (program, guard) = (Rc::new(compile(files)), Guard::new(limits));
    let mut engine = sandbox::engine();
    install(&mut engine);
    let engine = Rc::new(engine);
    let run = (Rc::clone(&program), Rc::clone(&engine));
    let body = move || run.0.run(&run.1, &Constants::default(), Dynamic::UNIT);
    let mut fiber: Fiber<Result<Dynamic, Box<EvalAltResult>>> = Fiber::new(&Rc::new(StackPool::new()), body);
    let _entered = guard.enter();
    guard.reach(at);
    loop {
        match fiber.resume() {
            Turn::Paused(Pause::Reached) => guard.stop(Stop::Limit("stopped (CPU limit)".into())),
            Turn::Paused(_) => {}
            Turn::Finished(result) => return result.err().map(|error| program.diagnose(&engine, &error, &catalog())),
        }
    }
}
