//! Whether the triggers that a workflow declares can work: cron lines, paths, patterns, names.
//!
//! The declaration itself only takes them as text; what they mean is known here. Used when a file is loaded or checked.

use std::path::Path;

use globset::GlobBuilder;

use super::Error;
use super::cron::Cron;
use super::files::FilePattern;
use super::schedule::Schedule;
use super::webhook::HookPath;
use crate::diag::{Diagnostic, Severity, suggest};
use crate::effect::message::Address;
use crate::engine::{Deployed, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::pattern::Pattern;

/// What is wrong with a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In one sentence.
    pub problem: String,
    /// What to do.
    pub hint: String,
    /// Where in the first argument, in characters from 1.
    pub column: usize,
    /// How many characters are at fault.
    pub width: usize,
    /// Whether it stops the workflow from being used.
    pub severity: Severity,
}

impl Fault {
    /// One that concerns the whole first argument, and stops the workflow.
    pub fn error(problem: String, hint: String, subject: &str) -> Self {
        Self { problem, hint, column: 1, width: subject.chars().count().max(1), severity: Severity::Error }
    }

    /// As a diagnostic at the trigger's line; the caret is below the first argument where it stands there as a literal.
    pub fn at(self, deployed: &Deployed, spec: &TriggerSpec) -> Diagnostic {
        let bundle = &deployed.bundle;
        let source = &bundle.sources[bundle.main()];
        let line = source.line(spec.line as usize).unwrap_or_default();
        let quoted = ['"', '`'].iter().find_map(|quote| line.find(&format!("{quote}{}{quote}", spec.subject)));
        let (column, width) = match quoted {
            Some(at) => (line[..at].chars().count() + 1 + self.column, self.width),
            None => (line.chars().take_while(|c| c.is_whitespace()).count() + 1, line.trim().chars().count()),
        };
        let place = source.place(spec.line as usize, column, width);
        Diagnostic { severity: self.severity, ..Diagnostic::new("E0307", self.problem, place).hint(self.hint) }
    }
}

/// What is wrong with a trigger by itself.
pub fn faults(spec: &TriggerSpec) -> Option<Fault> {
    let subject = spec.subject.as_str();
    let checked = match spec.kind {
        TriggerKind::Cron => Cron::parse(subject, spec.options["tz"].as_str()).map(drop),
        TriggerKind::Every => Schedule::every(subject).map(drop),
        TriggerKind::Webhook => HookPath::parse(subject).map(drop),
        TriggerKind::File => FilePattern::parse(subject, Path::new("/")).map(drop),
        TriggerKind::Event => Pattern::events(subject).map(drop).map_err(Error::from),
        TriggerKind::Run => Pattern::workflows(subject).map(drop).map_err(Error::from),
        // Which mailboxes there are, the configuration says.
        TriggerKind::Startup | TriggerKind::Mail => Ok(()),
        TriggerKind::Sql => return query(spec),
        TriggerKind::Message => return unbuilt(spec),
    };
    checked.err().map(|error| fault(&error, subject))
}

/// What is wrong with the triggers of a workflow, in the order of the file. Where the declaration is not whole, what it allows
/// is not known.
pub fn diagnose(deployed: &Deployed, is_whole: bool) -> Vec<Diagnostic> {
    let outside = |spec: &TriggerSpec| if is_whole { outside(deployed, spec) } else { None };
    let unlisted = |spec: &TriggerSpec| if is_whole { unlisted(deployed, spec) } else { None };
    let fault = |spec: &TriggerSpec| {
        faults(spec).or_else(|| outside(spec)).or_else(|| unlisted(spec)).map(|it| it.at(deployed, spec))
    };
    deployed.triggers.iter().filter_map(fault).collect()
}

/// The triggers of a workflow whose mailboxes are not among these, which the configuration has.
pub fn unknown_mailboxes(deployed: &Deployed, known: &[&str], severity: Severity) -> Vec<Diagnostic> {
    let mails = deployed.triggers.iter().filter(|spec| spec.kind == TriggerKind::Mail);
    let unknown = mails.filter(|spec| !known.contains(&spec.subject.as_str()));
    let fault = |spec: &TriggerSpec| {
        let problem = format!("there is no mailbox `{}`", spec.subject);
        let all = if known.is_empty() { "none".to_owned() } else { format!("`{}`", known.join("`, `")) };
        let hint = suggest::did_you_mean(&spec.subject, known.iter().copied()).unwrap_or_else(|| {
            format!("add a section `[mailboxes.{}]` to `panta.toml`; known are {all}", spec.subject)
        });
        Fault { severity, ..Fault::error(problem, hint, &spec.subject) }.at(deployed, spec)
    };
    unknown.map(fault).collect()
}

