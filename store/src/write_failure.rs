//! What a failed write means to a person, and what to do about it.
//!
//! Owns the causes and their texts. Where a file was too large, it also reads the limit of this
//! process on the size of files.

use std::io;

use super::{byte_size::ByteSize, dir::is_link_in_the_way};

/// Why a write failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Full,
    Quota,
    Damaged,
    TooLarge,
    ReadOnly,
    Links,
    NameTooLong,
    LinkInTheWay,
    Forbidden,
    Other,
}

impl Cause {
    fn of(source: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        if source.get_ref().is_some_and(|inner| inner.is::<NoLinks>()) {
            return Self::Links;
        }
        match source.kind() {
            Kind::StorageFull => Self::Full,
            Kind::QuotaExceeded => Self::Quota,
            Kind::FileTooLarge => Self::TooLarge,
            Kind::ReadOnlyFilesystem => Self::ReadOnly,
            Kind::InvalidFilename => Self::NameTooLong,
            Kind::PermissionDenied => Self::Forbidden,
            _ if is_damage(source) => Self::Damaged,
            _ if is_link_in_the_way(source) => Self::LinkInTheWay,
            _ => Self::Other,
        }
    }
}

fn is_damage(source: &io::Error) -> bool {
    #[cfg(unix)]
    return source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    #[cfg(not(unix))]
    {
        let _ = source;
        false
    }
}

/// The cause, as a clause.
pub fn cause(source: &io::Error) -> String {
    match Cause::of(source) {
        // The error of the reserve contains the numbers.
        Cause::Full if source.get_ref().is_some() => format!("the disk is full: {source}"),
        Cause::Full => "the disk is full".to_owned(),
        Cause::Quota => "your quota on this disk is used up".to_owned(),
        Cause::Damaged => format!("the disk reports an error: {source}"),
        Cause::TooLarge => match size_limit() {
            Some(limit) => format!(
                "a limit of this process (`ulimit -f`) allows files of at most {}",
                ByteSize(limit)
            ),
            None => "the file system does not support files of that size".to_owned(),
        },
        Cause::ReadOnly => "the file system is mounted read-only".to_owned(),
        Cause::NameTooLong => "the file system refuses the name, or it is too long".to_owned(),
        Cause::LinkInTheWay => "a symbolic link or a file is where a folder should be".to_owned(),
        Cause::Links | Cause::Forbidden | Cause::Other => source.to_string(),
    }
}

/// The remedy, as a clause: what to do before the write is retried.
pub(super) fn remedy(source: &io::Error) -> &'static str {
    match Cause::of(source) {
        Cause::Full => "make room",
        Cause::Quota => "make room, or have the quota raised",
        Cause::Damaged => {
            "check the system's log and the health of the disk, or choose a place on another disk"
        }
        Cause::TooLarge if size_limit().is_some() => "raise that limit where Pelago is started",
        Cause::TooLarge => {
            "choose a place on another file system (FAT supports only files below 4.3 GB)"
        }
        Cause::ReadOnly => "mount it writable, or choose another place",
        Cause::Links => "choose a place on another file system (FAT and exFAT have none)",
        Cause::NameTooLong => "choose another name, or a place on another file system",
        Cause::LinkInTheWay => "move it away, or choose another place",
        Cause::Forbidden => "change the permissions, or choose another place",
        Cause::Other => "remove the cause, or choose another place",
    }
}

/// What a failed write means for its download.
pub(super) fn for_download(source: &io::Error, missing: u64) -> String {
    let (cause, remedy) = (cause(source), remedy(source));
    format!(
        "{cause}, and {} are still missing: {remedy}, then download again; what is verified is kept",
        ByteSize(missing)
    )
}

/// The error of creating a symbolic link. Says so if the file system has none.
pub(super) fn of_link(source: io::Error) -> io::Error {
    let is_refused = matches!(
        source.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
    );
    // EACCES concerns permissions; file systems without links answer EPERM.
    if is_refused && !is_access(&source) {
        io::Error::new(source.kind(), NoLinks)
    } else {
        source
    }
}

fn is_access(source: &io::Error) -> bool {
    #[cfg(unix)]
    return source.raw_os_error() == Some(rustix::io::Errno::ACCESS.raw_os_error());
    #[cfg(not(unix))]
    {
        let _ = source;
        false
    }
}

/// A file system without symbolic links.
#[derive(Debug, thiserror::Error)]
#[error("the file system does not support symbolic links")]
struct NoLinks;

/// The largest file that this process may write, if there is a limit.
fn size_limit() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    #[cfg(not(unix))]
    None
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn said(errno: Errno) -> io::Error {
        io::Error::from_raw_os_error(errno.raw_os_error())
    }

    #[test]
    fn each_cause_has_its_own_words() {
        let causes = [
            (Errno::NOSPC, "the disk is full", "make room"),
            (Errno::DQUOT, "quota", "quota"),
            (Errno::IO, "the disk reports an error", "system's log"),
            (Errno::FBIG, "files of that size", "another file system"),
            (Errno::ROFS, "read-only", "writable"),
            (Errno::NAMETOOLONG, "too long", "another name"),
            (Errno::ACCESS, "denied", "permissions"),
            (Errno::PERM, "not permitted", "permissions"),
            (Errno::NODEV, "No such device", "another place"),
        ];
        for (errno, what, then) in causes {
            let text = for_download(&said(errno), 7);
            assert!(text.contains(what) && text.contains(then), "{text}");
            assert!(text.contains("7 B are still missing"), "{text}");
            let is_full = matches!(errno, Errno::NOSPC | Errno::DQUOT);
            assert_eq!(text.contains("make room"), is_full, "{text}");
        }
    }

    #[test]
    fn only_a_link_lacks_links() {
        for errno in [Errno::PERM, Errno::OPNOTSUPP] {
            let text = for_download(&of_link(said(errno)), 0);
            assert!(text.contains("does not support symbolic links"), "{text}");
            assert!(text.contains("exFAT"), "{text}");
        }
        for errno in [Errno::ACCESS, Errno::NOSPC] {
            let text = for_download(&of_link(said(errno)), 0);
            assert!(!text.contains("links"), "{text}");
        }
    }
}
