//! Who may ask what: every route with every role, sessions, names of the server, and pages of other sites.

use super::*;
use crate::audit::Actor;
use crate::engine::tokens::{Role, Wish};
use crate::web::routes::{Need, ROUTES, Route};

/// A server that others reach, with a token of each role, `expired`, and `ann` who approves in person.
pub(super) struct Open {
    pub(super) bench: Bench,
    pub(super) router: Router,
    tokens: Vec<(Role, String)>,
}

impl Open {
    pub(super) fn new(scripts: &[(&str, &str)]) -> Self {
        Self::with_rate(scripts, REQUESTS)
    }

    /// Each may ask so often.
    pub(super) fn with_rate(scripts: &[(&str, &str)], requests: Rate) -> Self {
        let bench = Bench::new(scripts);
        let router = router(App { access: Access { requests, ..access("10.0.0.5:7262") }, ..bench.app.clone() });
        let make = |role: Role| (role, token(&bench, role.name(), role, None));
        let tokens = Role::ALL.into_iter().map(make).collect();
        Self { bench, router, tokens }
    }

    /// Sends a request by the name of the server.
    pub(super) fn send(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let host = ("host", "panta.example.com");
        let mut all: Vec<_> = headers.iter().copied().filter(|(name, _)| *name != "host").collect();
        all.push(headers.iter().copied().find(|(name, _)| *name == "host").unwrap_or(host));
        self.bench.block(answer(self.router.clone(), request(line, &all, body.to_owned())))
    }

    pub(super) fn with(&self, line: &str, token: &str) -> Answer {
        self.send(line, &[("authorization", &format!("Bearer {token}"))], "")
    }

    pub(super) fn token(&self, role: Role) -> &str {
        &self.tokens.iter().find(|(other, _)| *other == role).expect("all roles").1
    }

    /// Signs in with a token, and gives the cookie as the browser sends it.
    pub(super) fn sign_in(&self, token: &str) -> String {
        let answer = self.send("POST /login", &[("origin", "https://panta.example.com")], &format!("token={token}"));
        assert_eq!((answer.status, &answer.headers["location"]), (StatusCode::SEE_OTHER, &"/".parse().expect("text")));
        let cookie = answer.headers["set-cookie"].to_str().expect("text");
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200; Secure"), "{cookie}");
        cookie.split(';').next().expect("a pair").to_owned()
    }
}

pub(super) fn token(bench: &Bench, name: &str, role: Role, person: Option<&str>) -> String {
    let (name, person) = (name.to_owned(), person.map(str::to_owned));
    let wish = Wish { name, roles: vec![role], expires: None, person };
    bench.block(bench.engine.handle().create_token(&wish, &Actor::LOCAL)).expect("is made").0
}

/// The request line of a route; what it names is not there.
fn line(route: &Route) -> String {
    let path = route.path.replace("{id}", "0198c0de-0000-7000-8000-000000000000").replace("{*path}", "none");
    let method = route.method.as_ref().map_or("POST", |method| method.as_str());
    format!("{method} {}", path.replace("{name}", "none").replace("{token}", "none"))
}

/// What comes of a route with somebody who has this role; `None`: nobody.
fn expected(need: Need, role: Option<Role>) -> Option<u16> {
    match (need, role) {
        (Need::Own | Need::Named, _) => None,
        (Need::Role(_) | Need::Page(_), None) => Some(401),
        (Need::Role(needed) | Need::Page(needed), Some(role)) => (!role.includes(needed)).then_some(403),
    }
}

fn is_as_expected(what: &str, answer: &Answer, expected: Option<u16>) {
    let status = answer.status.as_u16();
    match expected {
        Some(expected) => assert_eq!(status, expected, "{what}: {}", answer.text),
        None => assert!(!matches!(status, 403 | 421), "{what}: {status} {}", answer.text),
    }
    if expected.is_none() && !what.contains("/hooks/") && !what.contains("/login") {
        assert_ne!(status, 401, "{what}: {}", answer.text);
    }
    if let Some(401 | 403) = expected {
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains("; hint: ")), "{}", answer.text);
    }
}

