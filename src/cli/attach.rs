//! Which node a command talks to: the running one, or one of its own.
//!
//! The lock on the data folder is the truth. Only while somebody holds it is `api.json` believed, and
//! only then is the token sent. Where nobody does, the command takes the lock and runs a node itself,
//! which other commands then find in the same way.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Router;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{context::Context, local, node_settings, output::Output, signals::Signals};
use crate::{
    api::{ApiFile, Client, Local, router, types::ErrorInfo},
    node::Node,
    store::{DataFolder, LockError},
};

/// How long a node that has the data folder may take until its API answers: it starts or ends.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often that is tried.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// A command that is over sooner needs no API for others: they find its node gone.
const HEAD_START: Duration = Duration::from_millis(50);

/// How long to stay for others' calls without a word.
const QUIET_STAY: Duration = Duration::from_millis(200);

/// How long a node may take to end; it takes less by itself. More than a few seconds only pass while
/// the content of a download is being put in place.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(14);

/// What there is on a data folder.
pub(super) enum NodeState {
    /// A node, and this reaches it.
    Running(Client),
    /// None, and nobody else can start one now.
    Absent(DataFolder),
}

/// A client of the node that runs on the data folder, if there is one.
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

/// The same, or an error where there is none.
pub(super) async fn require_running(context: &Context) -> anyhow::Result<Client> {
    let folder = &context.data_folder;
    find_running(folder).await?.ok_or_else(|| {
        let message = format!("no node is running on {}: pelago start", folder.display());
        ErrorInfo::new("no-node", message).into()
    })
}

/// The node that runs on the data folder, else the folder itself.
pub(super) async fn find_or_lock(folder: &Path) -> anyhow::Result<NodeState> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(client) = find_running(folder).await? {
            return Ok(NodeState::Running(client));
        }
        match local::lock(folder) {
            // Another command was quicker: its node does.
            Err(error)
                if matches!(error.downcast_ref(), Some(LockError::InUse { .. }))
                    && Instant::now() < deadline => {}
            result => return Ok(NodeState::Absent(result?)),
        }
    }
}

fn unreachable(folder: &Path) -> ErrorInfo {
    let message = format!(
        "a node has the data folder {}, but its API does not answer: it may be starting, ending, or \
         run with `--api off`",
        folder.display()
    );
    let hint = "try again, end that node, or use another folder with --data-dir";
    ErrorInfo::new("api-unreachable", message).with_hint(hint)
}

/// A client, and the node of our own behind it, if there is one.
pub(super) struct NodeHandle {
    pub(super) client: Client,
    own: Option<OwnNode>,
}

/// A node that exists for one command, and for those that attach meanwhile.
struct OwnNode {
    node: Node,
    end_api: oneshot::Sender<()>,
    api: JoinHandle<()>,
}

impl NodeHandle {
    /// Whether its node runs in another process, which logs elsewhere.
    pub(super) const fn is_attached(&self) -> bool {
        self.own.is_none()
    }

    /// With the running node.
    pub(super) const fn attach(client: Client) -> Self {
        Self { client, own: None }
    }

    /// Attaches to the running node, or starts one.
    pub(super) async fn open(context: &Context) -> anyhow::Result<Self> {
        match find_or_lock(&context.data_folder).await? {
            NodeState::Running(client) => Ok(Self::attach(client)),
            NodeState::Absent(folder) => Self::own(context, &folder).await,
        }
    }

    /// Starts a node on `folder`, and talks to it without a socket.
    pub(super) async fn own(context: &Context, folder: &DataFolder) -> anyhow::Result<Self> {
        let settings = node_settings::one_shot(&context.config)?;
        let node = local::NodeFiles::new(folder)?.start(settings).await?;
        let router = router(context.app(&node));
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

    /// The command is done: stays while others are attached, and does not say good-bye to peers.
    pub(super) async fn end(self, output: &Output, signals: &mut Signals) {
        let Some(OwnNode {
            node,
            end_api,
            mut api,
        }) = self.own
        else {
            return;
        };
        // If nobody listens any more, there are no calls to wait for.
        let _ = end_api.send(());
        if timeout(QUIET_STAY, &mut api).await.is_err() {
            output.note("staying until other commands that use this node are done");
            tokio::select! {
                _ = &mut api => {}
                () = signals.next() => stop(&node, api).await,
            }
        }
        // The process ends now: closing connections and the database in good order is for nobody.
        std::mem::forget((node, self.client));
    }

    /// The command was interrupted: ends a node of our own within seconds, keeping what it has. The
    /// next signal ends the process at once.
    pub(super) async fn stop(self, signals: Signals) {
        signals.exit_on_next();
        if let Some(own) = self.own {
            stop(&own.node, own.api).await;
        }
    }
}

/// Ends a node and its API.
pub(super) async fn stop(node: &Node, api: JoinHandle<()>) {
    api.abort();
    // It ends by being aborted, which removes its file.
    let _ = api.await;
    end(node).await;
}

/// Ends a node.
pub(super) async fn end(node: &Node) {
    if timeout(SHUTDOWN_TIMEOUT, node.shutdown()).await.is_err() {
        tracing::warn!("the node did not end in time");
    }
}

/// Serves the API at `listen` to other commands, until they are done after the command itself is.
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
        // An error means that the command is gone, too.
        let _ = ended.await;
    };
    match Local::open(&folder, listen).await {
        Ok(api) => api.serve(router, ended).await,
        Err(error) => tracing::warn!(%error, "other commands cannot use this node"),
    }
}
