//! `pelago list`: lists what this node, its peers or the members of a group share.

use std::collections::HashMap;

use super::{
    attach::{self, NodeHandle, NodeState},
    context::Context,
    headings::{NETWORK, SHARING},
    local,
    output::{Exit, Printer},
    signals::Signals,
    table::{Column, Table},
    text::{bytes, command, escape},
    value_parsers::{peer_address, seconds},
};
use crate::api::types::{
    BeingWritten, CatalogueQuery, ExcludedPath, Kind, Listed, ShareState, UnavailableShare,
    UnavailableShares,
};

/// Which shares to list.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// List the shares of the node at this address: host:port or a multiaddr
    #[arg(long, value_name = "ADDR", value_parser = peer_address, help_heading = NETWORK)]
    peer: Option<String>,

    /// List the shares of all reachable peers
    #[arg(long, group = "others", conflicts_with = "peer", help_heading = NETWORK)]
    network: bool,

    /// List what the members of this group share with it, also what members listed before they went
    /// offline
    #[arg(
        long, value_name = "GROUP", group = "others", conflicts_with = "peer", help_heading = SHARING
    )]
    group: Option<String>,

    /// Time to wait for peers to be found [default: 3]
    #[arg(long, value_name = "SECONDS", requires = "others", value_parser = seconds, help_heading = NETWORK)]
    wait: Option<f64>,

    /// List files that are not shared yet, because programs may still write to them
    #[arg(long, conflicts_with_all = ["peer", "others"])]
    being_written: bool,

    /// List the paths in watched folders that you withdrew; `pelago share PATH` shares one again
    #[arg(long, conflicts_with_all = ["peer", "others", "being_written"])]
    excluded: bool,
}

impl ListArgs {
    /// Whether it needs a node.
    pub(super) const fn needs_node(&self) -> bool {
        self.peer.is_some() || self.network || self.group.is_some()
    }
}

pub(super) async fn run(context: &Context, args: &ListArgs) -> anyhow::Result<Exit> {
    if args.needs_node() {
        return run_others(context, args).await;
    }
    if args.being_written {
        return run_being_written(context).await;
    }
    if args.excluded {
        return run_excluded(context).await;
    }
    let mut names = HashMap::new();
    let (listed, writing, unavailable) = match attach::find_or_lock(&context.data_folder).await? {
        NodeState::Running(client) => {
            // A node of an older version has no such routes.
            let writing = client.being_written().await.unwrap_or_default();
            let unavailable = client.unavailable().await.unwrap_or_default();
            // Also those of groups that the user has left.
            let joins = client.joins().await.unwrap_or_default().into_iter();
            names.extend(joins.filter_map(|join| Some((join.group, join.name?))));
            let groups = client.groups().await.unwrap_or_default();
            names.extend(groups.into_iter().map(|group| (group.id, group.name)));
            (client.shares().await?, writing, unavailable)
        }
        NodeState::Absent(folder) => {
            let (listed, unavailable) = local::list(&folder)?;
            (listed, BeingWritten::default(), unavailable)
        }
    };
    if listed.is_empty() && writing.count == 0 {
        context.output.note(format_args!(
            "nothing is shared: share something with `{}`",
            context.command("share PATH")
        ));
    }
    let text = || {
        let table = describe(&listed, false, &names, Printer::width());
        let files = describe_unavailable(&unavailable);
        let parts = [table, files, describe_writing(&writing)];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("\n")
    };
    context.output.result(&listed, text)?;
    Ok(Exit::Done)
}

async fn run_being_written(context: &Context) -> anyhow::Result<Exit> {
    let writing = match attach::find_or_lock(&context.data_folder).await? {
        NodeState::Running(client) => client.being_written().await?,
        // Without a node, no folder is watched.
        NodeState::Absent(_) => BeingWritten::default(),
    };
    if writing.count == 0 {
        context
            .output
            .note("no file in a watched folder is being written");
    }
    context
        .output
        .result(&writing, || describe_writing(&writing))?;
    Ok(Exit::Done)
}

