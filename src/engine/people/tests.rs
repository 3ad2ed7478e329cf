//! Who may answer what.

use super::*;
use crate::id::{RunId, TaskId};
use crate::task::Status;

/// Ann and Bob are in finance, Bob stands in for Ann and Cid for Bob; Dora is the CFO.
fn staff() -> Directory {
    let person = |email: &str, groups: &[&str], substitute: Option<&str>| Person {
        email: Some(email.to_owned()),
        groups: groups.iter().map(|group| (*group).into()).collect(),
        substitute: substitute.map(Into::into),
    };
    let people = [
        ("ann", person("ann@example.com", &["finance"], Some("bob"))),
        ("bob", person("bob@example.com", &["finance"], Some("cid"))),
        ("cid", person("cid@example.com", &[], None)),
        ("dora", person("dora@example.com", &["cfo"], None)),
    ];
    Directory { people: people.into_iter().map(|(name, person)| (name.into(), person)).collect() }
}

fn task(to: &[&str], except: &[&str]) -> Task {
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    Task {
        id: TaskId(uuid::Uuid::nil()),
        run: RunId(uuid::Uuid::nil()),
        workflow: "w".into(),
        title: "Pay?".into(),
        text: "".into(),
        to: names(to),
        except: names(except),
        form: None,
        choices: Vec::new(),
        opened_at: Timestamp(0),
        due: None,
        moments: Vec::new(),
        stage: 0,
        status: Status::Open,
        answer: None,
        ended_at: None,
    }
}

fn given(by: &str) -> Given {
    Given { choice: None, data: Value::Null, by: Some(by.into()), note: None, texts: Texts::Strict }
}

/// Under which name each of them may answer.
fn who(to: &[&str], except: &[&str]) -> Vec<String> {
    let task = task(to, except);
    let may = |name: &&str| staff().judge(&task, &given(name), Timestamp(0)).is_ok();
    ["ann", "bob", "cid", "dora"].iter().filter(|name| may(name)).map(ToString::to_string).collect()
}

#[test]
fn members_and_their_substitutes_answer() {
    assert_eq!(who(&["ann"], &[]), ["ann", "bob"]);
    assert_eq!(who(&["finance"], &[]), ["ann", "bob", "cid"]);
    assert_eq!(who(&["cfo", "cid"], &[]), ["cid", "dora"]);
    assert_eq!(who(&[], &[]), ["ann", "bob", "cid", "dora"]);
}

#[test]
fn who_is_excepted_answers_in_no_way() {
    assert_eq!(who(&["finance"], &["ann"]), ["bob", "cid"], "bob by himself, cid for bob");
    assert_eq!(who(&["ann"], &["ann"]), [""; 0], "nobody for who is excepted");
    assert_eq!(who(&["ann"], &["bob"]), ["ann"], "not as a substitute");
    assert_eq!(who(&["finance"], &["finance"]), [""; 0], "a group");
    assert_eq!(who(&["finance"], &["BOB@example.com"]), ["ann"], "by email; and cid not through bob");
}

#[test]
fn a_person_is_known_by_name_and_email_and_kept_by_name() {
    let answer = staff().judge(&task(&["ann"], &[]), &given("Ann@Example.com"), Timestamp(0)).unwrap();
    assert_eq!(answer.to_json()["by"], "ann");
    let refused = staff().judge(&task(&["ann"], &[]), &given("an"), Timestamp(0)).unwrap_err();
    assert_eq!(
        refused,
        Refusal::Person("there is no person or group `an` in the config; hint: did you mean `ann`?".into())
    );
    let Refusal::Person(why) = staff().judge(&task(&["ann"], &[]), &given("dora"), Timestamp(0)).unwrap_err() else {
        panic!("a person")
    };
    assert_eq!(why, "`dora` may not answer this task: it is for ann");
}

#[test]
fn without_people_anybody_answers_but_who_is_excepted() {
    let nobody = Directory::default();
    let judge = |except: &[&str], by: Option<&str>| {
        nobody.judge(&task(&["finance"], except), &Given { by: by.map(Into::into), ..given("") }, Timestamp(0))
    };
    assert!(judge(&[], None).is_ok() && judge(&["ann"], Some("bob")).is_ok());
    assert!(matches!(judge(&["ann"], Some(" ANN ")), Err(Refusal::Person(_))));
    assert!(matches!(judge(&["ann"], None), Err(Refusal::Faults(_))), "who it is must be said");
}

#[test]
fn every_fault_of_an_answer_has_its_path() {
    let form = r#"{"type":"object","properties":{"amount":{"type":["string","number"],"format":"decimal"},"lines":{"type":"array","items":{"type":"integer"}}},"required":["amount","lines"]}"#;
    let task =
        Task { form: Some(Payload::from_text(form)), choices: vec!["yes".into(), "no".into()], ..task(&["ann"], &[]) };
    let bad = Given {
        choice: Some("maybe".into()),
        data: json!({ "amount": "x", "lines": [1, "y"] }),
        by: None,
        note: None,
        texts: Texts::Strict,
    };
    let Refusal::Faults(faults) = staff().judge(&task, &bad, Timestamp(0)).unwrap_err() else { panic!("faults") };
    let paths: Vec<_> = faults.iter().map(|fault| &*fault.path).collect();
    assert_eq!(paths, ["by", "choice", "data.amount", "data.lines[1]"]);
    let good = Given { choice: Some("yes".into()), data: json!({ "amount": 1.5, "lines": [] }), ..given("ann") };
    let answer = staff().judge(&task, &good, Timestamp(0)).unwrap();
    assert_eq!(
        answer.text(),
        r#"{"at":"1970-01-01T00:00:00.000Z","by":"ann","choice":"yes","data":{"amount":{"$decimal":"1.5"},"lines":[]}}"#
    );
}

#[test]
fn whom_it_is_for_in_words_and_in_inboxes() {
    assert_eq!(staff().sentence(&["finance".into(), "dora".into()]), "ann, bob (finance) or dora");
    assert_eq!(Directory::default().sentence(&["finance".into()]), "finance");
    assert_eq!(staff().inbox("bob@example.com"), ["bob", "finance", "ann", "finance"].map(Arc::from));
    assert_eq!(staff().recipients(&task(&[], &["ann"]), &["finance".into(), "bob".into()]), ["bob"].map(Arc::from));
    assert!(staff().known(&["finance".into(), "cid".into()]).is_ok() && staff().known(&["finanze".into()]).is_err());
}
