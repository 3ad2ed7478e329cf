//! Which channels there are, by name, and whether a workflow names one that is not. How each is reached is the courier's.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::deploy::Deployed;
use super::people::Directory;
use super::terms::OnFailure;
use crate::diag::{Diagnostic, suggest};

/// The names that can be told something.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Channels {
    /// Channels of the config.
    pub names: BTreeSet<Arc<str>>,
    /// The one for failures that nobody handles, and for what was meant for a channel that is not there.
    pub default: Option<Arc<str>>,
}

impl Channels {
    /// Whether a name is a channel, a person or a group; else what is wrong, with a hint. Where neither channels nor people
    /// are configured every name is one: what it is told goes to the log.
    pub fn known(&self, name: &str, people: &Directory) -> Result<(), String> {
        let is_nothing_configured = self.names.is_empty() && people.people.is_empty();
        if is_nothing_configured || self.names.contains(name) || people.addresses(name).is_some() {
            return Ok(());
        }
        let all: BTreeSet<_> = self.names.iter().chain(people.names()).map(|name| &**name).collect();
        let hint = suggest::did_you_mean(name, all.iter().copied()).unwrap_or_else(|| {
            format!(
                "add `[channels.{name}]` to the config; known are {}",
                all.into_iter().collect::<Vec<_>>().join(", ")
            )
        });
        Err(format!("there is no channel `{name}`; hint: {hint}"))
    }

    /// The channel that a workflow names, though nothing at all is configured: then nobody is told, which is fine on the way, and
    /// worth a word before it is relied on. `None`: it names none, or something is configured.
    pub fn to_nobody(&self, deployed: &Deployed, people: &Directory) -> Option<String> {
        if !(self.names.is_empty() && people.people.is_empty()) {
            return None;
        }
        let failure = match &deployed.terms.on_failure {
            Some(OnFailure::Notify(channel)) => Some(channel),
            _ => None,
        };
        let sla = deployed.terms.sla.as_ref().map(|(_, channel)| channel);
        let channel = failure.into_iter().chain(sla).next()?;
        Some(format!(
            "`{}` is to tell `{channel}`, but no channel and nobody is configured: it goes to the log alone; hint: add \
             `[channels.{channel}]` to the config",
            deployed.name
        ))
    }

    /// What a workflow names and is not there: it would go to the default channel.
    pub fn diagnose(&self, deployed: &Deployed, people: &Directory) -> Vec<Diagnostic> {
        let failure = match &deployed.terms.on_failure {
            Some(OnFailure::Notify(channel)) => Some(("on_failure", channel)),
            _ => None,
        };
        let sla = deployed.terms.sla.as_ref().map(|(_, channel)| ("sla", channel));
        let unknown = failure.into_iter().chain(sla).filter_map(|(option, channel)| {
            let problem = self.known(channel, people).err()?;
            Some(self.unknown(deployed, option, channel, &problem))
        });
        unknown.collect()
    }

    fn unknown(&self, deployed: &Deployed, option: &str, channel: &str, problem: &str) -> Diagnostic {
        let source = &deployed.bundle.sources[deployed.bundle.main()];
        let quoted = [format!("\"{channel}\""), format!("`{channel}`")];
        let lines = source.text.lines().enumerate();
        let mut with_option = lines.clone().filter(|(_, line)| line.contains(option)).chain(lines);
        let spot = |(number, line): (usize, &str)| {
            let at = quoted.iter().find_map(|quoted| line.find(quoted.as_str()))?;
            Some((number + 1, line[..at].chars().count() + 2))
        };
        let (line, column) = with_option.find_map(spot).unwrap_or((1, 1));
        let place = source.place(line, column, channel.chars().count());
        let (title, hint) = problem.split_once("; hint: ").unwrap_or((problem, ""));
        let goes = self.default.as_ref().map_or_else(
            || "to the log".to_owned(),
            |default| format!("to `{default}`, the channel for what nobody handles"),
        );
        let text = format!("what `{option}` is to tell it goes {goes}");
        Diagnostic::new("W0414", title.to_owned(), place).text(text).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::people::Person;
    use crate::engine::{NoSettings, Settings, compile};
    use crate::script::bundle::Bundle;

    fn people() -> Directory {
        let ann =
            Person { email: Some("ann@example.com".to_owned()), groups: vec!["finance".into()], substitute: None };
        Directory { people: [("ann".into(), ann)].into() }
    }

    fn channels(names: &[&str]) -> Channels {
        Channels { names: names.iter().map(|name| Arc::from(*name)).collect(), default: None }
    }

    #[test]
    fn a_name_is_a_channel_a_person_or_a_group() {
        let ops = channels(&["ops", "chat"]);
        for name in ["ops", "ann", "finance"] {
            assert_eq!(ops.known(name, &people()), Ok(()));
        }
        assert_eq!(
            ops.known("opps", &people()),
            Err("there is no channel `opps`; hint: did you mean `ops`?".to_owned())
        );
        assert!(ops.known("zzzzz", &people()).expect_err("unknown").contains("known are ann, chat, finance, ops"));
        assert_eq!(channels(&[]).known("anything", &Directory::default()), Ok(()));
    }

    #[test]
    fn a_workflow_that_names_what_is_not_there_is_warned_of_at_the_name() {
        let text = "workflow(#{\n    sla: #{ after: \"1h\", notify: \"ops\" },\n    on_failure: \"opss\",\n});\nfn main() { 1 }";
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        let deployed = compile(Bundle::of_text("w.rhai", text).expect("a bundle"), &settings).expect("compiles");
        let found = channels(&["ops"]).diagnose(&deployed, &people());
        let shown: Vec<_> =
            found.iter().map(|it| (&*it.code, it.place.line, it.place.column, it.place.width)).collect();
        assert_eq!(shown, [("W0414", 3, 18, 4)]);
        assert_eq!(channels(&["ops", "opss"]).diagnose(&deployed, &people()), []);
    }
}
