//! The tours of README.md and docs/GUIDE.md: the test types all `console` blocks of a section in their
//! order.
//!
//! `NAME$ COMMAND` is a command that the person NAME types. Each person has a folder and a data
//! folder. The lines below a command are its output, stdout and stderr together. `...` in a line
//! stands for any text, and a line of `...` for any lines. A command that prints a line with an error
//! fails, and all others succeed. A command that ends in `&` or in
//! [`UNTIL_CTRL_C`] runs until the end of the tour; the test waits until it has printed its lines.
//! The test replaces the port, which another program may use.

use std::{collections::BTreeMap, fs, net::TcpListener, path::Path};

use super::world::{Home, Run, World};

/// Marks a command that runs in the foreground until a person stops it.
const UNTIL_CTRL_C: &str = "# shares until Ctrl-C";

/// One command and its output.
struct Step {
    person: String,
    command: String,
    printed: Vec<String>,
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let blocks = text.split("```console\n").skip(1);
    for line in blocks.flat_map(|block| block.split("```").next().unwrap().lines()) {
        let typed = line.split_once("$ ").filter(|(person, _)| {
            !person.is_empty() && person.chars().all(|c| c.is_ascii_lowercase())
        });
        match typed {
            Some((person, command)) => steps.push(Step {
                person: person.to_owned(),
                command: command.to_owned(),
                printed: Vec::new(),
            }),
            None => steps.last_mut().unwrap().printed.push(line.to_owned()),
        }
    }
    steps
}

/// The section of a page under a heading.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let heading = format!("\n## {heading}\n");
    let (_, section) = text.split_once(&heading).unwrap();
    section.split("\n## ").next().unwrap()
}

/// Whether a line matches the documentation, where `...` stands for any text.
fn is_line(written: &str, line: &str) -> bool {
    let mut parts = written.split("...");
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether the lines match the documentation, where a line of `...` stands for any lines.
fn are_lines(written: &[String], lines: &[&str]) -> bool {
    match written {
        [] => lines.is_empty(),
        [any, after @ ..] if any == "..." => {
            (0..=lines.len()).any(|skipped| are_lines(after, &lines[skipped..]))
        }
        [first, after @ ..] => lines
            .split_first()
            .is_some_and(|(line, rest)| is_line(first, line) && are_lines(after, rest)),
    }
}

/// The folder of a person, with `pelago` in its `PATH`.
fn person(world: &World, name: &str, port: u16) -> Home {
    let program = Path::new(env!("CARGO_BIN_EXE_pelago"));
    let folder = program.parent().unwrap().to_str().unwrap();
    let path = std::env::var("PATH").unwrap();
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    world
        .home(name)
        .with("PATH", &format!("{folder}:{path}"))
        .with("PELAGO_NETWORK_LISTEN", &listen)
}

/// ```text
///   alice  shares ---- bob  downloads
/// ```
#[test]
fn the_readme_does_what_it_says() {
    walk("README.md", "Sixty seconds", 4);
}

/// ```text
///   alice  shares ---- bob  finds and downloads
/// ```
#[test]
fn the_guide_does_what_it_says() {
    walk("docs/GUIDE.md", "A tour", 11);
}

/// ```text
///   anna  founds a group ---- bert  joins, and is removed
///      \\____________________ carl  knows the hash, and is not a member
/// ```
#[test]
fn the_guide_to_groups_does_what_it_says() {
    walk("docs/GUIDE.md", "A group of people", 11);
}

/// Types the tour of a section of `page`, which has at least `least` commands.
fn walk(page: &str, heading: &str, least: usize) {
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let steps = steps(section(&fs::read_to_string(text).unwrap(), heading));
    assert!(steps.len() >= least, "the tour is there");
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let world = World::new();
    let mut people: BTreeMap<String, Home> = BTreeMap::new();
    let mut running = Vec::new();
    for step in &steps {
        let is_first = people.is_empty();
        let home = people
            .entry(step.person.clone())
            .or_insert_with(|| person(&world, &step.person, if is_first { port } else { 0 }));
        let command = step.command.replace("8080", &port.to_string());
        let running_on = command.strip_suffix('&');
        match running_on.or(command.strip_suffix(UNTIL_CTRL_C)) {
            Some(command) => {
                let line = format!("exec {command} 2>&1");
                let run = Run::new(home.program("bash", &["-c", &line]));
                for line in step.printed.iter().filter(|line| *line != "...") {
                    run.out.wait(|printed| is_line(line, printed), line);
                }
                running.push(run);
            }
            None => {
                let line = format!("{{ {command}\n}} 2>&1");
                let ended = Run::new(home.program("bash", &["-c", &line])).end();
                let fails = step.printed.iter().any(|line| line.starts_with("error: "));
                let ended = if fails { ended.failed() } else { ended.done() };
                let printed = ended.stdout.replace(&port.to_string(), "8080");
                let lines: Vec<_> = printed.lines().collect();
                let written = step.printed.join("\n");
                assert!(
                    are_lines(&step.printed, &lines),
                    "{}$ {} is to print\n{written}\nand prints\n{printed}",
                    step.person,
                    step.command
                );
            }
        }
    }
    for run in running.into_iter().rev() {
        run.signal("TERM");
        run.end().done();
    }
}

#[test]
fn dots_stand_for_any_text_and_any_lines() {
    assert!(is_line("a ... c", "a b c") && is_line("a", "a") && is_line("...", ""));
    assert!(!is_line("a ... c", "a b d") && !is_line("a", "ab") && !is_line("a...", "b"));
    assert!(!is_line("ab...ba", "aba"), "nothing is matched twice");
    let written = ["a", "...", "z"].map(String::from);
    assert!(are_lines(&written, &["a", "b", "c", "z"]) && are_lines(&written, &["a", "z"]));
    assert!(!are_lines(&written, &["a", "z", "b"]) && !are_lines(&written, &["a"]));
}
