//! The list of downloads, read and replaced as a whole.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    Store,
    downloads::{Downloads, LIST_FILE},
    durable,
};

/// The highest size of a list that is read, in bytes: a hundred thousand downloads.
const MAX_LIST_LEN: u64 = 64 << 20;

impl Store {
    /// The stored list; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn kept_downloads(&self) -> io::Result<Option<Vec<u8>>> {
        let path = match &self.inner.downloads {
            Downloads::File(path) => path,
            Downloads::Memory(list) => return Ok(list.lock().clone()),
        };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut list = Vec::new();
        file.take(MAX_LIST_LEN + 1).read_to_end(&mut list)?;
        if list.len() as u64 > MAX_LIST_LEN {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(list))
    }

    /// The path of the list; for a store in memory, only its name.
    #[must_use]
    pub fn downloads_file(&self) -> &Path {
        match &self.inner.downloads {
            Downloads::File(path) => path,
            Downloads::Memory(_) => Path::new(LIST_FILE),
        }
    }

    /// Renames a list that cannot be read, and returns its new path.
    ///
    /// # Errors
    ///
    /// The error of the operating system. The list is then still in place.
    pub fn set_downloads_aside(&self) -> io::Result<PathBuf> {
        match &self.inner.downloads {
            Downloads::File(path) => durable::set_aside(path),
            Downloads::Memory(list) => {
                *list.lock() = None;
                Ok(PathBuf::from(LIST_FILE))
            }
        }
    }

    /// Replaces the stored list atomically and durably.
    ///
    /// # Errors
    ///
    /// The file cannot be written. The earlier list stays.
    pub fn keep_downloads(&self, list: &[u8]) -> io::Result<()> {
        match &self.inner.downloads {
            Downloads::File(path) => durable::replace(path, list),
            Downloads::Memory(kept) => {
                *kept.lock() = Some(list.to_vec());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::on_every_store;

    #[test]
    fn the_list_kept_last_is_found() {
        on_every_store(|home| {
            assert_eq!(home.store.kept_downloads().unwrap(), None);
            for list in [&b"first"[..], b"2nd"] {
                home.store.keep_downloads(list).unwrap();
                assert_eq!(home.store.kept_downloads().unwrap().as_deref(), Some(list));
            }
        });
    }
}