#[test]
fn every_route_takes_what_the_table_says_from_every_role() {
    let open = Open::new(&[("w", "1")]);
    for route in ROUTES {
        let line = line(route);
        is_as_expected(&line, &open.send(&line, &[], ""), expected(route.need, None));
        for (role, token) in &open.tokens {
            let what = format!("{line} as {}", role.name());
            is_as_expected(&what, &open.with(&line, token), expected(route.need, Some(*role)));
        }
    }
}

#[test]
fn every_route_takes_the_same_from_a_session() {
    let open = Open::new(&[("w", "1")]);
    for (role, token) in &open.tokens {
        let cookie = open.sign_in(token);
        for route in ROUTES.iter().filter(|route| route.path != "/logout") {
            let headers = [("cookie", &*cookie), ("origin", "https://panta.example.com")];
            let answer = open.send(&line(route), &headers, "");
            is_as_expected(&format!("{} as {}", line(route), role.name()), &answer, expected(route.need, Some(*role)));
        }
    }
}

#[test]
fn every_route_is_described_with_its_role() {
    let described: Value = serde_json::from_str(include_str!("../openapi.json")).expect("JSON");
    let mut there = 0;
    for route in ROUTES {
        let method = route.method.as_ref().map_or("post".to_owned(), |method| method.as_str().to_lowercase());
        let operation = &described["paths"][route.path.replace('*', "")][&method];
        there += 1;
        match route.need {
            Need::Role(role) | Need::Page(role) => {
                assert_eq!(operation["x-role"], role.name(), "{method} {}", route.path);
            }
            Need::Own | Need::Named => assert_eq!(operation["security"], json!([]), "{method} {}", route.path),
        }
    }
    let all = described["paths"].as_object().expect("paths").values();
    assert_eq!(all.map(|item| item.as_object().expect("methods").len()).sum::<usize>(), there);
}

#[test]
fn there_is_no_route_beside_the_table() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    for file in std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()) {
        let text = if file.is_file() { std::fs::read_to_string(&file).expect("text") } else { String::new() };
        let is_table = file.ends_with("routes.rs");
        assert!(is_table || !text.contains(".route("), "{} has a route of its own", file.display());
    }
}

#[test]
fn what_is_not_there_is_not_told_to_strangers() {
    let open = Open::new(&[(
        "w",
        "trigger::webhook(\"signed\", #{ verify: hmac(\"github\", secret(\"hook\")) }); fn main(i) { 1 }",
    )]);
    open.send("GET /nothing", &[], "").expect(401);
    open.with("GET /nothing", open.token(Role::Read)).expect(404);
    let unknown = open.send("POST /hooks/unknown", &[], "").expect(401);
    let unsigned = open.send("POST /hooks/signed", &[], "").expect(401);
    let other_method = open.send("PUT /hooks/signed", &[], "").expect(401);
    assert_eq!((&unknown.text, &unknown.headers), (&unsigned.text, &unsigned.headers));
    assert_eq!((&unknown.text, &unknown.headers), (&other_method.text, &other_method.headers));
}

#[test]
fn a_token_that_is_taken_back_opens_nothing_nor_do_its_sessions() {
    let open = Open::new(&[]);
    let (read, admin) = (open.token(Role::Read), open.token(Role::Admin));
    let cookie = open.sign_in(read);
    let look = || open.send("GET /api/v1/runs", &[("cookie", &cookie)], "");
    look().expect(200);
    open.with("DELETE /api/v1/tokens/none", admin).expect(404);
    open.with("DELETE /api/v1/tokens/read", admin).expect(200);
    look().expect(401);
    open.with("GET /api/v1/runs", read).expect(401);
    let listed = open.with("GET /api/v1/tokens", admin).expect(200);
    assert!(!listed.text.contains("panta_"), "no token is shown: {}", listed.text);
    let revoked = listed.json()["tokens"].as_array().and_then(|all| all.iter().find(|t| t["name"] == "read").cloned());
    let revoked = revoked.expect("it is listed");
    assert!(
        revoked["revoked_at"].is_string() && revoked["used_at"].is_string() && revoked["valid"] == false,
        "{revoked}"
    );
    let acts = open.with("GET /api/v1/audit", admin).expect(200).json()["acts"].clone();
    let newest = (&acts[0]["actor"], &acts[0]["act"], &acts[0]["subject"]);
    assert_eq!(newest, (&json!("token:admin"), &json!("token.revoke"), &json!("read")));
}

