//! The commands of `Dockerfile` and `compose.yaml` without containers: with the same arguments, but
//! with folders and ports of this machine.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use super::world::{Home, Node, World, eventually};

fn source(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The words of a list, which both files write in the same way.
fn words(list: &str) -> Vec<String> {
    serde_json::from_str(list).unwrap_or_else(|error| panic!("{list}: {error}"))
}

/// The name and command of each service, in order.
fn services() -> Vec<(String, Vec<String>)> {
    let text = source("compose.yaml");
    let (_, services) = text.split_once("\nservices:\n").unwrap();
    let mut found = Vec::new();
    let mut name = "";
    for line in services.lines() {
        if let Some(of) = line
            .strip_prefix("  ")
            .filter(|line| !line.starts_with(' '))
        {
            name = of.trim_end_matches(':');
        } else if let Some(command) = line.trim().strip_prefix("command: ") {
            found.push((name.to_owned(), words(command)));
        }
    }
    found
}

/// Starts a node with the command of a container.
fn contained(home: &Home, command: &[String], addresses: &BTreeMap<String, String>) -> Node {
    fs::create_dir_all(home.path("shared")).unwrap();
    let here = |word: &String| match word.as_str() {
        "/shared" => home.path("shared").to_str().unwrap().to_owned(),
        "8080" => "0".to_owned(),
        other => addresses.get(other).cloned().unwrap_or(word.clone()),
    };
    let mut arguments: Vec<String> = command.iter().map(here).collect();
    arguments.extend(["--listen", "/ip4/127.0.0.1/tcp/0"].map(String::from));
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    home.started(&arguments)
}

/// ```text
///   bo ── ada ── cy      cy downloads by hash what bo shares
/// ```
#[test]
fn the_nodes_of_the_composition_find_each_other() {
    let world = World::new();
    let (mut addresses, mut homes, mut nodes) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (name, command) in services() {
        let home = world.home(&name);
        let node = contained(&home, &command, &addresses);
        addresses.insert(format!("{name}:8080"), node.address());
        assert_eq!(home.json(&["status"])["name"], *name);
        homes.push(home);
        nodes.push(node);
    }
    let [ada, bo, cy] = &homes[..] else {
        panic!("three nodes, not {}", homes.len());
    };
    eventually("ada to know both", || {
        (ada.json(&["status"])["peers"] == 2).then_some(())
    });
    let path = bo.path("shared/hello.txt");
    fs::write(&path, "hello\n").unwrap();
    let hash = bo.hash(path.to_str().unwrap());
    eventually("bo to share it", || {
        bo.run(&["link", &hash]).status.success().then_some(())
    });
    cy.run(&["download", &hash]).done();
    assert_eq!(fs::read(cy.path("hello.txt")).unwrap(), b"hello\n");
}

/// ```text
///   A      starts with the command of the image, which also checks its health
/// ```
#[test]
fn the_image_starts_a_node_and_knows_that_it_is_well() {
    let text = source("Dockerfile");
    let after = |what: &str| {
        let line = text.lines().rfind(|line| line.contains(what)).unwrap();
        words(line.split_once(what).unwrap().1)
    };
    let entry = after("ENTRYPOINT ");
    let health = after(" CMD ");
    assert_eq!(entry[..], health[..1]);
    let command = text.lines().find_map(|line| line.strip_prefix("CMD "));
    let world = World::new();
    let home = world.home("a");
    home.run(&health[1..]).failed();
    let node = contained(&home, &words(command.unwrap()), &BTreeMap::new());
    home.run(&health[1..]).done();
    node.stop();
}

/// ```text
///   docker compose      reads compose.yaml
/// ```
#[test]
fn the_composition_is_understood() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose.yaml");
    let file = file.to_str().unwrap();
    let mut readers = [vec!["docker", "compose"], vec!["docker-compose"]];
    let readers = readers.iter_mut().filter(|reader| {
        let asked = Command::new(reader[0])
            .args(&reader[1..])
            .arg("version")
            .output();
        asked.is_ok_and(|asked| asked.status.success())
    });
    let Some(reader) = readers.into_iter().next() else {
        eprintln!("skipped: there is no docker compose here");
        return;
    };
    let read = Command::new(reader[0])
        .args(&reader[1..])
        .args(["-f", file, "config"])
        .output()
        .unwrap();
    assert!(read.status.success(), "{read:?}");
    let text = String::from_utf8_lossy(&read.stdout);
    assert_eq!(text.matches("127.0.0.1").count(), 9, "{text}");
}
