//! The state of a running node.

use crate::{
    api::{
        Client,
        types::{Health, Status, UnavailableShares},
    },
    cli::{attach, context::Context},
};

/// The state of a running node.
pub(super) struct NodeReport {
    pub(super) status: Status,
    pub(super) health: Health,
    pub(super) unavailable: UnavailableShares,
    /// Whether it looks for nodes on the local network; none if it does not say.
    pub(super) has_mdns: Option<bool>,
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
        has_mdns: has_mdns(&client).await,
    }))
}

/// A flag or a variable may have set it for the node alone.
async fn has_mdns(client: &Client) -> Option<bool> {
    let settings = client.settings().await.ok()?;
    let mdns = settings
        .iter()
        .find(|setting| setting.name == "network.mdns");
    mdns?.value.as_bool()
}
