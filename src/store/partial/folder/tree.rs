//! Where a folder grows: in a tree of its own that is renamed at the end, or, where a folder of that
//! name is already, in place.
//!
//! Owns every path that a folder download writes to. Names come from manifests that were checked, so a
//! path never leaves the tree by its letters; here it is seen to that none leaves it by a link: what
//! leads to a file has to be a real folder each time, and the file itself is never opened through a
//! link.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::store::{
    Fingerprint, PartialError, PartialSpec, files,
    partial::{part, record::Earlier},
};

/// The tree of one folder, which nobody else downloads to.
pub(super) struct Tree {
    target: PathBuf,
    root: PathBuf,
    /// Whether nothing was there.
    is_new: bool,
    /// Whether other content in place may be replaced.
    overwrite: bool,
    /// Whether an earlier run began here, or a person said so.
    is_chosen: bool,
    /// Whether what grows here may be what an earlier run left.
    takes_over: bool,
    is_finished: AtomicBool,
    _lock: Option<File>,
}

impl Tree {
    /// The tree for what `spec` says. One that an `earlier` run began for another target is moved here.
    /// What none is known to have begun is left alone.
    pub(super) fn open(spec: &PartialSpec, earlier: &Earlier) -> Result<Self, PartialError> {
        let target = &spec.target;
        let is_in_place = is_real_folder(target).unwrap_or(false);
        let is_ours = earlier.is_same();
        let root = if is_in_place {
            target.clone()
        } else {
            part::path_of(target)
        };
        let failed = |source| PartialError::Io {
            path: root.clone(),
            source,
        };
        let exists = |path: &Path| {
            let path = path.to_owned();
            Err(PartialError::Exists { path })
        };
        if !is_in_place {
            if fs::symlink_metadata(target).is_ok() {
                return exists(target);
            }
            let earlier = earlier.elsewhere().map(part::path_of);
            // Where that cannot be had, it is fetched anew.
            let is_moved = earlier.is_some_and(|from| files::rename_new(&from, &root).is_ok());
            make_folder(&root).map_err(failed)?;
            let is_known = is_ours || is_moved || spec.overwrite || is_marked(&root);
            if !is_known && !is_empty(&root) {
                return exists(&root);
            }
            on_folder(&root, part::mark);
        }
        let Some(lock) = lock_folder(&root).map_err(failed)? else {
            let target = target.clone();
            return Err(PartialError::InUse { target });
        };
        Ok(Self {
            target: target.clone(),
            is_new: is_empty(&root),
            root,
            overwrite: spec.overwrite,
            is_chosen: is_ours || spec.is_named,
            takes_over: !is_in_place || is_ours || spec.overwrite,
            is_finished: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// Whether what grows here may be what an earlier run left.
    pub(super) const fn takes_over(&self) -> bool {
        self.takes_over
    }

    /// Whether it grows among what is there because of a name that others gave it.
    pub(super) fn is_by_chance(&self) -> bool {
        self.is_in_place() && !self.is_new && !self.is_chosen
    }

    /// Whether somebody else's file is where a file would grow.
    pub(super) fn is_in_the_way(&self, inner: &str) -> bool {
        !self.takes_over && fs::symlink_metadata(part::path_of(&self.path(inner))).is_ok()
    }

    /// Whether nothing is there yet that could be of use.
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether it grows at its target, among what is there.
    pub(super) fn is_in_place(&self) -> bool {
        self.root == self.target
    }

    /// Whether what is not as it should be may be replaced. What we began ourselves always may.
    pub(super) fn may_replace(&self) -> bool {
        self.overwrite || !self.is_in_place()
    }

    /// The path of an entry as things are.
    pub(super) fn path(&self, inner: &str) -> PathBuf {
        if self.is_finished.load(Ordering::Acquire) {
            self.target(inner)
        } else {
            self.root.join(inner)
        }
    }

    /// The path of an entry in the end.
    pub(super) fn target(&self, inner: &str) -> PathBuf {
        self.target.join(inner)
    }

    /// Makes a folder, and those above it.
    pub(super) fn folder(&self, inner: &str) -> io::Result<PathBuf> {
        let mut path = self.root.clone();
        for name in inner.split('/').filter(|name| !name.is_empty()) {
            path.push(name);
            make_folder(&path)?;
        }
        Ok(path)
    }

    /// The path of a file that is about to be written: all above it are folders.
    pub(super) fn writable(&self, inner: &str) -> io::Result<PathBuf> {
        let above = inner.rsplit_once('/').map_or("", |(above, _)| above);
        self.folder(above)?;
        Ok(self.path(inner))
    }

    /// Opens what is where an entry is to be, if that is a regular file reached through folders only.
    pub(super) fn existing(&self, inner: &str) -> io::Result<Option<File>> {
        let path = self.path(inner);
        for above in path.ancestors().skip(1) {
            if above == self.root {
                break;
            }
            match is_real_folder(above) {
                Ok(true) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Ok(false) => return Err(io::ErrorKind::NotADirectory.into()),
                Err(error) => return Err(error),
            }
        }
        match files::open_own(OpenOptions::new().read(true), &path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is nothing where a folder is to be, or a folder.
    pub(super) fn is_free_for_folder(&self, inner: &str) -> bool {
        is_real_folder(&self.path(inner)).unwrap_or(true)
    }

    /// Whether there is nothing where a link is to be, or that link.
    pub(super) fn is_free_for_link(&self, inner: &str, to: &str) -> bool {
        let path = self.path(inner);
        let is_same = || fs::read_link(&path).is_ok_and(|there| there == Path::new(to));
        fs::symlink_metadata(&path).is_err() || is_same()
    }

    /// Writes a file that is here whole. Where others may look at it, it appears whole, too.
    pub(super) fn put(&self, inner: &str, data: &[u8], run: bool) -> io::Result<Fingerprint> {
        let path = self.writable(inner)?;
        if self.is_in_place() {
            let mut file = open_part(&path, true)?;
            file.write_all(data)?;
            self.place(&file, &path, run)
        } else {
            let mut file = open(&path, true)?;
            file.write_all(data)?;
            finished(&file, run)
        }
    }

    /// Writes to the `.part` of a file.
    pub(super) fn write_part(&self, inner: &str, data: &[u8], offset: u64) -> io::Result<()> {
        let path = self.writable(inner)?;
        let file = open_part(&path, false)?;
        files::write_all_at(&file, data, offset)
    }

    /// Copies a file to the `.part` of another.
    pub(super) fn copy_part(&self, inner: &str, from: &mut File) -> io::Result<PathBuf> {
        let path = self.writable(inner)?;
        io::copy(from, &mut open_part(&path, true)?)?;
        Ok(part::path_of(&path))
    }

    /// Removes what has grown of a file that came otherwise.
    pub(super) fn remove_part(&self, inner: &str) {
        let path = part::path_of(&self.path(inner));
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "cannot be removed");
        }
    }

    /// Puts a `.part` in its place, whose first `size` bytes are the content.
    pub(super) fn place_part(&self, inner: &str, size: u64, run: bool) -> io::Result<Fingerprint> {
        let path = self.writable(inner)?;
        let file = open_part(&path, false)?;
        file.set_len(size)?;
        self.place(&file, &path, run)
    }

    fn place(&self, part: &File, path: &Path, run: bool) -> io::Result<Fingerprint> {
        if run {
            make_executable(part)?;
        }
        let from = part::path_of(path);
        if self.may_replace() {
            fs::rename(from, path)?;
        } else {
            files::rename_new(&from, path)?;
        }
        Ok(Fingerprint::new(&part.metadata()?))
    }

    /// Makes a symbolic link. What it leads to was checked with the manifests.
    pub(super) fn link(&self, inner: &str, to: &str) -> io::Result<()> {
        let path = self.writable(inner)?;
        match fs::read_link(&path) {
            Ok(there) if there == Path::new(to) => return Ok(()),
            // Whatever it is, but for a folder, which is no file to remove.
            _ if self.may_replace() => match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            },
            _ => {}
        }
        make_link(&path, to)
    }

    /// Waits until all that was written is safe from a power loss: one call for the whole file system,
    /// where there is one, instead of one for each file.
    pub(super) fn sync(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        return Ok(rustix::fs::syncfs(File::open(&self.root)?)?);
        #[cfg(not(target_os = "linux"))]
        {
            for entry in walkdir::WalkDir::new(&self.root) {
                let entry = entry?;
                if entry.file_type().is_file() {
                    File::open(entry.path())?.sync_all()?;
                }
            }
            Ok(())
        }
    }

    /// Puts the whole in its place.
    pub(super) fn finish(&self, durable: bool) -> io::Result<()> {
        if !self.is_in_place() {
            on_folder(&self.root, part::unmark);
            files::rename_new(&self.root, &self.target)?;
            self.is_finished.store(true, Ordering::Release);
        }
        // From here on the content is at its target, and that it may be lost with the power is no
        // reason to say otherwise.
        if durable && let Err(error) = files::sync_folder_of(&self.target) {
            tracing::warn!(target = %self.target.display(), %error, "the folder cannot be synced");
        }
        Ok(())
    }
}

/// Removes the tree that grows for `target`, if there is one and nobody writes to it. Where the target
/// itself is there the folder grows in place, among what is others': then there is none.
pub(in crate::store::partial) fn remove_tree(target: &Path) -> Result<(), PartialError> {
    let root = part::path_of(target);
    let is_there = |path: &Path| is_real_folder(path).unwrap_or(false);
    if is_there(target) || !is_there(&root) {
        return Ok(());
    }
    let failed = |source| PartialError::Io {
        path: root.clone(),
        source,
    };
    let Some(_lock) = lock_folder(&root).map_err(failed)? else {
        let target = target.to_owned();
        return Err(PartialError::InUse { target });
    };
    fs::remove_dir_all(&root).map_err(failed)
}

/// Lets the owner run a file that is to be run, and tells what it is then.
pub(super) fn finished(file: &File, run: bool) -> io::Result<Fingerprint> {
    if run {
        make_executable(file)?;
    }
    Ok(Fingerprint::new(&file.metadata()?))
}

/// The `.part` of a file, unless another download writes to it.
fn open_part(path: &Path, empty: bool) -> io::Result<File> {
    let file = open(&part::path_of(path), false)?;
    // Several of our threads may write to it at a time.
    file.try_lock_shared().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::other("another download writes there"),
        TryLockError::Error(error) => error,
    })?;
    if empty {
        file.set_len(0)?;
    }
    Ok(file)
}

