//! Drives connectors: the workflows of `tests/connectors/`, by the program as it is built.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::program::Running;
use super::systems::{Drive, System};
use super::{brokers, databases, order_to_cash, served};
use crate::cli::Place;

/// Drives all that is to be driven of a system; panics where something does not hold.
pub(crate) fn all(system: &System, running: &Running) {
    match system.code.as_deref() {
        None => {}
        Some("postgres") => databases::postgres(running),
        Some("mariadb") => databases::mariadb(running),
        Some("nats") => brokers::nats(running),
        Some("amqp") => brokers::amqp(running),
        Some("mqtt") => brokers::mqtt(running),
        Some("order to cash") => order_to_cash::survives_ten_kills(running),
        Some(other) => panic!("`{other}` is no code that drives a system"),
    }
    let folder = running.path(&system.programs[0]);
    for drive in &system.drive {
        let secrets = secrets(drive, running);
        completes(drive, running, &folder, &drive.input, &secrets);
        if let Some(wrong) = &drive.wrong {
            let mut secrets = secrets;
            for (name, value) in &wrong.secrets {
                let own = secrets.iter_mut().find(|(own, _)| own == name).expect("it is one of its secrets");
                own.1.clone_from(value);
            }
            completes(drive, running, &folder, &wrong.input, &secrets);
        }
    }
}

fn secrets(drive: &Drive, running: &Running) -> Vec<(String, String)> {
    let value = |command: &str| running.ask(command).unwrap_or_else(|error| panic!("{error}"));
    drive.secrets.iter().map(|(name, command)| (name.clone(), value(command))).collect()
}

/// Runs the workflow in a new place, and takes nothing but its end as it ought to be.
fn completes(drive: &Drive, running: &Running, folder: &Path, input: &toml::Table, secrets: &[(String, String)]) {
    let mut config = drive.config.clone();
    config.insert("config".to_owned(), drive.settings.clone().into());
    let config = toml::to_string(&config).expect("TOML").replace("{folder}", folder.to_str().expect("a path"));
    let place = Place::new(&[("panta.toml", &config)]);
    set_secrets(&place, secrets, &drive.hosts);
    let input = serde_json::to_value(input).expect("JSON");
    let what = format!("{} with {input}", drive.workflow);
    let said = match drive.with.as_slice() {
        [] => by_itself(&place, drive, &input, &what),
        with => {
            let workflows: Vec<_> = std::iter::once(&drive.workflow).chain(with).map(String::as_str).collect();
            let ready = || drive.ready.iter().for_each(|command| drop(running.ask(command).expect("it listens")));
            let run = served::ended(&place, &workflows, &input, ready);
            assert_eq!(run["status"], "completed", "{what}: {run}");
            run.to_string()
        }
    };
    for (_, secret) in secrets.iter().filter(|(_, secret)| secret.len() > 7) {
        assert!(!said.contains(secret), "{what}: a secret was shown");
    }
}

/// By `panta run`; all that it said.
fn by_itself(place: &Place, drive: &Drive, input: &Value, what: &str) -> String {
    let file = format!("{}/tests/connectors/{}.rhai", env!("CARGO_MANIFEST_DIR"), drive.workflow);
    let panta = place.command(&["--config", "panta.toml", "run", &file, "--json", "--input", &input.to_string()]);
    let came = within(&panta, 600);
    let (out, err) = (String::from_utf8_lossy(&came.stdout), String::from_utf8_lossy(&came.stderr));
    let ended: Value = serde_json::from_str(out.lines().last().unwrap_or_default()).unwrap_or_default();
    assert!(came.status.success(), "{what}: {} {}\n{}", came.status, ended["error"], end_of(&err));
    format!("{out}{err}")
}

/// The last lines of what it said.
fn end_of(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(6)..].join("\n")
}

/// Sets secrets as people do: their values on the standard input.
pub(crate) fn set_secrets(place: &Place, secrets: &[(String, String)], hosts: &[String]) {
    for (name, value) in secrets {
        let mut arguments = vec!["--config", "panta.toml", "secret", "set", name.as_str()];
        hosts.iter().for_each(|host| arguments.extend(["--for", host]));
        let given = place.write("secret", value);
        let mut command = place.command(&arguments);
        command.stdin(std::fs::File::open(&given).expect("it was written"));
        let came = command.output().expect("it runs");
        std::fs::remove_file(given).expect("it is there");
        assert!(came.status.success(), "secret {name}: {}", String::from_utf8_lossy(&came.stderr));
    }
}

/// The output of a command that is ended when it takes longer.
pub(crate) fn within(command: &Command, seconds: u32) -> Output {
    let mut bounded = Command::new("timeout");
    bounded.args(["-k", "10", &seconds.to_string()]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    bounded.current_dir(command.get_current_dir().expect("a folder")).stdin(Stdio::null());
    bounded.output().expect("it runs")
}
