//! Makes paths absolute, as the node has another current folder.

use std::{
    fs,
    path::{self, Path},
};

use anyhow::Context as _;

use crate::api::types::ErrorInfo;

/// `path` as an absolute path, without symbolic links except at its end, as far as it exists. Paths
/// that are not UTF-8 are refused, as JSON and the database cannot hold them.
pub(super) fn absolute(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let absolute =
        path::absolute(path).with_context(|| format!("{shown:?} is not a valid path"))?;
    let is_folder = absolute
        .symlink_metadata()
        .is_ok_and(|found| found.is_dir());
    let resolved = if is_folder {
        fs::canonicalize(&absolute).ok()
    } else {
        absolute.ancestors().skip(1).find_map(|above| {
            let rest = absolute.strip_prefix(above).ok()?;
            Some(fs::canonicalize(above).ok()?.join(rest))
        })
    };
    let resolved = resolved.unwrap_or(absolute);
    let text = resolved.into_os_string().into_string();
    let refused = |_| ErrorInfo::new("not-utf-8", format!("{shown}: the path is not valid UTF-8"));
    Ok(text.map_err(refused)?)
}

/// The folder in which the command was called.
pub(super) fn current() -> anyhow::Result<String> {
    let current = std::env::current_dir().context("the current folder cannot be used")?;
    let text = current.into_os_string().into_string();
    let refused = |_| ErrorInfo::new("not-utf-8", "the current folder's path is not valid UTF-8");
    Ok(text.map_err(refused)?)
}

/// The size of a file in bytes, to show progress; none for anything else.
pub(super) fn file_size(path: &Path) -> Option<u64> {
    let metadata = path.metadata().ok()?;
    metadata.is_file().then_some(metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_above_are_resolved_and_links_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(real.join("sub")).unwrap();
        let given = real.join("sub/../new.txt");
        assert_eq!(
            absolute(&given).unwrap(),
            real.join("new.txt").to_str().unwrap()
        );
        let folder = real.to_str().unwrap();
        assert_eq!(absolute(&real.join("sub/..")).unwrap(), folder);
        assert_eq!(absolute(&real.join("sub/../")).unwrap(), folder);
        assert_eq!(
            absolute(Path::new("/no/such/../x")).unwrap(),
            "/no/such/../x"
        );
    }

    #[cfg(unix)]
    #[test]
    fn folders_above_what_is_missing_are_resolved() {
        let folder = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        std::os::unix::fs::symlink(".", real.join("link")).unwrap();
        let missing = absolute(&real.join("link/disk/music")).unwrap();
        assert_eq!(Path::new(&missing), real.join("disk/music"));
    }

    #[cfg(unix)]
    #[test]
    fn paths_that_are_not_utf_8_are_refused() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let refused = absolute(Path::new(OsStr::from_bytes(b"/tmp/\xff"))).unwrap_err();
        assert!(refused.to_string().contains("not valid UTF-8"), "{refused}");
    }
}