async fn run_excluded(context: &Context) -> anyhow::Result<Exit> {
    let excluded = match attach::find_or_lock(&context.data_folder).await? {
        NodeState::Running(client) => client.exclusions().await?,
        NodeState::Absent(folder) => local::exclusions(&folder)?,
    };
    if excluded.is_empty() {
        context
            .output
            .note("nothing is excluded: `pelago unshare PATH` excludes a file of a watched folder");
    }
    let line = |place: &ExcludedPath| format!("excluded  {}", escape(&place.path));
    let text = || excluded.iter().map(line).collect::<Vec<_>>().join("\n");
    context.output.result(&excluded, text)?;
    Ok(Exit::Done)
}

async fn run_others(context: &Context, args: &ListArgs) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    let node = NodeHandle::open(context).await?;
    let query = CatalogueQuery {
        peer: args.peer.clone(),
        group: args.group.clone(),
        wait: args.wait,
        ..CatalogueQuery::default()
    };
    let listed = tokio::select! {
        listed = node.client.catalogue(&query) => listed,
        () = signals.next() => {
            node.stop(signals).await;
            return Ok(Exit::Failed);
        }
    };
    let (listed, incomplete) = match listed {
        Ok(listed) => listed,
        Err(error) => {
            node.end(&context.output, &mut signals).await;
            return Err(error.into());
        }
    };
    if listed.is_empty() {
        context.output.note(note_of_nothing(args));
        let groups = node.client.groups().await.unwrap_or_default();
        if args.network && !groups.is_empty() {
            let command = context.command("list --group GROUP");
            let note = format!("`{command}` lists what the members of a group share with it");
            context.output.note(note);
        }
    }
    if incomplete > 0 {
        context.output.note(format_args!(
            "the list is incomplete: {incomplete} of the reachable peers share more than fits into \
             it, or did not answer in time (`pelago list --peer ADDR` lists the shares of one peer)",
        ));
    }
    let with_peers = args.network || args.group.is_some();
    let text = || describe(&listed, with_peers, &HashMap::new(), Printer::width());
    context.output.result(&listed, text)?;
    node.end(&context.output, &mut signals).await;
    Ok(Exit::Done)
}

/// Why the list of others is empty.
const fn note_of_nothing(args: &ListArgs) -> &'static str {
    if args.group.is_some() {
        "nothing was found: no member in reach shares anything with the group, and none did before \
         (`--wait 10` waits for more members)"
    } else if args.peer.is_some() {
        "nothing was found: the peer shares nothing with everyone"
    } else {
        "nothing was found: no reachable peer shares anything (`--wait 10` waits for more peers, and \
         `pelago doctor` shows how many are reachable)"
    }
}

/// The shares as a table; no text if there are none.
///
/// `names` are those of groups, by their ids.
fn describe(
    listed: &[Listed],
    with_peers: bool,
    names: &HashMap<String, String>,
    width: Option<usize>,
) -> String {
    let peers = with_peers.then_some(Column::number("PEERS").drop_order(3));
    // The column of states is left out where all are available.
    let is_unavailable = |entry: &Listed| {
        entry
            .state
            .is_some_and(|state| state != ShareState::Available)
    };
    let with_states = listed.iter().any(is_unavailable);
    let states = with_states.then_some(Column::text("STATE"));
    // So is that of scopes where all are listed.
    let is_scoped = |entry: &Listed| entry.unlisted || !entry.groups.is_empty();
    let with_scopes = !with_peers && listed.iter().any(is_scoped);
    let scopes = with_scopes.then_some(Column::text("SCOPE"));
    let columns = [SIZE, KIND].into_iter().chain(peers).chain(states);
    let columns = columns.chain(scopes);
    // Only shares of this node have a path.
    let with_paths = listed.iter().any(|entry| entry.path.is_some());
    let columns = columns
        .chain([HASH, NAME])
        .chain(with_paths.then_some(PATH));
    let row = |entry: &Listed| {
        let peers = with_peers.then(|| match (entry.offline, entry.peers, entry.state) {
            (true, ..) => "offline".to_owned(),
            (false, 0, Some(_)) => "you".to_owned(),
            (false, peers, _) => peers.to_string(),
        });
        let state = entry.state.filter(|_| with_states).map(state_word);
        let cells = [bytes(entry.size), kind(entry).to_owned()]
            .into_iter()
            .chain(peers)
            .chain(state.map(str::to_owned))
            .chain(with_scopes.then(|| scope_words(entry, names)));
        cells
            .chain([entry.hash.clone(), escape(&entry.name)])
            .chain(with_paths.then(|| escape(entry.path.as_deref().unwrap_or_default())))
            .collect()
    };
    Table::new(columns.collect::<Vec<_>>(), listed.iter().map(row)).text(width)
}

