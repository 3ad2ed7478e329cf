//! Which workflows there are: whoever names one that nobody knows is told so, instead of that nothing was found.

use std::collections::BTreeSet;

use serde_json::Value;

use super::access::Access;
use super::output::{Fault, text};
use crate::diag::suggest;
use crate::store::{RunFilter, Store as _};

/// A workflow that a daemon has live, that has a script here, or of which runs are recorded; else a fault that names one
/// which is like it.
pub(super) async fn workflow(access: &Access, name: &str) -> Result<(), Fault> {
    let names = names(access).await?;
    let has_script =
        matches!(access, Access::Store(_)) && super::default_scripts().join(format!("{name}.rhai")).is_file();
    if has_script || names.contains(name) || has_runs(access, name).await? {
        return Ok(());
    }
    let hint = suggest::did_you_mean(name, names.iter().map(String::as_str));
    let hint = hint.unwrap_or_else(|| match access {
        Access::Daemon(_) => "`panta workflows` lists them".to_owned(),
        Access::Store(_) => "`panta runs` shows those that have run".to_owned(),
    });
    Err(Fault::usage(format!("there is no workflow `{name}`; hint: {hint}")))
}

/// Those that are live, or that runs are recorded of where no daemon tells.
pub(super) async fn names(access: &Access) -> Result<BTreeSet<String>, Fault> {
    match access {
        Access::Store(store) => Ok(store.counts()?.into_iter().map(|(name, ..)| name.to_string()).collect()),
        Access::Daemon(client) => {
            let answer = client.get("/api/v1/workflows").await?;
            let all = answer["workflows"].as_array().map(Vec::as_slice).unwrap_or_default();
            Ok(all.iter().map(|workflow: &Value| text(workflow, "name").to_owned()).collect())
        }
    }
}

/// Whether runs of it are recorded, though it may not be live any more.
pub(super) async fn has_runs(access: &Access, name: &str) -> Result<bool, Fault> {
    let filter = RunFilter { workflow: Some(name.to_owned()), limit: 1, ..RunFilter::default() };
    Ok(!access.runs(&filter).await?.is_empty())
}
