//! What a workflow may touch: its `allow` declaration, narrowed by the operator.

use super::net::HostPattern;

/// The capabilities that effects check.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Allow {
    /// Hosts that may be called. `None` (no `allow` was declared): every public host. `Some`: only those named here.
    /// A host that a pattern names may have any address; others must resolve to public ones.
    pub http: Option<Vec<HostPattern>>,
    /// Absolute globs (`/srv/inbox/*.csv`) of files outside the workflow's own folder that may be touched.
    pub files: Vec<String>,
}

impl Allow {
    /// From the texts of a declaration; the error names the text that is no pattern.
    pub fn parse(http: Option<&[String]>, files: &[String]) -> Result<Self, String> {
        let http = http.map(|texts| texts.iter().map(|text| HostPattern::parse(text)).collect()).transpose()?;
        files.iter().try_for_each(|glob| super::file::check_allowed_glob(glob))?;
        Ok(Self { http, files: files.to_vec() })
    }
}

/// The line that a script needs, existing entries first: `allow: #{ http: ["a", "b"] }`.
pub(super) fn allow_line(capability: &str, existing: impl Iterator<Item = String>, missing: &str) -> String {
    let entries: Vec<_> = existing.chain([missing.to_owned()]).map(|entry| format!("{entry:?}")).collect();
    format!("allow: #{{ {capability}: [{}] }}", entries.join(", "))
}
