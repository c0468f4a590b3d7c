//! `pelago network`: the key of a private network.
//!
//! Only the files of the data folder change: a node reads its keys when it starts.

use std::io::{self, IsTerminal as _, Read as _};

use anyhow::Context as _;
use clap::Subcommand;
use pelago_behaviour::{NetworkKey, NetworkKeys};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{context::Context, output::Exit, text::quoted};
use crate::{
    api::types::ErrorInfo,
    store::{
        DataFolder, network_key_file, read_network_keys, remove_network_keys, write_network_keys,
    },
};

/// How many bytes of a key are read from stdin: two keys with comments.
const MAX_TEXT: u64 = 4096;

/// Begins the file, for people who find it.
const HEADER: &str = "# Keys of a private Pelago network: who has one can join it.\n";

/// What to do with the key of the network.
#[derive(Debug, Subcommand)]
pub(super) enum NetworkCommand {
    /// Make a key: this node then connects only with nodes that have it
    New {
        /// Replace the key: until you replace it again, nodes with the old one are admitted, too
        #[arg(long)]
        replace: bool,
    },
    /// Show whether this node is in a private network, and the id of its key
    Show {
        /// Print the key itself, to give it to another node: `pelago network show --secret | ssh HOST
        /// pelago network join`
        #[arg(long)]
        secret: bool,
    },
    /// Join the private network whose key is on stdin
    Join,
    /// Forget the key: this node then connects with all nodes that have none
    Leave,
}

/// The keys of a node, for programs.
#[derive(Serialize)]
struct Report {
    /// The ids of the keys, the newest first.
    keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

pub(super) fn run(context: &Context, command: &NetworkCommand) -> anyhow::Result<Exit> {
    match command {
        NetworkCommand::New { replace } => make(context, *replace),
        NetworkCommand::Show { secret } => show(context, keys(context)?.as_slice(), *secret),
        NetworkCommand::Join => keep(context, given()?),
        NetworkCommand::Leave => leave(context),
    }
}

fn make(context: &Context, replaces: bool) -> anyhow::Result<Exit> {
    let known = keys(context)?;
    let before = known.as_slice().first();
    if before.is_some() && !replaces {
        let error = ErrorInfo::new("network-key-exists", "this node has a key of a network");
        let again = context.command("network new --replace");
        let hint = format!("`{again}` replaces it, and admits nodes with the old one meanwhile");
        return Err(error.with_hint(hint).into());
    }
    let new = [NetworkKey::random()].into_iter();
    keep(context, new.chain(before.cloned()).collect())
}

fn leave(context: &Context) -> anyhow::Result<Exit> {
    let left = remove_network_keys(&context.data_folder).with_context(|| of_file(context))?;
    let text = match left {
        true => "the key is removed",
        false => "this node has no key of a network",
    };
    let report = Report {
        keys: Vec::new(),
        secret: None,
    };
    context.output.result(&report, || text)?;
    remind(context, left);
    Ok(Exit::Done)
}

/// The keys in the data folder.
pub(super) fn keys(context: &Context) -> anyhow::Result<NetworkKeys> {
    let text = read_network_keys(&context.data_folder).with_context(|| of_file(context))?;
    let keys = text.map_or_else(|| Ok(Vec::new()), |text| parse(&text));
    keys.and_then(of).with_context(|| of_file(context))
}

fn of_file(context: &Context) -> String {
    let file = network_key_file(&context.data_folder);
    format!(
        "the key of the network in {} cannot be used",
        file.display()
    )
}

fn of(keys: Vec<NetworkKey>) -> anyhow::Result<NetworkKeys> {
    Ok(NetworkKeys::new(keys)?)
}

/// The keys in a text: one a line, between comments.
fn parse(text: &str) -> anyhow::Result<Vec<NetworkKey>> {
    let lines = text.lines().map(str::trim);
    let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(keys.map(str::parse).collect::<Result<_, _>>()?)
}

/// The keys on stdin.
fn given() -> anyhow::Result<Vec<NetworkKey>> {
    let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT as usize));
    if io::stdin().is_terminal() {
        text = super::passphrase::typed("key of the network: ")?;
    } else {
        let read = io::stdin().take(MAX_TEXT).read_to_string(&mut text);
        read.context("the key cannot be read from stdin")?;
    }
    let keys = parse(&text)?;
    anyhow::ensure!(!keys.is_empty(), "there is no key on stdin");
    Ok(keys)
}

/// Keeps these keys, and shows their ids.
fn keep(context: &Context, keys: Vec<NetworkKey>) -> anyhow::Result<Exit> {
    let keys = of(keys)?;
    let mut text = Zeroizing::new(HEADER.to_owned());
    for key in keys.as_slice() {
        text.push_str(&key.to_secret_text());
        text.push('\n');
    }
    write_network_keys(&context.data_folder, &text).with_context(|| of_file(context))?;
    show(context, keys.as_slice(), false)?;
    let secret = context.command("network show --secret");
    context.output.note(format_args!(
        "`{secret}` prints the key for other nodes: send it over a private channel"
    ));
    remind(context, true);
    Ok(Exit::Done)
}

fn show(context: &Context, keys: &[NetworkKey], secret: bool) -> anyhow::Result<Exit> {
    let lines = || {
        keys.iter()
            .map(|key| key.to_secret_text().to_string() + "\n")
    };
    let report = Report {
        keys: keys.iter().map(NetworkKey::id).collect(),
        secret: secret.then(|| lines().collect()),
    };
    context
        .output
        .result(&report, || match (&report.secret, &report.keys[..]) {
            (_, []) => "this node has no key: it connects with all nodes that have none".to_owned(),
            (Some(secret), _) => secret.trim_end().to_owned(),
            (None, [key]) => format!("private network: key {key}"),
            (None, [key, old @ ..]) => format!(
                "private network: key {key}, and until you replace it {}",
                old.join(", ")
            ),
        })?;
    Ok(Exit::Done)
}

/// A node that runs goes by the keys that it has read.
fn remind(context: &Context, has_changed: bool) {
    let is_running = DataFolder::is_running(&context.data_folder).unwrap_or(false);
    if has_changed && is_running {
        let folder = context.data_folder.to_string_lossy();
        context.output.note(format_args!(
            "the node that runs on {} uses this after its next start",
            quoted(&folder)
        ));
    }
}
