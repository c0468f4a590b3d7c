//! Two examples for each command, at the end of its help and on its page of the manual.

use clap::Command;

/// The commands with their examples.
const EXAMPLES: [(&str, [&str; 2]); 32] = [
    (
        "start",
        [
            "pelago start --dir ~/Public --name anna",
            "pelago start -b 203.0.113.7:8080",
        ],
    ),
    ("stop", ["pelago stop", "pelago stop --data-dir ~/second"]),
    ("hash", ["pelago hash film.mkv", "pelago hash album --json"]),
    (
        "share",
        [
            "pelago share film.mkv --qr",
            "pelago share letter.pdf --unlisted",
        ],
    ),
    (
        "receive",
        [
            "pelago receive --web inbox --for 30m",
            "pelago receive --web --max-size 2GB --qr",
        ],
    ),
    (
        "unshare",
        [
            "pelago unshare film.mkv letter.pdf",
            "pelago unshare 3ea72c79 --group family",
        ],
    ),
    (
        "list",
        [
            "pelago list --network --wait 3",
            "pelago list --group family",
        ],
    ),
    (
        "download",
        [
            "pelago download 'pelago:3ea7...?name=film.mkv&peer=...' -o ~/films",
            "pelago download holiday.jpg --from anna",
        ],
    ),
    (
        "open",
        [
            "pelago open 'pelago:3ea7...?name=film.mkv&peer=...'",
            "pelago open --group family < link.txt",
        ],
    ),
    (
        "link",
        ["pelago link film.mkv --qr", "pelago link 3ea72c79 --http"],
    ),
    (
        "downloads",
        ["pelago downloads --watch", "pelago downloads --json"],
    ),
    (
        "uploads",
        ["pelago uploads --watch", "pelago uploads --json"],
    ),
    (
        "pause",
        ["pelago pause film.mkv --for 2h", "pelago pause --all"],
    ),
    (
        "resume",
        ["pelago resume film.mkv -o ~/films", "pelago resume --all"],
    ),
    (
        "cancel",
        ["pelago cancel film.mkv", "pelago cancel 3ea72c79"],
    ),
    (
        "remove",
        ["pelago remove film.mkv --with-data", "pelago remove --all"],
    ),
    (
        "move",
        [
            "pelago move film.mkv --first",
            "pelago move film.mkv --before album",
        ],
    ),
    (
        "settings",
        [
            "pelago settings transfer.max_downloads 2",
            "pelago settings transfer.seed --reset",
        ],
    ),
    (
        "limit",
        [
            "pelago limit --upload 400k --for 2h",
            "pelago limit --upload off --download off",
        ],
    ),
    (
        "group",
        [
            "pelago group create family",
            "pelago group invite family --auto --uses 2",
        ],
    ),
    (
        "network",
        [
            "pelago network new",
            "pelago network show --secret | ssh HOST pelago network join",
        ],
    ),
    ("peers", ["pelago peers", "pelago peers --json"]),
    ("status", ["pelago status", "pelago status --json"]),
    ("ui", ["pelago ui", "pelago ui --no-open"]),
    ("user", ["pelago user create anna", "pelago user show"]),
    (
        "login",
        [
            "pelago login",
            "pelago login --passphrase-file /run/secrets/pelago",
        ],
    ),
    ("logout", ["pelago logout", "pelago logout --json"]),
    ("doctor", ["pelago doctor", "pelago doctor --check-shares"]),
    ("shell", ["pelago shell", "pelago shell < commands.txt"]),
    ("menu", ["pelago menu", "pelago menu --quiet"]),
    (
        "completions",
        [
            "pelago completions bash > ~/.local/share/bash-completion/completions/pelago",
            "pelago completions zsh > ~/.zfunc/_pelago",
        ],
    ),
    (
        "man",
        [
            "pelago man | man -l -",
            "pelago man --output ~/.local/share/man/man1",
        ],
    ),
];

/// Adds the examples to the commands of `root`.
pub(super) fn add_to(mut root: Command) -> Command {
    let style = *root.get_styles().get_header();
    for (name, examples) in EXAMPLES {
        let lines = examples.map(|example| format!("\n  {example}")).concat();
        let text = format!("{style}Examples:{style:#}{lines}");
        root = root.mut_subcommand(name, |command| command.after_help(text));
    }
    root
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::{args::Args, shell::split::split};

    #[test]
    fn each_command_has_two_examples_that_can_be_typed() {
        for command in Args::command().get_subcommands() {
            let name = command.get_name();
            let known = EXAMPLES.iter().find(|(known, _)| *known == name);
            let (_, examples) = known.unwrap_or_else(|| panic!("no examples of {name}"));
            assert_ne!(examples[0], examples[1]);
            for example in examples {
                let typed = example.split(['<', '>', '|']).next().unwrap();
                // Digits stand for dots, as links in help are too long.
                let typed = typed
                    .replace("3ea7...", &"3e".repeat(32))
                    .replace("peer=...", "");
                let words = split(&typed).unwrap();
                let parsed = Args::try_parse_from(&words);
                let command = parsed.unwrap_or_else(|error| panic!("{example}: {error}"));
                assert!(command.command.is_some(), "{example}");
                assert_eq!(words[1], name, "{example}");
            }
        }
    }

    #[test]
    fn help_ends_with_the_examples_after_the_global_options() {
        let root = add_to(Args::command());
        let help = root.try_get_matches_from(["pelago", "help", "download"]);
        let help = help.unwrap_err().to_string();
        let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("{text}: {help}"));
        let order = [
            "\nOptions:",
            "\nNetwork options:",
            "\nGlobal options:",
            "\nExamples:",
        ];
        assert!(order.map(at).is_sorted(), "{help}");
    }
}
