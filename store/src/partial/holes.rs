//! Writes content to a file, with holes for blocks of zeros.
//!
//! A disk image that is mostly empty takes no more space here than at its source.

use std::{fs::File, io};

use pelago_content::BLOCK_SIZE;

use crate::{file_system, files};

fn is_zeros(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// Writes `data` at `offset`. Whole blocks of zeros become holes where the file system has them.
pub(super) fn write(file: &File, data: &[u8], offset: u64) -> io::Result<()> {
    let blocks = data.chunks(BLOCK_SIZE as usize);
    let mut runs = Vec::new();
    let mut at = 0;
    for block in blocks {
        let is_zeros = is_zeros(block);
        match runs.last_mut() {
            Some((_, end, zeros)) if *zeros == is_zeros => *end = at + block.len(),
            _ => runs.push((at, at + block.len(), is_zeros)),
        }
        at += block.len();
    }
    for (start, end, is_zeros) in runs {
        let (from, len) = (offset + start as u64, (end - start) as u64);
        if !(is_zeros && file_system::has_holes(file) && file_system::punch_hole(file, from, len)?)
        {
            files::write_all_at(file, &data[start..end], from)?;
        }
    }
    Ok(())
}

/// Bytes of `data` that take space on the disk: all but whole blocks of zeros.
pub(super) fn written_len(data: &[u8]) -> u64 {
    let blocks = data.chunks(BLOCK_SIZE as usize);
    let is_written = |block: &&[u8]| block.iter().any(|byte| *byte != 0);
    blocks
        .filter(is_written)
        .map(|block| block.len() as u64)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn zeros_take_no_space_and_read_as_zeros() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("file");
        let file = File::create_new(&path).unwrap();
        if !file_system::has_holes(&file) {
            return;
        }
        let len = 64 * BLOCK_SIZE;
        // Older bytes must not show through.
        files::write_all_at(&file, &vec![7; len as usize], 0).unwrap();
        let mut data = vec![0; len as usize];
        data[20 * BLOCK_SIZE as usize] = 1;
        data.truncate(data.len() - 100);
        write(&file, &data, 0).unwrap();
        assert_eq!(written_len(&data), BLOCK_SIZE);
        let mut read = std::fs::read(&path).unwrap();
        read.truncate(data.len());
        assert!(read == data);
        file.sync_all().unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 <= 3 * BLOCK_SIZE);
    }
}
