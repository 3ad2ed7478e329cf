//! The collector of spans that the configuration names, where this build knows how to talk to one.

use std::sync::Arc;

use super::Fault;
use crate::config::Config;
use crate::engine::Follower;
use crate::store::Store;
use crate::vault::Vault;

/// Who follows the runs; `None` where no collector is named.
#[cfg(feature = "otlp")]
pub(super) fn follower(
    config: &Config,
    vault: &Vault,
    store: Arc<dyn Store>,
) -> Result<Option<Arc<dyn Follower>>, Fault> {
    use crate::otlp::{Collector, Exporter};
    let Some(otlp) = &config.otlp else { return Ok(None) };
    let value = |(name, secret): (&String, &String)| {
        let missing = || {
            Fault::usage(format!(
                "`[otlp]` names the secret `{secret}`, which is not there; hint: `panta secret set {secret}`"
            ))
        };
        Ok((name.clone(), vault.value(secret).ok_or_else(missing)?.to_string()))
    };
    let headers = otlp.headers.iter().map(value).collect::<Result<_, Fault>>()?;
    let collector = Collector { endpoint: otlp.endpoint.clone(), headers };
    let exporter = Exporter::start(collector, store).map_err(|why| Fault::usage(format!("`[otlp]`: {why}")))?;
    Ok(Some(exporter))
}

/// This build knows none: what cannot be done is said before anything is.
#[cfg(not(feature = "otlp"))]
pub(super) fn follower(config: &Config, _: &Vault, _: Arc<dyn Store>) -> Result<Option<Arc<dyn Follower>>, Fault> {
    match &config.otlp {
        None => Ok(None),
        Some(_) => Err(Fault::usage(
            "the config has `[otlp]`, and this build exports no spans; hint: build it with `--features otlp`, or leave the section out",
        )),
    }
}
