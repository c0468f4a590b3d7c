//! Turns the health of a node into notices, each with its cause and what to do about it.
//!
//! Each part of the node that learns of a fact keeps it in its own type, and has one line in
//! [`of`]. Pure.

use std::time::Duration;

use super::{
    DiskSpace, Health, Notice, NoticeKind, SystemLimits, watched_folder::of_watched_folder,
};
use crate::{
    duties::{Duty, DutyState},
    node::{DownloadState, DownloadStatus, WaitReason},
    store::{ByteSize, Printable, ShareState, TimeSpan},
};

/// How long a restarted task is still mentioned.
const RECENT: Duration = Duration::from_secs(60);

/// The most notices: more than a person reads.
const MAX_NOTICES: usize = 200;

/// The most downloads with a notice.
const MAX_DOWNLOADS: usize = 50;

/// The notices of a node, one line for each part of it. Problems come first.
pub(super) fn of(health: &Health, downloads: &[DownloadStatus]) -> Vec<Notice> {
    let mut notices = Vec::new();
    notices.extend(health.watches.iter().flat_map(of_watched_folder));
    notices.extend(health.duties.iter().filter_map(of_duty));
    notices.extend(of_limits(&health.limits));
    notices.extend(of_memory(&health.limits));
    notices.extend(health.disks.iter().filter_map(of_disk));
    let of_downloads = downloads.iter().filter_map(of_download);
    notices.extend(of_downloads.take(MAX_DOWNLOADS));
    notices.extend(of_identity(health));
    notices.extend(of_bootstrap(health));
    notices.extend(of_shares(health));
    notices.extend(of_clock(health));
    notices.extend(of_set_aside(health));
    notices.sort_by_key(|notice| (!notice.is_problem, notice.kind));
    notices.truncate(MAX_NOTICES);
    notices
}

/// The notice of a background task that failed recently.
fn of_duty(duty: &Duty) -> Option<Notice> {
    let failure = duty.failure.as_ref()?;
    let is_waiting = matches!(duty.state, DutyState::Waiting(_));
    let is_recent = failure.at.elapsed().unwrap_or_default() < RECENT;
    let now = if is_waiting {
        "restarts within 60 s"
    } else {
        "runs again"
    };
    (is_waiting || is_recent).then(|| Notice {
        kind: NoticeKind::Duty,
        subject: Some(duty.name.clone()),
        is_problem: is_waiting,
        what: format!("the background task {} failed and {now}", duty.name),
        why: failure.error.clone(),
        remedy: is_waiting.then(|| "remove the cause: the task restarts by itself".to_owned()),
    })
}

/// The notices of limits of which four fifths are used.
fn of_limits(limits: &SystemLimits) -> Vec<Notice> {
    let is_near = |used: u64, limit: u64| used >= limit / 5 * 4;
    let mut notices = Vec::new();
    if let (Some(used), Some(limit)) = (limits.open_files, limits.max_open_files)
        && is_near(used, limit)
    {
        notices.push(Notice {
            kind: NoticeKind::Limit,
            subject: None,
            is_problem: used + 8 >= limit,
            what: format!("the node has {used} of {limit} files and connections open"),
            why: "that is the limit of the system for its process".to_owned(),
            remedy: Some(
                "start the node after `ulimit -n 4096`, or with LimitNOFILE=4096 in its service"
                    .to_owned(),
            ),
        });
    }
    if let Some(limit) = limits.max_watches
        && limits.watches > 0
        && is_near(limits.watches, limit)
    {
        notices.push(Notice {
            kind: NoticeKind::Limit,
            subject: None,
            is_problem: false,
            what: format!("the node has {} of {limit} inotify watches", limits.watches),
            why: "each watched directory takes one, and folders without one are scanned every 60 s"
                .to_owned(),
            remedy: Some(format!("sysctl fs.inotify.max_user_watches={}", 4 * limit)),
        });
    }
    notices
}

