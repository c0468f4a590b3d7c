//! Where a folder grows: in a tree of its own beside the target, `NAME.part/`, which is renamed at the end,
//! or, where a folder of that name is there already, moved into it file by file.
//!
//! Owns every directory that a folder download writes to, as handles: names come from `local`, and are one
//! component each, so a path never leaves the tree by its letters, and nothing below a handle is reached
//! through a link. Never writes to, replaces or removes what is not ours: that stays, under another name if it is in
//! the way.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use pelago_content::{Hash, Listing, MAX_NAME_LEN};

use super::{file_system::FileSystem, probe, staging_dir::StagingSearch};
use crate::store::{
    Fingerprint, PartialError, PartialSpec,
    dir::{Dir, Entry, Kind, Mode},
    disk, files,
    partial::{
        mark::{self, Id, Mark},
        part_file::{part_name, place_of},
        record::{EarlierRun, RecordedPart},
        removal::{Removal, remove_this},
    },
    write_failure,
};

/// Names that are tried for what grows, and for what is in its way, at most.
pub(super) const MAX_NAMES: u32 = 100;

/// Bytes up to which the system writes a file in one go or not at all. A larger one is marked while the
/// folder grows, as a part of it proves nothing.
pub(super) const MAX_ATOMIC: usize = 4096;

/// Bytes that are read and written at once.
const COPY_LEN: u64 = 1 << 20;

/// Where a file of the folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// In the tree that grows.
    Staging,
    /// In the folder that was there before.
    Target,
}

/// The tree of one folder, which nobody else downloads to.
pub(super) struct Staging {
    target: PathBuf,
    hash: Hash,
    id: Id,
    /// The directory that holds the target, and the name of the target there.
    home: Arc<Dir>,
    name: String,
    /// The tree that grows, and where it is.
    staged: Arc<Dir>,
    part_home: Arc<Dir>,
    part: String,
    /// The folder that was there before.
    into: Option<Dir>,
    /// Whether nothing was there.
    is_new: bool,
    /// Whether the tree was begun just now.
    is_begun: bool,
    /// Whether other content in place may be replaced.
    overwrite: bool,
    /// What the file system holds, as the first run that asked found.
    file_system: FileSystem,
    /// Whether an earlier run began here, or a person said so, or nothing is there.
    is_chosen: bool,
    is_finished: AtomicBool,
}

impl Staging {
    /// The tree for what `spec` says: what an earlier run began, moved here if it was for another target, or
    /// a new one.
    pub(super) fn open(
        spec: &PartialSpec,
        known: &EarlierRun,
        listing: &Listing,
    ) -> Result<Self, PartialError> {
        let target = spec.target.clone();
        let (home, name) = place_of(&target)?;
        let failed = |source| PartialError::Io {
            path: target.clone(),
            source,
        };
        let into = match home.find(&name).map_err(failed)? {
            Some(entry) if entry.kind == Kind::Folder => Some(home.sub(&name).map_err(failed)?),
            Some(_) => return Err(PartialError::Exists { path: target }),
            None => None,
        };
        let staging = StagingSearch {
            spec,
            hash: spec.descriptor.hash(),
            home: &home,
            name: &name,
        };
        let staged = match staging.earlier(known)? {
            Some(earlier) => earlier,
            None => staging.make()?,
        };
        let file_system = match known {
            EarlierRun::Recorded(recorded) if !staged.is_new => recorded.file_system().cloned(),
            _ => None,
        };
        let file_system = match file_system {
            Some(file_system) => file_system,
            None => probe::file_system(&staged.dir, listing).map_err(failed)?,
        };
        Ok(Self {
            is_new: staged.is_new && into.is_none(),
            is_begun: staged.is_new,
            hash: staging.hash,
            id: staged.id,
            home: Arc::clone(&home),
            staged: Arc::new(staged.dir),
            part_home: staged.home,
            part: staged.name,
            overwrite: spec.overwrite,
            file_system,
            is_chosen: known.is_for(&target)
                || spec.is_named
                || into
                    .as_ref()
                    .is_some_and(|into| into.is_empty().unwrap_or(false)),
            into,
            is_finished: AtomicBool::new(false),
            name,
            target,
        })
    }

