//! The vault over real files.

use super::*;

const CANARY: &str = "correct horse battery staple";

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn key(&self) -> KeySource {
        KeySource::new(&|_| None, self.folder.path(), None)
    }

    fn open(&self) -> Result<Vault, Error> {
        Vault::from_pairs(std::iter::empty()).with_file(self.folder.path(), self.key())
    }

    /// With one secret `api` for `api.example.com`.
    fn with_secret() -> (Self, Vault) {
        let bench = Self::new();
        let vault = bench.open().expect("opens");
        vault
            .set("api", CANARY.to_owned().into(), Some(vec!["api.example.com".to_owned()]), "2026-01-02T03:04:05Z")
            .expect("sets");
        (bench, vault)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes the file's JSON.
    fn tamper(&self, change: impl FnOnce(&mut serde_json::Value)) {
        let text = std::fs::read_to_string(self.path("secrets")).expect("reads");
        let mut value = serde_json::from_str(&text).expect("JSON");
        change(&mut value);
        std::fs::write(self.path("secrets"), value.to_string()).expect("writes");
    }
}

fn host(name: &str) -> Target<'_> {
    Target::Host { name, port: 443 }
}

#[test]
fn a_secret_is_kept_and_sent_to_its_host_alone() {
    let (bench, _) = Bench::with_secret();
    let vault = bench.open().expect("opens again");
    assert_eq!(vault.value_for("api", host("api.example.com")).expect("bound").as_str(), CANARY);
    let Err(Refusal::NotFor(why)) = vault.value_for("api", host("evil.example")) else { panic!("sent") };
    assert_eq!(
        why,
        "the secret `api` is not for `evil.example`; hint: `panta secret bind api --for evil.example`, if it is meant to go there"
    );
    let Err(Refusal::Unknown(why)) = vault.value_for("apo", host("api.example.com")) else { panic!("there") };
    assert!(why.contains("did you mean `api`?"), "{why}");
}

