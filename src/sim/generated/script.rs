//! Scripts by chance: everything that a workflow may do, in any order and nesting. Each one ends.
//!
//! What could go on for ever is bounded where it is written: loops and recursion by small numbers, waits by a timeout,
//! a race or an event that is known to come, locks by being taken in one order.

use std::fmt::Write as _;

mod statements;

/// Chance by a seed alone: splitmix64.
pub(in crate::sim) struct Chance(u64);

impl Chance {
    pub(in crate::sim) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 on, below `end`.
    pub(in crate::sim) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    pub(in crate::sim) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(in crate::sim) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    Int,
    Float,
    Decimal,
    Text,
    Char,
    Blob,
    List,
    Map,
    Unit,
}

const TYPES: [Type; 9] =
    [Type::Int, Type::Float, Type::Decimal, Type::Text, Type::Char, Type::Blob, Type::List, Type::Map, Type::Unit];
const SHORT: [&str; 7] = ["1ms", "3ms", "7ms", "20ms", "50ms", "1s", "2s"];
const LONG: [&str; 5] = ["90ms", "1s", "1m", "1h", "2d"];
const TIMES: [&str; 4] =
    ["2001-01-01T00:00:00Z", "2023-11-14T22:13:20.030Z", "2023-11-14T22:14:00Z", "2023-11-15T01:00:00Z"];
/// Statements of one script, nested ones included.
const MOST: usize = 14;
/// How deep blocks are nested.
const DEEPEST: usize = 3;

/// A script.
pub(in crate::sim) struct Script {
    /// Its source.
    pub(in crate::sim) text: String,
    /// It polls for something that comes later: when a poll happens depends on when the run was taken up.
    pub(in crate::sim) polls: bool,
}

/// Which surroundings a script is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Surroundings {
    /// One run alone.
    Alone,
    /// An engine, with a workflow `other` beside it.
    Engine,
}

/// The script of a seed.
pub(in crate::sim) fn script(seed: u64, surroundings: Surroundings) -> Script {
    let mut writer = Writer {
        chance: Chance::new(seed),
        surroundings,
        variables: Vec::new(),
        functions: 0,
        names: 0,
        left: MOST,
        depth: 0,
        locks: 0,
        in_loop: false,
        polls: false,
        before: String::new(),
    };
    let text = writer.whole();
    Script { text, polls: writer.polls }
}

struct Writer {
    chance: Chance,
    surroundings: Surroundings,
    variables: Vec<(String, Type)>,
    /// How many functions can be called.
    functions: usize,
    names: usize,
    left: usize,
    depth: usize,
    /// How many locks may be held here: only later ones are taken inside.
    locks: usize,
    in_loop: bool,
    polls: bool,
    /// What stands before the statement that is being written.
    before: String,
}

impl Writer {
    fn whole(&mut self) -> String {
        let mut text = String::new();
        let functions = self.chance.below(3);
        for number in 0..functions {
            self.left = 4;
            self.depth = 2;
            self.variables = vec![("n".to_owned(), Type::Int)];
            let body = self.statements(2);
            let value = self.any();
            let again =
                if self.chance.percent(60) { format!("if n > 0 {{ f{number}(n - 1); }}\n") } else { String::new() };
            let _ = writeln!(text, "fn f{number}(n) {{\n{body}{again}{value}\n}}");
            self.functions += 1;
        }
        self.left = MOST;
        self.depth = 0;
        self.variables = Vec::new();
        text.push_str("fn main(input) {\nlet seen = [];\n");
        self.variables.push(("seen".to_owned(), Type::List));
        for _ in 0..2 {
            let line = self.declare();
            text.push_str(&line);
        }
        while self.left > 0 {
            let line = self.statement();
            text.push_str(&line);
        }
        let names: Vec<_> = self.variables.iter().map(|(name, _)| name.as_str()).collect();
        let _ = writeln!(text, "[{}]\n}}", names.join(", "));
        text
    }

    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    /// Some statements, at most `most`, whose variables are their own.
    fn statements(&mut self, most: usize) -> String {
        let known = self.variables.len();
        self.depth += 1;
        let mut text = String::new();
        for _ in 0..=self.chance.below(most) {
            text.push_str(&self.statement());
        }
        self.depth -= 1;
        self.variables.truncate(known);
        text
    }

    fn block(&mut self) -> String {
        format!("{{\n{}}}", self.statements(2))
    }

    /// Inside of a closure: no loop of the outside can be left there.
    fn inside<R>(&mut self, write: impl FnOnce(&mut Self) -> R) -> R {
        let in_loop = std::mem::replace(&mut self.in_loop, false);
        let result = write(self);
        self.in_loop = in_loop;
        result
    }

    /// A closure without parameters, with a value.
    fn closure(&mut self) -> String {
        self.closure_of(&[])
    }

