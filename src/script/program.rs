//! A bundle, compiled: what a workflow declares, and how it runs.
//!
//! A program is made for one engine and thread, and shared by all runs of its version there. Its modules and constants are
//! evaluated once, in an [`Image`]; a run evaluates nothing of the declaration again.
//!
//! Rhai hides top-level constants from functions. Here they are found through `on_var`: every evaluation carries the image
//! in a hidden constant, and the file whose code is running says whose constants are meant. No state outside of the
//! evaluation is involved, so evaluations on several coroutines never mix.

mod without;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use rhai::{
    AST, ASTFlags, CallFnOptions, Dynamic, Engine, EvalAltResult, EvalContext, Expr, GlobalRuntimeState, Ident,
    ImmutableString, Module, ModuleResolver, Position, Scope, Shared, Stmt,
};

use super::bundle::{Bundle, resolve_import};
use super::catalog::{Catalog, is_declarative, is_trigger};
use super::errors::{self, Context};
use super::rewrite::own;
use super::source::Source;
use super::stand::{StandIn, Stands};
use crate::diag::Diagnostic;

/// The hidden constant that carries the image; no script can spell it.
const IMAGE: &str = "\0image";

/// Values of constants, by file and name. Evaluated once a version, kept with it, and given to every run of it.
#[derive(Clone, Debug, Default)]
pub struct Constants(Rc<BTreeMap<String, BTreeMap<ImmutableString, Dynamic>>>);

impl Constants {
    /// As a map of maps: file → name → value.
    pub fn to_map(&self) -> rhai::Map {
        let inner = |values: &BTreeMap<ImmutableString, Dynamic>| -> rhai::Map {
            values.iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect()
        };
        self.0.iter().map(|(file, values)| (file.as_str().into(), inner(values).into())).collect()
    }

    /// From such a map. What is no map of maps is left out, and evaluated anew by [`Program::prepare`].
    pub fn from_map(map: rhai::Map) -> Self {
        let inner = |values: rhai::Map| values.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let files = map.into_iter().filter_map(|(file, values)| {
            let values = values.try_cast::<rhai::Map>()?;
            Some((file.to_string(), inner(values)))
        });
        Self(Rc::new(files.collect()))
    }

    /// A constant of a file.
    pub fn get(&self, file: &str, name: &str) -> Option<&Dynamic> {
        self.0.get(file)?.get(name)
    }
}

/// Constants and modules of one evaluated program, reachable from every evaluation of it.
#[derive(Debug, Default)]
struct Image {
    constants: RefCell<BTreeMap<String, BTreeMap<ImmutableString, Dynamic>>>,
    modules: RefCell<BTreeMap<String, Shared<Module>>>,
}

/// What the hidden constant holds. Weak, because modules hold it in turn.
#[derive(Clone)]
struct Handle(Weak<Image>);

/// A program with its constants, ready to run.
#[derive(Clone)]
pub struct Prepared {
    image: Rc<Image>,
    /// The main file: imports and constants, and for a bare script what follows its declaration.
    body: AST,
    has_main: bool,
    params: usize,
}

/// A compiled bundle.
pub struct Program {
    bundle: Bundle,
    /// By path.
    asts: BTreeMap<String, AST>,
    /// Number of top-level statements of the main file that are the declaration.
    prefix: usize,
    main_params: Option<Vec<String>>,
    last: RefCell<Option<(Constants, Prepared)>>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("workflow", &self.bundle.workflow).finish_non_exhaustive()
    }
}

impl Program {
    /// Compiles all files of a bundle, and says all that is wrong with them.
    pub fn compile(engine: &Engine, bundle: &Bundle) -> Result<Self, Vec<Diagnostic>> {
        Self::compile_with(engine, bundle, |ast| ast)
    }

