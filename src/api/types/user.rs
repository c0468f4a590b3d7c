//! The user of a node, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether a node has a user, and whether the user is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserState {
    /// The node has no user. It runs under a key that is stored in clear.
    None,
    /// The user is logged out: no network runs, and the API answers status and login only.
    Locked,
    /// The user is logged in.
    Unlocked,
}

/// The user of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserStatus {
    /// Whether there is a user, and whether the user is logged in.
    pub state: UserState,
    /// The user, if there is one.
    pub user: Option<User>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The public key, in hex.
    pub key: String,
    /// The name, which other people see.
    pub name: String,
    /// Whether a passphrase seals the keys. Without one, everyone who reads the data folder has
    /// them.
    pub has_passphrase: bool,
}

/// A user to create.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The name, which other people see: at most 128 bytes.
    pub name: String,
    /// The passphrase that seals the keys; null: none.
    pub passphrase: Option<String>,
}

/// Another name of the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserName {
    /// The new name.
    pub name: String,
}

/// Another passphrase of the user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PassphraseChange {
    /// The passphrase so far; null if there is none.
    pub current: Option<String>,
    /// The new passphrase; null: none.
    pub new: Option<String>,
}

/// A passphrase with which the user logs in.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The passphrase; null if the user has none.
    pub passphrase: Option<String>,
}

/// A sealed user to keep, or to move to another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportedUser {
    /// The bytes of the file, in hex. The passphrase of the user opens them.
    pub sealed: String,
}

/// A sealed user to import.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserImport {
    /// The bytes of the exported file, in hex.
    pub sealed: String,
    /// The passphrase of the user; null if there is none.
    pub passphrase: Option<String>,
}

hidden!(Login, NewUser, PassphraseChange, UserImport);
