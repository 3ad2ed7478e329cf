//! What people who know JavaScript or Python type, and how Rhai writes it.

use super::super::lex::{Kind, Token};

/// What is wrong, and how to write it.
pub(super) struct Habit {
    pub(super) title: String,
    pub(super) hint: String,
    /// The index of the token that the caret belongs to.
    pub(super) token: usize,
}

/// Names that are values or keywords elsewhere and unknown variables here, with how to write them.
pub fn of_name(name: &str) -> Option<String> {
    let write = match name {
        "None" | "nil" | "undefined" | "NULL" | "Null" | "null" => "write `()` for no value",
        "True" | "TRUE" => "write `true`",
        "False" | "FALSE" => "write `false`",
        "self" => "write `this`, in a function that is called as a method",
        "pass" => "an empty block needs nothing: `{ }`",
        "console" => "write `log::info(message)` or `print(text)`",
        "process" | "env" | "environ" => "settings come from `config(name)`, secrets from `secret(name)`",
        "Math" => "numbers have methods: `x.abs()`, `x.floor()`, `x.round()`",
        "JSON" => "write `json::parse(text)` and `json::encode(value)`",
        "Date" | "datetime" => "write `now()` and `time::parse(text)`",
        "elif" | "elsif" => "write `else if`",
        "not" => "write `!` before the condition",
        "require" | "include" => "write `import \"lib/x\" as x;` at the top of the file",
        _ => return None,
    };
    Some(write.to_owned())
}

/// Functions of other languages, and what does the same here.
pub fn of_function(name: &str) -> Option<String> {
    let write = match name {
        "str" | "String" | "toString" => "write `` `${value}` ``, or `value.to_string()`",
        "int" | "parseInt" | "Number" => "write `parse_int(text)`",
        "float" | "parseFloat" => "write `parse_float(text)`",
        "println" | "printf" | "puts" | "echo" => "write `print(text)`, or `log::info(message)`",
        "typeof" | "isinstance" => "write `type_of(value)`",
        "enumerate" => "write `for (value, index) in list { ... }`",
        "fetch" | "axios" | "requests" | "curl" => "write `http::get(url)`",
        "setTimeout" | "setInterval" => "write `sleep(\"5s\")`, or `wait_until(#{ every: \"5s\" }, || ...)`",
        "open" => "write `file::read(path)` or `file::write(path, text)`",
        "system" | "exec" | "spawn" => "write `shell::run(program, [arguments])`",
        "Error" | "Exception" => "throw a text or a map: `throw #{ kind: ..., message: ... }`",
        "assert" => "write `if !condition { throw \"message\"; }`",
        "dict" | "Map" | "Object" => "a map is written `#{ a: 1 }`",
        "list" | "Array" => "an array is written `[1, 2]`",
        "format" | "sprintf" => "write a text in backticks: `` `order ${id}` ``",
        "timestamp" | "time" | "date" | "datetime" | "Date" => {
            "write `now()`: the time of the run, which is the same on every replay"
        }
        "elapsed" => "write `time::diff(now(), earlier)`: the seconds between two times",
        "eval" => "scripts are known before they run; use functions and `switch`",
        "exit" | "quit" | "die" | "abort" => "end with `return value`, or fail with `throw \"why\"`",
        "rand" | "randint" | "randrange" => "write `random_int(1, 6)`, or `random()` for a number between 0 and 1",
        "parse_json" | "from_json" => "write `json::parse(text)`",
        "to_json" => "write `json::encode(value)`",
        "call_fn" => "write `Fn(\"name\").call(value)`",
        "input" => "the input is the parameter of `main`, and the variable `input` of a script without `fn main`",
        _ => return None,
    };
    Some(write.to_owned())
}

/// Methods of other languages, and what does the same here.
pub fn of_method(name: &str) -> Option<&'static str> {
    Some(match name {
        "length" | "size" | "count" => "len",
        "append" | "add" => "push",
        "includes" | "has" | "hasOwnProperty" | "has_key" => "contains",
        "toUpperCase" | "upper" | "uppercase" => "to_upper",
        "toLowerCase" | "lower" | "lowercase" => "to_lower",
        "strip" => "trim",
        "toString" => "to_string",
        "indexOf" | "find_index" => "index_of",
        "substring" | "substr" | "slice" => "sub_string",
        "startsWith" | "startswith" => "starts_with",
        "endsWith" | "endswith" => "ends_with",
        "unshift" => "insert",
        _ => return None,
    })
}

/// The tokens around a fault.
pub(super) struct Around<'a> {
    pub(super) tokens: &'a [Token<'a>],
    /// Index of the token at the fault; the number of tokens at the end of the file.
    pub(super) at: usize,
}

