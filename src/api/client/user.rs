//! Calls about the user of the node.

use axum::http::Method;
use serde::Serialize;

use super::{CallError, Client, transport::request};
use crate::api::{
    hex,
    types::{Login, NewUser, PassphraseChange, UserImport, UserName, UserStatus},
};

impl Client {
    /// The user of the node, and whether the user is logged in.
    ///
    /// # Errors
    ///
    /// [`CallError`], as all calls.
    pub async fn user(&self) -> Result<UserStatus, CallError> {
        self.get("/v1/user").await
    }

    /// Creates the user. The node restarts.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn create_user(&self, new: &NewUser) -> Result<UserStatus, CallError> {
        self.change_user(Method::POST, "/v1/user", new).await
    }

    /// Changes the name of the user.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn rename_user(&self, name: &str) -> Result<UserStatus, CallError> {
        let name = name.to_owned();
        self.change_user(Method::PATCH, "/v1/user", &UserName { name })
            .await
    }

    /// Changes the passphrase of the user.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn change_passphrase(
        &self,
        change: &PassphraseChange,
    ) -> Result<UserStatus, CallError> {
        self.change_user(Method::PUT, "/v1/user/passphrase", change)
            .await
    }

    /// Imports the bytes of an exported user. The node restarts.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn import_user(
        &self,
        sealed: &[u8],
        passphrase: Option<String>,
    ) -> Result<UserStatus, CallError> {
        let sealed = hex::encode(sealed);
        let import = UserImport { sealed, passphrase };
        self.change_user(Method::POST, "/v1/user/import", &import)
            .await
    }

    /// Logs in. The node restarts.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn log_in(&self, passphrase: Option<String>) -> Result<UserStatus, CallError> {
        let login = Login { passphrase };
        self.change_user(Method::POST, "/v1/login", &login).await
    }

    /// Logs out. The node restarts.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn log_out(&self) -> Result<(), CallError> {
        let request = request(Method::POST, "/v1/logout", None)?;
        self.0.call(request).await.map(drop)
    }

    async fn change_user(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<UserStatus, CallError> {
        let body = serde_json::to_vec(body)?;
        self.answer(request(method, path, Some(body))?).await
    }
}
