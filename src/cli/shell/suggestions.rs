//! Asks the running node for names that a person may want to type.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, time::timeout};

use super::completion::{AskNode, Suggestions};
use crate::{
    api::{Client, types::CatalogueQuery},
    cli::attach,
};

/// How long a completion may take. Answers that take longer are left out.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long an answer is reused, as people press the key twice.
const FRESH: Duration = Duration::from_secs(3);

/// Groups whose members and requests are suggested, at most: each takes two calls.
const MAX_GROUPS: usize = 8;

/// Asks the node that runs on `data_folder`; its calls run on `runtime`.
pub(super) fn ask_node(runtime: Handle, data_folder: PathBuf) -> AskNode {
    let last: RefCell<Option<(Instant, Suggestions)>> = RefCell::new(None);
    Box::new(move || {
        let mut last = last.borrow_mut();
        match &*last {
            Some((at, known)) if at.elapsed() < FRESH => known.clone(),
            _ => {
                let (known, is_all) = runtime.block_on(ask(&data_folder));
                // An incomplete answer is not reused: the next one may be complete.
                *last = is_all.then(|| (Instant::now(), known.clone()));
                known
            }
        }
    })
}

/// The suggestions of the node, which are empty if no node runs; and whether all answers came in
/// time.
async fn ask(data_folder: &Path) -> (Suggestions, bool) {
    let client = soon(attach::find_running(data_folder)).await;
    let Some(client) = client.flatten() else {
        return (Suggestions::default(), false);
    };
    let nearby = CatalogueQuery {
        peer: None,
        wait: Some(0.0),
        ..CatalogueQuery::default()
    };
    let (shares, nearby, downloads, peers) = tokio::join!(
        soon(client.shares()),
        soon(client.catalogue(&nearby)),
        soon(client.downloads()),
        soon(client.peers()),
    );
    let is_all = shares.is_some() && nearby.is_some() && downloads.is_some() && peers.is_some();
    let mut known = Suggestions::default();
    let nearby = nearby.map(|(listed, _)| listed);
    for listed in shares.into_iter().chain(nearby).flatten() {
        known.hashes.push(listed.hash);
        known.names.push(listed.name);
    }
    for download in downloads.into_iter().flatten() {
        known.hashes.push(download.hash);
        known.names.push(download.name);
    }
    for peer in peers.into_iter().flatten() {
        known.peers.push(peer.peer_id);
        known.peers.extend(peer.name);
        known.addresses.extend(peer.addresses);
    }
    // A node without a user has no groups.
    let groups = soon(client.groups()).await.unwrap_or_default();
    for group in groups.iter().take(MAX_GROUPS) {
        add_people(&client, &group.id, &mut known).await;
    }
    for group in groups {
        known.groups.extend([group.name, group.id]);
    }
    (known, is_all)
}

/// Adds the people in a group, and those who ask to join it.
async fn add_people(client: &Client, group: &str, known: &mut Suggestions) {
    let (members, requests) = tokio::join!(
        soon(client.group_members(group)),
        soon(client.group_requests(group)),
    );
    for member in members.into_iter().flatten() {
        known.members.extend(member.name);
        known.members.push(member.user);
    }
    for request in requests.into_iter().flatten() {
        known.requesters.extend([request.name, request.user]);
    }
}

/// The answer, if it comes in time.
async fn soon<T, E>(asked: impl Future<Output = Result<T, E>>) -> Option<T> {
    timeout(PATIENCE, asked).await.ok()?.ok()
}
