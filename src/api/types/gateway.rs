//! URLs of content at the gateway, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which content to read through the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct GatewayQuery {
    /// A hash, a link, or the name of a share or download of this node.
    pub what: String,
}

/// The URL of content at the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gateway {
    /// The URL. It holds a secret: every program on this host that knows it can read the content.
    pub url: String,
    /// The same for other machines, if the gateway listens beyond loopback: everyone who learns one
    /// can read the content, over plain HTTP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls_elsewhere: Vec<String>,
    /// Remarks on it, each a sentence, such as who else can read content of a group by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
