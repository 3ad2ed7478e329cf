//! Hosts in `allow.http`, and brokers in `allow.message`, that a setting names: `"config:billing_url"`.

use rhai::{Array, Dynamic};

use crate::effect::message::Address;

/// The entries for hosts that one of a declaration stands for: itself, or what the setting behind `config:` holds, an address
/// or a list of them. A setting that is not there allows nothing: `config` says so when the script reads it.
pub(super) fn entries(entry: &str, setting: impl FnMut(&str) -> Option<Dynamic>) -> Result<Vec<String>, String> {
    named(entry, setting, &|text| crate::effect::host_entry(text), "https://erp.example.com")
}

/// The same for brokers: an address stands for its scheme, host and port.
pub(super) fn brokers(entry: &str, setting: impl FnMut(&str) -> Option<Dynamic>) -> Result<Vec<String>, String> {
    let broker = |text: &str| Some(Address::parse(text).ok()?.0.to_string());
    named(entry, setting, &broker, "nats://broker.example.com")
}

fn named(
    entry: &str,
    mut setting: impl FnMut(&str) -> Option<Dynamic>,
    meant: &dyn Fn(&str) -> Option<String>,
    example: &str,
) -> Result<Vec<String>, String> {
    let Some(name) = entry.strip_prefix("config:") else { return Ok(vec![entry.to_owned()]) };
    if name.is_empty() {
        return Err("`config:` names no setting; hint: write `config:billing_url`".to_owned());
    }
    let Some(found) = setting(name) else { return Ok(Vec::new()) };
    let all = found.clone().try_cast::<Array>().unwrap_or_else(|| vec![found]);
    all.into_iter().map(|value| host(name, value, meant, example)).collect()
}

/// The entry of an address, with its port where it has one; what is no address is an entry itself.
fn host(name: &str, value: Dynamic, meant: &dyn Fn(&str) -> Option<String>, example: &str) -> Result<String, String> {
    let no_address = |what: &str| {
        format!("the setting `{name}` {what}; hint: set it to an address such as `{example}` below `[config]`")
    };
    let text = value.into_string().map_err(|what| no_address(&format!("holds a value of type {what}")))?;
    if !text.contains("://") {
        return Ok(text);
    }
    meant(&text).ok_or_else(|| no_address(&format!("is no address: `{text}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries_of(entry: &str, setting: Option<&Dynamic>) -> Result<Vec<String>, String> {
        entries(entry, |name| setting.cloned().filter(|_| name == "url"))
    }

    #[test]
    fn a_setting_stands_for_the_hosts_of_its_addresses() {
        let found = |value: Dynamic| entries_of("config:url", Some(&value)).expect("an address");
        assert_eq!(found("https://erp.example.com/api".into()), ["erp.example.com"]);
        assert_eq!(found("http://127.0.0.1:18000/".into()), ["127.0.0.1:18000"]);
        assert_eq!(found("http://[::1]:8080".into()), ["[::1]:8080"]);
        assert_eq!(found("erp.example.com:8443".into()), ["erp.example.com:8443"]);
        let list: Array = vec!["https://a.example".into(), "https://b.example:444/x".into()];
        assert_eq!(found(list.into()), ["a.example", "b.example:444"]);
    }

    #[test]
    fn a_setting_stands_for_the_broker_of_its_address() {
        let found = |value: &str| brokers("config:url", |_| Some(value.into()));
        assert_eq!(found("nats://127.0.0.1:4222/orders"), Ok(vec!["nats://127.0.0.1".to_owned()]));
        assert_eq!(found("broker.example.com"), Ok(vec!["broker.example.com".to_owned()]));
        assert!(found("http://b").expect_err("no broker").contains("such as `nats://broker.example.com`"));
    }

    #[test]
    fn what_is_not_set_allows_nothing_and_what_is_no_address_is_told() {
        assert_eq!(entries_of("config:other", None), Ok(Vec::new()));
        assert_eq!(entries_of("erp.example.com", None), Ok(vec!["erp.example.com".to_owned()]));
        let told = |entry: &str, value: Dynamic| entries_of(entry, Some(&value)).expect_err("no address");
        assert!(told("config:", Dynamic::UNIT).contains("names no setting"));
        assert!(told("config:url", 5_i64.into()).contains("`url` holds a value of type i64; hint"));
        assert!(told("config:url", "http://".into()).contains("is no address: `http://`"));
    }
}
