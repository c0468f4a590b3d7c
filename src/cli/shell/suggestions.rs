//! What a person may want to name while typing, asked of the node that runs just now.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, time::timeout};

use super::completion::{AskNode, Suggestions};
use crate::{api::types::CatalogueQuery, cli::attach};

/// How long a person waits for a completion without wondering much. What takes longer is left out.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long an answer is used again: people press the key twice.
const FRESH: Duration = Duration::from_secs(3);

/// Looks on `data_folder`, with the help of `runtime`, which runs elsewhere.
pub(super) fn ask_node(runtime: Handle, data_folder: PathBuf) -> AskNode {
    let last: RefCell<Option<(Instant, Suggestions)>> = RefCell::new(None);
    Box::new(move || {
        let mut last = last.borrow_mut();
        match &*last {
            Some((at, known)) if at.elapsed() < FRESH => known.clone(),
            _ => {
                let (known, is_all) = runtime.block_on(ask(&data_folder));
                // What is missing may be there at the next press.
                *last = is_all.then(|| (Instant::now(), known.clone()));
                known
            }
        }
    })
}

/// What the node knows, nothing where none runs; and whether all of it came in time.
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
    (known, is_all)
}

/// What comes of `asked` in time.
async fn soon<T, E>(asked: impl Future<Output = Result<T, E>>) -> Option<T> {
    timeout(PATIENCE, asked).await.ok()?.ok()
}