fn of_memory(limits: &SystemLimits) -> Option<Notice> {
    let (used, limit) = (limits.memory?, limits.max_cgroup_memory?);
    let group = limits.cgroup.as_deref().unwrap_or_default();
    (used >= limit / 10 * 9).then(|| Notice {
        kind: NoticeKind::Memory,
        subject: None,
        is_problem: true,
        what: format!(
            "the node holds {} of {} of memory",
            ByteSize(used),
            ByteSize(limit)
        ),
        why: format!("the system kills the node when the control group {group} exceeds its limit"),
        remedy: Some(
            "raise the limit of its container or service, or lower network.memory_budget_mib"
                .to_owned(),
        ),
    })
}

fn of_disk(disk: &DiskSpace) -> Option<Notice> {
    let path = disk.path.display();
    (disk.free < disk.reserve).then(|| Notice {
        kind: NoticeKind::Disk,
        subject: Some(path.to_string()),
        is_problem: true,
        what: format!(
            "the disk with {path} has {} free, and downloads keep {} free",
            ByteSize(disk.free),
            ByteSize(disk.reserve)
        ),
        why: "other programs or finished downloads filled it, and downloads to it stop".to_owned(),
        remedy: Some("free space: pelago remove --with-data, or delete other files".to_owned()),
    })
}

/// The notice of a download that has failed, waits for a source, or may not finish.
fn of_download(download: &DownloadStatus) -> Option<Notice> {
    let (name, hash) = (&download.name, download.hash);
    let notice = |is_problem, what: String, why: String, remedy: Option<String>| Notice {
        kind: NoticeKind::Download,
        subject: Some(hash.to_string()),
        is_problem,
        what,
        why,
        remedy,
    };
    if let (DownloadState::Failed, Some(failure)) = (download.state, &download.failure) {
        let what = format!("the download {name} failed");
        let again = format!("resume it: pelago resume {hash}");
        let remedy = failure.hint.clone().unwrap_or(again);
        // Some errors have a list after their first line.
        let why = failure.message.lines().next().unwrap_or_default();
        return Some(notice(true, what, why.to_owned(), Some(remedy)));
    }
    if download.state.is_ended() || download.state == DownloadState::Removing {
        return None;
    }
    if let Some(why @ WaitReason::Source { .. }) = &download.waits {
        let what = format!("the download {name} waits for a source");
        let named = format!("pelago download {hash} --peer HOST:PORT");
        let remedy = format!("start a node that has the content, or name one: {named}");
        return Some(notice(false, what, why.to_string(), Some(remedy)));
    }
    let why = download.notice.clone()?;
    let what = format!("the download {name} may not finish");
    Some(notice(false, what, why, None))
}

fn of_shares(health: &Health) -> Option<Notice> {
    let (path, state) = health.unavailable.as_ref()?;
    let states = health.share_states.iter();
    let states = states.filter(|(state, _)| **state != ShareState::Excluded.as_str());
    let count: u64 = states.map(|(_, count)| count).sum();
    Some(Notice {
        kind: NoticeKind::Share,
        subject: None,
        is_problem: false,
        what: match count {
            1 => "1 share is not available".to_owned(),
            count => format!("{count} shares and files are not available, such as this one"),
        },
        why: format!("{} is {state}", crate::store::shown(path)),
        remedy: Some("see each of them, and what to do, with `pelago doctor`".to_owned()),
    })
}

fn of_clock(health: &Health) -> Option<Notice> {
    let lag = health.clock_lag?;
    Some(Notice {
        kind: NoticeKind::Clock,
        subject: None,
        is_problem: true,
        what: format!(
            "the clock is {} behind files that the node wrote earlier",
            TimeSpan(lag)
        ),
        why: "it was set back, or was ahead then: a changed file may seem unchanged".to_owned(),
        remedy: Some(
            "set the clock, and keep it synchronised: timedatectl set-ntp true".to_owned(),
        ),
    })
}

fn of_identity(health: &Health) -> Option<Notice> {
    let address = health.identity_clash.as_ref()?;
    Some(Notice {
        kind: NoticeKind::Identity,
        subject: None,
        is_problem: true,
        what: format!("another node has the same identity; it was seen at {address}"),
        why: "a data folder was copied, and others cannot tell the two nodes apart".to_owned(),
        remedy: Some(
            "stop one of the two, move identity.key (or user.sealed, if it has a user) out of its \
             data folder, and start it again"
                .to_owned(),
        ),
    })
}

