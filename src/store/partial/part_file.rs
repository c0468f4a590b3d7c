//! Where the content of a file grows before it is whole, and that it is ours.
//!
//! Owns the choice of the name: `<target>.part`, or another one where something of a person's has that
//! name. What is there is taken up only if it is proven to be what an earlier run left: by its mark, or,
//! where the file system has no attributes, by the record and one block that it proves. Everything else
//! stays. Failures leave as a [`PartialError`].

use std::{
    ffi::OsStr,
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use pelago_content::Hash;
use sha2::{Digest, Sha256};

use super::{
    PartialError, PartialSpec,
    mark::{self, Id, Mark},
    record::{EarlierRun, Partials, RecordedPart},
    removal::{Removal, remove_this},
    resume::proves_something,
};
use crate::store::dir::{Dir, Kind, Mode, entry_of};

/// Appended to the name of the target.
pub(super) const PART_SUFFIX: &str = ".part";

/// Bytes in the longest name that a file may have on usual systems.
const MAX_NAME: usize = 255;

/// Names that are tried, at most.
const MAX_NAMES: u32 = 100;

/// Where content grows, open and locked.
pub(super) type LockedPart = (PartFile, File);

/// Where content grows.
#[derive(Clone, Debug)]
pub(super) struct PartFile {
    /// The directory that holds it, for as long as the download lives.
    pub(super) dir: Arc<Dir>,
    /// Its path from there.
    pub(super) inner: String,
    /// Of the download that made it.
    pub(super) id: Id,
}

impl PartFile {
    /// Where it is, for people and the record.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.path_of(&self.inner)
    }

    /// What the record says of it.
    pub(super) fn recorded(&self) -> RecordedPart {
        RecordedPart {
            id: self.id,
            path: self.path(),
            file_system: None,
        }
    }

    /// Opens it again; it has to be the one that it was.
    pub(super) fn reopen(&self, hash: &Hash) -> io::Result<File> {
        let file = self.dir.file(&self.inner, Mode::Write)?;
        match mark::read(&file) {
            Mark::Of(id, of) if id == self.id && of == *hash => {}
            Mark::Unsupported => {}
            _ => return Err(io::Error::other("another file is in its place")),
        }
        if lock(&file)? {
            Ok(file)
        } else {
            Err(io::Error::other("another download writes to it"))
        }
    }
}

/// The name of what grows for the target called `name`, at the `attempt`th try. One that is too long to
/// have something behind it is cut off, and told from others by a part of its hash.
pub(super) fn part_name(name: &str, attempt: u32) -> String {
    let suffix = match attempt {
        1 => PART_SUFFIX.to_owned(),
        n => format!(".{n}{PART_SUFFIX}"),
    };
    if name.len() + suffix.len() <= MAX_NAME {
        return format!("{name}{suffix}");
    }
    let hash = Sha256::digest(name.as_bytes());
    let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let room = MAX_NAME - suffix.len() - 1 - hash.len();
    let start = &name[..name.floor_char_boundary(room)];
    format!("{start}-{hash}{suffix}")
}

/// Where content for `target` grew by default before the record said where.
pub(super) fn default_path(target: &Path) -> PathBuf {
    let name = target.file_name().map(OsStr::to_string_lossy);
    target.with_file_name(part_name(&name.unwrap_or_default(), 1))
}

/// The directory that holds the target, and the name that the target has there.
pub(super) fn place_of(target: &Path) -> Result<(Arc<Dir>, String), PartialError> {
    let name = target.file_name().and_then(OsStr::to_str);
    let (Some(name), Some(folder)) = (name, target.parent()) else {
        let target = target.to_owned();
        return Err(PartialError::Target { target });
    };
    let dir = Dir::open(folder).map_err(|source| PartialError::Io {
        path: folder.to_owned(),
        source,
    })?;
    Ok((Arc::new(dir), name.to_owned()))
}

