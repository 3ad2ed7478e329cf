//! Secrets: where their values lie, what each may be sent to, and how they are taken out of what comes back.
//!
//! Values come from the environment (`PANTA_SECRET_NAME`) and from the encrypted file `secrets` of the data folder, which
//! `panta secret` writes. It owns the file and what is open of it in memory. It must not know scripts, runs or the journal:
//! they hold names and placeholders.

mod binding;
mod echo;
mod file;
mod key;
pub mod key_file;
mod mark;
#[cfg(test)]
mod tests;
mod tokens;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;
use zeroize::Zeroizing;

use crate::effect::Target;
use crate::placeholder::MarkKind;
pub use binding::Binding;
use echo::Echoes;
pub use echo::SHORTEST;
use file::{Opened, SecretsFile, Stamp};
pub use key::{FILE as KEY_FILE, KeySource, VARIABLE as KEY_VARIABLE};
pub use mark::MARK_KEY_FILE;
use mark::Marker;

/// Variables that hold secrets begin so.
pub const PREFIX: &str = "PANTA_SECRET_";
/// The longest value. 64 KiB: a certificate chain with its key, not a document.
pub const LONGEST: usize = 64 << 10;

/// Why secrets cannot be had or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key is there and cannot be used.
    #[error("{place} cannot be used: {why}; hint: {hint}")]
    Key {
        /// Which key.
        place: String,
        /// What is wrong.
        why: String,
        /// What to do.
        hint: String,
    },
    /// There are secrets, and no key.
    #[error("there is no key for the secrets in `{file}`; hint: it was looked for in {places}")]
    NoKey {
        /// The secrets.
        file: PathBuf,
        /// Where the key was looked for.
        places: String,
    },
    /// A value does not open.
    #[error(
        "the secret `{name}` in `{file}` does not open: the key is another one, or the file was changed by hand; \
         hint: restore key and file together, or set the secret anew"
    )]
    Closed {
        /// The file.
        file: PathBuf,
        /// Which secret.
        name: String,
    },
    /// The file.
    #[error(
        "the file `{path}` {what}: {why}; hint: it belongs to `panta secret`, see that this user may read and write it"
    )]
    File {
        /// Which.
        path: PathBuf,
        /// What goes wrong.
        what: String,
        /// Why.
        why: String,
    },
    /// A name, a binding or a value that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// Nothing of this name.
    #[error("there is no secret `{name}`{hint}")]
    Unknown {
        /// As asked for.
        name: String,
        /// `; hint: …`, or empty.
        hint: String,
    },
}

/// Where a secret comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A variable of the process.
    Environment,
    /// The encrypted file.
    File,
}

/// A secret as lists show it: never its value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Listed {
    /// Its name.
    pub secret: String,
    /// What it may be sent to; `None`: whatever host a workflow names in `allow` (secrets of the environment only).
    #[serde(rename = "for")]
    pub bound: Option<Vec<String>>,
    /// Where it comes from.
    pub origin: Origin,
    /// When it was set, RFC 3339; `None` for those of the environment.
    pub set_at: Option<String>,
}

/// Why a secret is not sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is none of this name.
    Unknown(String),
    /// It is not for this target.
    NotFor(String),
}

/// The secrets of this process.
#[derive(Debug, Default)]
pub struct Vault {
    /// By the rest of the variable's name.
    environment: BTreeMap<String, Zeroizing<String>>,
    /// What those of the environment are for, where the configuration says so; by the same names.
    bound: BTreeMap<String, Vec<Binding>>,
    file: Option<SecretsFile>,
    marker: Marker,
    state: RwLock<State>,
}

/// What was last read of the file.
#[derive(Debug, Default)]
struct State {
    stamp: Option<Stamp>,
    now: Arc<Snapshot>,
    /// Values that were replaced or removed while this process ran: what is on its way may still hold them.
    retired: Vec<(String, Zeroizing<String>)>,
}

