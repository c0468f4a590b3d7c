//! The capabilities of file systems.
//!
//! Owns the table of file systems, by the numbers of `statfs(2)`. An unknown file system counts as
//! the least capable. Keeps no state.

use std::{fs::File, io};

/// The known traits of the file system of a file.
#[cfg(target_os = "linux")]
struct Traits {
    /// Only this machine writes to it, and it can report who does.
    is_local: bool,
    /// It stores holes at no cost.
    has_holes: bool,
    /// A file keeps its inode number when the file system is mounted again.
    keeps_inodes: bool,
}

#[cfg(target_os = "linux")]
#[allow(
    clippy::unnecessary_cast,
    reason = "the type differs between processors"
)]
fn traits(file: &File) -> Traits {
    let kind = rustix::fs::fstatfs(file).map_or(0, |found| found.f_type as i64);
    match kind {
        0xef53             // ext2, ext3, ext4
        | 0x5846_5342      // XFS
        | 0x9123_683e      // Btrfs
        | 0x0102_1994      // tmpfs
        | 0x8584_58f6      // ramfs
        | 0x794c_7630      // overlayfs
        | 0xf2f5_2010      // F2FS
        | 0xca45_1a4e      // bcachefs
        | 0x2fc1_2fc1      // ZFS
        => Traits { is_local: true, has_holes: true, keeps_inodes: true },
        0x4d44             // FAT
        | 0x2011_bab0      // exFAT
        => Traits { is_local: true, has_holes: false, keeps_inodes: false },
        0x7366_746e        // NTFS
        => Traits { is_local: true, has_holes: true, keeps_inodes: true },
        _ => Traits { is_local: false, has_holes: false, keeps_inodes: false },
    }
}

/// Whether only this machine writes to the file system, so that it can report who does.
pub(super) fn is_local(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    return traits(file).is_local;
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        false
    }
}

/// Whether the file system stores holes at no cost.
pub(super) fn has_holes(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    return traits(file).has_holes;
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        false
    }
}

/// Whether a file keeps its inode number when the file system is mounted again.
pub(super) fn keeps_inodes(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    return traits(file).keeps_inodes;
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        cfg!(unix)
    }
}

/// Turns a run of zeros into a hole. Returns false, and does nothing, if the file system cannot.
pub(super) fn punch_hole(file: &File, start: u64, len: u64) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use rustix::{fs::FallocateFlags, io::Errno};
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(file, flags, start, len) {
            Ok(()) => Ok(true),
            Err(Errno::NOTSUP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, start, len);
        Ok(false)
    }
}

/// Makes `to` share the blocks of `from`, so that it has the same content and takes no space of its
/// own. Returns false, and does nothing, if the file system cannot.
pub(super) fn clone_file(from: &File, to: &File) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::Errno;
        match rustix::fs::ioctl_ficlone(to, from) {
            Ok(()) => Ok(true),
            Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOTTY | Errno::INVAL | Errno::XDEV) => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (from, to);
        Ok(false)
    }
}

/// The size of the largest block of any file system, in bytes.
const MAX_FS_BLOCK: u64 = 64 << 10;

/// Writes bytes again that the disk may have lost although the system still shows them. Overwriting
/// them is not enough: ext4 keeps treating their blocks as unwritten, and returns zeros after the
/// next mount (seen on Linux 6.18). So their blocks are released first.
pub(super) fn write_again(file: &File, data: &[u8], start: u64) -> io::Result<()> {
    give_back(file, start, data.len() as u64)?;
    super::files::write_all_at(file, data, start)
}

/// Releases the blocks of these bytes. A hole that ends at the end of the file only zeroes the last
/// block and keeps it, so the hole extends past the end.
fn give_back(file: &File, start: u64, len: u64) -> io::Result<bool> {
    let is_last = start + len >= file.metadata()?.len();
    let end = if is_last {
        (start + len).next_multiple_of(MAX_FS_BLOCK)
    } else {
        start + len
    };
    punch_hole(file, start, end - start)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn all_blocks_of_a_file_are_freed() {
        const CHUNK: usize = 16 << 10;
        for size in [1, 2109, CHUNK, 100_001] {
            let file = tempfile::tempfile().unwrap();
            super::super::files::write_all_at(&file, &vec![7; size], 0).unwrap();
            file.sync_all().unwrap();
            for start in (0..size).step_by(CHUNK) {
                let len = CHUNK.min(size - start);
                if !give_back(&file, start as u64, len as u64).unwrap() {
                    return;
                }
            }
            let metadata = file.metadata().unwrap();
            assert_eq!((metadata.blocks(), metadata.len()), (0, size as u64));
        }
    }
}
