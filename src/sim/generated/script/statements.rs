//! The statements of generated scripts.

use super::{DEEPEST, LONG, SHORT, Surroundings, TIMES, Type, Writer};

impl Writer {
    /// One statement, with what is nested in it.
    pub(super) fn statement(&mut self) -> String {
        self.left = self.left.saturating_sub(1);
        let outside = std::mem::take(&mut self.before);
        let statement = self.one();
        let before = std::mem::replace(&mut self.before, outside);
        before + statement.as_str()
    }

    fn one(&mut self) -> String {
        if self.depth >= DEEPEST || self.left == 0 {
            return self.simple();
        }
        match self.chance.below(20) {
            0..=7 => self.simple(),
            8..=10 => self.flow(),
            11..=13 => self.side_by_side(),
            14..=16 => self.scoped(),
            17 => self.guarded(),
            18 => self.closures(),
            _ => self.locked(),
        }
    }

    fn simple(&mut self) -> String {
        match self.chance.below(16) {
            0 => self.declare(),
            1 | 2 => self.change(),
            3 | 4 => self.request(),
            5 | 6 => self.pause(),
            7 => self.event(),
            8 => self.state(),
            9 => self.line(),
            10 => self.ask(),
            11 => self.workflow(),
            12 => self.poll(),
            13 => self.rate(),
            14 => {
                let value = self.any();
                self.keep(&value)
            }
            _ => self.leave(),
        }
    }

    fn request(&mut self) -> String {
        let function = self.chance.pick(&["get", "post"]);
        let body = if function == "post" { format!(", {}", self.atom()) } else { String::new() };
        let how = self.chance.pick(&["ok", "ok", "ok", "flaky", "fail"]);
        let address = self.address(how);
        let call = match how {
            "ok" => format!("http::{function}(\"{address}\"{body}).status"),
            _ => format!("attempt(|| http::{function}(\"{address}\"{body}).body.url).ok"),
        };
        self.keep(&call)
    }

    fn pause(&mut self) -> String {
        match self.chance.below(4) {
            0 => format!("sleep_until(\"{}\");\n", self.chance.pick(&TIMES)),
            1 => format!("sleep(\"{}\");\n", self.chance.pick(&LONG)),
            _ => format!("sleep(\"{}\");\n", self.chance.pick(&SHORT)),
        }
    }

    fn event(&mut self) -> String {
        let name = self.chance.pick(&["paid", "late", "never", "often"]);
        let call = match self.chance.below(6) {
            0 => format!("event::emit(\"{name}\", {}, #{{ key: \"k\" }})", self.atom()),
            1 => format!("event::emit(\"{name}\", {})", self.atom()),
            2 => format!("wait_for(\"{name}\", #{{ timeout: \"{}\" }})", self.chance.pick(&SHORT)),
            3 => format!("wait_for(\"{name}\", #{{ key: \"k\", timeout: \"{}\" }})", self.chance.pick(&LONG)),
            4 => format!("wait_for(\"often\", #{{ timeout: \"{}\", when: |e| e != 1 }})", self.chance.pick(&LONG)),
            _ => format!("race([|| wait_for(\"{name}\"), || sleep(\"{}\")]).winner", self.chance.pick(&LONG)),
        };
        self.keep(&call)
    }

    fn state(&mut self) -> String {
        let key = self.chance.pick(&["a", "b"]);
        let call = match self.chance.below(6) {
            0 => format!("state::get(\"{key}\")"),
            1 => format!("state::get(\"{key}\", {})", self.any()),
            2 => format!("state::set(\"{key}\", {})", self.any()),
            3 => format!("state::add(\"sum\", {})", self.chance.below(9)),
            4 => {
                format!("state::update(\"{key}s\", |v| if v == () {{ [1] }} else {{ v + [{}] }})", self.chance.below(9))
            }
            _ => format!("state::remove(\"{key}\")"),
        };
        self.keep(&call)
    }

    fn line(&mut self) -> String {
        match self.chance.below(4) {
            0 => format!("progress(0.{}, \"on the way\");\n", self.chance.below(10)),
            1 => format!("print({});\n", self.atom()),
            2 => format!("log::warn(\"look\", #{{ at: {} }});\n", self.any()),
            _ => "log::info(\"line\");\n".to_owned(),
        }
    }

