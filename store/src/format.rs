//! The format of the data folder, and the version that wrote it.
//!
//! Owns the file `format` in the data folder. Its number covers every file of the folder. A folder
//! that a newer version wrote is not changed. Errors are [`LockError`]s.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::{LockError, share_states::is_gone};
use crate::durable;

/// The file with one line that names the format and the version that wrote it.
const FORMAT_FILE: &str = "format";

/// The format that this version writes. Format 1 had no such file.
const FORMAT: u32 = 3;

/// The text before and after the number.
const BEFORE: &str = "pelago data folder, format ";
const AFTER: &str = ", written by ";

/// How many bytes of the file are read at most; the line has about 60.
const MAX_LEN: u64 = 4096;

/// Every non-empty folder of format 1 has one of these files.
const FILES_OF_FORMAT_1: [&str; 2] = ["identity.key", "state.redb"];

/// The format of a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The current format.
    Current,
    /// An older format, or none. This version reads it and updates the file.
    Older,
}

/// Reads the format of the data folder at `folder`, which need not exist. Changes nothing.
pub(super) fn check(folder: &Path) -> Result<Format, LockError> {
    let text = read(folder).map_err(|source| LockError::Folder {
        folder: folder.to_owned(),
        source,
    })?;
    // In a new folder, the file is written without a sync, so that a power cut may leave it empty.
    // A version that changes the format has to sync the file first.
    let text = text.trim_matches('\0').trim_end();
    if text.is_empty() {
        return Ok(Format::Older);
    }
    match parse(text) {
        Some((FORMAT, _)) => Ok(Format::Current),
        Some((1..FORMAT, _)) => Ok(Format::Older),
        Some((format @ FORMAT.., writer)) => Err(LockError::Newer {
            folder: folder.to_owned(),
            format,
            writer: writer.to_owned(),
        }),
        _ => Err(LockError::UnknownFormat {
            file: folder.join(FORMAT_FILE),
            text: text.chars().take(80).collect(),
        }),
    }
}

/// Writes the current format into the data folder, whose lock the caller holds. In a folder that
/// holds anything, this is durable. In a new one it costs no sync: until something durable is
/// written there, a power cut may remove all of it.
pub(super) fn mark(folder: &Path) -> io::Result<()> {
    let path = folder.join(FORMAT_FILE);
    let line = format!("{BEFORE}{FORMAT}{AFTER}{}\n", env!("CARGO_PKG_VERSION"));
    let is_old = FILES_OF_FORMAT_1
        .iter()
        .any(|file| folder.join(file).exists());
    if is_old {
        durable::replace(&path, line.as_bytes())
    } else {
        durable::replace_unsynced(&path, line.as_bytes())
    }
}

/// The content of the file; empty if there is no file.
fn read(folder: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    match File::open(folder.join(FORMAT_FILE)) {
        Ok(file) => file.take(MAX_LEN).read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory && folder.is_file() => {
            let why = "it is a file: give a folder with --data-dir";
            return Err(io::Error::new(error.kind(), why));
        }
        // A missing folder has no format; opening it reports the problem.
        Err(error) if is_gone(&error) => 0,
        Err(error) => return Err(error),
    };
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The number of the format, and the version that wrote it.
fn parse(text: &str) -> Option<(u32, &str)> {
    let (number, writer) = text.strip_prefix(BEFORE)?.split_once(AFTER)?;
    Some((number.parse().ok()?, writer))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::DataFolder;

    /// The names and contents of all files of a folder.
    fn listing(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        let entry = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        };
        let mut listing: Vec<_> = entries.map(entry).collect();
        listing.sort();
        listing
    }

    #[test]
    fn a_folder_is_marked_once_and_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        assert_eq!(check(&data).unwrap(), Format::Older);
        assert_eq!(check(Path::new("/dev/null/data")).unwrap(), Format::Older);
        drop(DataFolder::lock(&data).unwrap());
        assert_eq!(check(&data).unwrap(), Format::Current);
        let marked = fs::metadata(data.join(FORMAT_FILE)).unwrap();
        drop(DataFolder::lock(&data).unwrap());
        let again = fs::metadata(data.join(FORMAT_FILE)).unwrap();
        assert_eq!(marked.modified().unwrap(), again.modified().unwrap());
        let line = fs::read_to_string(data.join(FORMAT_FILE)).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!("pelago data folder, format 3, written by {version}\n");
        assert_eq!(line, expected);
    }

    #[test]
    fn older_folders_and_what_a_power_cut_leaves_are_marked_anew() {
        for left in [
            &b""[..],
            &[0; 60],
            b"pelago data folder, format 1, written by 0.0.1\n",
        ] {
            for file in ["identity.key", "other"] {
                let folder = tempfile::tempdir().unwrap();
                fs::write(folder.path().join(file), "content").unwrap();
                fs::write(folder.path().join(FORMAT_FILE), left).unwrap();
                drop(DataFolder::lock(folder.path()).unwrap());
                assert_eq!(check(folder.path()).unwrap(), Format::Current);
                assert_eq!(fs::read(folder.path().join(file)).unwrap(), b"content");
            }
        }
    }

    #[test]
    fn a_folder_of_a_newer_version_is_refused_and_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let line = "pelago data folder, format 4, written by 0.9.7\nand more\n";
        fs::write(folder.path().join(FORMAT_FILE), line).unwrap();
        let before = listing(folder.path());
        let refused = DataFolder::lock(folder.path()).unwrap_err();
        assert!(
            matches!(&refused, LockError::Newer { format: 4, .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains("0.9.7"), "{refused}");
        assert_eq!(listing(folder.path()), before);
    }

    #[test]
    fn an_invalid_format_is_refused_and_not_touched() {
        for text in [
            "something else",
            "pelago data folder, format 0, written by 0.1.0",
            "pelago data folder, format -2, written by 0.1.0",
            "pelago data folder, format 99999999999, written by 0.1.0",
            "pelago data folder, format 2",
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FORMAT_FILE), text).unwrap();
            let refused = DataFolder::lock(folder.path()).unwrap_err();
            assert!(
                matches!(refused, LockError::UnknownFormat { .. }),
                "{refused}"
            );
            assert!(refused.to_string().contains(text), "{refused}");
            assert_eq!(listing(folder.path()).len(), 1);
        }
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FORMAT_FILE)).unwrap();
        let refused = DataFolder::lock(folder.path()).unwrap_err();
        assert!(matches!(refused, LockError::Folder { .. }), "{refused}");
    }
}
