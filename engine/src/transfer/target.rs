//! The target of a download, and the file names that it may have.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use pelago_content::{Hash, MAX_NAME_LEN};
use serde::{Deserialize, Serialize};

use super::TransferError;
use crate::store::{HashError, Store, hash_file, is_unsafe};

/// The maximum number of bytes of a file extension that stays when a name is truncated.
const MAX_ENDING: usize = 16;

/// How many names are tried beside one that is taken.
const MAX_BESIDE: u32 = 999;

/// No name is truncated to fewer bytes: file systems accept longer names.
const SHORTEST_CUT: usize = 100;

/// Names that Windows reserves, with any extension.
const RESERVED: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8",
    "com9", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// Where to put a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Inside this folder, under the content's name, or under its hash if it has no name.
    #[serde(rename = "i")]
    Into(PathBuf),
    /// At this path; or inside it, if it is a folder at the time of the request and is not this
    /// very content already.
    #[serde(rename = "a")]
    At(PathBuf),
    /// Exactly at this path.
    #[serde(rename = "e")]
    Exactly(PathBuf),
}

impl Output {
    /// The path that the user gave.
    pub(crate) const fn path(&self) -> &PathBuf {
        let (Self::Into(path) | Self::At(path) | Self::Exactly(path)) = self;
        path
    }

    /// Resolves the output to one meaning, which later changes on the disk cannot alter. A folder
    /// that `store` knows to be this very content is the target itself; any other folder receives
    /// the content. Blocks on the disk.
    pub(crate) fn settled(self, hash: &Hash, store: &Store) -> Self {
        match self {
            Self::At(path) if !path.is_dir() || store.is_known_at(hash, &path) => {
                Self::Exactly(path)
            }
            Self::At(path) => Self::Into(path),
            settled => settled,
        }
    }

    /// Whether this output may have led content with this `name` to `target`.
    pub(super) fn leads_to(&self, target: &Path, name: &str) -> bool {
        let inside = |folder: &Path| {
            let found = target.file_name().and_then(|found| found.to_str());
            let is_called = sanitised(name).zip(found);
            let is_called = is_called.is_some_and(|(name, found)| is_cut(&name, found));
            is_called && target.parent() == Some(folder)
        };
        match self {
            Self::Into(folder) => inside(folder),
            Self::At(path) => path == target || inside(path),
            Self::Exactly(path) => path == target,
        }
    }

    /// The path of the file, if it is known without the content's name. Blocks on the disk.
    pub(super) fn fixed(&self) -> Option<PathBuf> {
        match self {
            Self::At(path) if !path.is_dir() => Some(path.clone()),
            Self::Exactly(path) => Some(path.clone()),
            _ => None,
        }
    }

    /// The path of the file, given the content's `name`. Blocks on the disk.
    pub(super) fn resolve(&self, name: Option<&str>, hash: &Hash) -> PathBuf {
        self.fixed().unwrap_or_else(|| {
            let folder = self.path();
            let name = name.and_then(sanitised);
            let name = name.map(|name| cut(&name, longest_name(folder)));
            folder.join(name.unwrap_or_else(|| hash.to_string()))
        })
    }
}

/// The state of a target before a download.
pub(super) enum ExistingTarget {
    /// Nothing, or something that may be replaced; or a folder, in which a folder can grow.
    Free,
    /// This very content.
    Same {
        /// Its size in bytes.
        size: u64,
    },
}

