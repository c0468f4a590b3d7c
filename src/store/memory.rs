//! Where the database of an in-memory store lives.
//!
//! Owns pages, each allocated when it is first written: redb lays out a file of 1 MiB for an empty
//! database and touches a few pages of it. A node in a simulation so costs 80 KiB instead of 1.1
//! MiB. Fails only for ranges outside the storage, as a file would.

use std::{
    io,
    sync::{PoisonError, RwLock},
};

use redb::StorageBackend;

/// Bytes in a page: that of redb.
const PAGE_SIZE: usize = 4096;

/// Storage of which only pages that were written cost memory.
#[derive(Default)]
pub(super) struct SparseMemory(RwLock<Sparse>);

#[derive(Default)]
struct Sparse {
    len: u64,
    pages: Vec<Option<Box<[u8; PAGE_SIZE]>>>,
}

impl std::fmt::Debug for SparseMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SparseMemory")
    }
}

impl Sparse {
    /// The parts of the range by page: page, range within it, range within the buffer.
    fn parts(
        &self,
        offset: u64,
        len: usize,
    ) -> io::Result<impl Iterator<Item = (usize, usize, usize)> + use<>> {
        let end = offset.checked_add(len as u64);
        let (Some(_), Ok(mut at)) = (end.filter(|end| *end <= self.len), usize::try_from(offset))
        else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let mut left = len;
        Ok(std::iter::from_fn(move || {
            let within = at % PAGE_SIZE;
            let part = (at / PAGE_SIZE, within, left.min(PAGE_SIZE - within));
            at += part.2;
            left -= part.2;
            (part.2 > 0).then_some(part)
        }))
    }
}

impl StorageBackend for SparseMemory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut memory = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let pages = usize::try_from(len.div_ceil(PAGE_SIZE as u64))
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        memory.pages.resize_with(pages, || None);
        memory.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        let memory = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for (page, within, len) in memory.parts(offset, out.len())? {
            let (part, rest) = out.split_at_mut(len);
            match &memory.pages[page] {
                Some(page) => part.copy_from_slice(&page[within..within + len]),
                None => part.fill(0),
            }
            out = rest;
        }
        Ok(())
    }

    fn write(&self, offset: u64, mut data: &[u8]) -> io::Result<()> {
        let mut memory = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (page, within, len) in memory.parts(offset, data.len())? {
            let (part, rest) = data.split_at(len);
            let page = memory.pages[page].get_or_insert_with(|| Box::new([0; PAGE_SIZE]));
            page[within..within + len].copy_from_slice(part);
            data = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cost_memory_when_written() {
        let memory = SparseMemory::default();
        memory.set_len(1 << 20).unwrap();
        let data: Vec<u8> = (0..10_000).map(|i| (i % 251) as u8).collect();
        memory.write(4000, &data).unwrap();
        let mut read = vec![1; 10_000 + 200];
        memory.read(3900, &mut read).unwrap();
        assert!(read[..100].iter().all(|byte| *byte == 0));
        assert_eq!(read[100..10_100], data);
        let touched = memory.0.read().unwrap().pages.iter().flatten().count();
        assert_eq!(touched, 4);
        assert!(memory.read((1 << 20) - 1, &mut [0; 2]).is_err());
        assert!(memory.write(u64::MAX, &[0; 2]).is_err());
    }
}
