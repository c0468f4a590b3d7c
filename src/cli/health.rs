//! The health of a node, in lines for people: used by `status` and `doctor`.

use super::text::{bytes, count, escape};
use crate::api::types::{Health, Notice, SystemLimits, WatchedFolder};

/// A part of the state of the node.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) line: String,
    /// Whether no notice is about it.
    pub(super) is_well: bool,
}

/// The state of the node: what it relies on, its limits and its disks.
pub(super) fn rows(health: &Health) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name, line, is_well| {
        rows.push(Row {
            name,
            line,
            is_well,
        });
    };
    let has_none = |kinds: &[&str], subject: Option<&str>| {
        let is_about = |notice: &Notice| {
            let about = notice.subject.as_deref();
            // A node of an older version names no subject.
            let is_of_row = subject.is_none() || about.is_none() || about == subject;
            kinds.contains(&&*notice.kind) && is_of_row
        };
        !health.notices.iter().any(is_about)
    };
    for folder in &health.watches {
        for (path, line) in watched(folder) {
            add("watching", line, has_none(&["watch"], Some(path)));
        }
    }
    if !health.share_states.is_empty() {
        let states = health.share_states.iter();
        let states: Vec<_> = states
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        add("not shared", states.join(", "), has_none(&["share"], None));
    }
    add("tasks", tasks(health), has_none(&["duty"], None));
    let is_well = has_none(&["limit", "memory"], None);
    add("limits", limits(&health.limits), is_well);
    add("budgets", budgets(&health.limits), true);
    for disk in &health.disks {
        let (free, reserve) = (bytes(disk.free), bytes(disk.reserve));
        let path = escape(&disk.path);
        let line = format!("{free} free at {path}; downloads leave {reserve} free");
        add("disk", line, has_none(&["disk"], Some(&disk.path)));
    }
    for download in &health.waiting {
        let (name, why) = (escape(&download.name), escape(&download.why));
        let is_well = has_none(&["download"], Some(&download.hash));
        add("waiting", format!("{name}: {why}"), is_well);
    }
    let more = health.waiting_count - (health.waiting.len() as u64).min(health.waiting_count);
    if more > 0 {
        let line = format!("and {}", count(more, "other download"));
        add("waiting", line, true);
    }
    rows
}

/// A notice as one line.
pub(super) fn notice(notice: &Notice) -> String {
    format!("{}: {}", escape(&notice.what), escape(&notice.why))
}

/// A line for a watched folder, and one for each part that is watched in another way, each with
/// its path; of parts that are only counted, none.
fn watched(folder: &WatchedFolder) -> Vec<(&str, String)> {
    let path = escape(&folder.path);
    let how = relies_on(&folder.relies_on, folder.interval_seconds);
    let why = folder.why.as_deref().map(escape);
    let why = why.map_or_else(String::new, |why| format!(" ({why})"));
    let state = match folder {
        WatchedFolder {
            is_there: false, ..
        } => "is missing".to_owned(),
        WatchedFolder {
            failure: Some(failure),
            ..
        } => format!("cannot be scanned: {}", escape(failure)),
        WatchedFolder {
            looks_since_unix_ms: Some(_),
            ..
        } => format!("by {how}{why}; a scan of all of it is running"),
        _ => format!("by {how}{why}, {} watched", count(folder.watches, "folder")),
    };
    let mut lines = vec![(&*folder.path, format!("{path} {state}"))];
    for part in &folder.parts {
        let how = relies_on(&part.relies_on, part.interval_seconds);
        let line = format!("  {} by {how} ({})", escape(&part.path), escape(&part.why));
        lines.push((&part.path, line));
    }
    let more = folder.parts_count.saturating_sub(folder.parts.len() as u64);
    if more > 0 {
        lines.push((&folder.path, format!("  and {}", count(more, "other part"))));
    }
    lines
}

/// How the node learns of changes, for people.
fn relies_on(word: &str, interval: Option<u64>) -> String {
    let every = interval.map_or_else(String::new, |seconds| format!(" every {seconds} s"));
    match word {
        "events" => "events".to_owned(),
        "polling" => format!("a scan{every}"),
        "events-and-polling" => format!("events and a slow scan{every}"),
        other => escape(other),
    }
}

/// The background tasks of the node, which JSON calls duties.
fn tasks(health: &Health) -> String {
    let waiting = health.duties.iter().filter(|duty| duty.state == "waiting");
    let waiting: Vec<_> = waiting.map(|duty| escape(&duty.name)).collect();
    let running = health.duties.iter().filter(|duty| duty.state == "running");
    let running = running.count();
    match &waiting[..] {
        [] => format!("{running} running"),
        names => format!(
            "{running} running; failed and restarting: {}",
            names.join(", ")
        ),
    }
}