#[test]
fn tokens_are_made_by_admins_once_a_name() {
    let open = Open::new(&[]);
    let bearer = format!("Bearer {}", open.token(Role::Admin));
    let make = |body: Value| {
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        open.send("POST /api/v1/tokens", &headers, &body.to_string())
    };
    let made = make(json!({ "name": "ci", "roles": ["run"], "expires": "90d" })).expect(201).json();
    let secret = made["token"].as_str().expect("a token").to_owned();
    assert!(secret.starts_with("panta_") && secret.len() == 49, "{secret}");
    open.with("GET /api/v1/runs", &secret).expect(200);
    make(json!({ "name": "ci", "roles": ["run"] })).expect(422);
    make(json!({ "name": "a b", "roles": ["run"] })).expect(422);
    make(json!({ "name": "x", "roles": [] })).expect(422);
    make(json!({ "name": "x", "roles": ["root"] })).expect(400);
    let acts = open.send("GET /api/v1/audit", &[("authorization", &bearer)], "").expect(200).text;
    assert!(acts.contains("token.create") && !acts.contains(&secret), "{acts}");
}

#[test]
fn who_answers_with_a_persons_token_answers_as_that_person() {
    let open = Open::new(&[("w", "task::ask(#{ title: \"Pay?\", choices: [\"yes\"] }).by")]);
    open.with("POST /api/v1/workflows/w/runs", open.token(Role::Run)).expect(202);
    let ann = token(&open.bench, "ann-phone", Role::Approve, Some("ann"));
    let id = loop {
        let tasks = open.with("GET /api/v1/tasks", &ann).expect(200).json();
        if let Some(id) = tasks["tasks"][0]["task"].as_str() {
            break id.to_owned();
        }
        std::thread::yield_now();
    };
    let headers = [("authorization", &*format!("Bearer {ann}")), ("content-type", "application/json")];
    let body = json!({ "choice": "yes", "by": "bob" }).to_string();
    let task = open.send(&format!("POST /api/v1/tasks/{id}/answer"), &headers, &body).expect(200).json();
    assert_eq!(task["answer"]["by"], "ann");
}

#[test]
fn a_browser_signs_in_and_out() {
    let open = Open::new(&[]);
    let browser = ("accept", "text/html,*/*");
    let sent = open.send("GET /", &[browser], "");
    assert_eq!((sent.status.as_u16(), &sent.headers["location"]), (303, &"/login".parse().expect("text")));
    let page = open.send("GET /login?next=/runs", &[browser], "");
    assert!(
        page.text.contains("action=\"/login?next=/runs\"") && page.text.contains("<label for=\"token\">"),
        "{}",
        page.text
    );
    let policy = page.headers["content-security-policy"].to_str().expect("text");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe") && !page.text.contains("<script"));
    let cookie = open.sign_in(open.token(Role::Read));
    open.send("GET /", &[browser, ("cookie", &cookie)], "").expect(200);
    open.send("POST /logout", &[("cookie", &cookie)], "");
    open.send("GET /api/v1/runs", &[("cookie", &cookie)], "").expect(401);
}

#[test]
fn signing_in_leads_to_pages_of_this_server_alone() {
    let open = Open::new(&[]);
    let body = format!("token={}", open.token(Role::Read));
    let to = |next: &str| open.send(&format!("POST /login?next={next}"), &[], &body).headers["location"].clone();
    assert_eq!(to("/runs/1"), "/runs/1");
    for next in ["https://evil.example", "//evil.example", "/%5Cevil.example", "/a%0d%0ab", "javascript:x"] {
        assert_eq!(to(next), "/", "{next}");
    }
}

#[test]
fn wrong_tokens_are_bounded_and_right_ones_are_let_in() {
    let open = Open::new(&[]);
    for _ in 0..10 {
        open.with("GET /api/v1/runs", "panta_wrong").expect(401);
    }
    let refused = open.with("GET /api/v1/runs", "panta_wrong").expect(429);
    assert_eq!(refused.headers["retry-after"], "60");
    assert_eq!(open.send("POST /login", &[], "token=panta_wrong").status, StatusCode::TOO_MANY_REQUESTS);
    open.with("GET /api/v1/runs", open.token(Role::Read)).expect(200);
}

