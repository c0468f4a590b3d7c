//! The data of the node: whether its database is intact, which files were set aside as damaged, and
//! which shares are lost.

use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::{
    cli::text::command,
    store::{DatabaseState, Recovery, examine_database, files_set_aside, named},
};

/// Checks the data folder. The database is only read while no node uses it.
pub(super) fn examine(data_folder: &Path, is_running: bool) -> Vec<Finding> {
    let mut findings = vec![if is_running {
        Finding::ok("database", "the running node checked it when it started")
    } else {
        database(data_folder)
    }];
    findings.extend(lost(data_folder));
    findings.extend(set_aside(data_folder));
    findings
}

fn database(data_folder: &Path) -> Finding {
    const CHECK: &str = "database";
    match examine_database(data_folder) {
        Ok(DatabaseState::Sound) => Finding::ok(CHECK, "it is intact"),
        Ok(DatabaseState::Missing) => Finding::ok(CHECK, "it does not exist yet"),
        Ok(DatabaseState::Damaged(why)) => Finding::problem(
            CHECK,
            why,
            "run `pelago start`: it sets the damaged file aside, and recovers the shares",
        ),
        Err(error) => Finding::problem(
            CHECK,
            error.to_string(),
            "check the disk and the permissions of the data folder; nothing was changed",
        ),
    }
}

/// Shares that were lost with a damaged database and are not recovered yet.
fn lost(data_folder: &Path) -> Option<Finding> {
    const CHECK: &str = "shares";
    let forget = remove(&[Recovery::file(data_folder)]);
    let recovery = match Recovery::read(data_folder) {
        Ok(recovery) => recovery?,
        Err(error) => {
            let message = format!("the list of lost shares cannot be read: {error}");
            return Some(Finding::problem(CHECK, message, "check the disk"));
        }
    };
    let (count, names) = (recovery.lost.len(), named(recovery.lost.iter()));
    Some(Finding::warning(
        CHECK,
        format!("{count} shares of a damaged database are not recovered yet: {names}"),
        format!(
            "run `pelago start`, which looks for them; share those that are still listed \
             afterwards again, or forget them: {forget}"
        ),
    ))
}

/// Damaged files, which a person may still want.
fn set_aside(data_folder: &Path) -> Option<Finding> {
    let files = files_set_aside(data_folder).unwrap_or_default();
    if files.is_empty() {
        return None;
    }
    let names: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    Some(Finding::warning(
        "set aside",
        format!("damaged files were set aside: {}", named(names.iter())),
        format!("remove them when nothing is missing: {}", remove(&files)),
    ))
}

fn remove(paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| path.to_string_lossy().into_owned());
    command(["rm".to_owned()].into_iter().chain(paths))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::doctor::finding::Severity;

    #[test]
    fn damage_is_reported_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let states = |is_running| {
            let findings = examine(path, is_running).into_iter();
            findings
                .map(|finding| (finding.check, finding.state))
                .collect::<Vec<_>>()
        };
        assert_eq!(states(false), [("database", Severity::Ok)]);
        fs::write(path.join("state.redb"), "no database").unwrap();
        assert_eq!(states(false), [("database", Severity::Problem)]);
        assert_eq!(states(true), [("database", Severity::Ok)]);
        assert_eq!(fs::read(path.join("state.redb")).unwrap(), b"no database");
        fs::remove_file(path.join("state.redb")).unwrap();
        fs::create_dir_all(path.join("partial/deeper")).unwrap();
        fs::write(path.join("partial/a.damaged-3"), "").unwrap();
        fs::write(path.join("downloads.damaged-1"), "").unwrap();
        let findings = examine(path, false);
        assert_eq!(findings[1].state, Severity::Warning);
        for name in ["partial/a.damaged-3", "downloads.damaged-1"] {
            let name = path.join(name).display().to_string();
            assert!(findings[1].message.contains(&name), "{findings:?}");
            assert!(
                findings[1].hint.as_ref().unwrap().contains(&name),
                "{findings:?}"
            );
        }
    }
}
