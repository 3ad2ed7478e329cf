//! AWS Signature Version 4: what a request says, hashed and signed with a key that is made of the secret, the day, the region
//! and the service.
//!
//! A signature covers the path and the query as they are sent, so the address is first written in the one form in which AWS
//! reads it ([`canonical`]), and then sent so.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Url;
use sha2::{Digest as _, Sha256};

use crate::time::Timestamp;

/// What the header `x-amz-content-sha256` says of a body whose hash nobody knows beforehand.
pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Who signs, and for what.
pub(super) struct Signer<'a> {
    /// The id of the access key.
    pub(super) key: &'a str,
    /// Its secret.
    pub(super) secret: &'a str,
    /// Of temporary credentials.
    pub(super) token: Option<&'a str>,
    /// `s3`, `sqs`, …
    pub(super) service: &'a str,
    /// `eu-central-1`, …
    pub(super) region: &'a str,
    /// When it is sent.
    pub(super) at: Timestamp,
}

/// What is signed. `url` is [`canonical`], names of headers are in lower case.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a Url,
    /// Those that are signed, beside the ones that the signer adds.
    pub(super) headers: &'a [(String, String)],
    /// The SHA-256 of the body in hex, or [`UNSIGNED`].
    pub(super) payload: &'a str,
}

impl Signer<'_> {
    /// The headers to add: `authorization`, `x-amz-date`, `x-amz-content-sha256` and, with temporary credentials, their token.
    pub(super) fn sign(&self, signed: &Signed<'_>) -> Vec<(&'static str, String)> {
        let (at, _) = moment(self.at);
        let mut added = vec![("x-amz-date", at), ("x-amz-content-sha256", signed.payload.to_owned())];
        added.extend(self.token.map(|token| ("x-amz-security-token", token.to_owned())));
        let mut all = headers_of(signed);
        all.extend(added.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        added.push(("authorization", self.authorization(signed, &all)));
        added
    }

    fn authorization(&self, signed: &Signed<'_>, headers: &BTreeMap<String, String>) -> String {
        let (at, day) = moment(self.at);
        let names: Vec<_> = headers.keys().map(String::as_str).collect();
        let names = names.join(";");
        let listed: Vec<_> = headers.iter().map(|(name, value)| format!("{name}:{}\n", folded(value))).collect();
        let (path, query) = (path_of(signed.url, self.service), signed.url.query().unwrap_or_default());
        let request = [signed.method, &path, query, &listed.concat(), &names, signed.payload].join("\n");
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex::encode(Sha256::digest(request)));
        let key = [self.region, self.service, "aws4_request"]
            .iter()
            .fold(hmac(format!("AWS4{}", self.secret).as_bytes(), &day), |key, part| hmac(&key, part));
        let signature = hex::encode(hmac(&key, &text));
        let credential = format!("Credential={}/{scope}", self.key);
        format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}")
    }
}

fn headers_of(signed: &Signed<'_>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, value) in signed.headers {
        all.entry(name.clone()).and_modify(|all: &mut String| *all = format!("{all},{value}")).or_insert(value.clone());
    }
    all.insert("host".to_owned(), host(signed.url));
    all
}

/// Host and port as the connection sends them.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The address in the form in which it is signed: everything escaped but letters, digits, `-`, `.`, `_` and `~`, the query in
/// order.
pub(super) fn canonical(url: &Url) -> Url {
    let mut canonical = url.clone();
    let path: Vec<_> = url.path().split('/').map(|part| escaped(&unescaped(part))).collect();
    canonical.set_path(&path.join("/"));
    let mut query: Vec<_> =
        url.query_pairs().map(|(name, value)| (escaped(name.as_bytes()), escaped(value.as_bytes()))).collect();
    query.sort();
    let query: Vec<_> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    canonical.set_query(if query.is_empty() { None } else { Some(query.join("&")) }.as_deref());
    canonical
}

