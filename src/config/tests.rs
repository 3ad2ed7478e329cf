use super::*;
use crate::diag::Color;
use crate::effect::imap::After;
use crate::effect::mail::Security;
use crate::effect::sql::Where;

/// The configuration of a folder with this file beside its scripts.
fn load(text: &str, flags: &Flags, variables: &[(&str, &str)]) -> Result<(tempfile::TempDir, Config), String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("scripts")).unwrap();
    std::fs::write(folder.path().join(FILE), text).unwrap();
    let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    let config = Config::load(flags, &folder.path().join("scripts"), &variable)
        .map_err(|faults| faults.iter().map(|fault| fault.render(Color::Plain)).collect::<String>())?;
    Ok((folder, config))
}

#[test]
fn the_annotated_example_holds_every_key_and_the_defaults() {
    let (folder, config) = load(include_str!("../../docs/panta.example.toml"), &Flags::default(), &[]).unwrap();
    let (options, defaults) = (config.engine(Arc::default()), engine::Options::new(&config.data));
    assert_eq!(config.data, folder.path().canonicalize().unwrap().join("data"));
    assert_eq!((config.listen.as_str(), config.settings["reminder_days"].text()), (LISTEN, "14"));
    assert_eq!((options.script_cpu, options.script_memory), (defaults.script_cpu, defaults.script_memory));
    assert_eq!((options.evict_after, options.keep), (defaults.evict_after, defaults.keep));
    assert_eq!(
        (options.most_live, config.limits.requests),
        (defaults.most_live, crate::time::Rate::from_text("300000/min"))
    );
    assert!(config.limits.keep.is_some() && config.limits.most_live.is_some());
    assert_eq!(config.url.as_deref(), Some("https://panta.example.com"));
    assert_eq!(config.hosts, ["panta.internal"]);
    let ann = &options.people.people["ann"];
    assert_eq!((ann.email.as_deref(), &*ann.groups[0]), (Some("ann@example.com"), "finance"));
    assert_eq!(ann.substitute.as_deref(), Some("bob"));
}

#[test]
fn a_flag_comes_before_a_variable_and_that_before_the_file() {
    let text = "listen = \"1.1.1.1:1\"\n[limits]\nscript_cpu = \"1s\"\nevict_after = \"1s\"";
    let flags = Flags { listen: Some("2.2.2.2:2".into()), ..Flags::default() };
    let (_folder, config) = load(text, &flags, &[("PANTA_SCRIPT_CPU", "2s")]).unwrap();
    assert_eq!(config.listen, "2.2.2.2:2");
    assert_eq!(config.limits.script_cpu, Some(Duration::from_secs(2)));
    assert_eq!(config.limits.evict_after, Some(Duration::from_secs(1)));
}

#[test]
fn requests_and_runs_are_bounded_by_file_and_variable() {
    let text = "[limits]\nmost_live = 7\nrequests = \"10/s\"";
    let (_folder, config) = load(text, &Flags::default(), &[("PANTA_MOST_LIVE", "9")]).unwrap();
    assert_eq!((config.limits.most_live, config.limits.requests), (Some(9), crate::time::Rate::from_text("10/s")));
    let faults = load("[limits]\nmost_live = 0\nrequests = \"often\"", &Flags::default(), &[]).unwrap_err();
    assert!(faults.contains("`0` is no number of runs") && faults.contains("`often` is no rate"), "{faults}");
    assert!(load("", &Flags::default(), &[("PANTA_REQUESTS", "0/s")]).unwrap_err().contains("`PANTA_REQUESTS`"));
}

#[test]
fn the_log_is_set_by_flag_variable_and_file() {
    let text = "[log]\nformat = \"json\"\nlevel = \"warn\"";
    let (_folder, config) = load(text, &Flags::default(), &[]).unwrap();
    assert_eq!((config.log.format, config.log.level.as_deref()), (Some(LogFormat::Json), Some("warn")));
    let flags = Flags { log_format: Some(LogFormat::People), ..Flags::default() };
    let (_folder, config) = load(text, &flags, &[("PANTA_LOG", "debug")]).unwrap();
    assert_eq!((config.log.format, config.log.level.as_deref()), (Some(LogFormat::People), Some("debug")));
    let fault = load("[log]\nformat = \"xml\"", &Flags::default(), &[]).unwrap_err();
    assert!(fault.contains("`xml` is no format of the log") && fault.contains("panta.toml:2:10"), "{fault}");
}

