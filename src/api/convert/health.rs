//! The health of a node, as JSON types.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{
    api::types,
    node::{self, DutyState},
};

impl From<node::Health> for types::Health {
    fn from(from: node::Health) -> Self {
        Self {
            peers: from.peers,
            inbound_peers: from.inbound_peers,
            dht_nodes: from.dht_nodes,
            bootstrap: from.bootstrap,
            bootstrap_connected: from.bootstrap_connected,
            identity_clash: from.identity_clash.map(|address| address.to_string()),
            limits: from.limits.into(),
            watches: from.watches.into_iter().map(Into::into).collect(),
            duties: from.duties.into_iter().map(Into::into).collect(),
            disks: from.disks.into_iter().map(Into::into).collect(),
            waiting: from.waiting.into_iter().map(Into::into).collect(),
            waiting_count: from.waiting_count,
            share_states: from
                .share_states
                .into_iter()
                .map(|(state, count)| (state.to_owned(), count))
                .collect(),
            set_aside: from
                .set_aside
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            notices: from.notices.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<node::SystemLimits> for types::SystemLimits {
    fn from(from: node::SystemLimits) -> Self {
        Self {
            open_files: from.open_files,
            max_open_files: from.max_open_files,
            watches: from.watches,
            max_watches: from.max_watches,
            memory_bytes: from.memory,
            cgroup: from.cgroup,
            cgroup_memory_bytes: from.cgroup_memory,
            max_cgroup_memory_bytes: from.max_cgroup_memory,
            connections_budget_bytes: from.connections_budget,
            read_ahead_budget_bytes: from.read_ahead_budget,
        }
    }
}

impl From<node::WatchedFolder> for types::WatchedFolder {
    fn from(from: node::WatchedFolder) -> Self {
        let unread = from
            .unread
            .into_iter()
            .map(|(path, why)| types::UnreadFile {
                path: path.display().to_string(),
                why,
            });
        Self {
            path: from.path.display().to_string(),
            is_there: from.is_there,
            relies_on: from.relies_on.as_str().to_owned(),
            interval_seconds: seconds(from.relies_on),
            why: from.why,
            watches: from.watches,
            parts: from.parts.into_iter().map(Into::into).collect(),
            parts_count: from.parts_count,
            failure: from.failure,
            unread: unread.collect(),
            unread_count: from.unread_count,
            looked_at_unix_ms: from.looked_at.map(unix_ms),
            looks_since_unix_ms: from.looks_since.map(unix_ms),
        }
    }
}

impl From<node::WatchedPart> for types::WatchedPart {
    fn from(from: node::WatchedPart) -> Self {
        Self {
            path: from.path.display().to_string(),
            relies_on: from.relies_on.as_str().to_owned(),
            interval_seconds: seconds(from.relies_on),
            why: from.why,
        }
    }
}

impl From<node::Duty> for types::Duty {
    fn from(from: node::Duty) -> Self {
        let (state, again) = match from.state {
            DutyState::Running => ("running", None),
            DutyState::Waiting(until) => ("waiting", Some(unix_ms(until))),
            DutyState::Ended => ("ended", None),
        };
        Self {
            name: from.name,
            state: state.to_owned(),
            restarts: from.restarts,
            failed_unix_ms: from.failure.as_ref().map(|failure| unix_ms(failure.at)),
            error: from.failure.map(|failure| failure.error),
            restarts_unix_ms: again,
        }
    }
}

impl From<node::DiskSpace> for types::DiskSpace {
    fn from(from: node::DiskSpace) -> Self {
        Self {
            path: from.path.display().to_string(),
            size: from.size,
            free: from.free,
            reserve: from.reserve,
        }
    }
}

impl From<node::WaitingDownload> for types::WaitingDownload {
    fn from(from: node::WaitingDownload) -> Self {
        Self {
            hash: from.hash.to_string(),
            name: from.name,
            why: from.why,
        }
    }
}

impl From<node::Notice> for types::Notice {
    fn from(from: node::Notice) -> Self {
        Self {
            kind: from.kind.as_str().to_owned(),
            subject: from.subject,
            problem: from.is_problem,
            what: from.what,
            why: from.why,
            remedy: from.remedy,
        }
    }
}

fn seconds(relies_on: node::RelyOn) -> Option<u64> {
    relies_on.interval().map(|interval| interval.as_secs())
}

pub(in crate::api) fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
