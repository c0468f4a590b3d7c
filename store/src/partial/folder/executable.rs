//! Files that their owner may run.

use std::{fs::File, io};

use crate::Fingerprint;

/// Makes a whole file executable, if it has to be. Returns its final fingerprint.
pub(super) fn finalize(file: &File, is_executable: bool) -> io::Result<Fingerprint> {
    if is_executable {
        make_executable(file)?;
    }
    Ok(Fingerprint::new(&file.metadata()?))
}

/// Allows everyone who may read the file to run it.
fn make_executable(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mut permissions = file.metadata()?.permissions();
        let mode = permissions.mode();
        if mode & 0o100 == 0 {
            permissions.set_mode(mode | (mode & 0o444) >> 2);
            file.set_permissions(permissions)?;
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}