    fn ask(&mut self) -> String {
        let title = self.chance.pick(&["soon", "tomorrow", "never"]);
        let due = self.chance.pick(&LONG);
        let call = match self.chance.below(3) {
            0 => format!("task::ask(#{{ title: \"{title}\", due: \"{due}\", choices: [\"yes\", \"no\"] }})"),
            1 => format!("attempt(|| timeout(\"{due}\", || task::ask(#{{ title: \"{title}\" }}))).ok"),
            _ => format!("task::ask(#{{ title: \"{title}\", due: \"{due}\", remind: \"10ms\" }}) == ()"),
        };
        self.keep(&call)
    }

    fn workflow(&mut self) -> String {
        let input = self.atom();
        let call = match self.chance.below(5) {
            0 | 1 => format!("workflow::run(\"other\", #{{ n: {input} }})"),
            2 => format!("workflow::start(\"other\", #{{ n: {input} }})"),
            3 => format!("workflow::wait(workflow::start(\"other\", #{{ n: {input} }}))"),
            _ => {
                let name = self.name("r");
                let then = self.chance.pick(&["cancel", "status"]);
                return format!(
                    "let {name} = workflow::start(\"other\", #{{ n: {input} }});\nworkflow::{then}({name});\n"
                );
            }
        };
        self.keep(&call)
    }

    fn poll(&mut self) -> String {
        let every = self.chance.pick(&SHORT);
        let call = match self.chance.below(3) {
            0 | 1 => {
                format!("wait_until(#{{ every: \"{every}\" }}, || {})", self.chance.pick(&["true", "7", "\"there\""]))
            }
            _ => {
                self.polls = true;
                "wait_until(#{ every: \"300ms\", timeout: \"3s\" }, || now() > \"2023-11-14T22:13:21\")".to_owned()
            }
        };
        self.keep(&call)
    }

    fn rate(&mut self) -> String {
        let rate = self.chance.pick(&["1/m", "10/s", "2/h"]);
        format!("rate_limit(\"rate {rate}\", \"{rate}\");\n")
    }

    /// A way out: of a loop, or by an error.
    fn leave(&mut self) -> String {
        let condition = self.condition();
        if self.in_loop {
            return format!("if {condition} {{ {} }}\n", self.chance.pick(&["break;", "continue;"]));
        }
        if self.chance.percent(40) {
            let what = self.chance.pick(&["\"by chance\"", "#{ kind: \"own\", n: 1 }", "7"]);
            return format!("if {condition} {{ throw {what}; }}\n");
        }
        self.change()
    }

    fn looped(&mut self, head: &str) -> String {
        let in_loop = std::mem::replace(&mut self.in_loop, true);
        let body = self.statements(2);
        self.in_loop = in_loop;
        format!("{head} {{\n{body}}}\n")
    }

    fn flow(&mut self) -> String {
        match self.chance.below(7) {
            0 => {
                let condition = self.condition();
                format!("if {condition} {} else {}\n", self.block(), self.block())
            }
            1 => {
                let value = self.atom();
                format!(
                    "switch {value} % 3 {{ 0 => {}, 1 => {}, _ => {} }}\n",
                    self.block(),
                    self.block(),
                    self.block()
                )
            }
            2 => {
                let head = format!("for {} in 0..{}", self.name("i"), 1 + self.chance.below(3));
                self.looped(&head)
            }
            3 => {
                let head = format!("for {} in [\"a\", \"b\"]", self.name("i"));
                self.looped(&head)
            }
            4 | 5 => {
                let count = self.name("c");
                let most = 1 + self.chance.below(3);
                let body = self.looped("").trim_start_matches(" {\n").to_owned();
                let head = if self.chance.percent(50) {
                    format!("while {count} < {most} {{\n{count} += 1;\n")
                } else {
                    format!("loop {{\nif {count} >= {most} {{ break; }}\n{count} += 1;\n")
                };
                format!("let {count} = 0;\n{head}{body}")
            }
            _ if self.functions > 0 => {
                let call = format!("f{}({})", self.chance.below(self.functions), self.chance.below(3));
                self.keep(&call)
            }
            _ => self.change(),
        }
    }

    fn side_by_side(&mut self) -> String {
        let count = 1 + self.chance.below(3);
        let call = match self.chance.below(7) {
            0 | 1 => {
                let branches: Vec<_> = (0..=count).map(|_| self.closure()).collect();
                format!("parallel([{}])", branches.join(",\n"))
            }
            2 => format!("parallel(#{{ x: {}, y: {} }})", self.closure(), self.closure()),
            3 => {
                let name = self.name("x");
                let body = self.closure_of(&[(&name, Type::Int)]);
                format!("parallel_map([1, 2, 3, 4], #{{ limit: {count} }}, {body})")
            }
            4 => {
                let name = self.name("x");
                let body = self.closure_of(&[(&name, Type::Int)]);
                format!("parallel_map([1, 2, 3], #{{ collect: true }}, {body})")
            }
            5 => format!("race([{}, {}])", self.closure(), self.closure()),
            _ => format!("race(#{{ x: {}, y: {} }}).winner", self.closure(), self.closure()),
        };
        self.keep(&call)
    }