/// Opens and locks where the content of `spec` grows: what an earlier run left, moved here if it was for
/// another target, or a new file.
pub(super) fn open(
    partials: &Partials,
    spec: &PartialSpec,
    known: &EarlierRun,
) -> Result<LockedPart, PartialError> {
    let (dir, name) = place_of(&spec.target)?;
    let opening = Opening {
        partials,
        spec,
        hash: spec.descriptor.hash(),
        dir,
        name,
    };
    match opening.earlier(known)? {
        Some(found) => Ok(found),
        None => opening.new_file(),
    }
}

/// The same of a file in a folder: there it grows under its own name, once `clear_path` has seen to it that
/// nothing else has it.
pub(super) fn open_in(
    partials: &Partials,
    spec: &PartialSpec,
    known: &EarlierRun,
    dir: Arc<Dir>,
    inner: String,
    clear_path: &dyn Fn() -> io::Result<()>,
) -> Result<LockedPart, PartialError> {
    let opening = Opening {
        partials,
        spec,
        hash: spec.descriptor.hash(),
        dir,
        name: inner,
    };
    let path = opening.dir.path_of(&opening.name);
    let mut left = opening.left(known)?;
    if left.is_none() {
        // The tree may have been moved with all that is in it, or the record lost: the mark tells.
        let (dir, inner) = (Arc::clone(&opening.dir), opening.name.clone());
        left = opening
            .take(dir, inner, known)?
            .map(|here| (here, path.clone()));
    }
    if let Some((left, recorded)) = left {
        if recorded == path {
            return Ok(left);
        }
        clear_path().map_err(|source| PartialError::Io {
            path: path.clone(),
            source,
        })?;
        return opening.move_in(left);
    }
    clear_path().map_err(|source| PartialError::Io {
        path: path.clone(),
        source,
    })?;
    let made = opening.make(&opening.name)?;
    made.ok_or(PartialError::Exists { path })
}

/// One attempt to open where content grows.
struct PartOpener<'a> {
    partials: &'a Partials,
    spec: &'a PartialSpec,
    hash: Hash,
    dir: Arc<Dir>,
    /// Of the target; in a folder, the path in it.
    name: String,
}