fn fault(error: &Error, subject: &str) -> Fault {
    let whole = Fault::error(error.to_string(), error.hint().to_owned(), subject);
    match error {
        Error::Cron { column, width, .. } => Fault { column: *column, width: *width, ..whole },
        _ => whole,
    }
}

/// A broker that this build cannot talk to.
fn unbuilt(spec: &TriggerSpec) -> Option<Fault> {
    let (address, _) = Address::parse(&spec.subject).ok()?;
    if address.protocol.is_built() {
        return None;
    }
    let problem = format!("this build cannot talk to `{address}`: it starts nothing");
    let hint = format!("build `panta` with the feature `{}`", address.protocol.name().to_lowercase());
    Some(Fault { severity: Severity::Warning, ..Fault::error(problem, hint, &spec.subject) })
}

/// A query that has `:cursor` needs the column, and the other way round.
fn query(spec: &TriggerSpec) -> Option<Fault> {
    let has = spec.options["query"].as_str().is_some_and(|text| text.contains(":cursor"));
    let (problem, hint) = match (has, spec.options["cursor"].is_string()) {
        (true, false) => ("the query has `:cursor`, and no column says what that is", "add `cursor: \"id\"`"),
        (false, true) => {
            ("the query has no `:cursor`", "write `where id > :cursor order by id`, or leave out `cursor`")
        }
        _ => return None,
    };
    Some(Fault::error(problem.to_owned(), hint.to_owned(), &spec.subject))
}

/// A broker needs the same leave as for publishing.
fn untold(deployed: &Deployed, spec: &TriggerSpec) -> Option<Fault> {
    if spec.kind != TriggerKind::Message {
        return None;
    }
    let (address, _) = Address::parse(&spec.subject).ok()?;
    let may = &deployed.allow.message;
    let problem = format!("no messages may come from `{address}`: it is not among the brokers of this workflow");
    let fault = || Fault::error(problem, format!("add `{}`", may.line(&address)), &spec.subject);
    (!may.covers(&address, None)).then(fault)
}

/// A database that is asked needs the same leave as `sql::query`.
fn unlisted(deployed: &Deployed, spec: &TriggerSpec) -> Option<Fault> {
    if spec.kind == TriggerKind::Message {
        return untold(deployed, spec);
    }
    if spec.kind != TriggerKind::Sql || deployed.allow.sql.contains(&spec.subject) {
        return None;
    }
    let problem = format!("the database `{}` is not among those of this workflow", spec.subject);
    Some(Fault::error(problem, format!("add `allow: #{{ sql: [{:?}] }}`", spec.subject), &spec.subject))
}