/// The path as it is signed: all services but S3 escape it once more, and take several slashes for one.
fn path_of(url: &Url, service: &str) -> String {
    if service == "s3" {
        return url.path().to_owned();
    }
    let ends = url.path().len() > 1 && url.path().ends_with('/');
    let parts: Vec<_> =
        url.path().split('/').filter(|part| !part.is_empty()).map(|part| escaped(part.as_bytes())).collect();
    format!("/{}{}", parts.join("/"), if ends && !parts.is_empty() { "/" } else { "" })
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unescaped(text: &str) -> Vec<u8> {
    let (mut out, bytes, mut at) = (Vec::new(), text.as_bytes(), 0);
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|digits| hex::decode(digits).ok());
        if let Some(code) = code {
            out.extend(code);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}

/// Without spaces at the ends, and with one where there are several.
fn folded(value: &str) -> String {
    value.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// `20150830T123600Z` and `20150830`.
fn moment(at: Timestamp) -> (String, String) {
    let digits: String = at.to_string().chars().take(19).filter(|c| *c != '-' && *c != ':').collect();
    let day = digits[..8].to_owned();
    (format!("{digits}Z"), day)
}

pub(super) fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length of key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of an empty body.
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// The signature that the published suite expects, whose requests are signed without the hash of the body in a header.
    fn signature(method: &str, url: &str, headers: &[(&str, &str)], payload: &str) -> String {
        let at = Timestamp::from_text("2015-08-30T12:36:00Z").expect("a time");
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let signer = Signer { key: "AKIDEXAMPLE", secret, token: None, service: "service", region: "us-east-1", at };
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let url = canonical(&url.parse().expect("an address"));
        let signed = Signed { method, url: &url, headers: &headers, payload };
        let mut all = headers_of(&signed);
        all.insert("x-amz-date".to_owned(), "20150830T123600Z".to_owned());
        let whole = signer.authorization(&signed, &all);
        whole.rsplit_once("Signature=").expect("a signature").1.to_owned()
    }

    #[test]
    fn requests_of_the_published_suite_get_their_signatures() {
        let get = |url: &str| signature("GET", &format!("https://example.amazonaws.com{url}"), &[], EMPTY);
        for (url, expected) in [
            ("/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
            ("//", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ] {
            assert_eq!(get(url), expected, "{url}");
        }
        let url = "https://example.amazonaws.com/";
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let body = hex::encode(Sha256::digest("Param1=value1"));
        let expected = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        assert_eq!(signature("POST", url, &form, &body), expected);
        let expected = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
        assert_eq!(signature("POST", url, &[], EMPTY), expected);
    }

    #[test]
    fn an_object_of_s3_is_asked_for_as_documented() {
        let at = Timestamp::from_text("2013-05-24T00:00:00Z").expect("a time");
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let signer =
            Signer { key: "AKIAIOSFODNN7EXAMPLE", secret, token: None, service: "s3", region: "us-east-1", at };
        let url = canonical(&"https://examplebucket.s3.amazonaws.com/test.txt".parse().expect("an address"));
        let headers = [("range".to_owned(), "bytes=0-9".to_owned())];
        let added = signer.sign(&Signed { method: "GET", url: &url, headers: &headers, payload: EMPTY });
        let expected = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert!(added.iter().any(|(name, value)| *name == "authorization" && value.ends_with(expected)), "{added:?}");
    }

    #[test]
    fn an_address_is_sent_as_it_is_signed() {
        let url: Url = "https://b.example/a+b/(c)/%41%2f/ü?b=2&a=x+y&a=*".parse().expect("an address");
        let expected = "https://b.example/a%2Bb/%28c%29/A%2F/%C3%BC?a=%2A&a=x%20y&b=2";
        assert_eq!(canonical(&url).as_str(), expected);
        assert_eq!(canonical(&canonical(&url)).as_str(), expected);
    }
}