    fn closure_of(&mut self, parameters: &[(&str, Type)]) -> String {
        let closure = self.inside(|writer| {
            let known = writer.variables.len();
            writer.variables.extend(parameters.iter().map(|(name, kind)| ((*name).to_owned(), *kind)));
            let body = writer.statements(2);
            let value = writer.any();
            writer.variables.truncate(known);
            let names: Vec<_> = parameters.iter().map(|(name, _)| *name).collect();
            format!("|{}| {{\n{body}{value}\n}}", names.join(", "))
        });
        // Expressions are nested only so deep: most closures stand in a variable.
        if self.depth == 0 && self.chance.percent(30) {
            return closure;
        }
        let name = self.name("b");
        let _ = writeln!(self.before, "let {name} = {closure};");
        name
    }

    fn variable(&mut self, kind: Type) -> Option<String> {
        let fit: Vec<_> = self.variables.iter().filter(|(_, own)| *own == kind).collect();
        (!fit.is_empty()).then(|| fit[self.chance.below(fit.len())].0.clone())
    }

    fn any(&mut self) -> String {
        let kind = self.chance.pick(&TYPES);
        self.value(kind)
    }

    fn value(&mut self, kind: Type) -> String {
        if self.chance.percent(50)
            && let Some(name) = self.variable(kind)
        {
            return name;
        }
        match kind {
            Type::Int => self.int(),
            Type::Float => self.chance.pick(&["0.5", "1e300", "-2.25", "random()", "(7.0 / 3.0)"]).to_owned(),
            Type::Decimal => {
                self.chance.pick(&["decimal(\"10.20\")", "(decimal(\"0.1\") + decimal(\"0.2\"))"]).to_owned()
            }
            Type::Text => self.text(),
            Type::Char => self.chance.pick(&["'x'", "'ä'", "'\\n'"]).to_owned(),
            Type::Blob => self.chance.pick(&["blob(3, 7)", "\"bytes\".to_blob()"]).to_owned(),
            Type::List => self.list(),
            Type::Map => self.map(),
            Type::Unit => "()".to_owned(),
        }
    }

    fn int(&mut self) -> String {
        match self.chance.below(7) {
            0 => "random_int(1, 9)".to_owned(),
            1 => "attempt_number()".to_owned(),
            2 => format!("({} + {})", self.atom(), self.chance.below(9)),
            3 => format!("({} * 3 % 7)", self.atom()),
            4 => self.variable(Type::List).map_or_else(|| "4".to_owned(), |list| format!("{list}.len()")),
            _ => self.chance.below(100).to_string(),
        }
    }

    /// A number without calls.
    fn atom(&mut self) -> String {
        self.variable(Type::Int).unwrap_or_else(|| "5".to_owned())
    }

    fn text(&mut self) -> String {
        match self.chance.below(7) {
            0 => "now()".to_owned(),
            1 => "uuid()".to_owned(),
            2 => "run_id()".to_owned(),
            3 => format!("`<${{{}}}>`", self.atom()),
            4 => format!("(\"n\" + {})", self.atom()),
            5 => "\"Grüße\".to_upper()".to_owned(),
            _ => "\"word\"".to_owned(),
        }
    }

    fn list(&mut self) -> String {
        match self.chance.below(4) {
            0 => format!("[{}, {}]", self.atom(), self.chance.below(9)),
            1 => "[3, 1, 3].unique()".to_owned(),
            2 => format!("[1, 2, 3].map(|x| x + {})", self.chance.below(5)),
            _ => "[1, 2].filter(|x| x > 1)".to_owned(),
        }
    }

    fn map(&mut self) -> String {
        match self.chance.below(3) {
            0 => format!("#{{ a: {}, b: \"two\" }}", self.atom()),
            1 => "#{}".to_owned(),
            _ => format!("http::get(\"{}\").body", self.address("ok")),
        }
    }

    fn address(&mut self, how: &str) -> String {
        self.names += 1;
        format!("http://s.example/{how}/{}", self.names)
    }

    fn condition(&mut self) -> String {
        match self.chance.below(5) {
            0 => "true".to_owned(),
            1 => format!("{} > {}", self.atom(), self.chance.below(50)),
            2 => "random_int(0, 1) == 1".to_owned(),
            3 => format!("{} % 2 == 0", self.atom()),
            _ => self.chance.pick(&["1 < 2", "2.5 < 1"]).to_owned(),
        }
    }

    fn declare(&mut self) -> String {
        let kind = self.chance.pick(&TYPES);
        let value = self.value(kind);
        let name = self.name("v");
        self.variables.push((name.clone(), kind));
        format!("let {name} = {value};\n")
    }

    /// Keeps a value where it can be seen at the end.
    fn keep(&mut self, value: &str) -> String {
        match self.variable(Type::List) {
            Some(list) if self.chance.percent(70) => {
                let name = self.name("k");
                format!("let {name} = {value};\n{list}.push({name});\n")
            }
            _ => format!("{value};\n"),
        }
    }

    fn change(&mut self) -> String {
        if let Some(name) = self.variable(Type::Int) {
            let by = self.int();
            let sign = self.chance.pick(&["+=", "-=", "="]);
            return format!("{name} {sign} {by};\n");
        }
        if let Some(name) = self.variable(Type::Text) {
            return format!("{name} += \"+\";\n");
        }
        self.declare()
    }
}