/// A file trigger that looks outside of the workflow's folder needs the same leave as reading there.
fn outside(deployed: &Deployed, spec: &TriggerSpec) -> Option<Fault> {
    if spec.kind != TriggerKind::File || !spec.subject.starts_with('/') {
        return None;
    }
    let covers = |glob: &String| {
        let covering = GlobBuilder::new(glob).literal_separator(true).build();
        *glob == spec.subject || covering.is_ok_and(|glob| glob.compile_matcher().is_match(&spec.subject))
    };
    if deployed.allow.files.iter().any(covers) {
        return None;
    }
    let problem = format!("`{}` is outside of the workflow's own folder", spec.subject);
    Some(Fault::error(problem, format!("add `allow: #{{ files: [{:?}] }}`", spec.subject), &spec.subject))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::{NoSettings, Settings, compile};
    use crate::script::bundle::Bundle;

    fn diagnosed(trigger: &str) -> Vec<(Severity, usize, usize)> {
        let bundle = Bundle::of_text("w.rhai", &format!("{trigger}\nfn main() {{ 1 }}")).unwrap();
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        let found = diagnose(&compile(bundle, &settings).unwrap(), true);
        found.iter().map(|one| (one.severity, one.place.column, one.place.width)).collect()
    }

    #[test]
    fn faults_stand_below_the_text_at_fault() {
        assert_eq!(diagnosed("trigger::cron(\"0 8 * * FOO\");"), [(Severity::Error, 24, 3)]);
        assert_eq!(diagnosed("trigger::webhook(\"/x\");"), [(Severity::Error, 19, 2)]);
        assert_eq!(diagnosed("trigger::file(\"inbox/\");"), [(Severity::Error, 16, 6)]);
        assert_eq!(diagnosed("const E = \"a b\"; trigger::event(E);").len(), 1);
        assert_eq!(diagnosed("trigger::message(\"nats://x/y\");")[0].0, Severity::Error, "no line allows it");
    }

    #[test]
    fn mailboxes_are_those_of_the_configuration() {
        let bundle = Bundle::of_text("w.rhai", "trigger::mail(\"suport\");\nfn main(m) { 1 }").unwrap();
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        let deployed = compile(bundle, &settings).unwrap();
        let found = |known: &[&str]| {
            let found = unknown_mailboxes(&deployed, known, Severity::Error).pop();
            found.map(|it| (it.place.column, it.place.width, it.hint.unwrap_or_default().to_string()))
        };
        assert_eq!(found(&["support"]), Some((16, 6, "did you mean `support`?".to_owned())));
        assert!(found(&["a", "b"]).is_some_and(|(_, _, hint)| hint.ends_with("known are `a`, `b`")));
        assert_eq!(found(&["suport"]), None);
    }

    #[test]
    fn good_triggers_have_none() {
        for good in [
            "cron(\"@daily\", #{ tz: \"Europe/Berlin\" })",
            "every(\"5m\")",
            "webhook(\"a/b\")",
            "mail(\"desk\")",
            "startup()",
        ] {
            assert_eq!(diagnosed(&format!("trigger::{good};")), []);
        }
        assert_eq!(diagnosed("trigger::file(\"in/*.csv\"); trigger::event(\"a.*\"); trigger::run(\"x/*\");"), []);
    }

    #[test]
    fn closures_take_one_parameter() {
        let found = |text: &str| {
            let bundle = Bundle::of_text("w.rhai", text).unwrap();
            let settings: Arc<dyn Settings> = Arc::new(NoSettings);
            let faults = crate::engine::examine(bundle, &settings).1;
            let faults = faults.iter().filter(|fault| fault.code == "E0307");
            faults.map(|fault| (fault.place.line, fault.place.column, fault.place.width)).collect::<Vec<_>>()
        };
        assert_eq!(
            found("trigger::every(\"1h\", #{\n    when: || true,\n    input: |a, b| a });\nfn main(i) { i }").len(),
            2
        );
        assert_eq!(found("trigger::event(\"a\", #{\n    when: |a, b| true });\nfn main(i) { i }"), [(2, 5, 4)]);
        let fine = "fn ok(x) { x } const F = 1; trigger::event(\"a\", #{ when: |x| x == F, input: Fn(\"ok\") }); fn main(i) { i }";
        assert_eq!(found(fine), []);
        assert_eq!(found("let n = 3; trigger::event(\"a\", #{ when: |x| x == n }); fn main(i) { i }"), []);
    }

    #[test]
    fn queries_need_leave_and_their_cursor() {
        let found = |options: &str, text: &str| {
            diagnosed(&format!(
                "workflow(#{{ allow: #{{ sql: [\"crm\"] }} }}); trigger::sql(\"crm\", \"{text}\"{options});"
            ))
            .len()
        };
        assert_eq!(found(", #{ cursor: \"id\", every: \"5s\" }", "select id from t where id > :cursor"), 0);
        assert_eq!(found("", "select id from t"), 0);
        assert_eq!((found("", "select :cursor"), found(", #{ cursor: \"id\" }", "select id from t")), (1, 1));
        assert_eq!(diagnosed("trigger::sql(\"crm\", \"select 1\");").len(), 1);
    }

    #[test]
    fn brokers_need_leave() {
        let trigger = "trigger::message(\"nats://b.example.com/orders\");";
        assert_eq!(diagnosed(trigger).len(), 1);
        for allow in ["true", "[\"b.example.com\"]", "[\"events\"]", "[\"nats://b.example.com\"]"] {
            assert_eq!(
                diagnosed(&format!("workflow(#{{ allow: #{{ message: {allow} }} }}); {trigger}")),
                [],
                "{allow}"
            );
        }
        assert_eq!(
            diagnosed(&format!("workflow(#{{ allow: #{{ message: [\"mqtt://b.example.com\"] }} }}); {trigger}")).len(),
            1
        );
    }

    #[test]
    fn files_elsewhere_need_leave() {
        let trigger = "trigger::file(\"/srv/in/*.csv\");";
        assert_eq!(diagnosed(trigger).len(), 1);
        assert_eq!(diagnosed(&format!("workflow(#{{ allow: #{{ files: [\"/srv/in/*\"] }} }}); {trigger}")), []);
    }
}
