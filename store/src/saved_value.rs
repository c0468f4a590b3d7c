//! A value in memory with a file of its own in the data folder.
//!
//! Both always agree: a change is written before it becomes visible. A file that cannot be decoded
//! is set aside, and the value begins empty. Errors are those of the operating system.

use std::{
    io,
    path::{Path, PathBuf},
};

use parking_lot::{Mutex, MutexGuard};
use serde::{Serialize, de::DeserializeOwned};

use super::database;
use crate::durable;

/// How many bytes of a file are read at most: far more than the values take.
const MAX_LEN: u64 = 256 << 20;

/// The value.
pub(super) struct SavedValue<T> {
    /// `None` for a store in memory.
    path: Option<PathBuf>,
    value: Mutex<T>,
}

impl<T: Clone + Default + PartialEq + Serialize + DeserializeOwned> SavedValue<T> {
    /// The value in the file `name` of a data folder.
    pub(super) fn in_folder(folder: &Path, name: &'static str) -> io::Result<Self> {
        let path = folder.join(name);
        let parse = |bytes: &[u8]| database::decode(name, bytes).ok();
        let value = durable::read_or_set_aside(&path, MAX_LEN, parse)?;
        Ok(Self {
            path: Some(path),
            value: Mutex::new(value.unwrap_or_default()),
        })
    }

    pub(super) fn in_memory() -> Self {
        Self {
            path: None,
            value: Mutex::default(),
        }
    }

    pub(super) fn get(&self) -> MutexGuard<'_, T> {
        self.value.lock()
    }

    /// Changes the value, and writes it if it differs.
    pub(super) fn change(&self, change: impl FnOnce(&mut T)) -> io::Result<()> {
        let mut value = self.value.lock();
        let mut changed = value.clone();
        change(&mut changed);
        if changed == *value {
            return Ok(());
        }
        if let Some(path) = &self.path {
            let bytes = database::encode(&changed).map_err(io::Error::other)?;
            durable::replace(path, &bytes)?;
        }
        *value = changed;
        Ok(())
    }
}