    /// Compiles with a step that rewrites each syntax tree.
    pub fn compile_with(engine: &Engine, bundle: &Bundle, rewrite: fn(AST) -> AST) -> Result<Self, Vec<Diagnostic>> {
        let mut asts = BTreeMap::new();
        let mut faults = Vec::new();
        for (path, source) in &bundle.sources {
            match compile_file(engine, source, rewrite) {
                Ok(ast) => {
                    faults.extend(main_faults(bundle, source, &ast));
                    asts.insert(path.clone(), ast);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let natives = OnceCell::new();
        own::settle(engine, &mut asts, &|name, count| {
            let natives = natives.get_or_init(|| errors::natives(engine));
            natives.get(name).is_some_and(|counts| counts.contains(&count))
        });
        let main = &asts[bundle.main()];
        let main_params = main_function(main).map(|(_, params)| params);
        let prefix = if main_params.is_some() { main.statements().len() } else { prefix(main.statements()) };
        Ok(Self { bundle: bundle.clone(), asts, prefix, main_params, last: RefCell::default() })
    }

    /// The bundle that it was made from.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The syntax tree of a file.
    pub fn ast(&self, path: &str) -> Option<&AST> {
        self.asts.get(path)
    }

    /// The syntax tree of the main file.
    pub fn main_ast(&self) -> &AST {
        &self.asts[self.bundle.main()]
    }

    /// Whether the main file declares, with `fn main`, or is a bare script.
    pub fn has_main(&self) -> bool {
        self.main_params.is_some()
    }

    /// The names of the parameters of `fn main`: none or one.
    pub fn main_params(&self) -> &[String] {
        self.main_params.as_deref().unwrap_or_default()
    }

    /// The text of the `//!` lines of the main file.
    pub fn doc(&self) -> String {
        let strip = |line: &str| {
            let line = line.trim_start().trim_start_matches("//!");
            line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned()
        };
        self.main_ast().doc().lines().map(strip).collect::<Vec<_>>().join("\n").trim().to_owned()
    }

    /// Evaluates the declaration: modules first, then the top level of the main file (of a bare script its leading
    /// `workflow`, `trigger`, `const` and `import` statements). The functions that it calls collect what is declared.
    pub fn declare(&self, engine: &Engine) -> Result<Constants, Diagnostic> {
        let prepared = self.build(engine, &Constants::default(), Declaring::Yes, &Stands::default())?;
        let constants = Constants(Rc::new(prepared.image.constants.borrow().clone()));
        *self.last.borrow_mut() = Some((constants.clone(), prepared));
        Ok(constants)
    }

    /// Makes the program ready to run with recorded constants. Constants that were not recorded, such as closures, are
    /// evaluated. Cached for the constants of the last call.
    pub fn prepare(&self, engine: &Engine, constants: &Constants) -> Result<Prepared, Diagnostic> {
        if let Some((known, prepared)) = &*self.last.borrow()
            && Rc::ptr_eq(&known.0, &constants.0)
        {
            return Ok(prepared.clone());
        }
        let prepared = self.build(engine, constants, Declaring::No, &Stands::default())?;
        *self.last.borrow_mut() = Some((constants.clone(), prepared.clone()));
        Ok(prepared)
    }

    /// The same, where `native` stands for functions of modules: those named, as the main file calls them (`slack::post`).
    pub fn prepare_standing(
        &self,
        engine: &Engine,
        constants: &Constants,
        functions: &[String],
        native: StandIn,
    ) -> Result<Prepared, Diagnostic> {
        let stands = Stands::new(self.bundle.main(), self.main_ast(), functions, native);
        self.build(engine, constants, Declaring::No, &stands)
    }

    /// Runs: calls `main`, or evaluates a bare script. Nothing declared is evaluated again.
    pub fn run(&self, engine: &Engine, constants: &Constants, input: Dynamic) -> Result<Dynamic, Box<EvalAltResult>> {
        let prepared = self.prepare(engine, constants).map_err(|fault| fault.to_string())?;
        prepared.run(engine, input)
    }

    /// Whether a file has a function of that name; closures have one too.
    pub fn defines(&self, path: &str, function: &str) -> bool {
        self.asts.get(path).is_some_and(|ast| ast.iter_fn_def().any(|def| def.name == function))
    }

    /// The file in which a closure was written, and in it what stands at `at`. Closures that read alike have one name, also in
    /// several files: then it is the one that begins last before that place, and of such the one in `first`.
    pub fn file_of_closure(&self, closure: &str, at: Position, first: &str) -> Option<&str> {
        let begins = |path: &str| {
            let bodies = self.asts.get(path)?.iter_fn_def().filter(|def| def.name == closure);
            bodies.map(|def| def.body.start_position()).map(|begin| (begin <= at, begin)).max()
        };
        let files = self.bundle.order().iter().map(String::as_str);
        let known = files.filter_map(|path| Some((begins(path)?, path == first, path)));
        known.max_by_key(|(begin, is_first, _)| (*begin, *is_first)).map(|(_, _, path)| path)
    }

    /// How many parameters a function or closure of the main file takes, captured values included.
    pub fn parameters(&self, function: &str) -> Option<usize> {
        self.main_ast().iter_fn_def().find(|def| def.name == function).map(|def| def.params.len())
    }

    /// An error of a run as a diagnostic; the catalog serves "did you mean".
    pub fn diagnose(&self, engine: &Engine, error: &EvalAltResult, catalog: &Catalog) -> Diagnostic {
        errors::from_eval(error, self.bundle.main(), Context { program: self, engine, catalog })
    }

    /// An error of the evaluation of a file's top level.
    pub fn diagnose_in(&self, path: &str, engine: &Engine, error: &EvalAltResult) -> Diagnostic {
        self.explain(error, engine, path)
    }

    fn explain(&self, error: &EvalAltResult, engine: &Engine, path: &str) -> Diagnostic {
        errors::from_eval(error, path, Context { program: self, engine, catalog: &Catalog::default() })
    }

    fn build(
        &self,
        engine: &Engine,
        recorded: &Constants,
        declaring: Declaring,
        stands: &Stands,
    ) -> Result<Prepared, Diagnostic> {
        let image = Rc::new(Image::default());
        for path in self.bundle.order() {
            let ast = &self.asts[path];
            let is_main = path == self.bundle.main();
            let statements = if is_main { &ast.statements()[..self.prefix] } else { ast.statements() };
            let values = self
                .constants_of(engine, &image, path, statements, recorded, declaring)
                .map_err(|error| self.explain(&error, engine, path))?;
            image.constants.borrow_mut().insert(path.clone(), values.clone());
            if !is_main {
                let body = with_statements(ast, path, &image, module_body(ast.statements(), &values));
                let mut module = Module::eval_ast_as_new(Scope::new(), &stands.hide(path, body), engine)
                    .map_err(|error| self.explain(&error, engine, path))?;
                stands.put_into(path, &mut module);
                image.modules.borrow_mut().insert(path.clone(), module.into());
            }
        }
        Ok(self.prepared(image))
    }

    /// The constants of a file: recorded, or by evaluating its top level.
    fn constants_of(
        &self,
        engine: &Engine,
        image: &Rc<Image>,
        path: &str,
        statements: &[Stmt],
        recorded: &Constants,
        declaring: Declaring,
    ) -> Result<BTreeMap<ImmutableString, Dynamic>, Box<EvalAltResult>> {
        let known = recorded.0.get(path);
        let names: Vec<&Ident> = statements.iter().filter_map(constant_name).collect();
        let is_known = |name: &Ident| known.is_some_and(|known| known.contains_key(&name.name));
        if declaring == Declaring::No && names.iter().all(|name| is_known(name)) {
            return Ok(known.cloned().unwrap_or_default());
        }
        let wanted = |stmt: &&Stmt| declaring == Declaring::Yes || !is_declaration(stmt);
        let body = with_statements(&self.asts[path], path, image, statements.iter().filter(wanted).cloned());
        let mut scope = Scope::new();
        let _: Dynamic = engine.eval_ast_with_scope(&mut scope, &body)?;
        let mut values = BTreeMap::new();
        for name in names {
            if let Some(value) = scope.get(&name.name) {
                values.insert(name.name.clone(), value.flatten_clone());
            }
        }
        values.extend(known.cloned().unwrap_or_default());
        Ok(values)
    }

    fn prepared(&self, image: Rc<Image>) -> Prepared {
        let path = self.bundle.main();
        let ast = self.main_ast();
        let (declaration, rest) = ast.statements().split_at(self.prefix);
        let values = image.constants.borrow()[path].clone();
        let uses_global = self.bundle.sources[path].text.contains("global");
        let keep_constants = !self.has_main() || uses_global;
        let head = declaration.iter().filter_map(|stmt| match stmt {
            Stmt::Import(..) => Some(stmt.clone()),
            Stmt::Var(..) if keep_constants => recorded_constant(stmt, &values, ASTFlags::CONSTANT),
            _ => None,
        });
        let body = with_statements(ast, path, &image, head.chain(rest.iter().cloned()));
        Prepared { image, body, has_main: self.has_main(), params: self.main_params().len() }
    }
}

/// Whether the `workflow` and `trigger` calls are evaluated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Declaring {
    Yes,
    No,
}

impl Prepared {
    /// Runs: calls `main`, or evaluates a bare script with the variable `input`.
    pub fn run(&self, engine: &Engine, input: Dynamic) -> Result<Dynamic, Box<EvalAltResult>> {
        // Modules know the image weakly; this keeps it while the run lasts.
        let _image = Rc::clone(&self.image);
        let mut scope = Scope::new();
        if !self.has_main {
            scope.push_dynamic("input", input);
            return engine.eval_ast_with_scope(&mut scope, &self.body);
        }
        let options = CallFnOptions::new().eval_ast(true).rewind_scope(true);
        if self.params == 0 {
            return engine.call_fn_with_options(options, &mut scope, &self.body, "main", ());
        }
        engine.call_fn_with_options(options, &mut scope, &self.body, "main", (input,))
    }

    /// The syntax tree that runs, for calling closures that were declared (`when`, `input`, `on_conflict`).
    pub fn body(&self) -> &AST {
        &self.body
    }

    /// Calls a function or closure of the main file by itself, with its constants and imports in reach.
    pub fn call(
        &self,
        engine: &Engine,
        function: &rhai::FnPtr,
        args: impl rhai::FuncArgs,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let mut values: Vec<Dynamic> = function.curry().to_vec();
        let mut given: Vec<Dynamic> = Vec::new();
        args.parse(&mut given);
        values.extend(given);
        // A bare script's own statements must not run: only what makes its imports and constants known.
        let statements: Vec<Stmt> = self.body.statements().iter().take_while(|stmt| is_setup(stmt)).cloned().collect();
        let source = self.body.source().unwrap_or_default();
        let ast = AST::new_with_source(statements, self.body.shared_lib().clone(), source);
        let options = CallFnOptions::new().eval_ast(true).rewind_scope(true);
        engine.call_fn_with_options(options, &mut Scope::new(), &ast, function.fn_name(), values)
    }
}

/// Makes constants visible in functions, and imports come from the bundle alone. Once for every engine.
pub fn install(engine: &mut Engine) {
    engine.set_module_resolver(BundleResolver);
    install_constants(engine);
}

/// Makes the constants of a file visible in its functions and closures.
pub fn install_constants(engine: &mut Engine) {
    #[expect(deprecated, reason = "marked volatile, not deprecated; the version of Rhai is pinned")]
    engine.on_var(|name, index, context| Ok(constant(name, index, &context)));
}

/// A variable with an index is a local one. This is asked at every access to a variable, so the common case ends here.
fn constant(name: &str, index: usize, context: &EvalContext) -> Option<Dynamic> {
    // Also reached by name alone, once a scope has changed its shape: what is there hides a constant of that name.
    if index != 0 || context.scope().contains(name) {
        return None;
    }
    let global = context.global_runtime_state();
    let image = image(global, context.scope())?;
    let value = image.constants.borrow().get(global.source()?)?.get(name).cloned();
    value.or_else(|| global.constants.as_ref()?.borrow().get(name).cloned())
}

fn image(global: &GlobalRuntimeState, scope: &Scope) -> Option<Rc<Image>> {
    let upgrade = |value: &Dynamic| value.read_lock::<Handle>().and_then(|handle| handle.0.upgrade());
    let carried = global.constants.as_ref().and_then(|constants| constants.borrow().get(IMAGE).and_then(upgrade));
    // Without functions Rhai keeps no constants beside the scope.
    carried.or_else(|| scope.get(IMAGE).and_then(upgrade))
}

/// Resolves imports among the modules of the program that is being evaluated; never reads a file.
struct BundleResolver;

impl ModuleResolver for BundleResolver {
    fn resolve(
        &self,
        _: &Engine,
        _: Option<&str>,
        path: &str,
        pos: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        Err(EvalAltResult::ErrorModuleNotFound(path.to_owned(), pos).into())
    }

    fn resolve_raw(
        &self,
        engine: &Engine,
        global: &mut GlobalRuntimeState,
        scope: &mut Scope,
        path: &str,
        pos: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let importer = global.source().unwrap_or_default();
        let resolved = resolve_import(importer, path).ok();
        let found = resolved.and_then(|resolved| image(global, scope)?.modules.borrow().get(&resolved).cloned());
        found.map_or_else(|| self.resolve(engine, None, path, pos), Ok)
    }
}

fn compile_file(engine: &Engine, source: &Source, rewrite: fn(AST) -> AST) -> Result<AST, Diagnostic> {
    let mut ast = engine.compile(&*source.text).map_err(|error| errors::from_parse(&error, source))?;
    ast.set_source(source.path.as_str());
    let mut ast = rewrite(ast);
    ast.set_source(source.path.as_str());
    Ok(ast)
}

/// `fn main` with its parameters; the longest, should there be several.
fn main_function(ast: &AST) -> Option<(Position, Vec<String>)> {
    let main = ast.iter_fn_def().filter(|def| def.name == "main").max_by_key(|def| def.params.len())?;
    Some((main.body.start_position(), main.params.iter().map(ToString::to_string).collect()))
}

fn main_faults(bundle: &Bundle, source: &Source, ast: &AST) -> Option<Diagnostic> {
    let (body, params) = main_function(ast)?;
    let place = errors::place_of_function(source, "main", body);
    if source.path != bundle.main() {
        let title = format!("`{}` is a workflow and cannot be imported", source.path);
        let hint = "move what both need to a module in a folder named `lib`, or start it with `workflow::run`";
        return Some(Diagnostic::new("E0114", title, place).hint(hint));
    }
    let title = format!("`main` takes the input or nothing, not {} parameters", params.len());
    let hint = "write `fn main(input)`, and take the parts from it: `input.name`";
    (params.len() > 1).then(|| Diagnostic::new("E0305", title, place).hint(hint))
}

/// How many statements at the start of a bare script are its declaration.
pub(super) fn prefix(statements: &[Stmt]) -> usize {
    let declares = |stmt: &&Stmt| match stmt {
        Stmt::Import(..) => true,
        Stmt::Var(parts, flags, _) => flags.contains(ASTFlags::CONSTANT) && only_describes(&parts.1),
        stmt => is_declaration(stmt),
    };
    statements.iter().take_while(declares).count()
}

/// Whether a statement is a call of `workflow` or of a trigger.
pub(super) fn is_declaration(stmt: &Stmt) -> bool {
    called(stmt).is_some_and(|name| name == "workflow" || is_trigger(&name))
}

/// The full name of the function that a statement calls.
fn called(stmt: &Stmt) -> Option<String> {
    match stmt {
        Stmt::FnCall(call, _) => Some(full_name(call)),
        Stmt::Expr(expr) => match &**expr {
            Expr::FnCall(call, _) => Some(full_name(call)),
            _ => None,
        },
        _ => None,
    }
}

/// The name of a called function with its namespace: `trigger::cron`.
pub(super) fn full_name(call: &rhai::FnCallExpr) -> String {
    if call.namespace.is_empty() { call.name.to_string() } else { format!("{}::{}", call.namespace, call.name) }
}

/// Whether an expression calls nothing but what may stand in a declaration.
fn only_describes(expr: &Expr) -> bool {
    let mut fine = true;
    expr.walk(&mut Vec::new(), &mut |path| {
        if let Some(rhai::ASTNode::Expr(Expr::FnCall(call, _))) = path.last() {
            fine &= call.op_token.is_some() || is_declarative(&full_name(call));
        }
        if let Some(rhai::ASTNode::Stmt(Stmt::FnCall(call, _))) = path.last() {
            fine &= is_declarative(&full_name(call));
        }
        fine
    });
    fine
}

/// The name of a constant that a statement defines: `const`, or what a module exports.
fn constant_name(stmt: &Stmt) -> Option<&Ident> {
    match stmt {
        Stmt::Var(parts, flags, _) if flags.intersects(ASTFlags::CONSTANT | ASTFlags::EXPORTED) => Some(&parts.0),
        _ => None,
    }
}

/// The statement with its recorded value, at the same place in the scope.
fn recorded_constant(stmt: &Stmt, values: &BTreeMap<ImmutableString, Dynamic>, flags: ASTFlags) -> Option<Stmt> {
    let Stmt::Var(parts, _, pos) = stmt else { return None };
    let value = values.get(&constant_name(stmt)?.name)?.clone();
    let value = Expr::DynamicConstant(value.into(), parts.1.position());
    Some(Stmt::Var(Box::new((parts.0.clone(), value, None)), flags, *pos))
}

/// What remains of a module's top level once its constants are known: imports, constants, exports under other names.
fn module_body<'a>(
    statements: &'a [Stmt],
    values: &'a BTreeMap<ImmutableString, Dynamic>,
) -> impl Iterator<Item = Stmt> + 'a {
    let exported = ASTFlags::CONSTANT | ASTFlags::EXPORTED;
    statements.iter().filter_map(move |stmt| match stmt {
        Stmt::Import(..) => Some(stmt.clone()),
        Stmt::Export(names, _) if values.contains_key(&names.0.name) => Some(stmt.clone()),
        stmt => recorded_constant(stmt, values, exported),
    })
}