    /// What the record says of it.
    pub(super) fn recorded(&self) -> RecordedPart {
        RecordedPart {
            id: self.id,
            path: self.part_home.path_of(&self.part),
            file_system: Some(self.file_system.clone()),
        }
    }

    /// What the file system holds.
    pub(super) const fn file_system(&self) -> &FileSystem {
        &self.file_system
    }

    /// The directory that is or will be at the target.
    pub(super) fn final_dir(&self) -> Option<&File> {
        self.into.as_ref().unwrap_or(&self.staged).as_file()
    }

    /// Whether it is to end among what is there because of a name that others gave it.
    pub(super) const fn is_by_chance(&self) -> bool {
        self.into.is_some() && !self.is_chosen
    }

    /// Whether nothing is there yet that could be of use.
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Removes a tree that was begun just now and is not to be.
    pub(super) fn take_back(&self) -> bool {
        let removed = self
            .is_begun
            .then(|| self.part_home.remove_folder(&self.part));
        removed.is_some_and(|removed| removed.is_ok())
    }

    /// Whether a folder was there before, in which it is to end.
    pub(super) const fn is_in_place(&self) -> bool {
        self.into.is_some()
    }

    /// Whether what is in the folder that was there before, and is not as it should be, may be replaced.
    pub(super) const fn may_replace(&self) -> bool {
        self.overwrite
    }

    /// The tree that grows.
    pub(super) const fn staged(&self) -> &Arc<Dir> {
        &self.staged
    }

    /// The folder that was there before.
    pub(super) const fn merged_into(&self) -> Option<&Dir> {
        self.into.as_ref()
    }

    fn dir(&self, at: Base) -> &Dir {
        match (at, &self.into) {
            (Base::Target, Some(into)) => into,
            _ => &self.staged,
        }
    }

    /// The path of an entry as things are.
    pub(super) fn path(&self, at: Base, inner: &str) -> PathBuf {
        if at == Base::Target || self.is_finished.load(Ordering::Acquire) {
            self.target(inner)
        } else {
            self.staged.path_of(inner)
        }
    }

    /// The path of an entry in the end.
    pub(super) fn target(&self, inner: &str) -> PathBuf {
        self.target.join(inner)
    }

    /// What is where an entry is to be.
    pub(super) fn find(&self, at: Base, inner: &str) -> io::Result<Option<Entry>> {
        self.dir(at).find(inner)
    }

    /// Opens what is where a file is to be, if that is a regular file.
    pub(super) fn existing(&self, at: Base, inner: &str) -> io::Result<Option<File>> {
        match self.find(at, inner)? {
            Some(_) => self.dir(at).file(inner, Mode::Read).map(Some),
            None => Ok(None),
        }
    }

    /// Makes a folder, and those above it.
    pub(super) fn folder(&self, inner: &str) -> io::Result<()> {
        self.staged.make(inner)
    }

    /// Sees to it that a file can be begun: all above it are folders, and nothing is in its place. What an
    /// earlier run left there is removed; what is not ours stays, under another name.
    pub(super) fn clear_path(&self, inner: &str) -> io::Result<()> {
        if let Some((folder, _)) = inner.rsplit_once('/') {
            self.staged.make(folder)?;
        }
        let Some(entry) = self.staged.find(inner)? else {
            return Ok(());
        };
        if entry.kind == Kind::File {
            let file = self.staged.file(inner, Mode::Read)?;
            let removed = self
                .is_left_over(&file)?
                .then(|| remove_this(&self.staged, inner, entry.identity));
            if removed.transpose()? == Some(Removal::Gone) {
                return Ok(());
            }
        }
        self.set_aside(inner)
    }

    /// Whether a file in the tree that is not whole is what we left there: it has our mark, or says
    /// nothing.
    fn is_left_over(&self, file: &File) -> io::Result<bool> {
        match mark::read(file) {
            Mark::Of(id, _) if id == self.id => return Ok(true),
            Mark::Old => return Ok(true),
            _ => {}
        }
        Ok(file.metadata()?.len() <= MAX_ATOMIC as u64 && is_zeros(file)?)
    }

