//! What a download waits for, and what is done with one, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What a download waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "for", rename_all = "lowercase")]
pub enum Waiting {
    /// Its turn.
    Turn {
        /// How many come before it, with those that fetch.
        ahead: u64,
    },
    /// A peer that has it, or the rest of it.
    Source {
        /// How long there has been none.
        seconds: f64,
        /// Who was asked, and what came of it. For people.
        tried: String,
    },
    /// Our own limit.
    Limit {
        /// What it lets in.
        bytes_per_second: u64,
    },
}

/// Which symbolic links of a folder are created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Links)]
pub enum LinkPolicy {
    /// Those that stay inside the folder.
    #[default]
    Inside,
    /// All, wherever they lead.
    All,
    /// None.
    None,
}

/// What of a folder lies here other than the folder says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Differences {
    /// How many entries have another name.
    pub renamed: u64,
    /// How many symbolic links are left out.
    pub links_left_out: u64,
    /// The first of them: at most 1000 of a complete download, and 20 of one in a list.
    pub listed: Vec<Difference>,
}

/// Something of a folder that lies here other than the folder says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "difference", rename_all = "kebab-case")]
pub enum Difference {
    /// The file system cannot hold the name of an entry.
    Renamed {
        /// The path of the entry in the folder. Any text.
        path: String,
        /// What it is called here.
        name: String,
    },
    /// A symbolic link is not created.
    LinkLeftOut {
        /// Its path in the folder. Any text.
        path: String,
        /// Its target. Any text.
        target: String,
        /// Why, for people.
        why: String,
    },
}

/// Where the blocks of a download came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadDetail {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// Its blocks of 16 KiB; 0 until that is known.
    pub block_count: u64,
    /// They, in at most 1024 equal runs (the last may be shorter): how much of each is verified, 0 nothing
    /// and 255 all that is wanted of it; and which of the sources sent the latest of it, if one did.
    pub cells: Vec<(u8, Option<u16>)>,
    /// Who was asked.
    pub sources: Vec<DownloadSource>,
}

/// A source of a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadSource {
    /// Its identity.
    pub peer_id: String,
    /// What it calls itself, while it is connected. Any text.
    pub name: Option<String>,
    /// Where it is, as a multiaddr, while it is connected.
    pub address: Option<String>,
    /// Bytes it sent that were proven.
    pub received_bytes: u64,
    /// Bytes a second, at present.
    pub bytes_per_second: u64,
    /// `asked`, `idle`, `sending`, `gone` or `refused`.
    pub state: String,
}

/// Who wants a download to go on: it is paused when there is nobody any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Followers {
    /// How many follow it.
    pub followers: u64,
    /// Whether the node runs it by itself.
    pub detached: bool,
}

/// Where to put a download in the order of those that wait.
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

/// A download's new place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderChange {
    /// Where to.
    pub place: QueuePosition,
}

/// How to remove a download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RemoveQuery {
    /// Whether what was downloaded goes, too.
    #[serde(default)]
    pub data: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_words_or_name_another_download() {
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
