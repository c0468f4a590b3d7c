//! Signals to `start`, which needs neither a terminal nor settings.

use std::{process::Stdio, time::Duration};

use super::world::{Run, World};

/// How soon a node ends: sooner than a supervisor kills it.
const SOON: Duration = Duration::from_secs(5);

/// ```text
///   A      gets one signal
/// ```
#[test]
fn a_node_ends_in_time_after_a_signal() {
    let world = World::new();
    for signal in ["TERM", "INT"] {
        let a = world.home(signal);
        let node = a.start(&[]);
        node.run.signal(signal);
        node.run.end_within(SOON).done().says("stopping");
        assert!(!a.data().join("api.json").exists());
        a.run(&["status"]).failed().says("no node is running");
    }
}

/// ```text
///   A      gets two signals
/// ```
#[test]
fn a_second_signal_ends_it_at_once() {
    let world = World::new();
    let node = world.home("a").start(&[]);
    node.run.signal("INT");
    node.run.err.line("stopping");
    node.run.signal("INT");
    // The node may have ended before the second signal.
    let code = node.run.end_within(SOON).status.code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}");
}

/// ```text
///   A      runs without stdin, stdout and stderr
/// ```
#[test]
fn a_node_runs_without_a_terminal_and_without_readers() {
    let world = World::new();
    let a = world.home("a");
    let mut command = a.command(&["start", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    command.stdin(Stdio::null());
    let line = command.get_program().to_owned();
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    // The shell closes all three, and then becomes the node.
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "exec \"$@\" <&- >&- 2>&-", "sh"])
        .arg(line)
        .args(arguments);
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.current_dir(command.get_current_dir().unwrap());
    let run = Run::new(shell);
    super::world::eventually("the node to answer", || {
        a.run(&["status"]).status.success().then_some(())
    });
    run.signal("TERM");
    run.end_within(SOON).done();
}

/// ```text
///   A      starts for the first time
/// ```
#[test]
fn the_first_start_is_quiet_and_says_what_to_do_next() {
    let world = World::new();
    let a = world.home("a");
    let node = a.started(&["start", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    node.run.err.line("created the folder");
    node.run.err.line("put files into");
    node.run.err.line("scanned a watched folder");
    let ended = node.stop();
    assert!(a.path("shared").is_dir());
    assert!(
        !ended.stderr.contains('\u{1b}'),
        "no colours without a terminal: {ended:?}"
    );
    assert!(
        !ended.stderr.contains("WARN"),
        "nothing is wrong: {ended:?}"
    );
    assert_eq!(ended.stdout.lines().count(), 2, "{ended:?}");
}
