//! The files in a staging directory.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use pelago_content::MAX_NAME_LEN;

use super::{MAX_ATOMIC, Staging};
use crate::{
    Fingerprint,
    dir::{Dir, EntryType, OpenMode},
    file_system, files,
    partial::{
        folder::executable::finalize,
        mark::{self, Mark},
        part_name::MAX_ATTEMPTS,
        removal::{Removal, remove_entry},
    },
    write_failure,
};

/// Bytes that are read and written at a time.
const COPY_LEN: u64 = 1 << 20;

impl Staging {
    /// Creates a folder, and those above it.
    pub(in super::super) fn create_folder(&self, inner: &str) -> io::Result<()> {
        self.dir.make(inner)
    }

    /// Makes sure that an entry can be created: its parents are folders, and its path is free. A
    /// file that an earlier run left there is removed. Any other entry is renamed.
    pub(in super::super) fn clear_path(&self, inner: &str) -> io::Result<()> {
        if let Some((folder, _)) = inner.rsplit_once('/') {
            self.dir.make(folder)?;
        }
        let Some(entry) = self.dir.find(inner)? else {
            return Ok(());
        };
        if entry.kind == EntryType::File {
            let file = self.dir.file(inner, OpenMode::Read)?;
            let removed = self
                .is_left_over(&file)?
                .then(|| remove_entry(&self.dir, inner, entry.file_id));
            if removed.transpose()? == Some(Removal::Gone) {
                return Ok(());
            }
        }
        self.set_aside(inner)
    }

    /// Whether an earlier run left a file that is not whole: it has the mark, or is short and all
    /// zeros.
    fn is_left_over(&self, file: &File) -> io::Result<bool> {
        match mark::read(file) {
            Mark::Of(id, _) if id == self.id => return Ok(true),
            Mark::Old => return Ok(true),
            _ => {}
        }
        Ok(file.metadata()?.len() <= MAX_ATOMIC as u64 && is_zeros(file)?)
    }

    fn set_aside(&self, inner: &str) -> io::Result<()> {
        for number in 1..=MAX_ATTEMPTS {
            let aside = aside_name(inner, number);
            match self.dir.rename(inner, &self.dir, &aside, false) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let path = self.dir.path_of(&aside);
                    tracing::warn!(
                        path = %path.display(),
                        "another file was in the way, and has this name now"
                    );
                    return Ok(());
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Creates a file of `len` bytes.
    fn create(&self, inner: &str, len: usize) -> io::Result<File> {
        let file = match self.dir.file(inner, OpenMode::New) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                ) =>
            {
                self.clear_path(inner)?;
                self.dir.file(inner, OpenMode::New)?
            }
            created => created?,
        };
        if len > MAX_ATOMIC {
            self.mark(&file);
        }
        Ok(file)
    }

    /// Creates a file with all of its content.
    pub(in super::super) fn create_whole(
        &self,
        inner: &str,
        data: &[u8],
        is_executable: bool,
    ) -> io::Result<Fingerprint> {
        let mut file = self.create(inner, data.len())?;
        file.write_all(data)?;
        finalize(&file, is_executable)
    }

    /// Creates a file of `len` bytes whose content is written chunk by chunk.
    pub(in super::super) fn create_sized(&self, inner: &str, len: u64) -> io::Result<()> {
        // Marked, however short: a part of its content may be missing.
        self.create(inner, MAX_ATOMIC + 1)?.set_len(len)
    }

    /// Writes to a file that exists.
    pub(in super::super) fn write_at(
        &self,
        inner: &str,
        data: &[u8],
        offset: u64,
    ) -> io::Result<()> {
        files::write_all_at(&self.dir.file(inner, OpenMode::Write)?, data, offset)
    }

    /// Creates a file with the content of another.
    pub(in super::super) fn copy(&self, inner: &str, from: &mut File) -> io::Result<File> {
        let mut file = self.create(inner, MAX_ATOMIC + 1)?;
        io::copy(from, &mut file)?;
        Ok(file)
    }

    /// Writes the content of a file once more: a sync failed, and the disk may not hold the bytes
    /// that it shows.
    pub(in super::super) fn write_again(&self, inner: &str) -> io::Result<()> {
        let file = self.dir.file(inner, OpenMode::Write)?;
        let len = file.metadata()?.len();
        let mut at = 0;
        while at < len {
            let data = files::read_vec_at(&file, at, (len - at).min(COPY_LEN) as usize)?;
            file_system::write_again(&file, &data, at)?;
            at += data.len() as u64;
        }
        Ok(())
    }

    /// Marks a file as one of an unfinished download.
    pub(in super::super) fn mark(&self, file: &File) {
        mark::set(file, self.id, &self.hash);
    }

    /// Removes the mark of a file that is whole and durable. Returns its new fingerprint.
    pub(in super::super) fn unmark(&self, inner: &str) -> io::Result<Fingerprint> {
        let file = self.dir.file(inner, OpenMode::Read)?;
        mark::remove(&file);
        Ok(Fingerprint::new(&file.metadata()?))
    }

    /// Creates a symbolic link. Nothing is written through it, wherever it leads.
    pub(in super::super) fn create_link(&self, inner: &str, to: &str) -> io::Result<()> {
        let is_there = |dir: &Dir| {
            dir.read_link(inner)
                .is_ok_and(|there| there == Path::new(to))
        };
        if is_there(&self.dir) || self.existing_target.as_ref().is_some_and(is_there) {
            return Ok(());
        }
        self.clear_path(inner)?;
        let made = self.dir.make_link(inner, to);
        made.map_err(write_failure::of_link)
    }

    /// Removes a link that an earlier run created and this run leaves out.
    pub(in super::super) fn remove_link(&self, inner: &str, to: &str) -> io::Result<()> {
        match self.dir.read_link(inner) {
            Ok(leads_to) if leads_to == Path::new(to) => self.dir.remove_file(inner),
            _ => Ok(()),
        }
    }
}

/// The new path of a file that is in the way.
fn aside_name(inner: &str, number: u32) -> String {
    let suffix = format!(".kept-{number}");
    let (folder, name) = match inner.rfind('/') {
        Some(at) => inner.split_at(at + 1),
        None => ("", inner),
    };
    let len = name.floor_char_boundary(MAX_NAME_LEN - suffix.len());
    format!("{folder}{}{suffix}", &name[..len])
}

/// Whether a short file is all zeros.
fn is_zeros(file: &File) -> io::Result<bool> {
    let len = file.metadata()?.len().min(MAX_ATOMIC as u64);
    let data = files::read_vec_at(file, 0, len as usize)?;
    Ok(data.iter().all(|byte| *byte == 0))
}
