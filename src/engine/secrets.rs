//! Secrets of runs: a run's placeholders become values at the moment of sending, and values that come back become
//! placeholders.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::effect::{Allow, Failure, Field, Request, Secrets, Target};
use crate::host::session::origin;
use crate::id::RunId;
use crate::payload::Payload;
use crate::placeholder::{MarkKind, SHOWN, replaced, written};
use crate::script::bundle::Bundle;
use crate::script::secret::{DECLARED, Marks, SecretRef, defuse, find_placeholders, set_marks};
use crate::vault::{Refusal, Search, Vault};

/// The mark of placeholders that stand for an echo, and for no value.
const ECHO: &str = "echo";

/// The secrets of one run: only placeholders that it made are replaced, and only of secrets that it may use.
pub(super) struct RunSecrets<'a> {
    pub(super) vault: &'a Vault,
    pub(super) run: RunId,
    pub(super) workflow: &'a str,
    pub(super) allow: &'a Allow,
}

impl RunSecrets<'_> {
    /// What stands for an echo of a secret: what the run itself writes for it, where it may use it.
    fn echo(&self, name: &str) -> String {
        let listed = self.allow.secrets.iter().find(|listed| listed.eq_ignore_ascii_case(name));
        match listed {
            Some(name) => written(name, &self.vault.mark(MarkKind::Run, &self.run.to_string(), name)),
            None => written(name, ECHO),
        }
    }

    /// Whether this run, or the declaration of its workflow, made the placeholder.
    fn is_own(&self, name: &str, mark: &str) -> bool {
        let Some(kind) = MarkKind::of(mark) else { return false };
        mark == self.vault.mark(kind, &self.run.to_string(), name)
            || kind == MarkKind::Declared && mark == self.vault.mark(kind, self.workflow, name)
    }

    /// Whether this run may use each secret that stands in a request, before it is known whether there is such a secret.
    pub(super) fn admit(&self, request: &Request) -> Result<(), Failure> {
        for text in request.texts() {
            let mut own = find_placeholders(&text).into_iter().filter(|found| self.is_own(found.name, found.mark));
            own.try_for_each(|found| self.allow.admit_secret(found.name))?;
        }
        Ok(())
    }

    fn value(&self, name: &str, mark: &str, target: Target<'_>) -> Result<Zeroizing<String>, Failure> {
        if !self.is_own(name, mark) {
            // Anybody could write such a one. What an earlier release has recorded must not go out with a hole in it.
            if mark == DECLARED || mark == origin(self.run, name) {
                return Err(Failure::denied(format!(
                    "what stands for the secret `{name}` here was not made by this run: an earlier release wrote it, or \
                     somebody outside; hint: call `secret(\"{name}\")` where it is sent, or redo the step that made it"
                )));
            }
            return Ok(SHOWN.to_owned().into());
        }
        self.allow.admit_secret(name)?;
        self.vault.value_for(name, target).map_err(|refusal| match refusal {
            Refusal::Unknown(why) => Failure::new("not_found", why).with("secret", Field::Text(name.to_owned())),
            Refusal::NotFor(why) => Failure::denied(why),
        })
    }
}

impl Secrets for RunSecrets<'_> {
    fn resolve<'t>(&self, text: &'t str, target: Target<'_>) -> Result<Cow<'t, str>, Failure> {
        let found = find_placeholders(text);
        if found.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for placeholder in found {
            let value = self.value(placeholder.name, placeholder.mark, target)?;
            out.push_str(&text[from..placeholder.range.start]);
            out.push_str(&value);
            from = placeholder.range.end;
        }
        out.push_str(&text[from..]);
        Ok(Cow::Owned(out))
    }

    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let echo = |name: &str| self.echo(name);
        match defuse(text) {
            Cow::Borrowed(text) => self.vault.redact(text, &echo),
            Cow::Owned(text) => Cow::Owned(self.vault.redact(&text, &echo).into_owned()),
        }
    }

    /// Bytes are not sent with secrets in them, so what stands there stands for no value.
    fn redact_bytes<'t>(&self, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        self.vault.redact_bytes(bytes, &|name| written(name, ECHO))
    }

    fn begun_at_end(&self, bytes: &[u8]) -> usize {
        self.vault.begun_at_end(bytes)
    }
}

/// Makes the marks of what a declaration writes.
pub(super) struct DeclaredMarks {
    vault: Arc<Vault>,
    workflow: Arc<str>,
}

impl DeclaredMarks {
    /// For the declaration of this bundle.
    pub(super) fn of(vault: &Arc<Vault>, bundle: &Bundle) -> Rc<Self> {
        Rc::new(Self { vault: Arc::clone(vault), workflow: bundle.workflow.as_str().into() })
    }

    /// Does something in which texts of the declaration are made.
    pub(super) fn while_made<T>(self: Rc<Self>, act: impl FnOnce() -> T) -> T {
        let _restored = Restored(set_marks(Some(self)));
        act()
    }
}

/// Puts back who made marks before, also when something panics.
struct Restored(Option<Rc<dyn Marks>>);

impl Drop for Restored {
    fn drop(&mut self) {
        set_marks(self.0.take());
    }
}

impl Marks for DeclaredMarks {
    fn mark(&self, secret: &SecretRef) -> String {
        self.vault.mark(MarkKind::Declared, &self.workflow, &secret.name)
    }
}

/// The mark that a run makes.
pub(super) fn mark_in(vault: &Vault, run: RunId, secret: &SecretRef) -> String {
    let kind = if secret.origin == DECLARED { MarkKind::Declared } else { MarkKind::Run };
    vault.mark(kind, &run.to_string(), &secret.name)
}

