//! What is shared: whether each file still holds what is listed. Reads all of it, so only when asked.

use std::path::Path;

use super::Finding;
use crate::{
    api::{
        Client,
        types::{CheckEvent, CheckedShare, ErrorInfo, FoundFile, Kind, WrongFile},
    },
    cli::{
        attach::{self, Found},
        context::Context,
        open,
        progress::{Progress, Step},
        text::{bytes, count, harmless, quoted},
    },
};

/// Files of a folder that a message names, at most.
const NAMED: usize = 3;

/// What to look at.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DoctorArgs {
    /// Read everything that is shared, and report what is not what is listed; takes as long as reading
    /// all of it takes
    #[arg(long)]
    pub(super) check_shares: bool,
}

/// Reads all that is shared, by the node that runs or without one.
pub(super) async fn examine(context: &Context) -> anyhow::Result<Vec<Finding>> {
    let mut report = Report::new(context);
    if !context.data_folder.is_dir() {
        return Ok(report.finish());
    }
    match attach::find(&context.data_folder).await? {
        Found::Running(client) => ask(&client, &mut report).await?,
        Found::Free(folder) => {
            let folders = context.config.storage.share_folders.clone();
            open::check_shares(&folder, folders, &mut |event| report.take(event))?;
        }
    }
    Ok(report.finish())
}

async fn ask(client: &Client, report: &mut Report<'_>) -> anyhow::Result<()> {
    let mut events = client.check_shares().await?;
    while let Some(event) = events.next().await? {
        match event {
            CheckEvent::Done => return Ok(()),
            CheckEvent::Error { error } => return Err(error.into()),
            event => report.take(event),
        }
    }
    let message = "the node ended before all that is shared was read";
    Err(ErrorInfo::new("node-unreachable", message).into())
}

/// What was found so far, shown on the way.
struct Report<'c> {
    context: &'c Context,
    progress: Progress,
    bytes: u64,
    wrong: usize,
    findings: Vec<Finding>,
}

impl<'c> Report<'c> {
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

    /// One line about all, then one for each share.
    fn finish(mut self) -> Vec<Finding> {
        self.progress.clear();
        let (shares, all) = (
            count(self.findings.len() as u64, "share"),
            bytes(self.bytes),
        );
        let summary = match self.wrong {
            0 => Finding::ok("shares", format!("{shares} read ({all}): all as listed")),
            wrong => Finding::problem(
                "shares",
                format!("{shares} read ({all}): {wrong} not as listed"),
                "see the lines below",
            ),
        };
        self.findings.insert(0, summary);
        self.findings
    }
}

fn finding(share: &CheckedShare) -> Finding {
    let name = harmless(&share.name);
    let Some(first) = share.wrong.first() else {
        let size = bytes(share.size);
        return Finding::ok("share", format!("{name} ({size}) holds what is listed"));
    };
    let message = match share.kind {
        Kind::File => describe(first, &share.hash),
        Kind::Folder if first.path == share.path => describe(first, &share.hash),
        Kind::Folder => describe_folder(share),
    };
    Finding::problem("share", message, hint(share, first))
}

fn describe(file: &WrongFile, listed: &str) -> String {
    let path = harmless(&file.path);
    match &file.found {
        FoundFile::Other { hash } => {
            format!(
                "{path} holds other content than is listed: its hash is {hash}, listed is {listed}"
            )
        }
        FoundFile::Missing => format!("{path} is missing; it is listed as {listed}"),
        FoundFile::Unreadable { reason } => {
            format!(
                "{path} cannot be compared with {listed}: {}",
                harmless(reason)
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
        format!("{} ({found})", harmless(&inner))
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let more = share.wrong_count.saturating_sub(NAMED as u64);
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (files, path) = (count(share.wrong_count, "file"), harmless(&share.path));
    format!("{files} in {path} not as listed: {named}{more}")
}

/// How to put the listing right.
fn hint(share: &CheckedShare, first: &WrongFile) -> String {
    let again = format!("pelago share --rehash {}", quoted(&share.path));
    let end = format!("pelago unshare {}", share.hash);
    let is_gone = first.path == share.path && !matches!(first.found, FoundFile::Other { .. });
    if is_gone {
        format!("bring it back, or stop sharing it: {end}")
    } else {
        format!("share what is there now: {again}; or stop sharing it: {end}")
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
        assert_eq!(found.message, "x (1 B) holds what is listed");
        let found = finding(&share(Kind::File, &[("/at/x y", other.clone())], 1));
        assert_eq!(
            (&found.message[..], found.hint.as_deref()),
            (
                "/at/x y holds other content than is listed: its hash is b2, listed is a1",
                Some(
                    "share what is there now: pelago share --rehash '/at/x y'; or stop sharing it: \
                     pelago unshare a1"
                )
            )
        );
        let found = finding(&share(Kind::Folder, &[("/at/x y", FoundFile::Missing)], 1));
        assert_eq!(
            (&found.message[..], found.hint.as_deref()),
            (
                "/at/x y is missing; it is listed as a1",
                Some("bring it back, or stop sharing it: pelago unshare a1")
            )
        );
        let files = ["a", "b", "c", "d"].map(|name| format!("/at/x y/{name}"));
        let wrong = files.each_ref().map(|path| (&path[..], other.clone()));
        let found = finding(&share(Kind::Folder, &wrong, 30));
        assert_eq!(
            found.message,
            "30 files in /at/x y not as listed: a (other content), b (other content), c (other \
             content) and 27 more"
        );
    }
}
