//! Queries of lists.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// Which page of a list to return.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Items of the page: 1 to 10000, by default 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The cursor from the `Link` header of the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Whose shares to list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CatalogueQuery {
    /// The address of a peer, to list its shares. Default: the shares of all peers in reach.
    #[serde(default)]
    pub peer: Option<String>,
    /// A group, by its id, at least 8 of its first digits, or its name, to list what its members share
    /// with it. Excludes `peer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Seconds to wait for responses of peers. Excludes `peer`.
    #[serde(default)]
    pub wait: Option<f64>,
    /// Items of the page: 1 to 10000, by default 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The cursor from the `Link` header of the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}
