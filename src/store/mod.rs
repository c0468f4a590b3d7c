//! Stub.
#![allow(dead_code, missing_docs, clippy::all, unused)]
mod files;
mod identity;
mod lock;

pub use identity::{IdentityError, load_or_create};
pub use lock::{DataFolder, LockError};
use std::{io, ops::ControlFlow, path::{Path, PathBuf}};
use pelago_content::Descriptor;

#[derive(Clone, Debug)]
pub struct Store(Option<DataFolder>);
impl Store {
    pub fn open(folder: &DataFolder) -> Result<Self, OpenError> { Ok(Self(Some(folder.clone()))) }
    pub fn in_memory() -> Self { Self(None) }
}
#[derive(Debug, thiserror::Error)]
#[error("the data folder {} cannot be used: {source}", folder.display())]
pub struct OpenError { pub folder: PathBuf, pub source: io::Error }

#[derive(Clone, Copy, Debug)]
pub struct Hashed { pub descriptor: Descriptor }

pub fn hash_file(path: &Path, progress: &dyn Fn(u64) -> ControlFlow<()>) -> Result<Hashed, HashError> {
    let bytes = std::fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => HashError::Missing { path: path.to_owned() },
        _ => HashError::Unreadable { path: path.to_owned(), source },
    })?;
    let _ = progress(bytes.len() as u64);
    let mut root = [0; 32];
    if !bytes.is_empty() { root = pelago_content::leaf(&bytes); }
    let descriptor = Descriptor::new(pelago_content::Kind::File, bytes.len() as u64, root).unwrap();
    Ok(Hashed { descriptor })
}
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    #[error("{} does not exist", path.display())]
    Missing { path: PathBuf },
    #[error("{} is {found}: only regular files have a hash", path.display())]
    NotAFile { path: PathBuf, found: &'static str },
    #[error("{} changed while it was hashed", path.display())]
    Changed { path: PathBuf },
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("hashing {} was stopped", path.display())]
    Stopped { path: PathBuf },
}
