//! Which node a command talks to: the running one, or one of its own.
//!
//! The lock on the data folder decides. While another process holds it, the command reads
//! `api.json` and sends the token. Otherwise the command takes the lock and runs a node itself,
//! which other commands then find in the same way.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::bail;
use axum::Router;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    context::Context,
    keys::Keys,
    local::{self, NodeFiles},
    network, node_settings,
    output::Printer,
    signals::Signals,
};
use crate::{
    api::{
        ApiFile, Client, LocalApi, router,
        types::{ErrorInfo, UserState, UserStatus},
    },
    node::{Node, Settings},
    store::{DataFolder, LockError},
};

/// How long the API of a node that holds the data folder may not answer, while the node starts or
/// ends.
const PATIENCE: Duration = Duration::from_secs(3);

/// Time between two attempts to reach it.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// How long a command runs before other commands can use its node.
const HEAD_START: Duration = Duration::from_millis(50);

/// How long a command waits for calls of other commands before it says so.
const QUIET_STAY: Duration = Duration::from_millis(200);

/// How long a node may take to end. It takes more than a few seconds only while it moves the
/// content of a download to its place.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(14);

/// How long a node may take to restart: to end, and to start.
const RESTART_TIMEOUT: Duration = SHUTDOWN_TIMEOUT.saturating_add(Duration::from_secs(10));

/// Whether a node runs on a data folder.
pub(super) enum NodeState {
    /// A node runs, and this client reaches it.
    Running(Client),
    /// No node runs, and none can start while this is held.
    Absent(DataFolder),
}

/// A client of the node that runs on the data folder; none if no node runs.
pub(super) async fn find_running(folder: &Path) -> anyhow::Result<Option<Client>> {
    let deadline = Instant::now() + PATIENCE;
    while local::is_running(folder)? {
        if let Some((address, token)) = ApiFile::read(folder)
            && let Ok(client) = Client::connect(address, token).await
        {
            return Ok(Some(client));
        }
        anyhow::ensure!(Instant::now() < deadline, unreachable(folder));
        sleep(RETRY_INTERVAL).await;
    }
    Ok(None)
}

/// A client of the running node.
///
/// # Errors
///
/// `no-node` if no node runs, and those of [`find_running`].
pub(super) async fn require_running(context: &Context) -> anyhow::Result<Client> {
    let folder = &context.data_folder;
    find_running(folder).await?.ok_or_else(|| {
        let message = format!(
            "no node is running on {}: run `{}`",
            folder.display(),
            context.command("start")
        );
        ErrorInfo::new("no-node", message).into()
    })
}

/// The node that runs on the data folder, or the locked folder.
pub(super) async fn find_or_lock(folder: &Path) -> anyhow::Result<NodeState> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(client) = find_running(folder).await? {
            return Ok(NodeState::Running(client));
        }
        match local::lock(folder) {
            // Another command took the lock in the meantime: its node is found in the next round.
            Err(error)
                if matches!(error.downcast_ref(), Some(LockError::InUse { .. }))
                    && Instant::now() < deadline => {}
            result => return Ok(NodeState::Absent(result?)),
        }
    }
}

/// The user of the running node, once it has restarted into `state`.
///
/// # Errors
///
/// It does not come back within [`RESTART_TIMEOUT`].
pub(super) async fn wait_for_user(
    context: &Context,
    state: UserState,
) -> anyhow::Result<UserStatus> {
    let deadline = Instant::now() + RESTART_TIMEOUT;
    loop {
        let seen = async { anyhow::Ok(require_running(context).await?.user().await?) }.await;
        match seen {
            Ok(status) if status.state == state => return Ok(status),
            // Until then, the run before may answer, and nothing between the two.
            _ if Instant::now() < deadline && local::is_running(&context.data_folder)? => {
                sleep(RETRY_INTERVAL).await;
            }
            Err(error) => return Err(error.context("the node did not restart: its log says why")),
            Ok(_) => {
                bail!("the node is still shutting down: `pelago user show` shows when it is done")
            }
        }
    }
}

fn unreachable(folder: &Path) -> ErrorInfo {
    let message = format!(
        "a node uses the data folder {}, but its API does not answer: the node may be starting, \
         ending, or running with `--api off`",
        folder.display()
    );
    let hint = "retry, stop that node, or use another folder with --data-dir";
    ErrorInfo::new("api-unreachable", message).with_hint(hint)
}

/// A client of a node, and the node if it runs in this process.
pub(super) struct NodeHandle {
    pub(super) client: Client,
    own: Option<OwnNode>,
}