impl PartOpener<'_> {
    /// What an earlier run left, at its place or moved to this target.
    fn earlier(&self, known: &EarlierRun) -> Result<Option<LockedPart>, PartialError> {
        let Some((left, recorded)) = self.left(known)? else {
            return Ok(None);
        };
        let is_here = recorded.parent() == self.spec.target.parent();
        if is_here && known.is_for(&self.spec.target) {
            return Ok(Some(left));
        }
        for attempt in 1..=MAX_NAMES {
            let inner = part_name(&self.name, attempt);
            match left.0.dir.rename(&left.0.inner, &self.dir, &inner, false) {
                Ok(()) => return Ok(Some(self.moved(left, inner))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    // First the new one: if that cannot be, the old one stays.
                    self.only_another_disk(&error)?;
                    let made = self.new_file()?;
                    self.give_up(&left.0);
                    return Ok(Some(made));
                }
            }
        }
        Ok(None)
    }

    /// Refuses to go on without what an earlier run left, unless it lies on another disk.
    fn only_another_disk(&self, why: &io::Error) -> Result<(), PartialError> {
        if why.kind() == io::ErrorKind::CrossesDevices {
            return Ok(());
        }
        Err(PartialError::Io {
            path: self.spec.target.clone(),
            source: io::Error::new(why.kind(), why.to_string()),
        })
    }

    /// Moves what an earlier run left of a file in a folder to where it grows now: before format 2 it grew
    /// as `<path>.part`, and in a folder that was there before among what is there.
    fn move_in(&self, left: LockedPart) -> Result<LockedPart, PartialError> {
        let (dir, inner) = (&left.0.dir, &left.0.inner);
        match dir.rename(inner, &self.dir, &self.name, false) {
            Ok(()) => Ok(self.moved(left, self.name.clone())),
            Err(error) => {
                self.only_another_disk(&error)?;
                let made = self.make(&self.name)?;
                let path = self.dir.path_of(&self.name);
                let made = made.ok_or(PartialError::Exists { path })?;
                self.give_up(&left.0);
                Ok(made)
            }
        }
    }

    /// What the record names, if it is there, ours, and nobody else's at the moment; and where it is.
    fn left(&self, known: &EarlierRun) -> Result<Option<(LockedPart, PathBuf)>, PartialError> {
        let path = match known {
            EarlierRun::Recorded(recorded) => recorded.part_path(),
            // It does not say any more where the content grew.
            EarlierRun::Damaged => default_path(&self.spec.target),
            EarlierRun::None => return Ok(None),
        };
        let Ok((dir, inner)) = place_of(&path) else {
            return Ok(None);
        };
        match self.take(dir, inner, known)? {
            Some(left) => Ok(Some((left, path))),
            None => Ok(None),
        }
    }

    /// The file, if it is ours.
    fn take(
        &self,
        dir: Arc<Dir>,
        inner: String,
        known: &EarlierRun,
    ) -> Result<Option<LockedPart>, PartialError> {
        let Ok(file) = dir.file(&inner, Mode::Write) else {
            return Ok(None);
        };
        let recorded = match known {
            EarlierRun::Recorded(recorded) => recorded.part.as_ref().map(|part| part.id),
            _ => None,
        };
        let proves = || proves_something(self.partials, self.spec, &file);
        let ours = is_ours(
            &file,
            recorded,
            &self.hash,
            !matches!(known, EarlierRun::None),
            proves,
        );
        let Some(id) = ours.filter(|_| entry_of(&file).is_ok_and(|entry| entry.links == 1)) else {
            return Ok(None);
        };
        let path = dir.path_of(&inner);
        if !lock(&file).map_err(|source| PartialError::Io { path, source })? {
            let target = self.spec.target.clone();
            return Err(PartialError::InUse { target });
        }
        let id = id.unwrap_or_else(Id::random);
        mark::set(&file, id, &self.hash);
        Ok(Some((PartFile { dir, inner, id }, file)))
    }

    fn moved(&self, left: LockedPart, inner: String) -> LockedPart {
        let dir = Arc::clone(&self.dir);
        (
            PartFile {
                dir,
                inner,
                ..left.0
            },
            left.1,
        )
    }

    /// What an earlier run left on another disk is fetched anew.
    fn give_up(&self, left: &PartFile) {
        let (from, to) = (left.path(), &self.spec.target);
        let (from, to) = (from.display(), to.display());
        tracing::info!(%from, %to, "what was downloaded is on another disk: fetching it again");
        if let Err(error) = left.dir.remove_file(&left.inner) {
            tracing::warn!(path = %left.path().display(), %error, "cannot be removed");
        }
    }

    /// A new file, under the first name that is free.
    fn new_file(&self) -> Result<LockedPart, PartialError> {
        for attempt in 1..=MAX_NAMES {
            let inner = part_name(&self.name, attempt);
            if let Some(made) = self.make(&inner)? {
                return Ok(made);
            }
            // A run whose record was lost may have left it.
            if let Some(left) =
                self.take(Arc::clone(&self.dir), inner.clone(), &EarlierRun::None)?
            {
                return Ok(left);
            }
            if self.is_busy(&inner) {
                let target = self.spec.target.clone();
                return Err(PartialError::InUse { target });
            }
            let path = self.dir.path_of(&inner);
            tracing::info!(path = %path.display(), "not ours: growing under another name");
        }
        let path = self.dir.path_of(&part_name(&self.name, 1));
        Err(PartialError::Exists { path })
    }

    /// Whether other content is being downloaded to the same target: only one of them could end there.
    fn is_busy(&self, inner: &str) -> bool {
        let file = self.dir.file(inner, Mode::Read);
        file.is_ok_and(|file| {
            mark::is_there(&file) && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
        })
    }

    /// A new file with this name; none if there is something.
    fn make(&self, inner: &str) -> Result<Option<LockedPart>, PartialError> {
        let failed = |source| PartialError::Io {
            path: self.dir.path_of(inner),
            source,
        };
        let file = match self.dir.file(inner, Mode::New) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            made => made.map_err(failed)?,
        };
        if !lock(&file).map_err(failed)? {
            return Ok(None);
        }
        let id = Id::random();
        mark::set(&file, id, &self.hash);
        let part_file = PartFile {
            dir: Arc::clone(&self.dir),
            inner: inner.to_owned(),
            id,
        };
        Ok(Some((part_file, file)))
    }
}