impl<'a> Around<'a> {
    fn text(&self, offset: isize) -> &'a str {
        self.token(offset).map_or("", |token| token.text)
    }

    fn token(&self, offset: isize) -> Option<&Token<'a>> {
        self.tokens.get(self.at.checked_add_signed(offset)?)
    }

    fn kind(&self, offset: isize) -> Option<Kind> {
        self.token(offset).map(|token| token.kind)
    }

    fn say(&self, offset: isize, title: &str, hint: impl Into<String>) -> Option<Habit> {
        let token = self.at.checked_add_signed(offset)?;
        Some(Habit { title: title.to_owned(), hint: hint.into(), token })
    }

    /// Whether a token follows on the same line.
    fn follows(&self, text: &str) -> bool {
        let line = self.token(0).map(|token| token.line);
        self.tokens[self.at.min(self.tokens.len())..]
            .iter()
            .take_while(|token| Some(token.line) == line)
            .any(|token| token.text == text)
    }

    /// The habit behind a fault at this place, whatever the parser calls it.
    pub(super) fn habit(&self) -> Option<Habit> {
        self.escaped_backtick()
            .or_else(|| self.keyword_before())
            .or_else(|| self.operator())
            .or_else(|| self.word())
            .or_else(|| self.shape())
    }

    /// `` `a \` b` ``: the text ends at the second backtick, for a backslash is a character like any other.
    fn escaped_backtick(&self) -> Option<Habit> {
        let is_template = |offset| self.kind(offset) == Some(Kind::Template);
        let same_line = self.token(-1).map(|token| token.end().0) == self.token(0).map(|token| token.line);
        let ended = is_template(-1) && self.text(-1).ends_with("\\`") && same_line && self.kind(0) == Some(Kind::Word);
        let open = is_template(0) && self.text(0).contains("\\``");
        let title = "in backticks a backslash does not escape a backtick";
        let at = if ended { -1 } else { 0 };
        (ended || open).then(|| self.say(at, title, "write the backtick twice: ``` `a `` b` ```"))?
    }

    /// The fault is at the token after a word of another language.
    fn keyword_before(&self) -> Option<Habit> {
        let words_follow = matches!(self.kind(0), Some(Kind::Word)) || self.text(0) == "(";
        match self.text(-1) {
            "elif" | "elsif" | "elseif" => self.say(-1, "there is no `elif`", "write `else if condition { ... }`"),
            "def" | "function" | "func" | "fun" | "sub" if words_follow => {
                let title = format!("functions do not start with `{}`", self.text(-1));
                self.say(-1, &title, "write `fn name(a, b) { ... }`; a function as a value is `|a, b| ...`")
            }
            "class" if matches!(self.kind(0), Some(Kind::Word)) => self.say(
                -1,
                "there is no `class`",
                "a map holds values: `#{ name: \"x\" }`; functions stand on their own",
            ),
            "lambda" => self.say(-1, "there is no `lambda`", "write `|x| x + 1`"),
            "mut" if self.text(-2) == "let" => {
                self.say(-1, "there is no `mut`", "variables can always be changed: `let x = 1;`, and `const` cannot")
            }
            "not" => self.say(-1, "there is no `not`", "write `!` before the condition: `if !done { ... }`"),
            "del" | "delete" if words_follow => {
                self.say(-1, "there is no `delete`", "write `map.remove(\"key\")` or `array.remove(index)`")
            }
            "raise" => {
                self.say(-1, "there is no `raise`", "write `throw \"message\"` or `throw #{ kind: ..., message: ... }`")
            }
            "f" | "r" | "b" if self.is_string_prefix() => {
                self.say(-1, "strings have no prefix", "write `` `order ${id}` `` for text with values in it")
            }
            _ => None,
        }
    }

    fn is_string_prefix(&self) -> bool {
        let is_string = matches!(self.kind(0), Some(Kind::Text | Kind::Char | Kind::Template));
        let adjacent = self.token(-1).map(Token::end) == self.token(0).map(|token| (token.line, token.column));
        is_string && adjacent
    }

    fn operator(&self) -> Option<Habit> {
        match self.text(0) {
            "?" if self.follows(":") => {
                self.say(0, "there is no `a ? b : c`", "write `if a { b } else { c }`; it is an expression")
            }
            "?" => self.say(
                0,
                "there is no operator `?`",
                "`a?.b` and `a?[b]` give `()` where `a` is `()`; `a ?? b` gives `b` then",
            ),
            "++" => self.say(0, "there is no `++`", "write `i += 1`"),
            "--" => self.say(0, "there is no `--`", "write `i -= 1`"),
            "===" => self.say(0, "there is no `===`", "write `==`; values of different kinds are never equal"),
            "!==" => self.say(0, "there is no `!==`", "write `!=`; values of different kinds are never equal"),
            "<>" => self.say(0, "there is no `<>`", "write `!=`"),
            "..." => self.say(0, "there is no `...`", "write `a + b` to join arrays or maps"),
            "=>" if !self.in_switch() => self.say(
                0,
                "functions are not written with `=>`",
                "write `|x| x + 1`, or `|| { ... }` without parameters",
            ),
            "->" => self.say(
                0,
                "there is no `->`",
                "functions declare no type of their result: `fn f(a) { ... }`; fields are `a.b`",
            ),
            ":=" => self.say(0, "there is no `:=`", "write `let x = 1;` for a new variable, `x = 1;` for a known one"),
            "$" => self.say(0, "variables have no `$`", "write the name alone; `${...}` is for text in backticks"),
            "@" => self.say(0, "there are no decorators", "options are arguments: `step(name, #{ retry: 5 }, || ...)`"),
            "=" if self.in_parameters() => {
                self.say(0, "parameters have no default values", "write a second function with fewer parameters")
            }
            _ => None,
        }
    }

    fn in_switch(&self) -> bool {
        self.tokens[..self.at.min(self.tokens.len())].iter().rev().take(200).any(|token| token.text == "switch")
    }

    /// Whether the innermost open parenthesis is that of `fn name(`.
    fn in_parameters(&self) -> bool {
        let mut depth = 0;
        for at in (0..self.at.min(self.tokens.len())).rev() {
            match self.tokens[at].text {
                ")" => depth += 1,
                "(" if depth > 0 => depth -= 1,
                "(" => return at >= 2 && self.tokens[at - 2].text == "fn",
                ";" | "{" | "}" => return false,
                _ => {}
            }
        }
        false
    }

    fn word(&self) -> Option<Habit> {
        let word = self.text(0);
        if self.kind(0) != Some(Kind::Word) {
            return None;
        }
        if matches!(self.text(-1), "." | "?.") {
            let title = format!("`{word}` is a reserved word");
            if self.text(1) == "(" {
                let hint = format!(
                    "no method has that name; a function that a map holds is called by `[\"{word}\"].call(...)`"
                );
                return self.say(0, &title, hint);
            }
            return self.say(0, &title, format!("write `[\"{word}\"]` instead of `.{word}`"));
        }
        if matches!(self.text(-1), "#{" | ",") && self.text(1) == ":" {
            let title = format!("`{word}` is a reserved word");
            return self.say(0, &title, format!("put it in quotes: `\"{word}\": ...`"));
        }
        let known = self.known_word(word);
        known.and_then(|(title, hint)| self.say(0, &title, hint))
    }

    fn known_word(&self, word: &str) -> Option<(String, String)> {
        let no = |hint: &str| Some((format!("there is no `{word}`"), hint.to_owned()));
        match word {
            "and" => no("write `&&`"),
            "or" => no("write `||`"),
            "not" if self.text(1) == "in" => no("write `!(x in y)`, or `x !in y`"),
            "not" => no("write `!` before the condition"),
            "is" => no("write `==`"),
            "of" if self.text(-2) == "for" => {
                Some(("`for` goes with `in`".to_owned(), "write `for x in list { ... }`".to_owned()))
            }
            "from" if self.text(-2) == "import" => no("write `import \"lib/x\" as x;`, and use `x::name`"),
            "if" if self.at > 0 && !self.starts_line() => Some((
                "`if` after a value".to_owned(),
                "write `if condition { a } else { b }`; it is an expression".to_owned(),
            )),
            "do" if self.in_condition() => no("write `while condition { ... }`"),
            "then" => no("write `if condition { ... }`"),
            "null" | "nil" | "void" => no("write `()` for no value; a value can be tested with `x == ()`"),
            "async" | "await" => {
                no("host functions wait by themselves; `parallel([|| a(), || b()])` runs several at once")
            }
            "yield" | "spawn" | "go" | "thread" => {
                no("`parallel([|| a(), || b()])` runs several at once, `workflow::start` on its own")
            }
            "var" => no("write `let x = 1;`"),
            "match" | "case" => no("write `switch x { 1 => ..., _ => ... }`"),
            "default" => no("the last case of a `switch` is `_ => ...`"),
            "new" if self.text(-1) == "throw" => {
                no("write `throw \"message\"` or `throw #{ kind: ..., message: ... }`")
            }
            "new" => no("there are no classes; a map holds values: `#{ name: \"x\" }`"),
            "try" => Some((
                "`try` is a statement without a value".to_owned(),
                "write `let r = attempt(|| ...);`, which gives `#{ ok, value, error }`".to_owned(),
            )),
            "finally" => no("register what must happen with `on_exit(\"name\", || ...)` before"),
            "eval" => no("scripts are known before they run; use functions and `switch`"),
            "print" | "debug" | "call" | "type_of" | "curry" if self.text(1) != "(" => {
                Some((format!("`{word}` is a function"), format!("write `{word}(...)`")))
            }
            "for" if self.in_brackets() => Some((
                "lists are not made by a `for` in brackets".to_owned(),
                "write `list.map(|x| x * 2)`, or `list.filter(|x| x > 1)`".to_owned(),
            )),
            "class" | "struct" | "interface" | "enum" => {
                no("a map holds values: `#{ name: \"x\" }`; functions stand on their own")
            }
            "with" => no("write `on_exit(\"name\", || ...)` for what must happen at the end"),
            "let" if self.text(-2) == "for" => {
                Some(("`for` goes over values".to_owned(), "write `for i in 0..10 { ... }`".to_owned()))
            }
            _ => None,
        }
    }

    /// At the first comma of `(a, b) => …`.
    fn parameters_of_an_arrow(&self) -> Option<Habit> {
        let rest = self.tokens.get(self.at..)?;
        let close = rest.iter().position(|token| token.kind != Kind::Word && token.text != ",")?;
        let arrow = rest.get(close + 1).filter(|token| token.text == "=>" && rest[close].text == ")");
        let offset = isize::try_from(close + 1).ok()?;
        arrow.and_then(|_| {
            self.say(
                offset,
                "functions are not written with `=>`",
                "write `|x| x + 1`, or `|| { ... }` without parameters",
            )
        })
    }

    /// Whether the innermost open bracket is `[`.
    fn in_brackets(&self) -> bool {
        let mut depth = 0;
        for token in self.tokens[..self.at.min(self.tokens.len())].iter().rev() {
            match token.text {
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" | "#{" if depth > 0 => depth -= 1,
                "[" => return true,
                "(" | "{" | "#{" => return false,
                _ => {}
            }
        }
        false
    }

    fn starts_line(&self) -> bool {
        self.token(-1).map(|token| token.end().0) != self.token(0).map(|token| token.line)
    }

    fn in_condition(&self) -> bool {
        let before = &self.tokens[..self.at.min(self.tokens.len())];
        before
            .iter()
            .rev()
            .take_while(|token| !matches!(token.text, ";" | "{" | "}"))
            .any(|token| matches!(token.text, "while" | "for"))
    }

    /// Things told by the shape of several tokens.
    fn shape(&self) -> Option<Habit> {
        let key = matches!(self.kind(-1), Some(Kind::Word | Kind::Text));
        match self.text(0) {
            "," => self.parameters_of_an_arrow(),
            "=" if self.text(-2) == "(" && self.text(-3) == "for" => {
                self.say(-3, "`for` goes over values", "write `for i in 0..10 { ... }`")
            }
            ":" if key && self.text(-2) == "{" => {
                self.say(-2, "a map starts with `#{`", format!("write `#{{ {}: ... }}`", self.text(-1)))
            }
            ":" if self.in_parameters() => {
                self.say(0, "parameters have no types", "write the names alone: `fn f(a, b) { ... }`")
            }
            ":" if matches!(self.text(-2), "let" | "const") => {
                self.say(0, "variables have no types", "write `let x = 1;`")
            }
            ":" if self.in_switch() => {
                self.say(0, "cases are written with `=>`", "write `switch x { 1 => ..., _ => ... }`")
            }
            ":" => self.say(0, "blocks are in braces", "write `if condition { ... }`"),
            "{" | "[" if matches!(self.text(-1), "let" | "const") => self.say(
                0,
                "variables cannot be taken out of a map or array at once",
                "write `let a = map.a;` for each",
            ),
            "=" if self.kind(-1) == Some(Kind::Word) && self.text(-2) == "=" => {
                self.say(0, "an assignment has no value", "assign one variable at a time")
            }
            "#" if self.text(1) != "{" => self.say(0, "comments do not start with `#`", "write `// ...`"),
            "\u{201c}" | "\u{201d}" | "\u{2018}" | "\u{2019}" => {
                self.say(0, "typographic quotes are no quotes", "write straight ones: `\"text\"`")
            }
            _ => None,
        }
    }
}
