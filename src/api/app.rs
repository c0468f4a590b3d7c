//! The state that all routes share: the node, the log and the settings of the program.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::extract::FromRef;

use super::{
    Log, Users,
    events::Snapshots,
    timed_limits::{TimedLimits, periods},
    web::WebService,
};
use crate::{config::LiveSettings, node::Node};

/// The state that all routes share. A handle: clones refer to the same state.
#[derive(Clone)]
pub struct App {
    pub(super) node: Node,
    pub(super) log: Log,
    pub(super) settings: Arc<LiveSettings>,
    pub(super) users: Users,
    pub(super) timed_limits: TimedLimits,
    pub(super) snapshots: Arc<Snapshots>,
    pub(super) web: WebService,
    /// When this state was created, in milliseconds since 1970.
    pub(super) started_unix_ms: u64,
}

impl App {
    /// The state of an API over `node`, with the log and the settings of the program.
    #[must_use]
    pub fn new(node: Node, log: Log, settings: Arc<LiveSettings>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_millis());
        Self {
            snapshots: Arc::new(Snapshots::new(node.clone())),
            web: WebService::default(),
            started_unix_ms: u64::try_from(now).unwrap_or(u64::MAX),
            node,
            log,
            settings,
            users: Users::default(),
            timed_limits: TimedLimits::default(),
        }
    }

    /// Lets the API change the user of the program.
    #[must_use]
    pub fn with_users(self, users: Users) -> Self {
        let users = users.of(self.node.clone());
        Self { users, ..self }
    }
}

impl App {
    /// Follows the schedule of limits in the settings, if there is one, until the node ends.
    pub fn follow_schedule(&self) {
        if periods(&self.settings.config()).is_empty() {
            return;
        }
        let (limits, node) = (self.timed_limits.clone(), self.node.clone());
        let settings = Arc::clone(&self.settings);
        self.node.duties().run("limit-schedule", move || {
            let (limits, node) = (limits.clone(), node.clone());
            let settings = Arc::clone(&settings);
            async move {
                limits.follow(node, settings).await;
                Ok(())
            }
        });
    }
}

impl FromRef<App> for TimedLimits {
    fn from_ref(app: &App) -> Self {
        app.timed_limits.clone()
    }
}

/// A node without a configuration: the API shows default settings, and changes last for this run
/// only.
impl From<Node> for App {
    fn from(node: Node) -> Self {
        let settings = LiveSettings::defaults();
        Self::new(node, Log::default(), Arc::new(settings))
    }
}

impl FromRef<App> for Arc<LiveSettings> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.settings)
    }
}

impl FromRef<App> for WebService {
    fn from_ref(app: &App) -> Self {
        app.web.clone()
    }
}

impl FromRef<App> for Node {
    fn from_ref(app: &App) -> Self {
        app.node.clone()
    }
}

impl FromRef<App> for Users {
    fn from_ref(app: &App) -> Self {
        app.users.clone()
    }
}

impl FromRef<App> for Log {
    fn from_ref(app: &App) -> Self {
        app.log.clone()
    }
}