/// The scopes of an entry, for people.
fn scope_words(entry: &Listed, names: &HashMap<String, String>) -> String {
    let open = match (entry.group_only, entry.unlisted) {
        (true, _) => None,
        (false, true) => Some("unlisted".to_owned()),
        (false, false) => Some("listed".to_owned()),
    };
    let group = |id: &String| {
        let digits = id.get(..8).unwrap_or(id).to_owned();
        names.get(id).map_or(digits, |name| escape(name))
    };
    let words: Vec<_> = open
        .into_iter()
        .chain(entry.groups.iter().map(group))
        .collect();
    words.join(", ")
}

/// A state, for people.
pub(super) const fn state_word(state: ShareState) -> &'static str {
    match state {
        ShareState::Available => "available",
        ShareState::BeingWritten => "being written",
        ShareState::Missing => "missing",
        ShareState::Changed => "changed",
        ShareState::Unreadable => "unreadable",
        ShareState::Excluded => "excluded",
    }
}

/// A line for each share, and each file of a shared folder, that is not available, with what a person
/// can do.
fn describe_unavailable(unavailable: &UnavailableShares) -> String {
    let line = |place: &UnavailableShare| {
        let (state, path) = (state_word(place.state), escape(&place.path));
        match remedy(place) {
            Some(remedy) => format!("{state}  {path}: {remedy}"),
            None => format!("{state}  {path}"),
        }
    };
    let mut lines: Vec<_> = unavailable.places.iter().map(line).collect();
    match unavailable.count - unavailable.places.len() as u64 {
        0 => {}
        more => lines.push(format!("not available  {more} more")),
    }
    lines.join("\n")
}

/// What makes it available, or ends the share; none if the node does that by itself.
fn remedy(place: &UnavailableShare) -> Option<String> {
    let run = |verb: &str, path: &str| {
        let words = ["pelago", verb, path].map(str::to_owned);
        command(words.into_iter())
    };
    match (place.state, &place.folder) {
        (ShareState::Missing, None) => Some(format!(
            "put it back, share it where it is now, or end the share with `{}`",
            run("unshare", &place.path)
        )),
        (ShareState::Changed, None) => Some(format!(
            "to share it as it is now: `{}`",
            run("share", &place.path)
        )),
        (ShareState::Missing | ShareState::Changed, Some(folder)) => Some(format!(
            "to share the folder as it is now: `{}`",
            run("share", folder)
        )),
        (ShareState::Unreadable, _) => Some("let the user of the node read it".to_owned()),
        (ShareState::Excluded, _) => Some(format!(
            "to share it again: `{}`",
            run("share", &place.path)
        )),
        (ShareState::Available | ShareState::BeingWritten, _) => None,
    }
}

/// A line for each file that is being written.
fn describe_writing(writing: &BeingWritten) -> String {
    let line = |(path, size): (&str, u64)| {
        let (path, size) = (escape(path), bytes(size));
        format!("still being written  {path}  ({size})")
    };
    let files = writing.files.iter().map(|file| (&*file.path, file.size));
    let mut lines: Vec<_> = files.map(line).collect();
    match writing.count.saturating_sub(writing.files.len() as u64) {
        0 => {}
        more => lines.push(format!("still being written  {more} more")),
    }
    lines.join("\n")
}

/// The size of content.
pub(super) const SIZE: Column = Column::number("SIZE");

/// The kind of content.
pub(super) const KIND: Column = Column::text("KIND").drop_order(2);

/// All digits of the hash if they fit, as people copy them.
pub(super) const HASH: Column = Column::text("HASH").min_width(12);

const NAME: Column = Column::text("NAME").min_width(24);

/// Left out before the kind where not all fit.
const PATH: Column = Column::text("PATH").min_width(24).drop_order(1);

