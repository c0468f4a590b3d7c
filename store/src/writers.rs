//! Whether another program has a file open for writing.
//!
//! Keeps no state. The operating system answers: it grants a read lease only on a file that no
//! program has open or mapped for writing. Never waits, never writes, and never fails: if the
//! system cannot tell, the answer is [`Writers::Unknown`].

#[cfg(target_os = "linux")]
mod lease;

use std::{fs::File, path::Path};

#[cfg(target_os = "linux")]
use super::file_system;
use super::files;

/// Whether any program has a file open for writing, as far as the system can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// No program has it open for writing.
    Absent,
    /// At least one program has it open, or mapped, for writing.
    Present,
    /// The system cannot tell: the file belongs to another user, or other machines can write to its
    /// file system.
    Unknown,
}

impl Writers {
    /// The writers of the regular file at `path`; [`Writers::Unknown`] if it cannot be opened for
    /// reading.
    pub fn at(path: &Path) -> Self {
        files::open_regular(path).map_or(Self::Unknown, |(file, _)| Self::of(&file))
    }

    /// The writers of a file, which must be open for reading only.
    pub(super) fn of(file: &File) -> Self {
        #[cfg(target_os = "linux")]
        return of(file);
        // Other systems have no lease that a program without special rights can take.
        #[cfg(not(target_os = "linux"))]
        {
            let _ = file;
            Self::Unknown
        }
    }
}

/// While this exists, other programs that open the file or truncate it by its path have to wait, at
/// most as long as the system lets a lease be held (45 s).
#[derive(Debug)]
pub(super) struct Alone<'f>(#[cfg_attr(not(target_os = "linux"), expect(dead_code))] &'f File);

impl<'f> Alone<'f> {
    /// `None` if another program has the file open, for reading or writing, or if the system cannot
    /// tell.
    pub(super) fn with(file: &'f File) -> Option<Self> {
        #[cfg(target_os = "linux")]
        if file_system::is_local(file) && lease::take_alone(file).is_ok() {
            return Some(Self(file));
        }
        #[cfg(not(target_os = "linux"))]
        let _ = file;
        None
    }
}

#[cfg(target_os = "linux")]
impl Drop for Alone<'_> {
    fn drop(&mut self) {
        lease::give_back(self.0);
    }
}

#[cfg(target_os = "linux")]
fn of(file: &File) -> Writers {
    use lease::Refused;
    match lease::take_and_return(file) {
        // A file system that other machines write to may grant a lease that does not cover them.
        Ok(()) if file_system::is_local(file) => Writers::Absent,
        Err(Refused::Open) => Writers::Present,
        Ok(()) | Err(Refused::Other) => Writers::Unknown,
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::{fs, io::Write, os::unix::fs::OpenOptionsExt};

    use super::*;

    #[test]
    fn a_file_is_written_for_as_long_as_it_is_open_for_writing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut writer = File::create(&path).unwrap();
        writer.write_all(b"begun").unwrap();
        assert_eq!(Writers::at(&path), Writers::Present);
        let other = writer.try_clone().unwrap();
        drop(writer);
        assert_eq!(Writers::at(&path), Writers::Present);
        drop(other);
        assert_eq!(Writers::at(&path), Writers::Absent);

        let _reader = File::open(&path).unwrap();
        assert_eq!(Writers::at(&path), Writers::Absent, "readers do not matter");
        let link = folder.path().join("link");
        fs::hard_link(&path, &link).unwrap();
        let _writer = File::options().append(true).open(&link).unwrap();
        assert_eq!(Writers::at(&path), Writers::Present, "by another name");
    }

    #[test]
    fn the_check_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "content").unwrap();
        let (reader, _) = files::open_regular(&path).unwrap();
        assert_eq!(Writers::of(&reader), Writers::Absent);
        // If the check left a lease, a program that opens the file without waiting would fail.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut options = File::options();
        let opened = options.append(true).custom_flags(flags).open(&path);
        drop(opened.unwrap());
        assert_eq!(Writers::of(&reader), Writers::Absent);
    }

    #[test]
    fn writers_of_other_file_systems_are_unknown() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Writers::at(&folder.path().join("gone")), Writers::Unknown);
        assert_eq!(Writers::at(folder.path()), Writers::Unknown);
        // A file of the kernel, on a file system that is not local.
        assert_eq!(Writers::at(Path::new("/proc/version")), Writers::Unknown);
    }
}