fn open(path: &Path, empty: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(empty);
    files::open_own(&mut options, path)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn is_marked(folder: &Path) -> bool {
    File::open(folder).is_ok_and(|folder| part::is_marked(&folder))
}

/// Does something with a folder that is open, where folders can be opened.
fn on_folder(folder: &Path, act: impl Fn(&File)) {
    if let Ok(folder) = File::open(folder) {
        act(&folder);
    }
}

fn is_real_folder(path: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.is_dir())
}

fn make_folder(path: &Path) -> io::Result<()> {
    match is_real_folder(path) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let what = "it is there, and no folder: move it away";
            Err(io::Error::new(io::ErrorKind::AlreadyExists, what))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::create_dir(path) {
            // Somebody else was faster; it has to be a folder still.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match is_real_folder(path) {
                    Ok(true) => Ok(()),
                    _ => Err(error),
                }
            }
            made => made,
        },
        Err(error) => Err(error),
    }
}

/// The lock of a folder, where folders can be locked; none if another has it.
fn lock_folder(path: &Path) -> io::Result<Option<Option<File>>> {
    #[cfg(unix)]
    {
        let folder = File::open(path)?;
        match folder.try_lock() {
            Ok(()) => Ok(Some(Some(folder))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(Some(None))
    }
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

fn make_link(path: &Path, to: &str) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(to, path);
    #[cfg(windows)]
    {
        let to = to.replace('/', "\\");
        let leads_to = path.parent().map(|folder| folder.join(&to));
        if leads_to.is_some_and(|path| path.is_dir()) {
            std::os::windows::fs::symlink_dir(to, path)
        } else {
            std::os::windows::fs::symlink_file(to, path)
        }
    }
}
