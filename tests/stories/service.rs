//! Nodes under a service manager: the units in contrib/, and what nodes report to the manager.

use std::{fs, os::unix::net::UnixDatagram, path::Path, process::Command, time::Duration};

use super::world::{PATIENCE, Run, World};

/// How soon a node reports: half of the time that the manager waits.
const SOON: Duration = Duration::from_secs(5);

/// The exposure that systemd may find in tenths: a unit that restricts everything has 0, systemd's
/// own daemons have 20 to 50.
const EXPOSURE: &str = "20";

fn unit(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contrib")
        .join(name);
    fs::read_to_string(path).unwrap()
}

/// The arguments that a unit passes to pelago, with a folder in place of systemd's specifiers.
fn arguments(unit: &str, state: &str) -> Vec<String> {
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let words = line.unwrap().split(' ').skip(1);
    words
        .map(|word| word.replace("%S", state).replace("%h", state))
        .collect()
}

/// ```text
///   systemd-analyze      reads the units as they are installed
/// ```
#[test]
fn the_units_are_sound_and_leave_little_open() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: there is no systemd-analyze here");
        return;
    }
    let world = World::new();
    let home = world.home("a");
    for name in ["pelago.service", "pelago-user.service"] {
        let unit = unit(name);
        // The unit names the program that was built for this test.
        let exec = unit
            .lines()
            .find(|line| line.starts_with("ExecStart="))
            .unwrap();
        let installed = exec.split(' ').next().unwrap();
        let here = format!("ExecStart={}", env!("CARGO_BIN_EXE_pelago"));
        let path = world.file(name, unit.replace(installed, &here).as_bytes());
        let verified = home.program("systemd-analyze", &["verify", "--man=no", &path]);
        let verified = Run::new(verified).end().done();
        assert!(!verified.stderr.contains(name), "{verified:?}");
        if name == "pelago.service" {
            let threshold = format!("--threshold={EXPOSURE}");
            let asked = [
                "security",
                "--offline=true",
                "--no-pager",
                &threshold,
                &path,
            ];
            Run::new(home.program("systemd-analyze", &asked))
                .end()
                .done();
        }
    }
}

/// ```text
///   manager <── READY, STOPPING ── A      started as by the unit
/// ```
#[test]
fn the_manager_learns_when_a_node_is_ready_and_when_it_ends() {
    let world = World::new();
    for name in ["pelago.service", "pelago-user.service"] {
        let home = world.home(name);
        // The path of a socket must be short.
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let report = || {
            let mut buffer = [0; 256];
            let length = manager.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        let home = home
            .with("NOTIFY_SOCKET", socket.to_str().unwrap())
            .with("PELAGO_NETWORK_LISTEN", "/ip4/127.0.0.1/tcp/0");
        let state = home.path("state");
        let arguments = arguments(&unit(name), state.to_str().unwrap());
        let run = home.spawn(&arguments);
        assert_eq!(report().trim(), "READY=1");
        // When a node reports that it is ready, its API answers.
        let mut status: Vec<_> = arguments.iter().map(String::as_str).collect();
        let verb = status.iter().position(|word| *word == "start").unwrap();
        status.splice(verb.., ["status"]);
        home.run(&status).done();
        run.signal("TERM");
        assert_eq!(report().trim(), "STOPPING=1");
        run.end_within(SOON).done();
    }
}
