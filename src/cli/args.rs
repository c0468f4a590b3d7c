//! The commands and their flags, as clap parses them.

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use super::{
    cancel::CancelArgs,
    completions::CompletionsArgs,
    doctor::DoctorArgs,
    download::DownloadArgs,
    downloads::DownloadsArgs,
    examples,
    global::{FlagSetting, Global},
    group::GroupArgs,
    hash::HashArgs,
    limit::LimitArgs,
    link::LinkArgs,
    list::ListArgs,
    login::LoginArgs,
    man::ManArgs,
    network::NetworkCommand,
    open::OpenArgs,
    pause::PauseArgs,
    receive::ReceiveArgs,
    remove::RemoveArgs,
    reorder::MoveArgs,
    resume::ResumeArgs,
    settings::SettingsArgs,
    share::ShareArgs,
    start::StartArgs,
    ui::UiArgs,
    unshare::UnshareArgs,
    uploads::UploadsArgs,
    user::UserCommand,
};

/// Share files in place, and download the files of others by their hash: no server, no account
#[derive(Debug, Parser)]
#[command(name = "pelago", version, max_term_width = 100)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// A command.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a node until it is stopped
    Start(StartArgs),
    /// End the running node, and wait until it has ended
    Stop,
    /// Print the hashes of files without sharing them
    Hash(HashArgs),
    /// Share files in place, and print their links
    Share(ShareArgs),
    /// Receive files from people without Pelago, by their browsers
    Receive(ReceiveArgs),
    /// Stop sharing files
    Unshare(UnshareArgs),
    /// List what this node, a peer, or all reachable peers share
    List(ListArgs),
    /// Download content by its hash, link or name
    Download(DownloadArgs),
    /// Show what a link or hash stands for and which peers have it, without downloading it
    Open(OpenArgs),
    /// Print the links of shared content
    Link(LinkArgs),
    /// List the downloads of the running node, in their order
    Downloads(DownloadsArgs),
    /// List what the running node sends to peers, and who has all of it
    Uploads(UploadsArgs),
    /// Pause downloads of the running node
    #[command(mut_arg("all", |all| all.help("All downloads that have not ended")))]
    Pause(PauseArgs),
    /// Resume downloads that are paused or have failed
    #[command(mut_arg("all", |all| all.help("All downloads that are paused or have failed")))]
    Resume(ResumeArgs),
    /// Stop downloads and remove their data; those that are done keep their files
    #[command(mut_arg("all", |all| all.help("All downloads that are not done")))]
    Cancel(CancelArgs),
    /// Remove ended downloads from the list
    #[command(mut_arg("all", |all| all.help("All downloads that are done; their files stay")))]
    Remove(RemoveArgs),
    /// Change the order of queued downloads
    Move(MoveArgs),
    /// Show all settings and what set them, or change one
    Settings(SettingsArgs),
    /// Show or change the upload and download limits of the running node
    Limit(LimitArgs),
    /// Share files with the members of a group alone: found, join and manage groups
    Group(GroupArgs),
    /// Keep nodes without a key out: make, show and pass on the key of a private network
    #[command(subcommand)]
    Network(NetworkCommand),
    /// List the peers that the running node is connected to
    Peers,
    /// Show the state of the running node
    Status,
    /// Open the page of the running node in a browser, and print its URL
    Ui(UiArgs),
    /// Create, show and change the user of this node
    #[command(subcommand)]
    User(UserCommand),
    /// Log the user of the running node in
    Login(LoginArgs),
    /// Log the user out: the network ends, and stays off until the next login
    Logout,
    /// Find problems of this node and its machine, and show how to fix them
    Doctor(DoctorArgs),
    /// Run commands one after another, with history and completion, or from a script, one a line
    Shell,
    /// Choose commands from a numbered menu
    Menu,
    /// Print a script with which your shell completes commands and flags
    Completions(CompletionsArgs),
    /// Print or write the manual pages
    Man(ManArgs),
}

impl Args {
    /// The command line, with examples in its help.
    pub(super) fn definition() -> clap::Command {
        examples::add_to(Self::command())
    }

    /// Parses the words of a command line, the first of which is the program.
    ///
    /// # Errors
    ///
    /// They are invalid, or ask for help.
    pub(super) fn parsed(words: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        let given = Self::definition().try_get_matches_from(words)?;
        Self::from_arg_matches(&given).map_err(|error| error.format(&mut Self::definition()))
    }
}

impl Command {
    /// The settings that its flags set.
    pub(super) fn settings(&self) -> Vec<FlagSetting> {
        match self {
            Self::Start(args) => args.settings(),
            _ => Vec::new(),
        }
    }

    /// Whether it runs until it is stopped, so that people read its log.
    pub(super) fn is_long_running(&self) -> bool {
        matches!(self, Self::Start(_))
    }

    /// Whether one of its arguments may be a link to a group.
    pub(super) fn takes_invitation(&self) -> bool {
        matches!(self, Self::Group(args) if args.is_join())
    }