#[test]
fn nothing_on_the_disk_holds_the_value_and_others_read_nothing() {
    let (bench, _) = Bench::with_secret();
    for entry in std::fs::read_dir(bench.folder.path()).expect("lists") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("reads");
        assert!(!String::from_utf8_lossy(&bytes).contains("horse"), "{}", path.display());
    }
    #[cfg(unix)]
    for name in ["secrets", KEY_FILE] {
        let found = std::fs::metadata(bench.path(name)).expect("is there");
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777, 0o600, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused() {
    let (bench, _) = Bench::with_secret();
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
    std::fs::set_permissions(bench.path(KEY_FILE), mode).expect("changes");
    let problem = bench.open().expect_err("refused").to_string();
    assert!(problem.contains("others may read it (mode 0644); hint: `chmod 600"), "{problem}");
}

#[test]
fn values_cannot_change_places_nor_hosts() {
    let changes: [fn(&mut serde_json::Value); 2] = [
        |file| file["secrets"]["api"]["for"] = serde_json::json!(["evil.example"]),
        |file| {
            let other = file["secrets"]["api"].clone();
            file["secrets"]["other"] = other;
        },
    ];
    for change in changes {
        let (bench, _) = Bench::with_secret();
        bench.tamper(change);
        let problem = bench.open().expect_err("does not open").to_string();
        assert!(problem.contains("does not open"), "{problem}");
    }
}

#[test]
fn without_its_key_the_file_is_refused_with_the_places() {
    let (bench, _) = Bench::with_secret();
    std::fs::remove_file(bench.path(KEY_FILE)).expect("removes");
    let problem = bench.open().expect_err("refused").to_string();
    assert!(problem.contains("there is no key") && problem.contains(KEY_VARIABLE), "{problem}");
    let variable = |name: &str| (name == KEY_VARIABLE).then(|| "c2hvcnQ=".to_owned());
    let key = KeySource::new(&variable, bench.folder.path(), None);
    let problem = Vault::default().with_file(bench.folder.path(), key).expect_err("too short").to_string();
    assert!(problem.contains("it is not 32 bytes in base64; hint:"), "{problem}");
}

#[test]
fn another_process_sees_what_is_set_and_what_was_is_still_hidden() {
    let (bench, vault) = Bench::with_secret();
    let other = bench.open().expect("opens");
    vault.set("api", "a second value".to_owned().into(), None, "").expect("sets");
    assert_eq!(other.value("api").expect("there").as_str(), "a second value");
    assert_eq!(other.list()[0].bound, Some(vec!["api.example.com".to_owned()]), "what it is for is kept");
    let shown = other.redact("a second value, correct horse battery staple", &|name| format!("<{name}>")).into_owned();
    assert_eq!(shown, "<api>, <api>");
    vault.remove("api").expect("removes");
    assert!(other.value("api").is_none() && matches!(vault.remove("api"), Err(Error::Unknown { .. })));
}

#[test]
fn a_secret_of_the_environment_comes_first_and_is_bound_by_the_configuration() {
    let pairs = [("PANTA_SECRET_MY_API".to_owned(), "from outside".to_owned()), ("HOME".to_owned(), "/".to_owned())];
    let vault = Vault::from_pairs(pairs.into_iter());
    assert_eq!(vault.value_for("my-api", host("any.example")).expect("unbound").as_str(), "from outside");
    let bound = [("my-api".to_owned(), vec!["a.example".to_owned()])].into_iter().collect();
    let vault = vault.binding(&bound).expect("reads");
    assert!(vault.value_for("my.api", host("a.example")).is_ok());
    assert!(matches!(vault.value_for("my.api", host("b.example")), Err(Refusal::NotFor(_))));
    assert_eq!(vault.list().len(), 1);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let (_bench, vault) = Bench::with_secret();
    let set = |name: &str, value: &str, bound: &str| {
        vault.set(name, value.to_owned().into(), Some(vec![bound.to_owned()]), "")
    };
    for (name, value, bound, why) in [
        ("a b", "x", "a.example", "no name"),
        ("b", "", "a.example", "empty"),
        ("b", "x", "https://a", "no host pattern"),
    ] {
        let problem = set(name, value, bound).expect_err(why).to_string();
        assert!(problem.contains(why) && problem.contains("hint:"), "{problem}");
    }
    assert!(vault.bind("b", &[]).is_err() && vault.list().len() == 1);
}

#[test]
fn tokens_of_a_client_are_hidden_one_by_one_and_go_nowhere_by_themselves() {
    use crate::effect::oauth::Keeper as _;
    let folder = tempfile::tempdir().unwrap();
    let vault = || Vault::default().with_file(folder.path(), KeySource::new(&|_| None, folder.path(), None)).unwrap();
    let (writer, other) = (vault(), vault());
    let kept = |token: &str| format!(r#"{{"access_token":"{token}","refresh_token":"the-refresh-token"}}"#);
    let hidden = |vault: &Vault, text: &str| vault.redact(text, &|name| format!("<{name}>")).into_owned();
    for number in 1..=6 {
        writer.keep("crm", &kept(&format!("token-number-{number}")), "2026-01-01T00:00:00Z").unwrap();
    }
    assert_eq!(writer.kept("crm"), Some(kept("token-number-6")));
    assert_eq!(other.kept("crm"), writer.kept("crm"), "another process sees it");
    assert_eq!(hidden(&writer, "a token-number-6 b the-refresh-token"), "a <oauth2.crm> b <oauth2.crm>");
    assert_eq!(
        hidden(&writer, "token-number-5 token-number-1"),
        "<oauth2.crm> token-number-1",
        "the last ones are known"
    );
    let target = Target::Host { name: "a.example", port: 443 };
    assert!(matches!(writer.value_for("oauth2.crm", target), Err(Refusal::NotFor(_))));
    assert!(!std::fs::read_to_string(folder.path().join("secrets")).unwrap().contains("token-number"));
    writer.forget_tokens("crm").unwrap();
    assert_eq!(other.kept("crm"), None);
}