    fn set_aside(&self, inner: &str) -> io::Result<()> {
        for number in 1..=MAX_NAMES {
            let aside = aside_name(inner, number);
            match self.staged.rename(inner, &self.staged, &aside, false) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let path = self.staged.path_of(&aside);
                    tracing::warn!(path = %path.display(), "not ours, and in the way: renamed to this");
                    return Ok(());
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Begins a file of `len` bytes in the tree.
    fn begin(&self, inner: &str, len: usize) -> io::Result<File> {
        let file = match self.staged.file(inner, Mode::New) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                ) =>
            {
                self.clear_path(inner)?;
                self.staged.file(inner, Mode::New)?
            }
            made => made?,
        };
        if len > MAX_ATOMIC {
            self.mark(&file);
        }
        Ok(file)
    }

    /// Writes a file that is here whole.
    pub(super) fn put(&self, inner: &str, data: &[u8], run: bool) -> io::Result<Fingerprint> {
        let mut file = self.begin(inner, data.len())?;
        file.write_all(data)?;
        finished(&file, run)
    }

    /// Begins a file of `len` bytes that comes in parts.
    pub(super) fn begin_part(&self, inner: &str, len: u64) -> io::Result<()> {
        // Marked, however short: its parts prove nothing.
        self.begin(inner, MAX_ATOMIC + 1)?.set_len(len)
    }

    /// Writes to a file that was begun.
    pub(super) fn write_part(&self, inner: &str, data: &[u8], offset: u64) -> io::Result<()> {
        files::write_all_at(&self.staged.file(inner, Mode::Write)?, data, offset)
    }

    /// Copies a file.
    pub(super) fn copy(&self, inner: &str, from: &mut File) -> io::Result<File> {
        let mut file = self.begin(inner, MAX_ATOMIC + 1)?;
        io::copy(from, &mut file)?;
        Ok(file)
    }

    /// Writes what is in a file to it once more: the disk refused it before, and what is read may be what
    /// the disk does not have.
    pub(super) fn write_again(&self, inner: &str) -> io::Result<()> {
        let file = self.staged.file(inner, Mode::Write)?;
        let len = file.metadata()?.len();
        let mut at = 0;
        while at < len {
            let data = files::read_vec_at(&file, at, (len - at).min(COPY_LEN) as usize)?;
            disk::write_again(&file, &data, at)?;
            at += data.len() as u64;
        }
        Ok(())
    }

    /// Marks a file as one that grows with the folder.
    pub(super) fn mark(&self, file: &File) {
        mark::set(file, self.id, &self.hash);
    }

    /// Takes the mark off a file that is whole and durable, and tells what it is then.
    pub(super) fn unmark(&self, inner: &str) -> io::Result<Fingerprint> {
        let file = self.staged.file(inner, Mode::Read)?;
        mark::remove(&file);
        Ok(Fingerprint::new(&file.metadata()?))
    }

    /// Makes a symbolic link in the tree. Nothing is written through it, wherever it leads.
    pub(super) fn link(&self, inner: &str, to: &str) -> io::Result<()> {
        let is_there = |dir: &Dir| {
            dir.read_link(inner)
                .is_ok_and(|there| there == Path::new(to))
        };
        if is_there(&self.staged) || self.into.as_ref().is_some_and(is_there) {
            return Ok(());
        }
        self.clear_path(inner)?;
        let made = self.staged.make_link(inner, to);
        made.map_err(write_failure::of_link)
    }

    /// Removes a link that an earlier run made and that is to be left out.
    pub(super) fn remove_link(&self, inner: &str, to: &str) -> io::Result<()> {
        match self.staged.read_link(inner) {
            Ok(leads_to) if leads_to == Path::new(to) => self.staged.remove_file(inner),
            _ => Ok(()),
        }
    }

