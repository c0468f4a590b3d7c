//! Calls about the node itself.

use axum::http::Method;

use super::{
    CallError, Changes, Client,
    transport::{request, with_query},
};
use crate::api::types::{
    EventsQuery, Health, Limits, LimitsChange, Peer, Setting, SettingsChange, Status, Upload,
};

impl Client {
    /// The status of the node.
    ///
    /// # Errors
    ///
    /// [`CallError`], as all calls.
    pub async fn status(&self) -> Result<Status, CallError> {
        self.get("/v1/status").await
    }

    /// Word of the changes of these topics, separated by commas, such as `downloads`.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn changes(&self, of: &str) -> Result<Changes, CallError> {
        let of = EventsQuery {
            of: Some(of.to_owned()),
        };
        let request = request(Method::GET, &with_query("/v1/events", &of)?, None)?;
        Ok(Changes::new(self.0.call(request).await?.into_body()))
    }

    /// Ends the node. The answer comes before the end.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn stop(&self) -> Result<(), CallError> {
        let request = request(Method::POST, "/v1/stop", None)?;
        self.0.call(request).await.map(drop)
    }

    /// The connected peers.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn peers(&self) -> Result<Vec<Peer>, CallError> {
        self.list("/v1/peers").await
    }

    /// What the node sends to peers, and what it has sent.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn uploads(&self) -> Result<Vec<Upload>, CallError> {
        self.list("/v1/uploads").await
    }

    /// The health of the node.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn health(&self) -> Result<Health, CallError> {
        self.get("/v1/health").await
    }

    /// The rate limits of transfers.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn limits(&self) -> Result<Limits, CallError> {
        self.get("/v1/limits").await
    }

    /// Changes rate limits.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn set_limits(&self, change: &LimitsChange) -> Result<Limits, CallError> {
        let change = serde_json::to_vec(change)?;
        self.answer(request(Method::PUT, "/v1/limits", Some(change))?)
            .await
    }

    /// All settings.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn settings(&self) -> Result<Vec<Setting>, CallError> {
        self.get("/v1/settings").await
    }

    /// Changes settings, and saves the changes for later runs.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn change_settings(
        &self,
        change: &SettingsChange,
    ) -> Result<Vec<Setting>, CallError> {
        let change = serde_json::to_vec(change)?;
        self.answer(request(Method::PATCH, "/v1/settings", Some(change))?)
            .await
    }
}
