//! The unit for systemd.

use std::process::Command;

use super::{Came, Place};

fn install(place: &Place, arguments: &[&str]) -> Came {
    let mut command = place.command(&[&["service", "install"], arguments].concat());
    Came::from(command.env("XDG_CONFIG_HOME", place.path().join("config")).output().unwrap())
}

#[test]
fn a_unit_of_the_user_is_written_once_and_says_what_comes_next() {
    let place = Place::new(&[("scripts/w.rhai", "1")]);
    let came = install(&place, &["--user"]).expect(0);
    let next = "systemctl --user daemon-reload\nsystemctl --user enable --now panta.service\n";
    assert!(came.out.starts_with(next), "{}", came.out);
    let path = place.path().join("config/systemd/user/panta.service");
    let unit = std::fs::read_to_string(&path).unwrap();
    let scripts = place.path().join("scripts").canonicalize().unwrap();
    let start = format!("ExecStart={} daemon {}\n", env!("CARGO_BIN_EXE_panta"), scripts.display());
    assert!(unit.contains(&start), "{unit}");
    // The same again is no change; another one is not overwritten.
    install(&place, &["--user"]).expect(0);
    std::fs::write(&path, "mine").unwrap();
    assert!(install(&place, &["--user"]).expect(1).err.contains("is there, and is another"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn a_folder_that_is_not_there_is_not_served() {
    let place = Place::new(&[]);
    assert!(install(&place, &["nowhere", "--print"]).expect(2).err.contains("`nowhere` cannot be served"));
}

#[test]
fn data_and_configuration_that_were_typed_stand_in_the_unit() {
    let place = Place::new(&[("scripts/w.rhai", "1"), ("panta.toml", "")]);
    let came = install(&place, &["--print", "--config", "panta.toml", "--data", "/srv/state"]).expect(0);
    let config = place.path().join("panta.toml").canonicalize().unwrap();
    assert!(came.out.contains(&format!(" --config {} --data /srv/state ", config.display())), "{}", came.out);
    assert!(came.out.contains("\nReadWritePaths=/srv/state\n"), "{}", came.out);
}

/// Where systemd is there to be asked: it understands each line, and the service is exposed to little.
#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let analyze = |arguments: &[&str]| Command::new("systemd-analyze").args(arguments).output();
    if analyze(&["--version"]).is_err() {
        return;
    }
    let place = Place::new(&[("scripts/w.rhai", "1")]);
    let unit = place.write("panta.service", &install(&place, &["--print"]).expect(0).out).display().to_string();
    let verified = analyze(&["verify", &unit]).unwrap();
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !said.contains("panta.service:"), "{said}");
    // In tenths: at most 2.0.
    let exposure = analyze(&["security", "--offline=true", "--threshold=20", &unit]).unwrap();
    assert!(exposure.status.success(), "{}", String::from_utf8_lossy(&exposure.stdout));
}