/// All values at one moment.
#[derive(Debug, Default)]
struct Snapshot {
    stored: BTreeMap<String, Stored>,
    echoes: Echoes,
}

#[derive(Debug)]
struct Stored {
    opened: Opened,
    bound: Vec<Binding>,
}

impl Vault {
    /// Those of these variables; others than `PANTA_SECRET_…` are left out.
    pub fn from_pairs(pairs: impl Iterator<Item = (String, String)>) -> Self {
        let values = pairs.filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value.into())));
        let vault = Self { environment: values.collect(), ..Self::default() };
        let now = Arc::new(vault.snapshot(file::All::new(), &[]).expect("no file"));
        Self { state: RwLock::new(State { now, ..State::default() }), ..vault }
    }

    /// Those of this process' variables.
    pub fn from_process() -> Self {
        Self::from_pairs(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// The same, with the encrypted file of this data folder. An error when there is a file that does not open.
    pub fn with_file(self, data: &Path, key: KeySource) -> Result<Self, Error> {
        let marker = Marker::in_file(data.join(MARK_KEY_FILE));
        let vault = Self { file: Some(SecretsFile::new(data, key)), marker, ..self };
        vault.refresh()?;
        Ok(vault)
    }

    /// The same, with what secrets of the environment are for: names and `--for` texts.
    pub fn binding(self, bound: &BTreeMap<String, Vec<String>>) -> Result<Self, Error> {
        let read = |(name, texts): (&String, &Vec<String>)| {
            binding::parse_all(texts).map(|all| (variable(name), all)).map_err(Error::Invalid)
        };
        Ok(Self { bound: bound.iter().map(read).collect::<Result<_, _>>()?, ..self })
    }

    /// The mark of a placeholder for the secret `name`, as it is written in `scope` alone: a run, or a workflow.
    pub fn mark(&self, kind: MarkKind, scope: &str, name: &str) -> String {
        self.marker.mark(kind, scope, name)
    }

    /// Reads the key of marks, or makes it: an error now is better than one in each run.
    pub fn prepare_marks(&self) -> Result<(), Error> {
        self.marker.load().map_err(|error| Error::File {
            path: self.marker.file.clone().unwrap_or_default(),
            what: "cannot be used".to_owned(),
            why: error.to_string(),
        })
    }

    /// The value of a secret, for use inside of this process alone, such as verifying a signature.
    pub fn value(&self, name: &str) -> Option<Zeroizing<String>> {
        if let Some(value) = self.environment.get(&variable(name)) {
            return Some(value.clone());
        }
        self.now().stored.get(name).map(|stored| stored.opened.value.clone())
    }

    /// The value of a secret that is about to be sent there.
    pub fn value_for(&self, name: &str, target: Target<'_>) -> Result<Zeroizing<String>, Refusal> {
        let wanted = binding::wanted(target);
        if let Some(value) = self.environment.get(&variable(name)) {
            let covered = self.bound.get(&variable(name)).is_none_or(|all| all.iter().any(|b| b.covers(target)));
            let hint = format!("add \"{wanted}\" to `{name}` under `[secrets.for]` in the configuration");
            return if covered { Ok(value.clone()) } else { Err(Refusal::NotFor(not_for(name, &wanted, &hint))) };
        }
        let now = self.now();
        let Some(stored) = now.stored.get(name) else { return Err(Refusal::Unknown(Self::unknown(name, &now))) };
        if stored.bound.iter().any(|bound| bound.covers(target)) {
            return Ok(stored.opened.value.clone());
        }
        let hint = format!("`panta secret bind {name} --for {wanted}`, if it is meant to go there");
        Err(Refusal::NotFor(not_for(name, &wanted, &hint)))
    }

    fn unknown(name: &str, now: &Snapshot) -> String {
        let near = crate::diag::suggest::nearest(name, now.stored.keys().map(String::as_str));
        let hint = near.map_or_else(
            || format!("`panta secret set {name} --for HOST`, or the variable `{PREFIX}{}`", variable(name)),
            |near| format!("did you mean `{near}`?"),
        );
        format!("there is no secret `{name}`; hint: {hint}")
    }

    /// What is said where a secret is needed and not there.
    pub fn missing(&self, name: &str) -> String {
        Self::unknown(name, &self.now())
    }

    /// What finds the secrets of this moment, for several texts: each look at what is kept asks the system.
    pub fn search(&self) -> Search {
        Search(self.now())
    }

    /// The text without values of secrets: `instead` says what stands for one, by its name.
    pub fn redact<'t>(&self, text: &'t str, instead: &dyn Fn(&str) -> String) -> Cow<'t, str> {
        self.now().echoes.replace(text, instead)
    }

    /// The same for bytes that may be no text.
    pub fn redact_bytes<'t>(&self, bytes: &'t [u8], instead: &dyn Fn(&str) -> String) -> Cow<'t, [u8]> {
        self.now().echoes.replace_bytes(bytes, instead)
    }

    /// Bytes at the end of a text that was cut there which begin the value of a secret: nobody may see them.
    pub fn begun_at_end(&self, bytes: &[u8]) -> usize {
        self.now().echoes.begun_at_end(bytes)
    }

    /// Whether there is nothing that [`Self::redact`] would find.
    pub fn hides_nothing(&self) -> bool {
        self.now().echoes.is_empty()
    }

    /// All secrets, by name.
    pub fn list(&self) -> Vec<Listed> {
        let environment = self.environment.keys().map(|name| Listed {
            secret: name.to_lowercase(),
            bound: self.bound.get(name).map(|all| all.iter().map(ToString::to_string).collect()),
            origin: Origin::Environment,
            set_at: None,
        });
        let now = self.now();
        let stored = now.stored.iter().map(|(name, stored)| Listed {
            secret: name.clone(),
            bound: Some(stored.opened.bound.clone()),
            origin: Origin::File,
            set_at: Some(stored.opened.set_at.clone()),
        });
        let mut all: Vec<_> = environment.chain(stored).collect();
        all.sort_by(|a, b| a.secret.cmp(&b.secret));
        all
    }

    /// Sets a secret. `at` is RFC 3339; `None` for `bound` leaves what it is for as it was.
    pub fn set(&self, name: &str, value: Zeroizing<String>, bound: Option<Vec<String>>, at: &str) -> Result<(), Error> {
        checked_name(name)?;
        checked_value(&value)?;
        let bound = bound.map(|texts| canonical(&texts)).transpose()?;
        self.change(|all| {
            let before = all.remove(name).map(|secret| secret.bound);
            let bound = bound.or(before).unwrap_or_default();
            all.insert(name.to_owned(), Opened { value, bound, set_at: at.to_owned() });
            Ok(())
        })
    }

    /// Says anew what a secret is for.
    pub fn bind(&self, name: &str, bound: &[String]) -> Result<(), Error> {
        let bound = canonical(bound)?;
        self.change(|all| match all.get_mut(name) {
            Some(secret) => {
                secret.bound = bound;
                Ok(())
            }
            None => Err(not_stored(name, all)),
        })
    }

    /// Removes a secret.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        self.change(|all| all.remove(name).map(drop).ok_or_else(|| not_stored(name, all)))
    }

    fn change(&self, change: impl FnOnce(&mut file::All) -> Result<(), Error>) -> Result<(), Error> {
        let file =
            self.file.as_ref().ok_or_else(|| Error::Invalid("there is no data folder for secrets".to_owned()))?;
        file.change(change)?;
        self.refresh()
    }

    /// What holds now: the file is read again when it has changed. One that has become unreadable leaves what was.
    fn now(&self) -> Arc<Snapshot> {
        if let Err(problem) = self.refresh() {
            tracing::error!("{problem}; what was read before counts on");
        }
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).now)
    }

    fn refresh(&self) -> Result<(), Error> {
        let Some(file) = &self.file else { return Ok(()) };
        let stamp = file.stamp();
        if self.state.read().unwrap_or_else(PoisonError::into_inner).is_of(stamp) {
            return Ok(());
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // First, so that a file that does not open is told of once.
        state.stamp = stamp;
        let all = file.open()?;
        let gone = state
            .now
            .stored
            .iter()
            .filter(|(name, old)| all.get(*name).is_none_or(|new| *new.value != *old.opened.value));
        let gone: Vec<_> = gone.map(|(name, old)| (name.clone(), old.opened.value.clone())).collect();
        state.retired.extend(gone);
        tokens::thin(&mut state.retired);
        state.now = Arc::new(self.snapshot(all, &state.retired)?);
        Ok(())
    }

    fn snapshot(&self, all: file::All, retired: &[(String, Zeroizing<String>)]) -> Result<Snapshot, Error> {
        let open = |(name, opened): (String, Opened)| {
            let bound = binding::parse_all(&opened.bound).map_err(Error::Invalid)?;
            Ok((name, Stored { opened, bound }))
        };
        let stored: BTreeMap<_, _> = all.into_iter().map(open).collect::<Result<_, Error>>()?;
        let named: Vec<_> = self.environment.iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        let environment = named.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let current = stored.iter().map(|(name, stored)| (name.as_str(), stored.opened.value.as_str()));
        let before = retired.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<_> = environment.chain(current).chain(before).collect();
        let hidden =
            all.iter().flat_map(|(name, value)| tokens::hidden(name, value).into_iter().map(|text| (*name, text)));
        let hidden: Vec<_> = hidden.collect();
        let echoes = Echoes::new(hidden.iter().map(|(name, text)| (*name, text.as_ref())));
        Ok(Snapshot { stored, echoes })
    }
}

