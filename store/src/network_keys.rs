//! The keys of a private network: `network.key` in the data folder, text that only its owner may read.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{durable, identity::others_may_read};

const FILE: &str = "network.key";

/// How many bytes of the file are read at most: two keys have 130.
const MAX_LEN: u64 = 4096;

/// The path of the keys in the data folder. The file may not exist.
#[must_use]
pub fn network_key_file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// The text of the file in the data folder; `None` if there is none.
///
/// # Errors
/// The error of the operating system; [`io::ErrorKind::PermissionDenied`] if other users may read it,
/// as they could join the network then.
pub fn read_network_keys(folder: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let file = match File::open(network_key_file(folder)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if others_may_read(&file.metadata()?) {
        let why = "other users may read it: run `chmod 600` on it";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_LEN as usize));
    file.take(MAX_LEN).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Replaces the file in the data folder, which is created if there is none.
///
/// # Errors
/// The error of the operating system. The file is unchanged then.
pub fn write_network_keys(folder: &Path, text: &str) -> io::Result<()> {
    durable::create_private_folder(folder)?;
    durable::replace(&network_key_file(folder), text.as_bytes())
}

/// Removes the file. Returns whether there was one.
///
/// # Errors
/// The error of the operating system.
pub fn remove_network_keys(folder: &Path) -> io::Result<bool> {
    let file = network_key_file(folder);
    let exists = file.try_exists()?;
    durable::remove(&file)?;
    Ok(exists)
}
