//! File operations that differ between platforms: reading and writing at an offset, and opening
//! files that others may have replaced.
//!
//! Keeps no state. Errors are those of the operating system, or an [`OpenFileError`] for a file to
//! be shared.

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
    // Where the system can write to uninitialised memory, the buffer is not zeroed first.
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
        // The buffer may have more capacity than was requested.
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

/// Opens a regular file for reading. Never waits for other files, such as fifos, and has no effect
/// on them.
pub(super) fn open_regular(path: &Path) -> Result<(File, Metadata), OpenFileError> {
    // Opening a device may have side effects, so its type is checked first, and checked again after
    // opening, in case the file was replaced in the meantime.
    check_regular(&fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        // Opening a fifo that was put there in the meantime would wait for a writer.
        let flags = rustix::fs::OFlags::NONBLOCK.bits();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.cast_signed());
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    check_regular(&metadata)?;
    Ok((file, metadata))
}

/// Opens one of our own regular files for writing. Others who may write to its folder may have put
/// a link or a fifo there.
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
        let error = "something other than a regular file is there: move it away";
        Err(io::Error::new(io::ErrorKind::AlreadyExists, error))
    }
}

/// Why a file cannot be opened for reading.
#[derive(Debug)]
pub(super) enum OpenFileError {
    /// It is not a regular file; the text names its type.
    NotAFile(&'static str),
    /// The operating system refused.
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

/// The name of a file type other than a regular file, for people.
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
        "not a regular file"
    }
}