#[test]
fn other_names_and_pages_of_other_sites_are_turned_away() {
    let open = Open::new(&[("w", "1")]);
    let bearer = format!("Bearer {}", open.token(Role::Run));
    let start = |headers: &[(&str, &str)]| {
        let all = [headers, &[("authorization", &*bearer)]].concat();
        open.send("POST /api/v1/workflows/w/runs", &all, "")
    };
    for host in ["evil.example", "panta.example.com.evil.example", "10.0.0.6", ""] {
        start(&[("host", host)]).expect(421);
        open.send("POST /login", &[("host", host)], "token=x").expect(421);
    }
    for site in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        start(&[site]).expect(403);
        open.send("POST /login", &[site], "token=x").expect(403);
        open.send("POST /logout", &[site], "").expect(403);
    }
    let look =
        |site: &[(&str, &str)]| open.send("GET /api/v1/runs", &[site, &[("authorization", &*bearer)]].concat(), "");
    look(&[("sec-fetch-site", "cross-site")]).expect(403);
    let link = |dest| [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", dest)];
    look(&link("iframe")).expect(403);
    look(&link("document")).expect(200);
    start(&[("origin", "https://panta.example.com"), ("sec-fetch-site", "same-origin")]).expect(202);
    start(&[("host", "10.0.0.5:7262")]).expect(202);
}

#[test]
fn bodies_that_a_form_can_send_are_not_taken_by_the_api() {
    let bench = Bench::new(&[("w", "1")]);
    let start = |kind| bench.send("POST /api/v1/workflows/w/runs", &[("content-type", kind)], "{}");
    for kind in [
        "text/plain",
        "TEXT/PLAIN; charset=utf-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let detail = start(kind).expect(415).json()["detail"].to_string();
        assert!(detail.contains("application/json"), "{detail}");
    }
    start("application/json").expect(202);
    let event = [
        ("content-type", "text/plain"),
        ("ce-specversion", "1.0"),
        ("ce-type", "a.b"),
        ("ce-source", "s"),
        ("ce-id", "1"),
    ];
    bench.send("POST /api/v1/events", &event, "hi").expect(202);
}

#[test]
fn on_this_machine_what_a_proxy_passes_on_needs_a_token() {
    let bench = Bench::new(&[("w", "trigger::webhook(\"open\"); fn main(i) { 1 }")]);
    bench.get("/api/v1/runs").expect(200);
    for proxy in
        [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=x"), ("via", "1.1 x"), ("host", "panta.example.com")]
    {
        bench.send("GET /api/v1/runs", &[proxy], "").expect(401);
        bench.send("POST /hooks/open", &[proxy], "").expect(401);
    }
    let read = token(&bench, "read", Role::Read, None);
    let bearer = format!("Bearer {read}");
    bench.send("GET /api/v1/runs", &[("host", "panta.example.com"), ("authorization", &bearer)], "").expect(200);
    bench.send("POST /hooks/open", &[("authorization", &bearer), ("via", "1.1 x")], "").expect(403);
    bench.send("POST /hooks/open", &[("origin", "http://evil.example")], "").expect(403);
    bench.send("POST /hooks/open", &[("host", "evil.example")], "").expect(421);
    assert_eq!(bench.runs(), 0);
}

#[test]
fn strangers_learn_nothing_of_the_inside() {
    let open = Open::new(&[("w", "1")]);
    let Open { bench, router, tokens, .. } = open;
    let Bench { engine, runtime, .. } = bench;
    engine.stop();
    let bearer = format!("Bearer {}", tokens[0].1);
    for (line, headers) in
        [("GET /healthz", vec![]), ("GET /readyz", vec![("authorization", &*bearer)]), ("POST /t/x", vec![])]
    {
        let headers: Vec<_> = headers.into_iter().chain([("host", "panta.example.com")]).collect();
        let text = runtime.block_on(answer(router.clone(), request(line, &headers, ""))).text;
        for inside in ["src/", "panicked", "panta.db", "/tmp", env!("CARGO_PKG_VERSION"), "sqlite", "SELECT"] {
            assert!(!text.contains(inside), "{line}: {text}");
        }
    }
}
