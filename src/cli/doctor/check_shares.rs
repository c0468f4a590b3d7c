//! Whether shared files still hold the listed content, for which all of them are read.

use std::path::Path;

use super::finding::Finding;
use crate::{
    api::{
        Client,
        types::{CheckEvent, CheckedShare, ErrorInfo, FoundFile, Kind, WrongFile},
    },
    cli::{
        attach::{self, NodeState},
        context::Context,
        local,
        progress::{Progress, Step},
        text::{bytes, count, escape, quoted},
    },
};

/// Most files of a folder that a message names.
const NAMED: usize = 3;

/// Reads all shared files: the running node does so, or this command.
pub(super) async fn examine(context: &Context) -> anyhow::Result<Vec<Finding>> {
    let mut report = SharesReport::new(context);
    if !context.data_folder.is_dir() {
        return Ok(report.finish());
    }
    match attach::find_or_lock(&context.data_folder).await? {
        NodeState::Running(client) => ask(&client, &mut report).await?,
        NodeState::Absent(folder) => {
            let folders = context.config.storage.share_folders.clone();
            local::check_shares(&folder, folders, &mut |event| report.take(event))?;
        }
    }
    Ok(report.finish())
}

async fn ask(client: &Client, report: &mut SharesReport<'_>) -> anyhow::Result<()> {
    let mut events = client.check_shares().await?;
    while let Some(event) = events.next().await? {
        match event {
            CheckEvent::Done => return Ok(()),
            CheckEvent::Error { error } => return Err(error.into()),
            event => report.take(event),
        }
    }
    let message = "the node ended before it had read all shared files";
    Err(ErrorInfo::new("node-unreachable", message).into())
}

/// The findings so far, and the progress.
struct SharesReport<'c> {
    context: &'c Context,
    progress: Progress,
    bytes: u64,
    wrong: usize,
    findings: Vec<Finding>,
}

impl<'c> SharesReport<'c> {
    fn new(context: &'c Context) -> Self {
        Self {
            context,
            progress: Progress::new(&context.output),
            bytes: 0,
            wrong: 0,
            findings: Vec::new(),
        }
    }

    fn take(&mut self, event: CheckEvent) {
        match event {
            CheckEvent::Begun { shares, bytes: all } => {
                self.bytes = all;
                let (shares, all) = (count(shares, "share"), bytes(all));
                self.context.output.note(format!("reading {shares}, {all}"));
            }
            CheckEvent::Reading { path, read_bytes } => self.progress.show(&Step {
                name: &path,
                state: "reading",
                done: read_bytes,
                size: Some(self.bytes),
                ..Step::default()
            }),
            CheckEvent::Checked(share) => {
                self.wrong += usize::from(share.wrong_count > 0);
                self.findings.push(finding(&share));
            }
            CheckEvent::Done | CheckEvent::Error { .. } => {}
        }
    }

    /// A finding for all shares together, then one for each share.
    fn finish(mut self) -> Vec<Finding> {
        self.progress.clear();
        let (shares, all) = (
            count(self.findings.len() as u64, "share"),
            bytes(self.bytes),
        );
        let summary = match self.wrong {
            0 => Finding::ok(
                "shares",
                format!("{shares} read ({all}): all hold the listed content"),
            ),
            wrong => Finding::problem(
                "shares",
                format!("{shares} read ({all}): {wrong} with other content than listed"),
                "see the lines below",
            ),
        };
        self.findings.insert(0, summary);
        self.findings
    }
}

fn finding(share: &CheckedShare) -> Finding {
    let name = escape(&share.name);
    let Some(first) = share.wrong.first() else {
        let size = bytes(share.size);
        return Finding::ok("share", format!("{name} ({size}) holds the listed content"));
    };
    let message = match share.kind {
        Kind::File => describe(first, &share.hash),
        Kind::Folder if first.path == share.path => describe(first, &share.hash),
        Kind::Folder => describe_folder(share),
    };
    Finding::problem("share", message, hint(share, first))
}

fn describe(file: &WrongFile, listed: &str) -> String {
    let path = escape(&file.path);
    match &file.found {
        FoundFile::Other { hash } => {
            format!(
                "{path} holds other content than listed: its hash is {hash}, the listed hash is \
                 {listed}"
            )
        }
        FoundFile::Missing => format!("{path} is missing; it is listed as {listed}"),
        FoundFile::Unreadable { reason } => {
            format!(
                "{path} cannot be compared with {listed}: {}",
                escape(reason)
            )
        }
    }
}

fn describe_folder(share: &CheckedShare) -> String {
    let named = share.wrong.iter().take(NAMED).map(|file| {
        let inner = Path::new(&file.path).strip_prefix(&share.path);
        let inner = inner.unwrap_or(Path::new(&file.path)).to_string_lossy();
        let found = match &file.found {
            FoundFile::Other { .. } => "other content",
            FoundFile::Missing => "missing",
            FoundFile::Unreadable { .. } => "unreadable",
        };
        format!("{} ({found})", escape(&inner))
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let more = share.wrong_count.saturating_sub(NAMED as u64);
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (files, path) = (count(share.wrong_count, "file"), escape(&share.path));
    format!("{files} in {path} do not hold the listed content: {named}{more}")
}

/// How to correct the share.
fn hint(share: &CheckedShare, first: &WrongFile) -> String {
    let again = format!("pelago share --rehash {}", quoted(&share.path));
    let end = format!("pelago unshare {}", share.hash);
    let is_gone = first.path == share.path && !matches!(first.found, FoundFile::Other { .. });
    if is_gone {
        format!("restore it, or stop sharing it: {end}")
    } else {
        format!("share the new content: {again}; or stop sharing it: {end}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(kind: Kind, wrong: &[(&str, FoundFile)], count: u64) -> CheckedShare {
        let wrong = wrong.iter().map(|(path, found)| WrongFile {
            path: (*path).to_owned(),
            found: found.clone(),
        });
        CheckedShare {
            hash: "a1".to_owned(),
            name: "x".to_owned(),
            kind,
            path: "/at/x y".to_owned(),
            size: 1,
            wrong: wrong.collect(),
            wrong_count: count,
        }
    }

    #[test]
    fn each_share_is_a_finding_that_says_what_to_do() {
        let other = FoundFile::Other {
            hash: "b2".to_owned(),
        };
        let found = finding(&share(Kind::File, &[], 0));
        assert_eq!(found.message, "x (1 B) holds the listed content");
        let found = finding(&share(Kind::File, &[("/at/x y", other.clone())], 1));
        assert_eq!(
            (&found.message[..], found.hint.as_deref()),
            (
                "/at/x y holds other content than listed: its hash is b2, the listed hash is a1",
                Some(
                    "share the new content: pelago share --rehash '/at/x y'; or stop sharing it: \
                     pelago unshare a1"
                )
            )
        );
        let found = finding(&share(Kind::Folder, &[("/at/x y", FoundFile::Missing)], 1));
        assert_eq!(
            (&found.message[..], found.hint.as_deref()),
            (
                "/at/x y is missing; it is listed as a1",
                Some("restore it, or stop sharing it: pelago unshare a1")
            )
        );
        let files = ["a", "b", "c", "d"].map(|name| format!("/at/x y/{name}"));
        let wrong = files.each_ref().map(|path| (&path[..], other.clone()));
        let found = finding(&share(Kind::Folder, &wrong, 30));
        assert_eq!(
            found.message,
            "30 files in /at/x y do not hold the listed content: a (other content), b (other \
             content), c (other content) and 27 more"
        );
    }
}