/// Examines what is at `path`, unless it is stopped. Blocks on the disk.
///
/// # Errors
/// Other content is there and may not be replaced, or the parent folder does not exist.
pub(super) fn examine_target(
    path: &Path,
    hash: &Hash,
    overwrite: bool,
    is_stopped: &dyn Fn() -> bool,
) -> Result<ExistingTarget, TransferError> {
    let failed = |source| TransferError::Target {
        path: path.to_owned(),
        source,
    };
    match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            let metadata = folder.metadata();
            let folder_failed = |source| TransferError::Target {
                path: folder.to_owned(),
                source,
            };
            if metadata.map_err(folder_failed)?.is_dir() {
                Ok(ExistingTarget::Free)
            } else {
                Err(folder_failed(std::io::ErrorKind::NotADirectory.into()))
            }
        }
        Err(error) => Err(failed(error)),
        Ok(found) if found.is_file() => {
            let proceed = |_| match is_stopped() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            let hashed = match hash_file(path, &proceed) {
                Err(HashError::Stopped { .. }) => return Err(TransferError::Paused),
                hashed => hashed?,
            };
            if hashed.descriptor.hash() == *hash {
                Ok(ExistingTarget::Same {
                    size: hashed.descriptor.size(),
                })
            } else if overwrite {
                Ok(ExistingTarget::Free)
            } else {
                Err(TransferError::TargetExists {
                    path: path.to_owned(),
                })
            }
        }
        Ok(found) if found.is_dir() => Ok(ExistingTarget::Free),
        Ok(_) => Err(TransferError::TargetInTheWay {
            path: path.to_owned(),
        }),
    }
}

/// A path beside `path` where nothing is, for other content of the same name: `name (2).txt`. `None` if
/// all that are tried are taken. Blocks on the disk.
#[must_use]
pub fn free_path_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?;
    let longest = longest_name(folder);
    (2..=MAX_BESIDE).find_map(|number| {
        let free = folder.join(numbered_within(name, number, longest));
        free.symlink_metadata().is_err().then_some(free)
    })
}

/// A safe file name made from the name that a peer gives its file: the last part of it, without
/// anything that could lead elsewhere, hide an extension or upset a terminal. `None` if nothing is
/// left.
#[must_use]
pub fn sanitised(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).find(|part| !part.is_empty())?;
    let replaced = |c: char| {
        let is_unwanted = is_unsafe(c) || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*');
        if is_unwanted { '_' } else { c }
    };
    let name: String = last.chars().map(replaced).collect();
    let name = name.trim().trim_end_matches('.');
    // Names that begin with a dot are hidden, and shells and the like read them by themselves.
    let hidden = name.strip_prefix('.').map(|rest| format!("_{rest}"));
    let name = hidden.as_deref().unwrap_or(name);
    let first = name.split('.').next().unwrap_or_default().to_lowercase();
    let name = match name {
        "" | "." | ".." => return None,
        _ if RESERVED.contains(&first.as_str()) => format!("_{name}"),
        _ => name.to_owned(),
    };
    Some(cut(&name, MAX_NAME_LEN))
}

/// The name that is tried next where others are taken: `a.txt` as it is, then `a (2).txt`, and so on.
#[must_use]
pub fn numbered(name: &str, number: u32) -> String {
    if number < 2 {
        return name.to_owned();
    }
    numbered_within(name, number, MAX_NAME_LEN)
}

/// As `name (2).txt`, in at most `longest` bytes.
fn numbered_within(name: &str, number: u32, longest: usize) -> String {
    let (stem, ending) = split(name);
    let ending = format!(" ({number}){ending}");
    let max_stem = longest.saturating_sub(ending.len());
    let stem = &stem[..stem.floor_char_boundary(max_stem)];
    format!("{stem}{ending}")
}

/// A name without its extension, and the extension. What follows the dot may be too long for one.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= MAX_ENDING => name.split_at(at),
        _ => (name, ""),
    }
}

/// Truncates a name to at most `max` bytes. The extension says what a file is, so it stays.
fn cut(name: &str, max: usize) -> String {
    if name.len() <= max {
        return name.to_owned();
    }
    let (stem, ending) = split(name);
    let max_stem = max.saturating_sub(ending.len());
    let stem = stem[..stem.floor_char_boundary(max_stem)].trim_end_matches(['.', ' ']);
    format!("{stem}{ending}")
}

/// Whether `found` is the name, or the name as truncated on a file system with shorter names or by
/// an earlier version.
fn is_cut(name: &str, found: &str) -> bool {
    let is_shorter = found.len() < name.len() && found.len() >= SHORTEST_CUT;
    found == name || is_shorter && cut(name, found.len()) == found
}

