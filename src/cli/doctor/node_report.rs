//! What a running node says of itself.

use crate::{
    api::types::{Health, Status, UnavailableShares},
    cli::{attach, context::Context},
};

/// What a running node says of itself.
pub(super) struct NodeReport {
    pub(super) status: Status,
    pub(super) health: Health,
    pub(super) unavailable: UnavailableShares,
}

/// The node that runs on the data folder, if one does.
pub(super) async fn ask(context: &Context) -> anyhow::Result<Option<NodeReport>> {
    let Some(client) = attach::find_running(&context.data_folder).await? else {
        return Ok(None);
    };
    Ok(Some(NodeReport {
        status: client.status().await?,
        health: client.health().await?,
        // A node of an older version does not know.
        unavailable: client.unavailable().await.unwrap_or_default(),
    }))
}
