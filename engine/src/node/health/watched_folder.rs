//! The notices of a watched folder.

use std::path::Path;

use super::{Notice, NoticeKind};
use crate::node::{RelyOn, WatchedFolder};

/// The notices of a watched folder.
pub(super) fn of_watched_folder(watched: &WatchedFolder) -> Vec<Notice> {
    let about = |path: &Path, is_problem, what: String, why: &str, remedy: Option<&str>| Notice {
        kind: NoticeKind::Watch,
        subject: Some(path.display().to_string()),
        is_problem,
        what,
        why: why.to_owned(),
        remedy: remedy.map(str::to_owned),
    };
    let notice = |what, why: &str, remedy| about(&watched.path, true, what, why, Some(remedy));
    let (folder, mut notices) = (watched.path.display(), Vec::new());
    if !watched.is_there {
        notices.push(notice(
            format!("the watched folder {folder} is missing"),
            "no folder exists at its path, or its disk is not mounted",
            "mount its disk, or create the folder: the node notices within 2 s",
        ));
    }
    if let Some(why) = &watched.failure {
        let what = format!("the watched folder {folder} could not be scanned");
        notices.push(notice(what, why, "the node tries again within 60 s"));
    }
    if let Some((path, why)) = watched.unread.first() {
        let what = format!(
            "{}: {}",
            match watched.unread_count {
                1 => format!("1 file of the watched folder {folder} is not shared"),
                count =>
                    format!("{count} files of the watched folder {folder} are not shared, such as"),
            },
            crate::store::shown(path)
        );
        let remedy = "remove the cause, or rename the file: the node tries again within 10 min";
        notices.push(notice(what, why, remedy));
    }
    let own = watched
        .why
        .iter()
        .map(|why| (&watched.path, watched.relies_on, why));
    let parts = watched
        .parts
        .iter()
        .map(|part| (&part.path, part.relies_on, &part.why));
    for (path, relies_on, why) in own.chain(parts) {
        // Such a file system normally has slow scans in addition to events.
        if let RelyOn::Polling(_) = relies_on {
            let what = format!(
                "{} raises no events: {relies_on}",
                crate::store::shown(path)
            );
            notices.push(about(path, false, what, why, None));
        }
    }
    notices
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::*;
    use crate::node::WatchedPart;

    #[test]
    fn a_folder_has_notices_only_while_something_is_wrong() {
        let mut folder = WatchedFolder::new(Path::new("/music"));
        assert_eq!(of_watched_folder(&folder), []);
        folder.relies_on = RelyOn::EventsAndPolling(Duration::from_secs(600));
        folder.why = Some("nfs4 raises no events".to_owned());
        assert_eq!(of_watched_folder(&folder), [], "this is normal for it");
        folder.parts.push(WatchedPart {
            path: "/music/deep".into(),
            relies_on: RelyOn::Polling(Duration::from_secs(60)),
            why: "Permission denied".to_owned(),
        });
        folder.failure = Some("the disk is full".to_owned());
        folder.is_there = false;
        let notices = of_watched_folder(&folder);
        let shown: Vec<_> = notices
            .iter()
            .map(|n| (n.is_problem, n.subject.as_deref().unwrap(), &*n.what))
            .collect();
        let expected = [
            (true, "/music", "the watched folder /music is missing"),
            (
                true,
                "/music",
                "the watched folder /music could not be scanned",
            ),
            (
                false,
                "/music/deep",
                "/music/deep raises no events: a scan every 60 s",
            ),
        ];
        assert_eq!(shown, expected);
    }
}
