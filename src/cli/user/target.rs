//! Where a command changes the user: at the running node, or in this process.

use tokio::sync::mpsc;

use crate::{
    api::{
        Client, Transition,
        types::{UserState, UserStatus},
        user_router,
    },
    cli::{
        attach::{self, NodeState},
        context::Context,
        keys::Keys,
    },
    store::DataFolder,
};

/// Where a command changes the user.
pub(super) struct Target<'a> {
    context: &'a Context,
    pub(super) client: Client,
    here: Option<Here>,
}

/// The files of the user, while no node runs.
struct Here {
    folder: DataFolder,
    /// No node restarts.
    _transitions: mpsc::Receiver<Transition>,
}

impl<'a> Target<'a> {
    /// The running node, or the files of the user.
    pub(super) async fn open(context: &'a Context) -> anyhow::Result<Self> {
        let (client, here) = match attach::find_or_lock(&context.data_folder).await? {
            NodeState::Running(client) => (client, None),
            NodeState::Absent(folder) => {
                let (sender, _transitions) = mpsc::channel(1);
                let users = Keys::unattended(context, &folder)?.users(&folder, Some(sender));
                let client = Client::in_process(user_router(users));
                let here = Here {
                    folder,
                    _transitions,
                };
                (client, Some(here))
            }
        };
        Ok(Self {
            context,
            client,
            here,
        })
    }

    /// The user; unlocked without a running node if commands can log in by themselves.
    pub(super) async fn status(&self) -> anyhow::Result<UserStatus> {
        let status = self.client.user().await?;
        let Some(here) = &self.here else {
            return Ok(status);
        };
        let state = match Keys::unattended(self.context, &here.folder)? {
            Keys::WithoutUser => UserState::None,
            Keys::Unlocked(_) => UserState::Unlocked,
            Keys::Locked(_) => UserState::Locked,
        };
        Ok(UserStatus { state, ..status })
    }

    /// The user, once the running node has restarted into `state`.
    pub(super) async fn status_once(&self, state: UserState) -> anyhow::Result<UserStatus> {
        match self.here {
            Some(_) => self.status().await,
            None => attach::wait_for_user(self.context, state).await,
        }
    }
}
