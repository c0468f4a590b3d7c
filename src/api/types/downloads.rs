//! Details of downloads, and changes of them, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What a download waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "for", rename_all = "lowercase")]
pub enum Waiting {
    /// Its turn in the queue.
    Turn {
        /// The number of downloads before it, including those that run.
        ahead: u64,
    },
    /// A peer that has it, or the rest of it.
    Source {
        /// Seconds since it last had a source.
        seconds: f64,
        /// Which peers were asked, and with which results. For people.
        tried: String,
    },
    /// Data that was requested.
    Data {
        /// Seconds since anything arrived.
        seconds: f64,
        /// The ids of the peers that owe it.
        from: Vec<String>,
    },
    /// The download limit of this node.
    Limit {
        /// The limit.
        bytes_per_second: u64,
    },
    /// The end of the time for which it is paused.
    Pause {
        /// When it resumes by itself, in milliseconds since 1970.
        until_unix_ms: u64,
    },
}

/// Which symbolic links of a folder are created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Links)]
pub enum LinkPolicy {
    /// Links that stay inside the folder.
    #[default]
    Inside,
    /// All links, wherever they lead.
    All,
    /// No links.
    None,
}

/// How the copy of a folder on disk differs from the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Differences {
    /// The number of entries with another name.
    pub renamed: u64,
    /// The number of symbolic links that were left out.
    pub links_left_out: u64,
    /// The first differences: at most 1000 of a complete download, and 20 of one in a list.
    pub listed: Vec<Difference>,
}

/// One difference between a folder and its copy on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "difference", rename_all = "kebab-case")]
pub enum Difference {
    /// The file system cannot store the name of an entry, which has another name instead.
    Renamed {
        /// The path of the entry in the folder. Any text.
        path: String,
        /// Its name on disk.
        name: String,
    },
    /// A symbolic link was left out.
    LinkLeftOut {
        /// Its path in the folder. Any text.
        path: String,
        /// Its target. Any text.
        target: String,
        /// The reason, for people.
        why: String,
    },
}

/// The blocks of a download, and the sources that sent them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadDetail {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// The number of its blocks of 16 KiB; 0 until it is known.
    pub block_count: u64,
    /// The blocks, in at most 1024 runs of equal length (the last may be shorter). For each run:
    /// how much of its requested content is verified, from 0 to 255 (all); and the index of the
    /// source that sent its latest block, or null.
    pub cells: Vec<(u8, Option<u16>)>,
    /// The peers that were asked.
    pub sources: Vec<DownloadSource>,
}

/// A source of a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadSource {
    /// Its identity.
    pub peer_id: String,
    /// Its name, while it is connected. Any text.
    pub name: Option<String>,
    /// Its multiaddr, while it is connected.
    pub address: Option<String>,
    /// Verified bytes that it sent.
    pub received_bytes: u64,
    /// Bytes per second, at present.
    pub bytes_per_second: u64,
    /// `asked`, `idle`, `sending`, `gone` or `refused`.
    pub state: String,
}

/// The followers of a download. It pauses when it has none and is not detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Followers {
    /// The number of callers that follow it.
    pub followers: u64,
    /// Whether the node continues it without followers.
    pub detached: bool,
}

/// A position in the queue of downloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Place)]
pub enum QueuePosition {
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// Just before this one: a hash, at least 6 of its first digits, or a name.
    Before(String),
}

/// A request to move a download in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderChange {
    /// The new position.
    pub place: QueuePosition,
}

/// How long to pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PauseQuery {
    /// Seconds after which it resumes by itself. Default: it stays paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<f64>,
}

/// How to resume a download.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ResumeQuery {
    /// An absolute path to which it moves; if that is an existing folder, inside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Whether it moves to a free path beside the present one, such as `name (2)`: other content is at
    /// that one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
}

/// How to remove a download from the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RemoveQuery {
    /// Whether to remove the downloaded files, too.
    #[serde(default)]
    pub data: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_words_or_name_another_download() {
        for (json, place) in [
            (r#"{"place":"first"}"#, QueuePosition::First),
            (
                r#"{"place":{"before":"x"}}"#,
                QueuePosition::Before("x".to_owned()),
            ),
        ] {
            let change = OrderChange { place };
            assert_eq!(serde_json::from_str::<OrderChange>(json).unwrap(), change);
            assert_eq!(serde_json::to_string(&change).unwrap(), json);
        }
    }
}
