//! Storage for redb that keeps all writes in memory, and takes memory only for written pages.
//!
//! Each page is allocated at its first write, above a file that is only read, or above nothing.
//! Above a file, a process can read the database without changing a byte or waiting for the disk,
//! although redb marks a file as opened and as closed with five fsyncs. Above nothing, it is the
//! database of a store in memory: redb lays out 1 MiB for an empty database and touches only a few
//! of its pages, so a node in a simulation costs 0.1 MiB instead of 1.1. Fails for ranges outside
//! the storage, and when the file cannot be read.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    fs::File,
    io,
};

use parking_lot::{RwLock, RwLockReadGuard};
use redb::StorageBackend;

use super::files;

/// The size of a page in bytes; that of redb.
const PAGE_LEN: usize = 4096;

type Page = [u8; PAGE_LEN];

/// Storage whose writes stay in memory.
#[derive(Default)]
pub(super) struct Sparse {
    below: Option<File>,
    state: RwLock<SparsePages>,
}

#[derive(Default)]
struct SparsePages {
    len: u64,
    written: BTreeMap<u64, Box<Page>>,
}

impl Sparse {
    /// Storage that starts with the content of the file, and never changes the file.
    pub(super) fn over(file: File) -> io::Result<Self> {
        let state = SparsePages {
            len: file.metadata()?.len(),
            written: BTreeMap::new(),
        };
        Ok(Self {
            below: Some(file),
            state: RwLock::new(state),
        })
    }

    fn state(&self) -> RwLockReadGuard<'_, SparsePages> {
        self.state.read()
    }

    /// Reads the content below the written pages; zeros where there is none.
    fn read_below(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        out.fill(0);
        let Some(file) = &self.below else {
            return Ok(());
        };
        let there = file.metadata()?.len().saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        files::read_exact_at(file, &mut out[..there], offset)
    }
}

/// The parts of a range: page, offset in the page, length.
fn parts(
    len: u64,
    offset: u64,
    wanted: usize,
) -> io::Result<impl Iterator<Item = (u64, usize, usize)>> {
    let end = offset.checked_add(wanted as u64);
    if end.is_none_or(|end| end > len) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let (mut at, mut left) = (offset, wanted);
    Ok(std::iter::from_fn(move || {
        let within = (at % PAGE_LEN as u64) as usize;
        let part = (at / PAGE_LEN as u64, within, left.min(PAGE_LEN - within));
        at += part.2 as u64;
        left -= part.2;
        (part.2 > 0).then_some(part)
    }))
}

impl StorageBackend for Sparse {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state.write().len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        for (page, within, len) in parts(state.len, offset, out.len())? {
            let (part, rest) = out.split_at_mut(len);
            match state.written.get(&page) {
                Some(page) => part.copy_from_slice(&page[within..within + len]),
                None => self.read_below(page * PAGE_LEN as u64 + within as u64, part)?,
            }
            out = rest;
        }
        Ok(())
    }

    fn write(&self, offset: u64, mut data: &[u8]) -> io::Result<()> {
        let mut state = self.state.write();
        for (page, within, len) in parts(state.len, offset, data.len())? {
            let (part, rest) = data.split_at(len);
            let page = match state.written.entry(page) {
                Entry::Occupied(written) => written.into_mut(),
                Entry::Vacant(vacant) => {
                    let mut below = Box::new([0; PAGE_LEN]);
                    self.read_below(page * PAGE_LEN as u64, &mut below[..])?;
                    vacant.insert(below)
                }
            };
            page[within..within + len].copy_from_slice(part);
            data = rest;
        }
        Ok(())
    }
}

impl fmt::Debug for Sparse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sparse")
            .field("below", &self.below)
            .field("len", &self.state().len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn pages_cost_memory_when_written() {
        let memory = Sparse::default();
        memory.set_len(1 << 40).unwrap();
        memory.write(4000, &counted(10_000)).unwrap();
        let mut read = vec![1; 10_000 + 200];
        memory.read(3900, &mut read).unwrap();
        assert!(read[..100].iter().all(|byte| *byte == 0));
        assert_eq!(read[100..10_100], counted(10_000));
        assert_eq!(memory.state().written.len(), 4);
        assert!(memory.read((1 << 40) - 1, &mut [0; 2]).is_err());
        assert!(memory.write(u64::MAX, &[0; 2]).is_err());
    }

    #[test]
    fn a_file_below_is_read_and_never_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, counted(10_000)).unwrap();
        let memory = Sparse::over(File::open(&path).unwrap()).unwrap();
        memory.write(5000, &[255; 10]).unwrap();
        memory.set_len(20_000).unwrap();
        let mut expected = counted(10_000);
        expected[5000..5010].fill(255);
        expected.resize(20_000, 0);
        let mut read = vec![1; 20_000];
        memory.read(0, &mut read).unwrap();
        assert_eq!(read, expected);
        assert_eq!(std::fs::read(&path).unwrap(), counted(10_000));
    }
}