/// A value that one run hands to another: what stands for secrets there is made the other's own. Whether it may use them is
/// said by its own `allow`.
pub(super) fn handed(vault: &Vault, from: (RunId, &str), to: RunId, payload: Payload) -> Payload {
    let changed = replaced(payload.text(), |placeholder| {
        let allow = Allow::default();
        let giver = RunSecrets { vault, run: from.0, workflow: from.1, allow: &allow };
        let own = giver.is_own(placeholder.name, placeholder.mark);
        own.then(|| written(placeholder.name, &vault.mark(MarkKind::Run, &to.to_string(), placeholder.name)))
    });
    match changed {
        Cow::Owned(changed) => Payload::from_text(changed),
        Cow::Borrowed(_) => payload,
    }
}

/// What comes from outside to start, wake or answer something: without values of secrets, and without what looks like a
/// placeholder.
pub(super) fn from_outside(vault: &Vault, value: Value) -> Value {
    searched(&vault.search(), value)
}

/// The same by a search that serves several values.
pub(super) fn searched(search: &Search, value: Value) -> Value {
    let clean = |text: String| {
        let echo = |name: &str| written(name, ECHO);
        let defused = defuse(&text);
        match search.redact(&defused, &echo) {
            Cow::Owned(clean) => clean,
            Cow::Borrowed(_) => match defused {
                Cow::Owned(defused) => defused,
                Cow::Borrowed(_) => text,
            },
        }
    };
    cleaned(value, &clean)
}

/// The same for a text alone.
pub(super) fn text_from_outside(vault: &Vault, text: &str) -> String {
    match from_outside(vault, Value::from(text)) {
        Value::String(clean) => clean,
        other => other.to_string(),
    }
}

/// A value with each of its texts, keys and numbers as `clean` has them.
pub(super) fn cleaned(value: Value, clean: &dyn Fn(String) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => items.into_iter().map(|item| cleaned(item, clean)).collect(),
        Value::Object(map) => Value::Object(
            map.into_iter().map(|(key, value)| (clean(key), cleaned(value, clean))).collect::<Map<_, _>>(),
        ),
        Value::Number(number) => {
            let shown = number.to_string();
            let clean = clean(shown.clone());
            if clean == shown { Value::Number(number) } else { Value::String(clean) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Target<'static> = Target::Host { name: "a.example", port: 443 };

    fn vault() -> Vault {
        Vault::from_pairs([("PANTA_SECRET_API".to_owned(), "the-value".to_owned())].into_iter())
    }

    fn of<'a>(vault: &'a Vault, run: RunId, allow: &'a Allow) -> RunSecrets<'a> {
        RunSecrets { vault, run, workflow: "orders/invoice", allow }
    }

    fn resolved(secrets: &RunSecrets<'_>, mark: &str) -> Result<String, String> {
        let text = format!("a {} b", written("api", mark));
        secrets.resolve(&text, HOST).map(Cow::into_owned).map_err(|failure| failure.kind.to_string())
    }

    #[test]
    fn only_what_the_run_or_its_declaration_made_is_replaced() {
        let (vault, allow) = (vault(), Allow { secrets: vec!["api".to_owned()], ..Allow::default() });
        let (run, other) = (RunId::new(), RunId::new());
        let secrets = of(&vault, run, &allow);
        let reference = |origin: &str| SecretRef { name: "api".into(), origin: origin.into() };
        for own in [
            mark_in(&vault, run, &reference("0123456789abcdef")),
            mark_in(&vault, run, &reference(DECLARED)),
            vault.mark(MarkKind::Declared, "orders/invoice", "api"),
        ] {
            assert_eq!(resolved(&secrets, &own), Ok("a the-value b".to_owned()), "{own}");
        }
        for foreign in [
            mark_in(&vault, other, &reference(DECLARED)),
            vault.mark(MarkKind::Declared, "orders/other", "api"),
            vault.mark(MarkKind::Run, "orders/invoice", "api"),
            ECHO.to_owned(),
        ] {
            assert_eq!(resolved(&secrets, &foreign), Ok("a *** b".to_owned()), "{foreign}");
        }
        for old in [DECLARED.to_owned(), origin(run, "api")] {
            assert_eq!(resolved(&secrets, &old), Err("denied".to_owned()), "{old}");
        }
    }

    #[test]
    fn what_is_handed_on_is_the_other_runs_own() {
        let (vault, allow) = (vault(), Allow { secrets: vec!["api".to_owned()], ..Allow::default() });
        let (from, to) = (RunId::new(), RunId::new());
        let given = |mark: &str| Payload::from_text(format!("[\"{}\"]", written("api", mark)));
        let own = vault.mark(MarkKind::Run, &from.to_string(), "api");
        let handed = |mark: &str| handed(&vault, (from, "orders/invoice"), to, given(mark));
        let text = handed(&own).text().to_owned();
        assert_eq!(of(&vault, to, &allow).resolve(&text, HOST).as_deref(), Ok("[\"the-value\"]"));
        assert_eq!(of(&vault, from, &allow).resolve(&text, HOST).as_deref(), Ok("[\"***\"]"));
        for forged in [DECLARED, ECHO, "raaaaaaaaaaaaaaa"] {
            assert_eq!(handed(forged), given(forged), "{forged}");
        }
    }

    #[test]
    fn bytes_that_came_back_stand_for_no_value() {
        let (vault, allow) = (vault(), Allow { secrets: vec!["api".to_owned()], ..Allow::default() });
        let secrets = of(&vault, RunId::new(), &allow);
        assert_eq!(*secrets.redact_bytes(b"x the-value"), *format!("x {}", written("api", ECHO)).as_bytes());
        assert_eq!(secrets.begun_at_end(b"x the-val"), 7);
    }
}