/// A node that runs for one command, and for commands that use it in the meantime.
struct OwnNode {
    node: Node,
    end_api: oneshot::Sender<()>,
    api: JoinHandle<()>,
}

impl NodeHandle {
    /// Whether the node runs in another process, which has a log of its own.
    pub(super) const fn is_attached(&self) -> bool {
        self.own.is_none()
    }

    /// Uses the running node.
    pub(super) const fn attach(client: Client) -> Self {
        Self { client, own: None }
    }

    /// Uses the running node, or starts one.
    pub(super) async fn open(context: &Context) -> anyhow::Result<Self> {
        match find_or_lock(&context.data_folder).await? {
            NodeState::Running(client) => Ok(Self::attach(client)),
            NodeState::Absent(folder) => {
                let settings = node_settings::hasty(&context.config)?;
                let keys = Keys::unattended(context, &folder)?;
                let files = NodeFiles::for_a_moment(&folder, &keys)?;
                Self::own(context, &folder, &keys, &files, settings).await
            }
        }
    }

    /// Starts a node on `folder` that peers find at its addresses and by its key, and calls it without
    /// a socket.
    pub(super) async fn serving(context: &Context, folder: &DataFolder) -> anyhow::Result<Self> {
        let settings = node_settings::one_shot(&context.config)?;
        let keys = Keys::unattended(context, folder)?;
        let files = NodeFiles::new(folder, &keys)?;
        Self::own(context, folder, &keys, &files, settings).await
    }

    async fn own(
        context: &Context,
        folder: &DataFolder,
        keys: &Keys,
        files: &NodeFiles,
        settings: Settings,
    ) -> anyhow::Result<Self> {
        let settings = Settings {
            network_keys: network::keys(context)?,
            ..settings
        };
        let node = files.start(settings).await?;
        let router = router(context.app(&node, keys.users(folder, None)));
        let client = Client::in_process(router.clone());
        let (end_api, ended) = oneshot::channel();
        let api = context
            .config
            .api
            .enabled
            .then_some(context.config.api.listen);
        let api = tokio::spawn(serve_others(folder.path().to_owned(), api, router, ended));
        Ok(Self {
            client,
            own: Some(OwnNode { node, end_api, api }),
        })
    }

    /// Ends the node of a command that is done, once no other command uses it. Connections to peers
    /// are not closed.
    pub(super) async fn end(self, output: &Printer, signals: &mut Signals) {
        let Some(OwnNode {
            node,
            end_api,
            mut api,
        }) = self.own
        else {
            return;
        };
        // It fails if the API has ended: then there are no calls to wait for.
        let _ = end_api.send(());
        if timeout(QUIET_STAY, &mut api).await.is_err() {
            output.note("waiting for other commands that use this node");
            tokio::select! {
                _ = &mut api => {}
                () = signals.next() => stop(&node, api).await,
            }
        }
        node.sources_know().await;
        node.disconnect().await;
        // The process ends now, so closing the database would take time for nothing.
        std::mem::forget((node, self.client));
    }

    /// Ends the node of a command that was interrupted, within seconds and without losing data. The
    /// next signal ends the process immediately.
    pub(super) async fn stop(self, signals: Signals) {
        signals.exit_on_next();
        if let Some(own) = self.own {
            stop(&own.node, own.api).await;
        }
    }
}

/// Ends the API of a node, and the node.
pub(super) async fn stop(node: &Node, api: JoinHandle<()>) {
    api.abort();
    // The task is aborted, which also removes the file of the API.
    let _ = api.await;
    end(node).await;
}

/// Ends a node.
pub(super) async fn end(node: &Node) {
    if timeout(SHUTDOWN_TIMEOUT, node.shutdown()).await.is_err() {
        tracing::warn!("the node did not end in time; the process exits anyway");
    }
}

/// Serves the API at `listen` to other commands: until this command has ended and their calls are
/// done.
async fn serve_others(
    folder: PathBuf,
    listen: Option<SocketAddr>,
    router: Router,
    mut ended: oneshot::Receiver<()>,
) {
    let Some(listen) = listen else { return };
    if timeout(HEAD_START, &mut ended).await.is_ok() {
        return;
    }
    let ended = async {
        // An error also means that the command has ended.
        let _ = ended.await;
    };
    match LocalApi::open(&folder, listen).await {
        Ok(api) => api.serve(router, ended).await,
        Err(error) => tracing::warn!(%error, "other commands cannot use the node of this command"),
    }
}