/// Finds the secrets that there were at one moment.
#[derive(Clone)]
pub struct Search(Arc<Snapshot>);

impl Search {
    /// The text without values of secrets: `instead` says what stands for one, by its name.
    pub fn redact<'t>(&self, text: &'t str, instead: &dyn Fn(&str) -> String) -> Cow<'t, str> {
        self.0.echoes.replace(text, instead)
    }
}

impl State {
    fn is_of(&self, stamp: Option<Stamp>) -> bool {
        self.stamp == stamp
    }
}

/// The rest of the variable's name for a secret: capitals, and `_` for `-` and `.`.
fn variable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

fn not_for(name: &str, wanted: &str, hint: &str) -> String {
    format!("the secret `{name}` is not for `{wanted}`; hint: {hint}")
}

fn not_stored(name: &str, all: &file::All) -> Error {
    let near = crate::diag::suggest::nearest(name, all.keys().map(String::as_str));
    let hint = near.map_or_else(
        || "; hint: `panta secret list` shows those that are there".to_owned(),
        |near| format!("; hint: did you mean `{near}`?"),
    );
    Error::Unknown { name: name.to_owned(), hint }
}

/// A name as scripts may write it.
fn checked_name(name: &str) -> Result<(), Error> {
    let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    let why = || Error::Invalid(format!("`{name}` is no name of a secret; hint: letters, digits, `_`, `-` and `.`"));
    if fits { Ok(()) } else { Err(why()) }
}

fn checked_value(value: &str) -> Result<(), Error> {
    let why = match value.len() {
        0 => "the value is empty; hint: type or pipe it in".to_owned(),
        length if length > LONGEST => format!("the value has {length} bytes; hint: at most {LONGEST}"),
        _ => return Ok(()),
    };
    Err(Error::Invalid(why))
}

/// Bindings as they are written, each once.
fn canonical(texts: &[String]) -> Result<Vec<String>, Error> {
    let mut all: Vec<_> = binding::parse_all(texts).map_err(Error::Invalid)?.iter().map(ToString::to_string).collect();
    all.sort();
    all.dedup();
    Ok(all)
}
