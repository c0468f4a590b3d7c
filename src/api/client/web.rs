//! Calls about links for browsers.

use axum::http::Method;

use super::{CallError, Client, transport::request};
use crate::api::types::{WebLink, WebLinkRequest};

impl Client {
    /// The links by which browsers download shares and upload files.
    ///
    /// # Errors
    ///
    /// [`CallError`], as all calls.
    pub async fn web_links(&self) -> Result<Vec<WebLink>, CallError> {
        self.get("/v1/web-links").await
    }

    /// Makes a link by which browsers download a share or upload files.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn add_web_link(&self, link: &WebLinkRequest) -> Result<WebLink, CallError> {
        let link = serde_json::to_vec(link)?;
        self.answer(request(Method::POST, "/v1/web-links", Some(link))?)
            .await
    }

    /// Withdraws a link.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn remove_web_link(&self, id: &str) -> Result<WebLink, CallError> {
        let path = format!("/v1/web-links/{id}");
        self.answer(request(Method::DELETE, &path, None)?).await
    }
}
