//! Leases on files. This is one of two files with unsafe code (the other is `memory/trim.rs`):
//! a single system call that neither the standard library nor any of our crates offers.

use std::{
    ffi::c_int,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd},
};

/// `F_SETSIG`, the same on all processors.
const SET_SIGNAL: c_int = 10;

/// Why a read lease was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A program has the file open for writing.
    Open,
    /// The file belongs to another user, or its file system has no leases.
    Other,
}

/// Takes a read lease on a file that is open for reading only, and returns it immediately.
pub(super) fn take_and_return(file: &File) -> Result<(), Refused> {
    take(file, libc::F_RDLCK)?;
    give_back(file);
    Ok(())
}

/// Takes a write lease on a file that no other program has open.
pub(super) fn take_alone(file: &File) -> Result<(), Refused> {
    take(file, libc::F_WRLCK)
}

/// Returns a lease.
pub(super) fn give_back(file: &File) {
    // Fails only if there is no lease to return.
    let _ = control(file, libc::F_SETLEASE, libc::F_UNLCK);
}

fn take(file: &File, kind: c_int) -> Result<(), Refused> {
    // A program that opens the file in the meantime waits until the lease is returned, and this
    // process gets a signal. The default signal would end the process; the kernel discards this
    // one.
    control(file, SET_SIGNAL, libc::SIGURG).map_err(|_| Refused::Other)?;
    let taken = control(file, libc::F_SETLEASE, kind);
    taken.map_err(|error| match error.raw_os_error() {
        Some(libc::EAGAIN) => Refused::Open,
        _ => Refused::Other,
    })
}

#[allow(unsafe_code, reason = "no crate that is well kept has these commands")]
fn control(file: &File, command: c_int, argument: c_int) -> io::Result<()> {
    let descriptor = file.as_fd().as_raw_fd();
    // SAFETY: `file` keeps the descriptor open, and the commands take an integer and no pointer.
    let result = unsafe { libc::fcntl(descriptor, command, argument) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    #[test]
    fn a_program_that_opens_the_file_meanwhile_does_not_end_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        take(&file, libc::F_RDLCK).unwrap();
        let mut options = File::options();
        options.append(true).custom_flags(libc::O_NONBLOCK);
        let refused = options.open(&path).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EWOULDBLOCK));
        drop(file);
        assert!(options.open(&path).is_ok());
    }
}
