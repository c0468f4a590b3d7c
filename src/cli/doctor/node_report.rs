//! The state of a running node.

use crate::{
    api::types::{Health, Setting, Status, UnavailableShares},
    cli::{attach, context::Context},
};

/// The state of a running node.
pub(super) struct NodeReport {
    pub(super) status: Status,
    pub(super) health: Health,
    pub(super) unavailable: UnavailableShares,
    /// Its settings, which flags and variables may have set for the node alone.
    pub(super) settings: Vec<Setting>,
}

/// The state of the node that runs on the data folder; none if no node runs.
pub(super) async fn ask(context: &Context) -> anyhow::Result<Option<NodeReport>> {
    let Some(client) = attach::find_running(&context.data_folder).await? else {
        return Ok(None);
    };
    Ok(Some(NodeReport {
        status: client.status().await?,
        health: client.health().await?,
        // A node of an older version has no such route.
        unavailable: client.unavailable().await.unwrap_or_default(),
        settings: client.settings().await.unwrap_or_default(),
    }))
}
