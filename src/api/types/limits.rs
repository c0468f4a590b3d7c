//! Rate limits of transfers, in JSON.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// Rate limits of transfers, in bytes per second; null: unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// To all peers together.
    pub upload: Option<u64>,
    /// From all peers together.
    pub download: Option<u64>,
    /// To each peer.
    pub upload_per_peer: Option<u64>,
    /// From each peer.
    pub download_per_peer: Option<u64>,
    /// Until when limits hold that were chosen for some time, in milliseconds since 1970. Absent if
    /// there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix_ms: Option<u64>,
}

/// A change of limits. Null or 0 removes a limit, and an absent one stays unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsChange {
    /// To all peers together.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub upload: Option<Option<u64>>,
    /// From all peers together.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub download: Option<Option<u64>>,
    /// To each peer.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub upload_per_peer: Option<Option<u64>>,
    /// From each peer.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub download_per_peer: Option<Option<u64>>,
    /// How many seconds the change holds, until the node restarts at the latest. It is not saved.
    /// Default: it is saved, and lifts limits that were chosen for some time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<f64>,
}

/// Deserialises a field that is present, even if it is null.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_limit_differs_from_null() {
        let change: LimitsChange = serde_json::from_str(r#"{"upload":null,"download":5}"#).unwrap();
        let expected = LimitsChange {
            upload: Some(None),
            download: Some(Some(5)),
            ..LimitsChange::default()
        };
        assert_eq!(change, expected);
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(text, r#"{"upload":null,"download":5}"#);
    }
}
