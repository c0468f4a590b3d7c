//! The mark of an unfinished download: an extended attribute that names the download which created
//! a file or directory.
//!
//! Owns the attribute and its value. A mark tells our own files from other files of the same name.
//! Where a file system has no extended attributes, the record decides (`part_file`).

use std::fs::File;

use pelago_content::Hash;

/// The name of the attribute. Its value is the id of the download and the hash of the content.
/// Versions before format 2 wrote an empty value.
#[cfg(any(target_os = "linux", target_os = "macos"))]
pub(crate) const ATTRIBUTE: &str = "user.pelago.part";

/// Bytes of an id: random, so that no two downloads have the same.
pub(super) const ID_LEN: usize = 16;

/// Bytes of a value.
#[cfg(any(target_os = "linux", target_os = "macos"))]
const MARK_LEN: usize = ID_LEN + Hash::LEN;

/// Identifies one download on this disk. Its record and everything that it creates carry the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id([u8; ID_LEN]);

impl Id {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    pub(super) const fn from_bytes(bytes: [u8; ID_LEN]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; ID_LEN] {
        &self.0
    }
}

/// The mark of a file.
#[cfg_attr(
    not(any(target_os = "linux", target_os = "macos")),
    allow(dead_code, reason = "other systems have no marks")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// This download created it, for this content.
    Of(Id, Hash),
    /// A version before format 2 created it.
    Old,
    /// It has no mark.
    None,
    /// The file system has no extended attributes.
    Unsupported,
}

/// Marks a file or directory, if the file system supports that.
pub(super) fn set(file: &File, id: Id, hash: &Hash) {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        let mut value = [0; MARK_LEN];
        value[..ID_LEN].copy_from_slice(id.as_bytes());
        value[ID_LEN..].copy_from_slice(hash.as_bytes());
        // Without a mark, the record decides.
        let _ = rustix::fs::fsetxattr(file, ATTRIBUTE, &value, rustix::fs::XattrFlags::empty());
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let _ = (file, id, hash);
}

/// Removes the mark of a file or directory that is at its target.
pub(super) fn remove(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    let _ = rustix::fs::fremovexattr(file, ATTRIBUTE);
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let _ = file;
}

/// Reads the mark.
pub(super) fn read(file: &File) -> Mark {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::io::Errno;
        let mut value = [0_u8; MARK_LEN];
        match rustix::fs::fgetxattr(file, ATTRIBUTE, &mut value) {
            Ok(MARK_LEN) => {
                let (id, hash) = value.split_at(ID_LEN);
                match (id.try_into(), hash.try_into()) {
                    (Ok(id), Ok(hash)) => Mark::Of(Id::from_bytes(id), Hash::from_bytes(hash)),
                    _ => Mark::Old,
                }
            }
            Ok(_) | Err(Errno::RANGE) => Mark::Old,
            Err(Errno::NOTSUP | Errno::NOSYS | Errno::PERM) => Mark::Unsupported,
            Err(_) => Mark::None,
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    {
        let _ = file;
        Mark::Unsupported
    }
}

/// Whether any download created it, of this node or another.
pub(crate) fn is_there(file: &File) -> bool {
    matches!(read(file), Mark::Of(..) | Mark::Old)
}
