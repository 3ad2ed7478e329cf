//! The shared key of an Azure storage account: `SharedKey` for blobs and queues, `SharedKeyLite` for tables.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;

use super::aws::hmac;
use crate::effect::Failure;
use crate::time::Timestamp;

/// The version of the service's interface that is asked for unless a header says another.
const VERSION: &str = "2021-08-06";

/// Which way of signing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum Scheme {
    /// Blobs and queues.
    SharedKey,
    /// Tables.
    SharedKeyLite,
}

/// Who signs.
pub(super) struct Signer<'a> {
    pub(super) account: &'a str,
    /// As the portal shows it, in base64.
    pub(super) key: &'a str,
    pub(super) scheme: Scheme,
    pub(super) at: Timestamp,
}

/// What is signed; names of headers are in lower case.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a Url,
    pub(super) headers: &'a [(String, String)],
    /// Bytes of the body.
    pub(super) length: u64,
}

impl Signer<'_> {
    /// The headers to add: `authorization`, `x-ms-date`, and `x-ms-version` where there is none.
    pub(super) fn sign(&self, signed: &Signed<'_>) -> Result<Vec<(&'static str, String)>, Failure> {
        let key = STANDARD.decode(self.key.trim()).map_err(|_| {
            Failure::invalid("the key of the storage account is no base64; hint: copy it from the portal, `=` included")
        })?;
        let mut added = vec![("x-ms-date", date(self.at))];
        let mut all: BTreeMap<_, _> = signed.headers.iter().cloned().collect();
        if !all.contains_key("x-ms-version") {
            added.push(("x-ms-version", VERSION.to_owned()));
        }
        all.extend(added.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let (name, text) = match self.scheme {
            Scheme::SharedKey => ("SharedKey", self.full(signed, &all)),
            Scheme::SharedKeyLite => ("SharedKeyLite", format!("{}\n{}", all["x-ms-date"], self.resource(signed.url))),
        };
        let signature = STANDARD.encode(hmac(&key, &text));
        added.push(("authorization", format!("{name} {}:{signature}", self.account)));
        Ok(added)
    }

    fn full(&self, signed: &Signed<'_>, headers: &BTreeMap<String, String>) -> String {
        let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
        let length = if signed.length == 0 { String::new() } else { signed.length.to_string() };
        let mut lines = vec![signed.method.to_owned(), header("content-encoding"), header("content-language"), length];
        // `date` is empty: `x-ms-date` counts in its place.
        lines.extend([header("content-md5"), header("content-type"), String::new()]);
        lines.extend(["if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"].map(header));
        let own = headers.iter().filter(|(name, _)| name.starts_with("x-ms-"));
        lines.extend(own.map(|(name, value)| format!("{name}:{}", value.trim())));
        let mut query: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in signed.url.query_pairs() {
            query.entry(name.to_lowercase()).or_default().push(value.into_owned());
        }
        lines.push(format!("/{}{}", self.account, signed.url.path()));
        lines.extend(query.into_iter().map(|(name, mut values)| {
            values.sort();
            format!("{name}:{}", values.join(","))
        }));
        lines.join("\n")
    }

    /// Of a table: of the query only `comp` counts.
    fn resource(&self, url: &Url) -> String {
        let comp = url.query_pairs().find(|(name, _)| name == "comp").map(|(_, value)| format!("?comp={value}"));
        format!("/{}{}{}", self.account, url.path(), comp.unwrap_or_default())
    }
}

/// `Sun, 30 Aug 2015 12:36:00 GMT`.
fn date(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(scheme: Scheme) -> Signer<'static> {
        let at = Timestamp::from_text("2015-06-26T23:39:12Z").expect("a time");
        Signer { account: "myaccount", key: "a2V5", scheme, at }
    }

    fn signed<'a>(url: &'a Url, headers: &'a [(String, String)], length: u64) -> Signed<'a> {
        Signed { method: "GET", url, headers, length }
    }

    #[test]
    fn what_is_signed_of_a_blob_is_as_documented() {
        let url = "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20";
        let headers = [
            ("x-ms-date".to_owned(), "Fri, 26 Jun 2015 23:39:12 GMT".to_owned()),
            ("x-ms-version".to_owned(), "2015-02-21".to_owned()),
        ];
        let url = url.parse().expect("an address");
        let text = signer(Scheme::SharedKey).full(&signed(&url, &headers, 0), &headers.iter().cloned().collect());
        let expected = "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
                        /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_headers_that_are_added_say_when_and_who() {
        let url = "https://myaccount.table.core.windows.net/Customers?$top=1".parse().expect("an address");
        let added = signer(Scheme::SharedKeyLite).sign(&signed(&url, &[], 0)).expect("signed");
        let text = "Fri, 26 Jun 2015 23:39:12 GMT\n/myaccount/Customers";
        let signature = format!("SharedKeyLite myaccount:{}", STANDARD.encode(hmac(b"key", text)));
        let expected = [("x-ms-date", text[..29].to_owned()), ("x-ms-version", VERSION.to_owned())];
        assert_eq!((&added[..2], added[2].1.as_str()), (&expected[..], signature.as_str()));
    }

    #[test]
    fn a_key_that_is_none_is_said_to_be() {
        let url = "https://a.example/".parse().expect("an address");
        let failed = Signer { key: "no key", ..signer(Scheme::SharedKey) }.sign(&signed(&url, &[], 0));
        assert_eq!(failed.expect_err("refused").kind, "invalid");
    }
}
