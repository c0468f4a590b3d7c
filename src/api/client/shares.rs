//! Calls about shares of this node and of other peers.

use axum::http::Method;

use super::{
    CallError, Client, Events,
    transport::{request, with_query},
};
use crate::api::{
    catalogue::INCOMPLETE,
    types::{
        BeingWritten, CatalogueQuery, CheckEvent, ContentInfo, ExcludedPath, Gateway, GatewayQuery,
        LinksQuery, Listed, OpenRequest, ShareEvent, ShareRequest, Shared, UnavailableShares,
        UnshareQuery,
    },
};

impl Client {
    /// The shares of the node.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn shares(&self) -> Result<Vec<Listed>, CallError> {
        self.list("/v1/shares").await
    }

    /// The files in watched folders that are not shared yet because programs may still write to
    /// them.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn being_written(&self) -> Result<BeingWritten, CallError> {
        self.get("/v1/being-written").await
    }

    /// The shares of the node that are not available.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn unavailable(&self) -> Result<UnavailableShares, CallError> {
        self.get("/v1/unavailable").await
    }

    /// The paths in watched folders that a person excluded from sharing.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn exclusions(&self) -> Result<Vec<ExcludedPath>, CallError> {
        self.get("/v1/exclusions").await
    }

    /// Shares a file or folder. Dropping the events before the last one stops it.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn share(&self, request: &ShareRequest) -> Result<Events<ShareEvent>, CallError> {
        self.stream("/v1/shares", request).await
    }

    /// Reads all shared files and compares them with their hashes. Dropping the events before the
    /// last one stops it.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn check_shares(&self) -> Result<Events<CheckEvent>, CallError> {
        self.stream("/v1/shares/check", &()).await
    }

    /// Stops sharing.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn unshare(&self, query: &UnshareQuery) -> Result<Vec<Shared>, CallError> {
        let request = request(Method::DELETE, &with_query("/v1/shares", query)?, None);
        self.answer(request?).await
    }

    /// The shares with a hash or a name, or all shares, each with its link; with `group`, those of the
    /// group with links for its members.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn links(
        &self,
        what: Option<&str>,
        group: Option<&str>,
    ) -> Result<Vec<Shared>, CallError> {
        let query = LinksQuery {
            what: what.map(str::to_owned),
            group: group.map(str::to_owned),
            ..LinksQuery::default()
        };
        self.list(&with_query("/v1/links", &query)?).await
    }

    /// The URL of `what` at the gateway: a hash, a link, or a name.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn gateway(&self, what: &str) -> Result<Gateway, CallError> {
        let query = GatewayQuery {
            what: what.to_owned(),
        };
        self.get(&with_query("/v1/gateway", &query)?).await
    }

    /// Describes content: its kind, its size and its holders.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn open(&self, request: &OpenRequest) -> Result<ContentInfo, CallError> {
        let request = serde_json::to_vec(request)?;
        self.answer(super::transport::request(
            Method::POST,
            "/v1/look",
            Some(request),
        )?)
        .await
    }

    /// The shares of one peer or of all peers in reach, and the number of peers whose shares are
    /// not all in the list.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn catalogue(&self, query: &CatalogueQuery) -> Result<(Vec<Listed>, u64), CallError> {
        let path = with_query("/v1/catalogue", query)?;
        let (listed, headers) = self.list_with_headers(&path).await?;
        let incomplete = headers.get(INCOMPLETE);
        let incomplete = incomplete.and_then(|count| count.to_str().ok()?.parse().ok());
        Ok((listed, incomplete.unwrap_or(0)))
    }
}