/// A syntax tree with the functions of `ast`, and the image in reach of everything that it evaluates.
fn with_statements(ast: &AST, path: &str, image: &Rc<Image>, statements: impl IntoIterator<Item = Stmt>) -> AST {
    let handle = Dynamic::from(Handle(Rc::downgrade(image)));
    let name = Ident { name: IMAGE.into(), pos: Position::NONE };
    let value = Expr::DynamicConstant(handle.into(), Position::NONE);
    let hidden = Stmt::Var(Box::new((name, value, None)), ASTFlags::CONSTANT, Position::NONE);
    AST::new_with_source(std::iter::once(hidden).chain(statements), ast.shared_lib().clone(), path)
}

fn is_setup(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Import(..) => true,
        Stmt::Var(parts, ..) => matches!(parts.1, Expr::DynamicConstant(..)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::rewrite::rewrite;
    use super::super::sandbox;
    use super::*;

    thread_local! {
        static DECLARED: Cell<usize> = const { Cell::new(0) };
    }

    fn engine() -> Engine {
        let mut engine = sandbox::engine();
        engine.register_fn("workflow", |_: rhai::Map| DECLARED.set(DECLARED.get() + 1));
        engine.register_fn("config", |name: &str| format!("<{name}>"));
        let mut trigger = Module::new();
        trigger.set_native_fn("webhook", |_: ImmutableString, _: rhai::Map| {
            DECLARED.set(DECLARED.get() + 1);
            Ok(())
        });
        engine.register_static_module("trigger", trigger.into());
        install(&mut engine);
        engine
    }

    fn program(files: &[(&str, &str)]) -> Result<(Engine, Program), Vec<Diagnostic>> {
        let files: BTreeMap<_, _> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let bundle = Bundle::load("main.rhai", &files, &[])?;
        let engine = engine();
        Program::compile_with(&engine, &bundle, rewrite).map(|program| (engine, program))
    }

    /// Declares, forgets all but the recorded constants, and runs twice with the input 7.
    fn run(files: &[(&str, &str)]) -> String {
        let (engine, program) = program(files).unwrap();
        let constants = match program.declare(&engine) {
            Ok(constants) => Constants::from_map(constants.to_map()),
            Err(fault) => return fault.to_string(),
        };
        let once = || program.run(&engine, &constants, 7_i64.into()).map_or_else(|e| e.to_string(), |v| v.to_string());
        let first = once();
        assert_eq!(first, once());
        first
    }

    fn script(text: &str) -> String {
        run(&[("main.rhai", text)])
    }

    #[test]
    fn constants_are_visible_in_functions_and_closures() {
        assert_eq!(
            script("const A = 1; fn f() { A + 1 } fn main(x) { let g = |y| A + y + x; g.call(10) + f() }"),
            "20"
        );
        assert_eq!(script("const A = 1; const B = A + 1; fn main() { [1].map(|x| x + B + global::A) }"), "[4]");
    }

    #[test]
    fn a_local_variable_hides_a_constant() {
        assert_eq!(script("const A = 1; fn main() { let A = 2; A }"), "2");
        assert_eq!(script("const A = 1; fn f(A) { [0].map(|x| A) } fn main() { f(5) }"), "[5]");
        assert_eq!(script("const A = 1; fn f() { A } fn main() { let A = 3; f!() }"), "3");
    }

    #[test]
    fn constants_cannot_be_changed() {
        assert!(script("const A = [1]; fn main() { A.push(2); A }").contains("constant"));
        assert!(script("const A = 1; fn main() { A = 2; }").contains("Cannot modify constant A"));
    }

    #[test]
    fn modules_see_their_own_constants() {
        let lib = "const A = 10; const B = config(\"b\"); fn f() { A } fn g(c) { c.call() + A } fn h() { [A].map(|x| x + A) } fn b() { B }";
        let main = "import \"lib/m\" as m; const A = 1; fn own() { A }
            fn main() { [m::f(), m::g(|| A), m::g(Fn(\"own\")), m::h(), m::A, m::b(), A] }";
        assert_eq!(run(&[("lib/m.rhai", lib), ("main.rhai", main)]), "[10, 11, 11, [20], 10, \"<b>\", 1]");
    }

    #[test]
    fn modules_import_modules_and_share_them() {
        let files = [
            ("lib/a.rhai", "import \"./b\" as b; const A = b::B + 1; fn f() { b::g() + A }"),
            ("lib/b.rhai", "const B = 5; export const C = 6; fn g() { h() } private fn h() { B + C }"),
            (
                "main.rhai",
                "import \"lib/a\" as a; import \"./lib/b\" as bb; fn main() { let f = || bb::g(); [a::f(), a::b::B, f.call()] }",
            ),
        ];
        assert_eq!(run(&files), "[17, 5, 11]");
    }

    #[test]
    fn imports_inside_functions_come_from_the_bundle() {
        let files = [("lib/a.rhai", "fn f() { 3 }"), ("main.rhai", "fn main() { import \"lib/a\" as a; a::f() }")];
        assert_eq!(run(&files), "3");
        assert!(script("let x = \"lib/none\"; fn main() { 1 }").contains('1'));
    }

    #[test]
    fn the_declaration_is_evaluated_once() {
        DECLARED.set(0);
        assert_eq!(
            script(
                "workflow(#{}); const F = |x| x + 1; trigger::webhook(\"a\", #{ when: |r| r }); fn main(i) { F.call(i) }"
            ),
            "8"
        );
        assert_eq!(DECLARED.get(), 2);
        assert_eq!(
            script(
                "workflow(#{}); const A = config(\"x\"); fn f() { A } trigger::webhook(\"a\", #{ when: |r| r == A }); let b = f(); b + input + A"
            ),
            "<x>7<x>"
        );
        assert_eq!(DECLARED.get(), 4);
    }

    #[test]
    fn recorded_constants_win_over_what_would_be_evaluated() {
        let (engine, program) = program(&[("main.rhai", "const A = config(\"x\"); fn main() { A }")]).unwrap();
        let inner: rhai::Map = [("A".into(), "then".into())].into();
        let recorded = Constants::from_map([("main.rhai".into(), inner.into())].into());
        assert_eq!(program.run(&engine, &recorded, Dynamic::UNIT).unwrap().to_string(), "then");
    }

    #[test]
    fn bare_scripts() {
        assert_eq!(script("input + 1"), "8");
        assert_eq!(script(""), "");
        assert_eq!(script("// nothing\n/* at all */"), "");
        assert_eq!(script("const A = 2; const B = A * 3; let c = B; let d = || c + A; d.call() + input"), "15");
        assert_eq!(script("let a = 1; const B = a + 1; fn f() { B } f() + input"), "9");
        assert!(script("fn f() { input } f()").starts_with("Variable not found: input"));
        let files = [
            ("lib/a.rhai", "fn f() { 3 }"),
            ("main.rhai", "import \"lib/a\" as a; let x = a::f(); return x + input; 0"),
        ];
        assert_eq!(run(&files), "10");
    }

    #[test]
    fn what_main_is() {
        let main = |text: &str| {
            program(&[("main.rhai", text)]).map(|(_, p)| (p.has_main(), p.main_params().to_vec(), p.doc()))
        };
        assert_eq!(
            main("//! Title\n//!\n//! More.\nfn main(order) {}").unwrap(),
            (true, vec!["order".into()], "Title\n\nMore.".into())
        );
        assert_eq!(main("1").unwrap(), (false, vec![], String::new()));
        assert_eq!(main("fn main(a, b) {}").unwrap_err()[0].code, "E0305");
        assert_eq!(script("fn main() { 4 }"), "4");
    }

    #[test]
    fn a_workflow_is_no_module() {
        let fault = program(&[("a.rhai", "fn main() {}"), ("main.rhai", "import \"a\" as a;")]).unwrap_err();
        assert_eq!((fault.len(), fault[0].code.as_str(), fault[0].place.line), (1, "E0114", 1));
    }

    #[test]
    fn every_broken_file_is_reported() {
        let files = [("lib/a.rhai", "let = 1;"), ("main.rhai", "import \"lib/a\" as a; let x 1;")];
        assert_eq!(program(&files).unwrap_err().len(), 2);
    }

    #[test]
    fn declared_closures_can_be_called_later() {
        let text = "const A = 40; const F = |x| x + A + f(); fn f() { A } fn main() { F }";
        let (engine, program) = program(&[("main.rhai", text)]).unwrap();
        let constants = program.declare(&engine).unwrap();
        let function = constants.get("main.rhai", "F").unwrap().clone().cast::<rhai::FnPtr>();
        let prepared = program.prepare(&engine, &constants).unwrap();
        assert_eq!(prepared.call(&engine, &function, (2_i64,)).unwrap().as_int(), Ok(82));
    }
}