fn limits(limits: &SystemLimits) -> String {
    let of = |used: Option<String>, limit: Option<String>| {
        let used = used.unwrap_or_else(|| "?".to_owned());
        limit.map_or(used.clone(), |limit| format!("{used} of {limit}"))
    };
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let size = |number: Option<u64>| number.map(bytes);
    format!(
        "{} open files, {} inotify watches, {} of memory{}",
        of(number(limits.open_files), number(limits.max_open_files)),
        of(Some(limits.watches.to_string()), number(limits.max_watches)),
        of(
            size(limits.memory_bytes),
            size(limits.max_cgroup_memory_bytes)
        ),
        match &limits.cgroup {
            Some(group) => format!(" (limit of the control group {})", escape(group)),
            None => String::new(),
        }
    )
}

fn budgets(limits: &SystemLimits) -> String {
    let connections = bytes(limits.connections_budget_bytes);
    let read_ahead = bytes(limits.read_ahead_budget_bytes);
    format!("{connections} of memory for connections, {read_ahead} for read-ahead")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{Duty, WatchedPart};

    #[test]
    fn each_folder_says_what_it_relies_on() {
        let mut folder = watched_folder("/music");
        folder.parts = vec![WatchedPart {
            path: "/music/nas".to_owned(),
            relies_on: "events-and-polling".to_owned(),
            interval_seconds: Some(600),
            why: "nfs4".to_owned(),
        }];
        folder.parts_count = 3;
        let lines: Vec<_> = watched(&folder).into_iter().map(|(_, line)| line).collect();
        assert_eq!(
            lines,
            [
                "/music by events, 12 folders watched",
                "  /music/nas by events and a slow scan every 600 s (nfs4)",
                "  and 2 other parts"
            ]
        );
        folder.failure = Some("denied".to_owned());
        assert_eq!(watched(&folder)[0].1, "/music cannot be scanned: denied");
        folder.is_there = false;
        assert_eq!(watched(&folder)[0].1, "/music is missing");
    }

    fn watched_folder(path: &str) -> WatchedFolder {
        WatchedFolder {
            path: path.to_owned(),
            is_there: true,
            relies_on: "events".to_owned(),
            interval_seconds: None,
            why: None,
            watches: 12,
            parts: Vec::new(),
            parts_count: 0,
            failure: None,
            unread: Vec::new(),
            unread_count: 0,
            looked_at_unix_ms: None,
            looks_since_unix_ms: None,
        }
    }

    #[test]
    fn a_row_is_well_unless_a_notice_is_about_it() {
        let notice = |kind: &str, subject: Option<&str>| Notice {
            kind: kind.to_owned(),
            subject: subject.map(str::to_owned),
            problem: true,
            what: "it is so".to_owned(),
            why: "it is".to_owned(),
            remedy: None,
        };
        let health = Health {
            watches: ["/music", "/music2", "/films"].map(watched_folder).into(),
            share_states: [("changed".to_owned(), 1)].into(),
            notices: vec![
                notice("watch", Some("/music2")),
                notice("watch", Some("/films")),
                notice("share", None),
            ],
            ..Health::default()
        };
        let rows = rows(&health).into_iter();
        let unwell: Vec<_> = rows.filter(|row| !row.is_well).collect();
        let unwell: Vec<_> = unwell.iter().map(|row| (row.name, &*row.line)).collect();
        assert_eq!(
            unwell,
            [
                ("watching", "/music2 by events, 12 folders watched"),
                ("watching", "/films by events, 12 folders watched"),
                ("not shared", "1 changed")
            ]
        );
    }

    #[test]
    fn limits_and_tasks_are_one_line_each() {
        let duty = |name: &str, state: &str| Duty {
            name: name.to_owned(),
            state: state.to_owned(),
            restarts: 0,
            error: None,
            failed_unix_ms: None,
            restarts_unix_ms: None,
        };
        let health = Health {
            duties: vec![duty("publish", "waiting"), duty("rehash", "running")],
            ..Health::default()
        };
        assert_eq!(tasks(&health), "1 running; failed and restarting: publish");
        let found = SystemLimits {
            open_files: Some(40),
            max_open_files: Some(1024),
            watches: 3,
            max_watches: None,
            memory_bytes: Some(50 << 20),
            cgroup: Some("/x".to_owned()),
            cgroup_memory_bytes: None,
            max_cgroup_memory_bytes: Some(96 << 20),
            connections_budget_bytes: 24 << 20,
            read_ahead_budget_bytes: 6 << 20,
        };
        let expected = "25.2 MB of memory for connections, 6.3 MB for read-ahead";
        assert_eq!(budgets(&found), expected);
        assert_eq!(
            limits(&found),
            "40 of 1024 open files, 3 inotify watches, 52.4 MB of 100.7 MB of memory (limit of \
             the control group /x)"
        );
    }
}
