//! What differs between platforms: reading and writing at an offset, opening what others may have put there.
//!
//! Owns no state and no path. Errors leave as they came from the system, or, for a file to be
//! shared, as an [`OpenFileError`] that says what is in the way.

use std::{
    fs::{self, File, FileType, Metadata, OpenOptions},
    io,
    path::Path,
};

pub(super) use crate::durable::{
    create_private_folder, private, rename_new, replace, sync_folder_of,
};

/// Fills `buffer` from the file, starting at `offset`.
pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset);
    #[cfg(windows)]
    {
        let (mut rest, mut offset) = (buffer, offset);
        while !rest.is_empty() {
            let read = std::os::windows::fs::FileExt::seek_read(file, rest, offset)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            rest = &mut rest[read..];
            offset += read as u64;
        }
        Ok(())
    }
}

/// Reads `len` bytes from `offset` into a buffer of exactly that size.
pub(super) fn read_vec_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    // Where the system can write to fresh memory, that is not filled with zeroes before.
    #[cfg(unix)]
    {
        use rustix::{buffer::spare_capacity, io::retry_on_intr};
        let mut data = Vec::with_capacity(len);
        while data.len() < len {
            let at = offset + data.len() as u64;
            let read = || rustix::io::pread(file, spare_capacity(&mut data), at);
            if retry_on_intr(read)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        // There may be room for more than was asked for.
        data.truncate(len);
        Ok(data)
    }
    #[cfg(not(unix))]
    {
        let mut data = vec![0; len];
        read_exact_at(file, &mut data, offset)?;
        Ok(data)
    }
}

/// Writes all of `data` to the file, starting at `offset`.
pub(super) fn write_all_at(file: &File, data: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, data, offset);
    #[cfg(windows)]
    {
        let (mut rest, mut offset) = (data, offset);
        while !rest.is_empty() {
            let written = std::os::windows::fs::FileExt::seek_write(file, rest, offset)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[written..];
            offset += written as u64;
        }
        Ok(())
    }
}

/// Opens a regular file for reading, and never waits for or disturbs anything else.
pub(super) fn open_regular(path: &Path) -> Result<(File, Metadata), OpenFileError> {
    // Opening a device may already have an effect, so look first; and look again at what was
    // opened, as another may have been put there in between.
    check_regular(&fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        // A fifo put there in between would otherwise wait for a writer.
        let flags = rustix::fs::OFlags::NONBLOCK.bits();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.cast_signed());
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    check_regular(&metadata)?;
    Ok((file, metadata))
}

/// Opens a regular file that is ours to write. Whoever may write to its folder may have put a link or a
/// fifo there.
pub(super) fn open_own(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        let error = "it is there, and no regular file: move it away";
        Err(io::Error::new(io::ErrorKind::AlreadyExists, error))
    }
}

/// Why a file cannot be opened to be read.
#[derive(Debug)]
pub(super) enum OpenFileError {
    /// Something else than a regular file: what it is.
    NotAFile(&'static str),
    /// The system said no.
    Io(io::Error),
}

impl From<io::Error> for OpenFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn check_regular(metadata: &Metadata) -> Result<(), OpenFileError> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(OpenFileError::NotAFile(type_name(metadata.file_type())))
    }
}

/// What something that is no regular file is, for people.
pub(super) fn type_name(found: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if found.is_fifo() {
            return "a fifo";
        }
        if found.is_socket() {
            return "a socket";
        }
        if found.is_char_device() || found.is_block_device() {
            return "a device";
        }
    }
    if found.is_dir() {
        "a folder"
    } else {
        "no regular file"
    }
}
