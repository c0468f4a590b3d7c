//! Signing in to the web page, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A one-time code with which a page signs in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Code {
    /// The code. It is valid once.
    pub code: String,
    /// Seconds until it expires.
    pub seconds: u64,
    /// A file that opens the page with this code, if it was requested and the node has a data
    /// folder. Only its owner can read it. It is removed when the code is used or expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Other origins at which the code opens the page (`api.allowed_origins`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
}

/// How to return a code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CodeQuery {
    /// Whether to write a file that opens the page. Other users can see the arguments of programs,
    /// and a file keeps the code out of them.
    pub file: bool,
}

/// A request of a page to sign in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The code that the page was opened with.
    pub code: String,
}

/// The session of a page.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// The secret from which the page derives a bearer for the next run of the node. The page never
    /// sends it.
    pub secret: String,
    /// The credential that the page sends as `Authorization: Bearer` in this run.
    pub bearer: String,
}

/// One run of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// The id of the run, which is new and unpredictable at each start.
    pub run: String,
}

hidden!(Code, Session, SignIn);
