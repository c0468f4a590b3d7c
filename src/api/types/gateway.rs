//! URLs of content.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What to read through the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct GatewayQuery {
    /// A hash, a link, or the name of something that is shared or downloaded here.
    pub what: String,
}

/// Where to read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gateway {
    /// Whoever has this URL can read the content, as long as the node runs: it holds a secret.
    pub url: String,
}