    /// Whether it also runs with invalid settings, and reports them itself.
    pub(super) fn tolerates_bad_settings(&self) -> bool {
        matches!(self, Self::Doctor(_))
    }

    /// Whether a node that it runs in this process fetches something, and then ends.
    pub(super) fn is_brief(&self) -> bool {
        self.may_run_node() && !matches!(self, Self::Start(_) | Self::Share(_) | Self::Receive(_))
    }

    /// Whether it may run a node in this process.
    pub(super) fn may_run_node(&self) -> bool {
        match self {
            Self::Start(_)
            | Self::Share(_)
            | Self::Receive(_)
            | Self::Download(_)
            | Self::Open(_) => true,
            Self::List(args) => args.needs_node(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::cli::headings::{GLOBAL, NETWORK};

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_flags_go_before_and_after_the_verb() {
        for line in [
            "pelago --json --data-dir x status",
            "pelago status --data-dir x --json",
        ] {
            let args = parse(line).unwrap();
            assert!(
                args.global.json && args.global.data_dir == Some("x".into()),
                "{line}"
            );
        }
    }

    #[test]
    fn documented_command_lines_are_parsed() {
        let hash = "ab".repeat(32);
        for line in [
            "pelago".to_owned(),
            "pelago start -p 0 -d a -d b -b host:1 -b /ip4/192.0.2.1/tcp/1 -n name --discovery"
                .to_owned(),
            "pelago start --discovery false --listen /ip4/127.0.0.1/tcp/0 --api off".to_owned(),
            "pelago start --api 127.0.0.1:0 -v".to_owned(),
            "pelago start --open".to_owned(),
            "pelago stop".to_owned(),
            "pelago hash a b".to_owned(),
            "pelago share a b --unlisted".to_owned(),
            "pelago share a --name x --no-serve".to_owned(),
            "pelago share a --group family --group 0123abcd".to_owned(),
            "pelago share a --web --for 2h".to_owned(),
            "pelago receive --web".to_owned(),
            "pelago receive --web x --for 30m --max-size 500MB --max-files 9 --qr".to_owned(),
            "pelago unshare x".to_owned(),
            "pelago unshare x --group family".to_owned(),
            "pelago list --group family --wait 1".to_owned(),
            "pelago link x --group family".to_owned(),
            "pelago download x --group family".to_owned(),
            "pelago download x --public".to_owned(),
            "pelago group create family".to_owned(),
            "pelago group list".to_owned(),
            "pelago group show family".to_owned(),
            "pelago group rename family friends".to_owned(),
            "pelago group members family".to_owned(),
            "pelago group invite family --auto --uses 2 --expires 12h --qr".to_owned(),
            "pelago group invites family".to_owned(),
            "pelago group revoke family 0123abcd".to_owned(),
            "pelago group join --message me --wait 30".to_owned(),
            "pelago group joins".to_owned(),
            "pelago group add family 0123abcd".to_owned(),
            "pelago group requests family".to_owned(),
            "pelago group accept family bert".to_owned(),
            "pelago group reject family bert".to_owned(),
            "pelago group remove family bert".to_owned(),
            "pelago group remove family --invite 0123abcd".to_owned(),
            "pelago group owner add family bert".to_owned(),
            "pelago group owner drop family bert --undo carl --undo dora".to_owned(),
            "pelago group owner drop family bert --dry-run".to_owned(),
            "pelago group leave family".to_owned(),
            "pelago list --peer localhost:1".to_owned(),
            "pelago downloads --watch".to_owned(),
            "pelago uploads".to_owned(),
            "pelago uploads --watch".to_owned(),
            "pelago pause a b".to_owned(),
            "pelago resume --all".to_owned(),
            "pelago cancel a b".to_owned(),
            "pelago cancel --all".to_owned(),
            "pelago remove --all".to_owned(),
            "pelago remove a b --with-data".to_owned(),
            "pelago move a --before b".to_owned(),
            "pelago list --network --wait 0.5".to_owned(),
            "pelago settings".to_owned(),
            "pelago settings transfer.upload_limit 1.5MB".to_owned(),
            "pelago settings transfer.seed --reset".to_owned(),
            "pelago settings transfer.seed true --json".to_owned(),
            "pelago settings transfer.seed --json".to_owned(),
            "pelago settings transfer.max_downloads -5".to_owned(),
            "pelago limit".to_owned(),
            "pelago limit --upload 400k --download 1.5MB --upload-per-peer off".to_owned(),
            "pelago limit --download-per-peer 0".to_owned(),
            format!("pelago download {hash} -o x --peer host:1 --from a --from b -b host:1"),
            format!("pelago download --hash {hash} --output x --timeout 5 --overwrite"),
            format!("pelago download pelago:{hash} --detach"),
            format!("pelago open pelago:{hash} --peer host:1 -b host:2 --timeout 1"),
            format!("pelago open {hash}"),
            "pelago share a --qr".to_owned(),
            "pelago link".to_owned(),
            "pelago link a --qr".to_owned(),
            "pelago ui --no-open".to_owned(),
            "pelago link a --http".to_owned(),
            "pelago link a --http --qr".to_owned(),
            "pelago start --api off --gateway 127.0.0.1:1".to_owned(),
            "pelago start --gateway off".to_owned(),
            "pelago user create anna --no-passphrase".to_owned(),
            "pelago user create 'Anna' --passphrase-file x".to_owned(),
            "pelago user show".to_owned(),
            "pelago user rename anna".to_owned(),
            "pelago user passphrase --current-file x --no-passphrase".to_owned(),
            "pelago user export x".to_owned(),
            "pelago user import x --passphrase-file y".to_owned(),
            "pelago login --passphrase-file x".to_owned(),
            "pelago logout".to_owned(),
            "pelago shell".to_owned(),
            "pelago menu".to_owned(),
            "pelago doctor --json".to_owned(),
            "pelago completions zsh".to_owned(),
            "pelago man --output x".to_owned(),
        ] {
            parse(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn an_option_has_the_same_heading_in_all_commands() {
        let mut definition = Args::command();
        definition.build();
        let mut headings = HashMap::new();
        for verb in definition.get_subcommands() {
            let options = verb.get_arguments();
            for option in options.filter(|option| option.get_long().is_some()) {
                let heading = option.get_help_heading();
                let known = *headings.entry(option.get_id().clone()).or_insert(heading);
                let name = verb.get_name();
                assert_eq!(known, heading, "{name} --{}", option.get_id());
            }
        }
        let heading = |id: &str| headings.get(id).copied().flatten();
        assert_eq!(heading("json"), Some(GLOBAL));
        assert_eq!(heading("bootstrap"), Some(NETWORK));
        assert_eq!(heading("output"), None);
    }

    #[test]
    fn invalid_command_lines_are_refused() {
        let hash = "ab".repeat(32);
        let bad = format!("{}g", &hash[1..]);
        for (line, reason) in [
            ("pelago fly".to_owned(), "unrecognized subcommand"),
            ("pelago hash".to_owned(), "required"),
            ("pelago receive".to_owned(), "--web"),
            ("pelago share a --for 2h".to_owned(), "--web"),
            (
                "pelago receive --web --max-size 5".to_owned(),
                "with a unit",
            ),
            ("pelago pause".to_owned(), "--all"),
            ("pelago cancel".to_owned(), "--all"),
            ("pelago remove --with-data".to_owned(), "--all"),
            (
                "pelago remove --all --with-data".to_owned(),
                "cannot be used with",
            ),
            ("pelago pause a --all".to_owned(), "cannot be used with"),
            ("pelago move a".to_owned(), "required"),
            (
                "pelago move a --first --last".to_owned(),
                "cannot be used with",
            ),
            (
                format!("pelago download {hash} --hash {hash}"),
                "cannot be used with",
            ),
            (
                format!("pelago download --hash {bad}"),
                "digit 64 of the hash is 'g'",
            ),
            (
                format!("pelago download --hash {}", &hash[1..]),
                "this has 63",
            ),
            ("pelago download sha256:00".to_owned(), "reserved"),
            ("pelago download pelago:00".to_owned(), "this has 2"),
            (
                format!("pelago download {hash} --timeout -1"),
                "not a valid waiting time",
            ),
            (format!("pelago download {hash} --peer host"), "no port"),
            ("pelago completions tcl".to_owned(), "possible values"),
            ("pelago open a.txt".to_owned(), "neither a hash"),
            ("pelago open pelago:00".to_owned(), "this has 2"),
            ("pelago start -p 70000".to_owned(), "70000"),
            ("pelago start --api 8080".to_owned(), "IP:PORT or off"),
            ("pelago start --listen 8080".to_owned(), "--listen"),
            (
                "pelago limit --upload fast".to_owned(),
                "400k, 1.5MB or 2MiB, or off",
            ),
            (
                "pelago limit --upload -1".to_owned(),
                "\"-1\" is not a valid rate: use",
            ),
            (
                "pelago limit --download 999".to_owned(),
                "expected 1000 (1 kB/s) to",
            ),
            (
                "pelago list --peer host:1 --network".to_owned(),
                "cannot be used with",
            ),
            ("pelago status -v -q".to_owned(), "cannot be used with"),
            ("pelago list --wait 1".to_owned(), "required"),
            (
                "pelago list --network --group x".to_owned(),
                "cannot be used with",
            ),
            (
                "pelago share x --group y --no-serve".to_owned(),
                "cannot be used with",
            ),
            ("pelago group remove x".to_owned(), "required"),
            (
                "pelago group remove x y --invite z".to_owned(),
                "cannot be used with",
            ),
            ("pelago group invite x --uses 0".to_owned(), "0 is not in"),
            (
                "pelago group invite x --expires 7".to_owned(),
                "use a number with a unit",
            ),
        ] {
            let refused = parse(&line).unwrap_err();
            assert!(refused.to_string().contains(reason), "{line}: {refused}");
            assert_eq!(refused.exit_code(), 2, "{line}");
        }
    }
}
