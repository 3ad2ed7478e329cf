//! The page of a task.

use std::fmt::Write as _;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use super::super::html::{escaped, page};
use super::form::{self, Control, Field, PREFIX};
use crate::host::schema::Fault;
use crate::payload::Payload;
use crate::task::{Status, Task};

/// What a page shows of a task.
pub(super) struct View<'a> {
    /// The task.
    pub(super) task: &'a Task,
    /// Whom the address was sent to.
    pub(super) person: Option<&'a str>,
    /// Whose task it is, in words.
    pub(super) for_whom: &'a str,
    /// Who answers must be said.
    pub(super) names: bool,
}

/// A page in the making: what is to be asked once more is known late.
pub(super) struct Page {
    title: String,
    head: String,
    notice: String,
    fields: Vec<Field>,
    form: Option<Form>,
    sent: Map<String, Value>,
    faults: Vec<Fault>,
}

/// What stands around the fields.
struct Form {
    person: Option<String>,
    names: bool,
    choices: Vec<String>,
}

/// The page of a task: its form while it is open, else how it ended.
pub(super) fn task(view: &View<'_>) -> Page {
    let task = view.task;
    let open = task.status == Status::Open;
    let due = task.due.filter(|_| open).map(|due| format!(", due {due}")).unwrap_or_default();
    let mut head =
        format!("<p class=\"small\">{} · for {}{due}</p>\n", escaped(&task.workflow), escaped(view.for_whom));
    if !task.text.is_empty() {
        let _ = writeln!(head, "<p class=\"text\">{}</p>", escaped(&task.text));
    }
    let form = open.then(|| Form {
        person: view.person.map(str::to_owned),
        names: view.names,
        choices: task.choices.iter().map(ToString::to_string).collect(),
    });
    let notice = if open { String::new() } else { format!("<p><strong>{}</strong></p>\n", escaped(&over(task))) };
    let fields = if open { form::fields(task) } else { Vec::new() };
    Page { title: task.title.to_string(), head, notice, fields, form, sent: Map::new(), faults: Vec::new() }
}

/// The page after an answer.
pub(super) fn done(task: &Task) -> Page {
    let notice = format!("<p><strong>Thank you. {}</strong></p>\n", escaped(&over(task)));
    let (head, title) = (String::new(), task.title.to_string());
    Page { title, head, notice, fields: Vec::new(), form: None, sent: Map::new(), faults: Vec::new() }
}

/// How a task ended.
fn over(task: &Task) -> String {
    let answer = task.answer.as_ref().map(Payload::to_json).unwrap_or_default();
    let at = task.ended_at.unwrap_or_default();
    let choice = answer["choice"].as_str().map(|choice| format!("“{choice}”, ")).unwrap_or_default();
    let by = answer["by"].as_str().map(|by| format!(" by {by}")).unwrap_or_default();
    match task.status {
        Status::Open => "This task is open.".to_owned(),
        Status::Answered => format!("This task was answered{by}: {choice}{at}."),
        Status::Expired => format!("The time of this task was over at {at}."),
        Status::Cancelled => format!("This task is not needed any more since {at}."),
    }
}

/// The page of an address that is not ours, or whose task is gone.
pub(super) fn unknown() -> Response {
    let notice = "<p>There is no task at this address, or it is not kept any longer.</p>\n".to_owned();
    let (title, head) = ("No task here".to_owned(), String::new());
    let page = Page { title, head, notice, fields: Vec::new(), form: None, sent: Map::new(), faults: Vec::new() };
    page.respond(StatusCode::NOT_FOUND)
}

impl Page {
    /// Asks once more, with what was sent and what is wrong with it.
    pub(super) fn again(mut self, sent: &Map<String, Value>, faults: &[Fault]) -> Self {
        self.sent.clone_from(sent);
        self.faults = faults.to_vec();
        self
    }

    /// Says why the person may not answer.
    pub(super) fn refused(mut self, why: &str) -> Self {
        self.notice = format!("<p class=\"fault\">{}</p>\n", escaped(why));
        self
    }

    /// The answer.
    pub(super) fn respond(self, status: StatusCode) -> Response {
        let form = self.form.as_ref().map(|form| self.form(form)).unwrap_or_default();
        page(status, &self.title, &format!("{}{}{form}", self.head, self.notice))
    }

    /// A form that is sent to the address of the page.
    fn form(&self, form: &Form) -> String {
        let mut html = "<form method=\"post\">\n".to_owned();
        match &form.person {
            Some(person) => {
                let _ = writeln!(html, "<p class=\"small\">You answer as {}.</p>", escaped(person));
            }
            None => self.line(&mut html, "by", "Your name", "text", form.names),
        }
        for field in &self.fields {
            self.field(&mut html, field);
        }
        self.line(&mut html, "note", "Remark", "text", false);
        html.push_str(&self.fault("choice"));
        let done = ["done".to_owned()];
        let choices = if form.choices.is_empty() { &done[..] } else { &form.choices };
        for choice in choices {
            let choice = escaped(choice);
            let _ = writeln!(html, "<button name=\"choice\" value=\"{choice}\">{choice}</button>");
        }
        html.push_str("</form>\n");
        html
    }

    fn field(&self, html: &mut String, field: &Field) {
        let name = format!("{PREFIX}{}", field.name);
        let options = match &field.control {
            Control::Line(kind) => return self.line(html, &name, &field.label, kind, field.required),
            Control::Json => {
                let (head, value) = (self.label(&name, &field.label, field.required), escaped(self.value(&name)));
                let required = if field.required { " required" } else { "" };
                let _ = writeln!(
                    html,
                    "{head}<textarea id=\"{0}\" name=\"{0}\" rows=\"4\" placeholder=\"JSON\"{required}>{value}</textarea>",
                    escaped(&name)
                );
                return;
            }
            Control::YesNo => vec!["true".to_owned(), "false".to_owned()],
            Control::Choice(options) => options.clone(),
        };
        let required = if field.required { " required" } else { "" };
        let _ = write!(html, "{}", self.label(&name, &field.label, field.required));
        let _ = write!(html, "<select id=\"{0}\" name=\"{0}\"{required}><option value=\"\"></option>", escaped(&name));
        for option in options {
            let selected = if option == self.value(&name) { " selected" } else { "" };
            let option = escaped(&option);
            let _ = write!(html, "<option value=\"{option}\"{selected}>{option}</option>");
        }
        html.push_str("</select>\n");
    }

    fn line(&self, html: &mut String, name: &str, label: &str, kind: &str, required: bool) {
        let (label, value) = (self.label(name, label, required), escaped(self.value(name)));
        let (name, required) = (escaped(name), if required { " required" } else { "" });
        let _ =
            writeln!(html, "{label}<input id=\"{name}\" name=\"{name}\" type=\"{kind}\" value=\"{value}\"{required}>");
    }

    fn label(&self, name: &str, label: &str, required: bool) -> String {
        let optional = if required { "" } else { " <span class=\"small\">(optional)</span>" };
        format!("<label for=\"{}\">{}{optional}</label>\n{}", escaped(name), escaped(label), self.fault(name))
    }

    /// What is wrong with a field, or inside of it.
    fn fault(&self, name: &str) -> String {
        let inside =
            |path: &str| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        let faults = self.faults.iter().filter(|fault| inside(&fault.path));
        let line =
            |fault: &Fault| format!("<p class=\"fault\">{} {}</p>\n", escaped(&fault.path), escaped(&fault.message));
        faults.map(line).collect::<Vec<_>>().concat()
    }

    fn value(&self, name: &str) -> &str {
        self.sent.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}