/// Removes the file at `part` in which the content of `spec` grew, if it is ours and nobody writes to it.
/// Gives its path if it is not ours: then it stays.
pub(super) fn remove(
    partials: &Partials,
    spec: &PartialSpec,
    part: &Path,
    recorded: Option<Id>,
) -> Result<Option<PathBuf>, PartialError> {
    let hash = spec.descriptor.hash();
    remove_if(part, |file| {
        let proves = || proves_something(partials, spec, file);
        is_ours(file, recorded, &hash, true, proves).is_some()
    })
}

/// The same of one that nothing but its mark tells of.
pub(super) fn remove_marked(
    part: &Path,
    recorded: Option<Id>,
    hash: &Hash,
) -> Result<Option<PathBuf>, PartialError> {
    remove_if(part, |file| {
        is_ours(file, recorded, hash, true, || false).is_some()
    })
}

fn remove_if(
    part: &Path,
    is_ours: impl FnOnce(&File) -> bool,
) -> Result<Option<PathBuf>, PartialError> {
    let failed = |source| PartialError::Io {
        path: part.to_owned(),
        source,
    };
    let Ok((dir, inner)) = place_of(part) else {
        return Ok(None);
    };
    let file = match dir.file(&inner, Mode::Write) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // Whatever it is, a download made none such.
        Err(_) if dir.look(&inner).is_ok_and(|entry| entry.kind != Kind::File) => {
            return Ok(Some(part.to_owned()));
        }
        Err(error) => return Err(failed(error)),
    };
    if !is_ours(&file) {
        return Ok(Some(part.to_owned()));
    }
    if !lock(&file).map_err(failed)? {
        let target = part.to_owned();
        return Err(PartialError::InUse { target });
    }
    let identity = entry_of(&file).map_err(failed)?.identity;
    match remove_this(&dir, &inner, identity).map_err(failed)? {
        Removal::Gone => Ok(None),
        Removal::NotOurs => Ok(Some(part.to_owned())),
    }
}

/// Whether a file is what a download of `hash` left, whose record has the id `recorded`, if there is a
/// record and it has one. Gives the id that it goes on with, if it has one already.
#[allow(clippy::option_option, reason = "whether it is ours, and by which id")]
pub(super) fn is_ours(
    file: &File,
    recorded: Option<Id>,
    hash: &Hash,
    is_recorded: bool,
    proves: impl FnOnce() -> bool,
) -> Option<Option<Id>> {
    match (mark::read(file), recorded) {
        (Mark::Of(id, _), Some(recorded)) => (id == recorded).then_some(Some(id)),
        (Mark::Of(id, of), None) => (of == *hash).then_some(Some(id)),
        (Mark::Old, None) => is_recorded.then_some(None),
        (Mark::Old, Some(_)) => None,
        // Versions before format 2 took the mark off a moment too early.
        (Mark::None, recorded) => (is_recorded && recorded.is_none() && proves()).then_some(None),
        (Mark::Unsupported, recorded) => {
            let is_blank = || is_blank(file).unwrap_or(false);
            (is_recorded && (is_blank() || proves())).then_some(recorded)
        }
    }
}

/// Whether nothing was ever written to the file.
pub(super) fn is_blank(file: &File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::{fs::SeekFrom, io::Errno};
        // The position is not used by anybody.
        Ok(rustix::fs::seek(file, SeekFrom::Data(0)) == Err(Errno::NXIO))
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    Ok(false)
}

/// Takes the lock of the file, which goes with it; false if another has it.
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