    /// Waits until all that was written is safe from a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.staged.sync_file_system()
    }

    /// Renames the tree to the target, where nothing is.
    pub(super) fn put_in_place(&self) -> io::Result<()> {
        let there = self.part_home.look(&self.part)?;
        if there.identity != self.staged.entry()?.identity {
            return Err(io::Error::other(format!(
                "{} was moved away, and something else is in its place",
                self.part_home.path_of(&self.part).display()
            )));
        }
        self.part_home
            .rename(&self.part, &self.home, &self.name, false)?;
        self.is_finished.store(true, Ordering::Release);
        if let Some(file) = self.staged.as_file() {
            mark::remove(file);
        }
        Ok(())
    }

    /// Moves a file or link from the tree into the folder that was there before. What is in its place is
    /// replaced only if it may be, and never if it is a folder.
    pub(super) fn merge(&self, inner: &str) -> io::Result<()> {
        let Some(into) = &self.into else {
            return Ok(());
        };
        if self.staged.find(inner)?.is_none() {
            return Ok(());
        }
        match self.staged.rename(inner, into, inner, self.overwrite) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                self.merge_by_copy(into, inner)
            }
            renamed => renamed,
        }
    }

    /// The same where the folder has a disk of its own below it.
    fn merge_by_copy(&self, into: &Dir, inner: &str) -> io::Result<()> {
        let mut from = self.staged.file(inner, Mode::Read)?;
        let (folder, name) = inner.rsplit_once('/').unwrap_or(("", inner));
        let copy = match folder {
            "" => part_name(name, 1),
            folder => format!("{folder}/{}", part_name(name, 1)),
        };
        let mut to = into.file(&copy, Mode::New)?;
        let copied = io::copy(&mut from, &mut to)
            .and_then(|_| to.set_permissions(from.metadata()?.permissions()))
            .and_then(|()| to.sync_all())
            .and_then(|()| into.rename(&copy, into, inner, self.overwrite))
            .and_then(|()| match folder {
                "" => into.sync(),
                folder => into.sub(folder)?.sync(),
            });
        if copied.is_err() {
            let _ = into.remove_file(&copy);
        }
        copied?;
        self.staged.remove_file(inner)
    }

    /// Makes what was moved into the folder that was there before durable.
    pub(super) fn sync_target(&self) -> io::Result<()> {
        match &self.into {
            Some(into) => into.sync_file_system(),
            None => self.home.sync(),
        }
    }

    /// Removes the tree, from which everything was moved, but for what is not ours; the path of the tree if
    /// there is such.
    pub(super) fn remove_staged(&self, folders: &[String]) -> io::Result<Option<PathBuf>> {
        remove_folders(&self.staged, folders)?;
        remove_root(&self.part_home, &self.part)
    }
}

/// The path to which something is renamed that is in the way.
fn aside_name(inner: &str, number: u32) -> String {
    let suffix = format!(".kept-{number}");
    let (folder, name) = match inner.rfind('/') {
        Some(at) => inner.split_at(at + 1),
        None => ("", inner),
    };
    let room = name.floor_char_boundary(MAX_NAME_LEN - suffix.len());
    format!("{folder}{}{suffix}", &name[..room])
}

/// Removes those of the folders that are empty; they are given each before what is in it.
pub(super) fn remove_folders(top: &Dir, folders: &[String]) -> io::Result<()> {
    for folder in folders.iter().rev() {
        unless_needed(top.remove_folder(folder))?;
    }
    Ok(())
}

/// Removes a tree that is empty; its path if it is not.
pub(super) fn remove_root(home: &Dir, name: &str) -> io::Result<Option<PathBuf>> {
    let removed = unless_needed(home.remove_folder(name))?;
    Ok((!removed).then(|| home.path_of(name)))
}

/// Whether a folder is gone; not, if something is in it.
fn unless_needed(removed: io::Result<()>) -> io::Result<bool> {
    use io::ErrorKind::{DirectoryNotEmpty, NotADirectory, NotFound};
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == NotFound => Ok(true),
        Err(error) if matches!(error.kind(), DirectoryNotEmpty | NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lets a file that is to be run be run by its owner, and tells what it is then.
pub(super) fn finished(file: &File, run: bool) -> io::Result<Fingerprint> {
    if run {
        make_executable(file)?;
    }
    Ok(Fingerprint::new(&file.metadata()?))
}

/// Whether a short file holds nothing but zeros.
fn is_zeros(file: &File) -> io::Result<bool> {
    let len = file.metadata()?.len().min(MAX_ATOMIC as u64);
    let data = files::read_vec_at(file, 0, len as usize)?;
    Ok(data.iter().all(|byte| *byte == 0))
}

/// Lets whoever may read the file run it, too.
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