/// The notices of bootstrap nodes that are not reached: a problem while no other node is known.
fn of_bootstrap(health: &Health) -> impl Iterator<Item = Notice> {
    let remedy = "check whether it is running, and its address in network.bootstrap; the node \
                  retries within 60 s";
    health.unreached.iter().map(|unreached| Notice {
        kind: NoticeKind::Bootstrap,
        subject: Some(unreached.node.to_string()),
        is_problem: health.dht_nodes == 0,
        what: format!(
            "the bootstrap node {} is not reached",
            Printable(&unreached.node)
        ),
        why: unreached.why.clone(),
        remedy: Some(remedy.to_owned()),
    })
}

fn of_set_aside(health: &Health) -> Option<Notice> {
    let first = health.set_aside.first()?;
    let (count, first) = (health.set_aside.len(), first.display());
    Some(Notice {
        kind: NoticeKind::SetAside,
        subject: None,
        is_problem: false,
        what: format!("damaged files were set aside: {count}, such as {first}"),
        why: "the node could not read them, and replaced them with empty ones".to_owned(),
        remedy: Some("see what is missing with `pelago doctor`, then delete them".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{duties::DutyFailure, network::UnreachedNode};

    fn kinds(health: &Health) -> Vec<(&'static str, bool)> {
        let notices = of(health, &[]);
        let kind = |notice: &Notice| (notice.kind.as_str(), notice.is_problem);
        notices.iter().map(kind).collect()
    }

    #[test]
    fn a_healthy_node_has_no_notices() {
        let health = Health {
            limits: SystemLimits {
                open_files: Some(100),
                max_open_files: Some(1024),
                watches: 10,
                max_watches: Some(8192),
                memory: Some(50 << 20),
                max_cgroup_memory: Some(256 << 20),
                ..SystemLimits::default()
            },
            disks: vec![disk(1 << 30)],
            ..Health::default()
        };
        assert_eq!(kinds(&health), []);
    }

    fn disk(free: u64) -> DiskSpace {
        DiskSpace {
            path: "/data".into(),
            size: 1 << 40,
            free,
            reserve: 64 << 20,
        }
    }

    #[test]
    fn shortages_and_failures_have_notices_and_problems_come_first() {
        let duty = |name: &str, state, age| Duty {
            name: name.to_owned(),
            state,
            restarts: 1,
            failure: Some(DutyFailure {
                error: "no".to_owned(),
                at: SystemTime::now() - Duration::from_secs(age),
            }),
        };
        let health = Health {
            limits: SystemLimits {
                open_files: Some(900),
                max_open_files: Some(1024),
                watches: 7000,
                max_watches: Some(8192),
                memory: Some(250 << 20),
                max_cgroup_memory: Some(256 << 20),
                ..SystemLimits::default()
            },
            duties: vec![
                duty("a", DutyState::Running, 3600),
                duty("b", DutyState::Running, 5),
                duty("c", DutyState::Waiting(SystemTime::now()), 5),
            ],
            disks: vec![disk(1 << 20)],
            set_aside: vec!["/data/downloads.damaged-1".into()],
            clock_lag: Some(Duration::from_secs(90)),
            unreached: vec![UnreachedNode {
                node: "10.0.0.1:80".parse().unwrap(),
                why: "refused".to_owned(),
            }],
            share_states: [("excluded", 3), ("missing", 2)].into(),
            unavailable: Some(("/disk/a".into(), "missing")),
            identity_clash: Some("/ip4/10.0.0.1/tcp/1".parse().unwrap()),
            ..Health::default()
        };
        let expected = [
            ("duty", true),
            ("clock", true),
            ("memory", true),
            ("disk", true),
            ("identity", true),
            ("bootstrap", true),
            ("duty", false),
            ("limit", false),
            ("limit", false),
            ("share", false),
            ("set-aside", false),
        ];
        assert_eq!(kinds(&health), expected);
        let with_others = Health {
            dht_nodes: 1,
            ..health.clone()
        };
        let last = kinds(&with_others).pop();
        assert_eq!(last, Some(("bootstrap", false)), "other nodes are known");
        let share = of(&health, &[])
            .into_iter()
            .find(|notice| notice.kind == NoticeKind::Share);
        let expected = "2 shares and files are not available, such as this one";
        assert_eq!(share.map(|share| share.what).as_deref(), Some(expected));
    }
}
