//! What evaluating a script means in this release: Rhai, our own operators and pure functions, zone data.
//!
//! Sources are pinned to a run by their hash, but what they mean is the binary's. It has a version, too: a number that is
//! raised by hand, Rhai's version, and hashes over what some expressions ([`probes`]) and zone data give, so that a change
//! that nobody thought of is one all the same. The store notes under which version its open runs are known to fit; an
//! engine with another one tries them before it claims any (`settle`).

mod probes;
mod settle;
mod settling;
mod trial;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use rhai::{Array, Dynamic};
use sha2::{Digest as _, Sha256};

use super::deploy;

pub(super) use settle::{hold_back, settle_family, take_up};
pub(super) use settling::Settling;
pub use settling::Trials;
pub(super) use trial::held_change;

/// Raised where the meaning of scripts changes in a way that the probes do not see.
const GENERATION: u32 = 2;
/// As pinned in `Cargo.toml`; a test holds the two together.
const RHAI: &str = "1.27.0";

/// What scripts mean.
#[derive(Clone)]
pub struct Semantics {
    version: Arc<str>,
    alter: Option<fn(&mut rhai::Engine)>,
}

impl PartialEq for Semantics {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
    }
}

impl fmt::Debug for Semantics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.version)
    }
}

impl Semantics {
    /// Those of this binary. With the cargo feature `altered-semantics`, which is for tests alone, they are those of
    /// [`Semantics::altered`]: every script engine of the binary is altered.
    pub fn current() -> Self {
        static OWN: OnceLock<Semantics> = OnceLock::new();
        OWN.get_or_init(|| Self::with(None)).clone()
    }

    /// Those of a binary in which one pure function has changed: `join` puts the separator behind the last item, too.
    pub fn altered() -> Self {
        Self::with(Some(alter))
    }

    fn with(alter: Option<fn(&mut rhai::Engine)>) -> Self {
        let mut engine = deploy::script_engine();
        if let Some(alter) = alter {
            alter(&mut engine);
        }
        let meant = hash(&format!("{:?}", probes::outcomes(&engine)));
        let zones = hash(&crate::time::zone_changes());
        Self { version: format!("{GENERATION}-rhai{RHAI}-{meant}-tz{zones}").into(), alter }
    }

    /// Its version, as the store notes it: `2-rhai1.27.0-1a2b3c4d-tz5e6f7a8b`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the probes give, by the expression: a map that only grows from release to release.
    pub fn probes() -> BTreeMap<String, String> {
        probes::outcomes(&deploy::script_engine())
    }

    /// What one expression gives: its value in the journal's encoding, or `error`.
    pub fn probe(engine: &rhai::Engine, expression: &str) -> String {
        probes::outcome(engine, expression)
    }

    /// A script engine with this meaning.
    pub(super) fn engine(&self) -> rhai::Engine {
        let mut engine = deploy::script_engine();
        if let Some(alter) = self.alter {
            alter(&mut engine);
        }
        engine
    }
}

/// Eight digits tell versions of one program apart.
fn hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..4])
}

/// Changes one function.
pub(super) fn alter(engine: &mut rhai::Engine) {
    let joined = |list: &mut Array, separator: &str| {
        list.iter().flat_map(|item: &Dynamic| [item.to_string(), separator.to_owned()]).collect::<String>()
    };
    engine.register_fn("join", joined);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(feature = "altered-semantics"))]
    fn a_changed_function_is_another_version_and_nothing_else_is() {
        let (own, altered) = (Semantics::with(None), Semantics::altered());
        assert_eq!(own, Semantics::with(None));
        assert_ne!(own, altered);
        let eval = |semantics: &Semantics| semantics.engine().eval::<String>("[1, 2].join(\"-\")").expect("a text");
        assert_eq!((eval(&own), eval(&altered)), ("1-2".to_owned(), "1-2-".to_owned()));
    }

    #[test]
    fn the_version_of_rhai_is_the_pinned_one() {
        let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("is there");
        assert!(manifest.contains(&format!("rhai = {{ version = \"={RHAI}\"")), "{RHAI}");
    }
}