/// A file or a folder.
pub(super) const fn kind(entry: &Listed) -> &'static str {
    match entry.kind {
        Kind::File => "file",
        Kind::Folder => "folder",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::FileBeingWritten;

    fn describe_own(listed: &[Listed]) -> String {
        describe(listed, false, &HashMap::new(), None)
    }

    #[test]
    fn names_come_last_and_are_escaped() {
        let entry = |name: &str, size| Listed {
            hash: "ab".repeat(2),
            name: name.to_owned(),
            size,
            kind: Kind::File,
            path: None,
            peers: 2,
            holders: Vec::new(),
            unlisted: false,
            groups: Vec::new(),
            group_only: false,
            offline: false,
            state: None,
            unavailable_files: 0,
        };
        let listed = [entry("a\nb\u{1b}[31m", 1), entry("é", 1 << 20)];
        assert_eq!(
            describe(&listed, true, &HashMap::new(), None),
            "  SIZE  KIND  PEERS  HASH  NAME\n\
             \x20  1 B  file      2  abab  a\\nb\\u{1b}[31m\n\
             1.0 MB  file      2  abab  é"
        );
        assert!(!describe_own(&listed).contains("PEERS"));
        assert_eq!(describe(&[], true, &HashMap::new(), None), "");
    }

    #[test]
    fn shares_that_are_not_for_everyone_are_marked() {
        let listed = Listed {
            hash: "ab".to_owned(),
            name: "a".to_owned(),
            size: 1,
            kind: Kind::File,
            path: None,
            peers: 0,
            holders: Vec::new(),
            unlisted: false,
            groups: Vec::new(),
            group_only: false,
            offline: false,
            state: Some(ShareState::Available),
            unavailable_files: 0,
        };
        assert!(!describe_own(std::slice::from_ref(&listed)).contains("SCOPE"));
        let unlisted = Listed {
            unlisted: true,
            ..listed.clone()
        };
        let both = Listed {
            groups: vec!["ab12".to_owned()],
            ..listed.clone()
        };
        let grouped = Listed {
            groups: vec!["ab12".to_owned(), "0123456789".to_owned()],
            group_only: true,
            ..listed.clone()
        };
        let names = HashMap::from([("ab12".to_owned(), "fam\u{7}ily".to_owned())]);
        assert_eq!(
            describe(&[listed, unlisted, both, grouped], false, &names, None),
            "SIZE  KIND  SCOPE                  HASH  NAME\n\
             \x201 B  file  listed                 ab    a\n\
             \x201 B  file  unlisted               ab    a\n\
             \x201 B  file  listed, fam\\u{7}ily    ab    a\n\
             \x201 B  file  fam\\u{7}ily, 01234567  ab    a"
        );
    }

    #[test]
    fn unavailable_shares_are_listed_with_their_state() {
        let entry = |name: &str, state| Listed {
            hash: "ab".to_owned(),
            name: name.to_owned(),
            size: 1,
            kind: Kind::File,
            path: None,
            peers: 0,
            holders: Vec::new(),
            unlisted: false,
            groups: Vec::new(),
            group_only: false,
            offline: false,
            state: Some(state),
            unavailable_files: 0,
        };
        let available = entry("a", ShareState::Available);
        let all = [available.clone(), entry("b", ShareState::BeingWritten)];
        assert!(!describe_own(&[available]).contains("STATE"));
        assert_eq!(
            describe_own(&all),
            "SIZE  KIND  STATE          HASH  NAME\n\
             \x201 B  file  available      ab    a\n\
             \x201 B  file  being written  ab    b"
        );
        let place = |path: &str, folder: Option<&str>| UnavailableShare {
            path: path.to_owned(),
            state: ShareState::Changed,
            folder: folder.map(str::to_owned),
        };
        let unavailable = UnavailableShares {
            count: 5,
            places: vec![place("/a", None), place("/box/b\u{7}", Some("/box"))],
        };
        assert_eq!(
            describe_unavailable(&unavailable),
            "changed  /a: to share it as it is now: `pelago share /a`\n\
             changed  /box/b\\u{7}: to share the folder as it is now: `pelago share /box`\n\
             not available  3 more"
        );
    }

    #[test]
    fn files_that_are_being_written_are_named() {
        let file = |path: &str, size| FileBeingWritten {
            path: path.to_owned(),
            size,
        };
        let mut writing = BeingWritten::default();
        assert_eq!(describe_writing(&writing), "");
        writing.files = vec![file("/a/b\u{1b}[31m", 1 << 20), file("/c", 2)];
        writing.count = 2;
        let two = "still being written  /a/b\\u{1b}[31m  (1.0 MB)\nstill being written  /c  (2 B)";
        assert_eq!(describe_writing(&writing), two);
        writing.count = 1002;
        let all = format!("{two}\nstill being written  1000 more");
        assert_eq!(describe_writing(&writing), all);
    }
}