/// The maximum length in bytes of a name in the folder. Blocks on the disk.
fn longest_name(folder: &Path) -> usize {
    #[cfg(unix)]
    {
        let longest = rustix::fs::statvfs(folder).map_or(0, |limits| limits.f_namemax);
        match usize::try_from(longest).unwrap_or(MAX_NAME_LEN) {
            longest if longest >= SHORTEST_CUT => longest.min(MAX_NAME_LEN),
            _ => MAX_NAME_LEN,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        MAX_NAME_LEN
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_beside_another_keeps_its_ending() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, beside) in [("a.txt", "a (2).txt"), ("b", "b (2)"), (".c", ".c (2)")] {
            assert_eq!(free_path_beside(&at(name)), Some(at(beside)));
        }
        std::fs::write(at("a (2).txt"), "").unwrap();
        assert_eq!(free_path_beside(&at("a.txt")), Some(at("a (3).txt")));
        let long = free_path_beside(&at(&format!("{}.txt", "ü".repeat(124)))).unwrap();
        assert!(long.to_str().unwrap().ends_with(" (2).txt"));
        assert!(long.file_name().unwrap().len() <= MAX_NAME_LEN);
    }

    #[test]
    fn hostile_names_are_sanitised() {
        for (name, wanted) in [
            ("film.mkv", Some("film.mkv")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\Windows\\a.txt", Some("a.txt")),
            ("a\u{202e}gpj.exe", Some("a_gpj.exe")),
            ("nul.txt", Some("_nul.txt")),
            (".zshenv", Some("_zshenv")),
            ("..config", Some("_.config")),
            ("\u{1b}[2Jx", Some("_[2Jx")),
            (
                "\u{1f469}\u{200d}\u{1f52c}.jpg",
                Some("\u{1f469}\u{200d}\u{1f52c}.jpg"),
            ),
            ("می\u{200c}خواهم", Some("می\u{200c}خواهم")),
            ("a\u{200b}b\u{feff}", Some("a_b_")),
            ("..", None),
            ("...", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(sanitised(name).as_deref(), wanted, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_ending() {
        let name = sanitised(&format!("{}.tar.gz", "ü".repeat(300))).unwrap();
        assert!(name.len() <= MAX_NAME_LEN && name.ends_with(".gz"));
        assert_eq!(sanitised(&"n".repeat(255)), Some("n".repeat(255)));
        assert_eq!(cut("a long name.jpg", 11), "a long.jpg");
    }

    #[test]
    fn a_truncated_name_is_recognised() {
        let long = format!("{}.mkv", "n".repeat(300));
        let output = Output::Into("/folder".into());
        for (len, leads) in [(255, true), (240, true), (143, true), (60, false)] {
            let target = Path::new("/folder").join(cut(&long, len));
            assert_eq!(output.leads_to(&target, &long), leads, "{len}");
        }
        assert!(!output.leads_to(Path::new("/folder/f.mkv"), "film.mkv"));
    }

    #[test]
    fn one_place_may_be_named_in_several_ways() {
        let target = Path::new("/folder/film.mkv");
        for (output, leads) in [
            (Output::Into("/folder".into()), true),
            (Output::At("/folder".into()), true),
            (Output::At("/folder/film.mkv".into()), true),
            (Output::Exactly("/folder/film.mkv".into()), true),
            (Output::Exactly("/folder".into()), false),
            (Output::Into("/other".into()), false),
        ] {
            assert_eq!(output.leads_to(target, "film.mkv"), leads, "{output:?}");
        }
    }

    #[test]
    fn hashing_a_large_file_ends_when_the_download_is_stopped() {
        // 8 GiB, for which the file system allocates nothing.
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8 << 30).unwrap();
        let looks = std::cell::Cell::new(0);
        let is_stopped = || {
            looks.set(looks.get() + 1);
            looks.get() == 3
        };
        let hash = Hash::from_bytes([7; 32]);
        let examined = examine_target(file.path(), &hash, false, &is_stopped);
        assert!(matches!(examined, Err(TransferError::Paused)));
        assert_eq!(looks.get(), 3, "12 MiB of 8 GiB");
    }

    proptest! {
        #[test]
        fn a_name_never_leads_out_of_its_folder(name in ".*") {
            if let Some(name) = sanitised(&name) {
                let path = Path::new("folder").join(&name);
                prop_assert_eq!(path.parent(), Some(Path::new("folder")));
                prop_assert!(name.len() <= MAX_NAME_LEN);
            }
        }
    }
}
