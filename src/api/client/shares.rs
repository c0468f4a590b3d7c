//! Calls about content, shared here or by others.

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
    /// What it shares.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn shares(&self) -> Result<Vec<Listed>, CallError> {
        self.list("/v1/shares").await
    }

    /// Which files in its watched folders it does not share yet, as programs may still write to them.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn being_written(&self) -> Result<BeingWritten, CallError> {
        self.get("/v1/being-written").await
    }

    /// What is not available of what the node shares.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn unavailable(&self) -> Result<UnavailableShares, CallError> {
        self.get("/v1/unavailable").await
    }

    /// The places in watched folders that a person withdrew.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn exclusions(&self) -> Result<Vec<ExcludedPath>, CallError> {
        self.get("/v1/exclusions").await
    }

    /// Shares a path. Dropping the events before the last ends it.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn share(&self, request: &ShareRequest) -> Result<Events<ShareEvent>, CallError> {
        self.stream("/v1/shares", request).await
    }

    /// Reads all that is shared, and compares it with what is listed. Dropping the events before the
    /// last ends it.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn check_shares(&self) -> Result<Events<CheckEvent>, CallError> {
        self.stream("/v1/shares/check", &()).await
    }

    /// Ends sharing `what`: a hash or a name.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn unshare(
        &self,
        what: &str,
        path: Option<String>,
    ) -> Result<Vec<Shared>, CallError> {
        let query = UnshareQuery {
            what: what.to_owned(),
            path,
        };
        let request = request(Method::DELETE, &with_query("/v1/shares", &query)?, None);
        self.answer(request?).await
    }

    /// What is shared under a hash or a name, or all that is, each with its link.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn links(&self, what: Option<&str>) -> Result<Vec<Shared>, CallError> {
        let query = LinksQuery {
            what: what.map(str::to_owned),
            ..LinksQuery::default()
        };
        self.list(&with_query("/v1/links", &query)?).await
    }

    /// Where to read `what` through the gateway: a hash, a link, or a name.
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

    /// What some content is, and who has it.
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

    /// What one peer shares, or all in reach; and how many of them share more than that.
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
