//! What stands in place of functions of modules, in tests.
//!
//! A native function loses against a script function of the same name, so the module is made with that function private:
//! calls inside of the module still find it, and calls from outside find the native one.

use std::any::TypeId;
use std::collections::BTreeMap;

use rhai::{
    AST, Dynamic, EvalAltResult, FnAccess, FuncRegistration, Module, NativeCallContext, RhaiFunc, ScriptFuncDef,
    Shared, Stmt,
};

use super::bundle::resolve_import;

/// Answers a call of a function that it stands for: the name is the one under which the main file knows it.
pub type StandIn = fn(&NativeCallContext<'_>, &str, &[Dynamic]) -> Result<Dynamic, Box<EvalAltResult>>;

/// The functions that something stands for, by the file of their module.
#[derive(Default)]
pub(super) struct Stands {
    /// File → function → name in the main file.
    functions: BTreeMap<String, BTreeMap<String, String>>,
    /// Number of parameters of each, filled in as the modules are made.
    native: Option<StandIn>,
    parameters: std::cell::RefCell<Vec<(String, String, usize)>>,
}

impl Stands {
    /// For these functions, as the main file calls them; what names no function of an imported module stands for nothing.
    pub(super) fn new(main: &str, ast: &AST, names: &[String], native: StandIn) -> Self {
        let mut functions: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (alias, path) in imports(main, ast) {
            for name in names {
                if let Some(function) = name.strip_prefix(&format!("{alias}::")) {
                    functions.entry(path.clone()).or_default().insert(function.to_owned(), name.clone());
                }
            }
        }
        Self { functions, native: Some(native), ..Self::default() }
    }

    /// The module's script with those functions private.
    pub(super) fn hide(&self, path: &str, ast: AST) -> AST {
        let Some(wanted) = self.functions.get(path) else { return ast };
        let mut lib = ast.shared_lib().as_ref().clone();
        for (_, _, name, count, function) in ast.shared_lib().iter_script_fn_info() {
            if wanted.contains_key(name) {
                lib.set_script_fn(ScriptFuncDef { access: FnAccess::Private, ..ScriptFuncDef::clone(function) });
                self.parameters.borrow_mut().push((path.to_owned(), name.to_owned(), count));
            }
        }
        AST::new_with_source(ast.statements().iter().cloned(), lib, ast.source().unwrap_or(path))
    }

    /// Puts the natives into the module.
    pub(super) fn put_into(&self, path: &str, module: &mut Module) {
        let Some(stand_in) = self.native else { return };
        let Some(wanted) = self.functions.get(path) else { return };
        let parameters = self.parameters.borrow();
        for (_, function, count) in parameters.iter().filter(|(file, ..)| file == path) {
            let name = wanted[function].clone();
            let native = move |context: Option<NativeCallContext<'_>>, args: &mut [&mut Dynamic]| {
                let context = context.expect("it is registered with a context");
                let given: Vec<_> = args.iter_mut().map(|arg| std::mem::take(*arg).flatten()).collect();
                stand_in(&context, &name, &given)
            };
            let func =
                RhaiFunc::Pure { func: Shared::new(native), has_context: true, is_pure: false, is_volatile: true };
            let types = vec![TypeId::of::<Dynamic>(); *count];
            FuncRegistration::new(function.as_str()).set_into_module_raw(module, types, func);
        }
        module.build_index();
    }
}

/// Names under which the main file imports modules, and their files.
fn imports(main: &str, ast: &AST) -> Vec<(String, String)> {
    let import = |stmt: &Stmt| match stmt {
        Stmt::Import(parts, _) => {
            let path = parts.0.get_literal_value(None)?.into_immutable_string().ok()?;
            Some((parts.1.name.to_string(), resolve_import(main, &path).ok()?))
        }
        _ => None,
    };
    ast.statements().iter().filter_map(import).collect()
}