    fn scoped(&mut self) -> String {
        let name = self.name("s");
        let call = match self.chance.below(8) {
            0 | 1 => format!("step(\"{name}\", {})", self.closure()),
            2 | 3 => {
                let options = self.step_options();
                format!("step(\"{name}\", #{{ {options} }}, {})", self.closure())
            }
            4 => {
                let policy = self.policy();
                let body = self.inside(|writer| writer.statements(2));
                let fails = 1 + self.chance.below(3);
                format!(
                    "attempt(|| retry({policy}, || {{\nif attempt_number() < {fails} {{ throw \"again\"; }}\n{body}}})).ok"
                )
            }
            5 => {
                let body = self.inside(|writer| writer.statements(2));
                let register = self.registration();
                let rollback = if self.chance.percent(30) { "rollback(\"it is refused\");\n" } else { "" };
                let value = self.any();
                format!("scope(|| {{\n{register}{body}{rollback}{value} }})")
            }
            6 => return self.registration(),
            _ => {
                let limit = self.chance.pick(&SHORT);
                format!("attempt(|| timeout(\"{limit}\", {})).ok", self.closure())
            }
        };
        self.keep(&call)
    }

    fn registration(&mut self) -> String {
        let name = self.name("s");
        let function = self.chance.pick(&["on_rollback", "on_exit"]);
        let body = self.inside(Self::simple);
        format!("{function}(\"{name}\", || {{\n{body}}});\n")
    }

    fn policy(&mut self) -> String {
        let pause = self.chance.pick(&SHORT);
        self.chance
            .pick(&[
                "2",
                "3",
                "#{ attempts: 3, delay: \"PAUSE\" }",
                "#{ attempts: 2, delay: \"PAUSE\", jitter: false }",
            ])
            .replace("PAUSE", pause)
    }

    fn step_options(&mut self) -> String {
        let mut options = Vec::new();
        if self.chance.percent(50) {
            options.push(format!("retry: {}", self.policy()));
        }
        if self.chance.percent(40) {
            let body = self.inside(Self::simple);
            options.push(format!("undo: |v| {{\n{body}}}"));
        }
        if self.chance.percent(30) {
            options.push(format!("timeout: \"{}\"", self.chance.pick(&SHORT)));
        }
        if self.chance.percent(30) {
            options.push("on_error: |e| \"instead\"".to_owned());
        }
        options.join(", ")
    }

    fn guarded(&mut self) -> String {
        if self.chance.percent(50) {
            let call = format!("attempt({})", self.closure());
            return self.keep(&format!("{call}.ok"));
        }
        let name = self.name("e");
        let body = self.block();
        let caught = self.keep(&format!("{name}.to_string().len() > 0"));
        let then = self.statements(1);
        format!("try {body} catch ({name}) {{\n{caught}{then}}}\n")
    }

    fn closures(&mut self) -> String {
        let name = self.name("f");
        let parameter = self.name("p");
        let body = self.closure_of(&[(&parameter, Type::Int)]);
        let first = self.keep(&format!("{name}.call(1)"));
        let second = if self.chance.percent(50) {
            self.keep(&format!("parallel([|| {name}.call(2), || {name}.call(3)])"))
        } else {
            format!("[1, 2].map({name});\n")
        };
        format!("let {name} = {body};\n{first}{second}")
    }

    fn locked(&mut self) -> String {
        if self.locks >= 3 || self.surroundings == Surroundings::Engine && self.depth == 0 && self.chance.percent(20) {
            return self.simple();
        }
        let before = self.locks;
        let own = before + self.chance.below(3 - before);
        self.locks = own + 1;
        let body = self.closure();
        self.locks = before;
        let options = match self.chance.below(3) {
            0 => String::new(),
            1 => "#{ limit: 2 }, ".to_owned(),
            _ => format!("#{{ timeout: \"{}\" }}, ", self.chance.pick(&SHORT)),
        };
        let call = format!("lock(\"l{own}\", {options}{body})");
        self.keep(&format!("attempt(|| {call}).ok"))
    }
}