#[test]
fn a_collector_has_an_address_and_headers_that_are_secrets() {
    let text = "[otlp]\nendpoint = \"http://localhost:4318\"\nheaders = { authorization = \"otlp\" }";
    let (_folder, config) = load(text, &Flags::default(), &[]).unwrap();
    let otlp = config.otlp.unwrap();
    assert_eq!((otlp.endpoint.as_str(), otlp.headers["authorization"].as_str()), ("http://localhost:4318", "otlp"));
    assert!(load("[otlp]", &Flags::default(), &[]).unwrap_err().contains("needs `endpoint`"));
}

#[test]
fn settings_keep_their_types() {
    let text = "[config]\na = [1, 1.0, true, inf]\nb = { \"$x\" = 2026-01-02 }";
    let (_folder, config) = load(text, &Flags::default(), &[]).unwrap();
    assert_eq!(config.settings["a"].text(), r#"[1,1.0,true,{"$float":"inf"}]"#);
    assert_eq!(config.settings["b"].text(), r#"{"$$x":"2026-01-02"}"#);
}

#[test]
fn faults_have_a_place_and_a_hint() {
    let fault = load("[limits]\nscript_cpus = \"1s\"", &Flags::default(), &[]).unwrap_err();
    assert!(fault.contains("unknown key `script_cpus`"), "{fault}");
    assert!(fault.contains("panta.toml:2:1") && fault.contains("did you mean `script_cpu`?"), "{fault}");
    let fault = load("listen = 3\n[limits]\nscript_memory = \"1 parsec\"", &Flags::default(), &[]).unwrap_err();
    assert!(fault.contains("a text is expected") && fault.contains("`parsec` is no unit"), "{fault}");
    assert!(load("x = ", &Flags::default(), &[]).unwrap_err().contains("panta.toml:1:"));
}

#[test]
fn calendars_are_settings_and_checked() {
    let good = "[calendars.de]\nzone = \"Europe/Berlin\"\ndays = \"mon-thu\"\nholidays = [2026-12-25]";
    let (_folder, config) = load(good, &Flags::default(), &[]).unwrap();
    let kept = config.settings.get("calendars.de").unwrap().to_json();
    assert_eq!(kept["holidays"], serde_json::json!(["2026-12-25"]));
    let fault = load("[calendars.de]\nhour = \"9\"", &Flags::default(), &[]).unwrap_err();
    assert!(fault.contains("unknown key `hour`"), "{fault}");
    let fault = load("[calendars.de]\nhours = \"9\"", &Flags::default(), &[]).unwrap_err();
    assert!(fault.contains("the calendar `de`: the hours `9`"), "{fault}");
}

#[test]
fn people_are_checked_with_their_places() {
    let fault = |text: &str| load(text, &Flags::default(), &[]).unwrap_err();
    let found = fault("[people.ann]\nemail = \"ann@example.com\"\nsubstitut = \"bob\"");
    assert!(found.contains("panta.toml:3:1") && found.contains("did you mean `substitute`?"), "{found}");
    let found = fault("[people.bob]\n[people.ann]\nsubstitute = \"bobb\"");
    assert!(found.contains("panta.toml:3:14") && found.contains("did you mean `bob`?"), "{found}");
    assert!(fault("[people.ann]\ngroups = \"finance\"").contains("a list of groups"));
    assert!(fault("[people.ann]\nemail = \"ann\"").contains("`ann` is no email address"));
    assert!(fault("[people.ann]\ngroups = [\"ann\"]").contains("of a person and of a group"));
    assert!(fault("people = 1").contains("a table of keys and values"));
    assert!(fault("url = \"panta.example.com\"").contains("is no URL"));
}

#[test]
fn channels_are_of_their_kinds() {
    let (_folder, config) = load(include_str!("../../docs/panta.example.toml"), &Flags::default(), &[]).unwrap();
    let kinds: Vec<_> = config.outlets.channels.iter().map(|(name, channel)| (&**name, channel.kind())).collect();
    let all = [("chat", "slack"), ("incidents", "webhook"), ("ops", "mail"), ("pager", "program"), ("phone", "ntfy")];
    assert_eq!(kinds, all);
    assert_eq!((config.outlets.default.as_deref(), config.outlets.repeat), (Some("ops"), courier::REPEAT));
    assert!(config.engine(Arc::default()).channels.names.contains("chat"));
}

#[test]
fn mailboxes_are_read_and_checked_with_their_places() {
    let must = "host = \"imap.example.com\"\nuser = \"desk\"\nsecret = \"desk\"\n";
    let more = "port = 10143\nsecurity = \"starttls\"\nfolder = \"In\"\nca_file = \"ca.pem\"\nevery = \"5m\"\nafter = \"move:Done\"\nreplies = true\nmax_bytes = \"1 MiB\"";
    let text = format!(
        "[mailboxes.a]\n{must}[mailboxes.b]\n{must}{more}\n[mail]\nhost = \"smtp.example.com\"\nca_file = \"ca.pem\""
    );
    let (folder, config) = load(&text, &Flags::default(), &[]).unwrap();
    let (a, b) = (&config.mailboxes["a"], &config.mailboxes["b"]);
    assert_eq!(
        (a.port, a.folder.as_str(), a.max_bytes, a.replies, &a.after),
        (993, "INBOX", 25 << 20, false, &After::Seen)
    );
    assert_eq!((b.port, b.folder.as_str(), b.max_bytes, b.replies), (10_143, "In", 1 << 20, true));
    assert_eq!((&b.after, b.security), (&After::Move("Done".to_owned()), Security::StartTls));
    let ca = folder.path().canonicalize().unwrap().join("ca.pem");
    assert_eq!(b.ca_file.as_ref(), Some(&ca));
    assert_eq!(config.mail.unwrap().server(|_| None).ca_file, Some(ca));
    let fault = |text: &str| load(&format!("[mailboxes.a]\n{must}{text}"), &Flags::default(), &[]).unwrap_err();
    assert!(fault("hots = \"x\"").contains("did you mean `host`?"));
    assert!(
        fault("after = \"delete\"").contains("`move:FOLDER`") && fault("after = \"move:\"").contains("`move:FOLDER`")
    );
    assert!(fault("every = \"10ms\"").contains("a second") && fault("max_bytes = \"1 GiB\"").contains("100 MiB"));
    let missing = load("[mailboxes.a]\nhost = \"x\"", &Flags::default(), &[]).unwrap_err();
    assert!(missing.contains("needs `host`, `user` and `secret`"), "{missing}");
}

#[test]
fn databases_are_read_and_checked_with_their_places() {
    let text = "[databases.a]\nurl = \"sqlite:a.db\"\n[databases.b]\nurl = \"postgres://app@10.0.0.1/x\"\nsecret = \"s\"\nmax_rows = 5\n\
                [databases.c]\nurl = \"mariadb://app@localhost:13306/x\"\npool = 2\n[databases.d]\nurl = \"mysql://app@[::1]/x\"\nca_file = \"ca.pem\"";
    let (folder, config) = load(text, &Flags::default(), &[]).unwrap();
    let base = folder.path().canonicalize().unwrap();
    let all = &config.databases;
    assert_eq!(all["a"].place, Where::Sqlite(base.join("a.db")));
    let Where::Postgres(b) = &all["b"].place else { panic!("{all:?}") };
    assert_eq!(
        (b.host.as_str(), b.port, b.user.as_str(), b.database.as_str(), b.tls),
        ("10.0.0.1", 5432, "app", "x", true)
    );
    assert_eq!((all["b"].max_rows, all["b"].pool, all["b"].secret.as_deref()), (5, 8, Some("s")));
    let Where::Mysql(c) = &all["c"].place else { panic!("{all:?}") };
    assert_eq!((c.port, c.tls, all["c"].pool), (13306, false, 2));
    let Where::Mysql(d) = &all["d"].place else { panic!("{all:?}") };
    assert_eq!((d.host.as_str(), d.tls, d.ca_file.clone()), ("::1", true, Some(base.join("ca.pem"))));
    let fault = |text: &str| load(&format!("[databases.a]\n{text}"), &Flags::default(), &[]).unwrap_err();
    assert!(fault("urll = \"sqlite:a\"").contains("did you mean `url`?"));
    assert!(fault("pool = 1").contains("needs `url`"));
    let found = fault("url = \"postgres://app:pass@h/x\"");
    assert!(found.contains("panta.toml:2:7") && found.contains("a password does not belong"), "{found}");
    assert!(
        fault("url = \"postgres://h/x\"").contains("needs a user")
            && fault("url = \"oracle://a@h/x\"").contains("`oracle` is no kind")
    );
    assert!(
        fault("url = \"sqlite:a\"\npool = 0").contains("from 1 up")
            && fault("url = \"sqlite:\"").contains("names no file")
    );
    assert!(fault("url = \"mysql://a@h/x?ssl=1\"").contains("the keys here are"));
}

#[test]
fn brokers_are_read_and_checked_with_their_places() {
    let text = "[brokers.a]\nurl = \"nats://b.example.com\"\nuser = \"app\"\nsecret = \"s\"\npool = 2\n\
                [brokers.b]\nurl = \"amqps://10.0.0.1:5673\"\nvhost = \"shop\"\nca_file = \"ca.pem\"";
    let (folder, config) = load(text, &Flags::default(), &[]).unwrap();
    let (a, b) = (&config.brokers["a"], &config.brokers["b"]);
    assert_eq!((a.address.port, a.user.as_deref(), a.secret.as_deref(), a.pool), (4222, Some("app"), Some("s"), 2));
    let ca_file = Some(folder.path().canonicalize().unwrap().join("ca.pem"));
    assert_eq!(
        (b.address.to_string().as_str(), b.vhost.as_str(), &b.ca_file),
        ("amqps://10.0.0.1:5673", "shop", &ca_file)
    );
    let fault = |text: &str| load(&format!("[brokers.a]\n{text}"), &Flags::default(), &[]).unwrap_err();
    assert!(fault("pool = 1").contains("needs `url`"));
    assert!(fault("url = \"nats://b\"\nusr = \"x\"").contains("did you mean `user`?"));
    let found = fault("url = \"nats://app:hunter22@b\"");
    assert!(found.contains("names a user; hint") && !found.contains("`nats://app:hunter22"), "{found}");
    assert!(fault("url = \"nats://b/orders\"").contains("hint: write `nats://b`"));
    assert!(fault("url = \"mqtt://b\"\nvhost = \"x\"").contains("for AMQP alone"));
    assert!(fault("url = \"mqtt://b\"\n[brokers.b]\nurl = \"mqtt://B:1883\"").contains("is at `mqtt://b`, too"));
}

#[test]
fn channels_are_checked_with_their_places() {
    let fault = |text: &str| load(text, &Flags::default(), &[]).unwrap_err();
    let found = fault("[channels.ops]\nkind = \"mial\"");
    assert!(found.contains("panta.toml:2:8") && found.contains("did you mean `mail`?"), "{found}");
    let found = fault("[channels.ops]\nkind = \"slack\"\nurll = \"https://x\"");
    assert!(found.contains("panta.toml:3:1") && found.contains("did you mean `url`?"), "{found}");
    let found = fault("[channels.ops]\nkind = \"mail\"");
    assert!(found.contains("panta.toml:1:11") && found.contains("needs `to`"), "{found}");
    let both = fault("[channels.ops]\nkind = \"ntfy\"\nurl = \"https://x\"\nurl_secret = \"x\"\npriority = 9");
    assert!(both.contains("one of `url` and `url_secret`") && both.contains("`9` is no priority"), "{both}");
    assert!(fault("[channels.ops]\nto = [\"a@b\"]").contains("needs `kind`"));
    assert!(fault("[channels.ops]\nkind = \"mail\"\nto = [\"ops\"]").contains("`ops` is no mail address"));
    assert!(fault("[channels.ops]\nkind = \"program\"\ncommand = \"page\"").contains("a list of texts"));
    let found = fault("[notify]\ndefault = \"opss\"\n[channels.ops]\nkind = \"mail\"\nto = [\"a@b\"]");
    assert!(found.contains("panta.toml:2:11") && found.contains("did you mean `ops`?"), "{found}");
    assert!(fault("[notify]\nrepeats = \"1h\"").contains("did you mean `repeat`?"));
}
