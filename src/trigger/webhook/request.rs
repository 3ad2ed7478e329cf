//! A request as scripts see it.

use serde_json::{Map, Value, json};

/// Headers that no run sees, and that are never stored.
const HIDDEN: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// A request that came to a webhook, its body read.
#[derive(Debug)]
pub struct Request<'a> {
    /// In capitals.
    pub method: &'a str,
    /// The path of the webhook, as declared.
    pub path: &'a str,
    /// Parameters; one that is there more than once has a list.
    pub query: Map<String, Value>,
    /// As they came.
    pub headers: &'a [(String, String)],
    /// The parsed body.
    pub body: Value,
}

/// What the closures of a webhook see: `#{ method, path, query, headers, body }`. Names of headers are in lower case; one
/// that is there more than once is joined by commas; what proves who sent it is left out.
pub fn envelope(request: Request<'_>) -> Value {
    let Request { method, path, query, headers, body } = request;
    json!({ "method": method, "path": path, "query": query, "headers": shown(headers), "body": body })
}

/// A header of such a request.
pub fn header<'r>(request: &'r Value, name: &str) -> Option<&'r str> {
    request["headers"][name.to_ascii_lowercase()].as_str()
}

fn shown(headers: &[(String, String)]) -> Map<String, Value> {
    let mut joined: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if HIDDEN.contains(&name.as_str()) {
            continue;
        }
        let whole = match joined.get(&name).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.clone(),
        };
        joined.insert(name, whole.into());
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_joined_and_what_proves_the_sender_is_left_out() {
        let headers = [("X-A", "1"), ("x-a", "2"), ("Authorization", "Bearer x"), ("COOKIE", "c=1")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request =
            Request { method: "POST", path: "in", query: Map::new(), headers: &headers, body: json!({ "n": 1 }) };
        let seen = envelope(request);
        assert_eq!(seen["headers"], json!({ "x-a": "1, 2" }));
        assert_eq!((header(&seen, "X-A"), header(&seen, "Cookie")), (Some("1, 2"), None));
    }
}
