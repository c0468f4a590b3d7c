//! Scans watched folders. Each file below one is a share of its own, named by its path from the
//! folder. Blocks.

mod gone;
mod mounts;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use std::{
    fs::Metadata,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use pelago_content::Hash;
use walkdir::WalkDir;

pub(super) use self::gone::note_missing;
use self::mounts::Mounts;
use super::{
    ShareError,
    settling::{Observation, Settling, Verdict},
    shares::{hash_unless_known, share_name},
};
use crate::store::{
    ByteSize, Comparison::Changed, DatabaseError, HashError, IGNORE_FILE, Ignores, NewShare,
    Origin, Scope, Share, Store, UnfinishedDownloads, Writers, is_gone,
};

/// The most shares that are recorded in one commit.
const BATCH: usize = 1000;

/// How long a hashed file may wait to be recorded.
const BATCH_TIME: Duration = Duration::from_secs(1);

/// The most files that have a line each in the log when they are shared together.
const MAX_LOGGED: usize = 3;

/// How many levels of folders below a watched one are scanned.
pub(super) const MAX_DEPTH: usize = 64;

/// Watches and controls a scan.
pub(super) trait ScanObserver {
    /// The files that wait may have changed.
    fn waiting(&self, files: &Settling);

    /// Called for each entry and for each page of shares: a slow scan pauses here. A break stops
    /// the scan.
    fn pause(&self) -> ControlFlow<()>;
}

/// Observes a scan that neither pauses nor reports which files wait.
pub(super) struct Unobserved;

impl ScanObserver for Unobserved {
    fn waiting(&self, _: &Settling) {}

    fn pause(&self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// The result of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    /// How many files are shared now.
    pub(super) shared: usize,
    /// How many entries cannot be shared. The log gives the reasons.
    pub(super) left_out: usize,
    /// How many shares were removed, because their files are gone or excluded.
    pub(super) gone: usize,
    /// The files that programs may still write to, and when to check them again.
    pub(super) changing: Vec<(PathBuf, Instant)>,
    /// The files and directories whose names are not valid UTF-8.
    pub(super) misnamed: Vec<PathBuf>,
    /// The files and directories that could not be read or recorded, and why. The next attempt may
    /// succeed.
    pub(super) failed: Vec<(PathBuf, String)>,
}

/// A path to scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DuePath {
    pub(super) path: PathBuf,
    /// Whether the path changed a moment ago. Then it is scanned only if it is a file.
    pub(super) is_early: bool,
}

impl DuePath {
    /// The path at which the scan begins: a changed ignore file affects everything in its folder.
    pub(super) fn scan_root(&self) -> &Path {
        let is_rules = self
            .path
            .file_name()
            .is_some_and(|name| name == IGNORE_FILE);
        let above = self.path.parent().filter(|_| is_rules);
        above.unwrap_or(&self.path)
    }
}

/// Why a scan failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    /// The database cannot be read or written.
    #[error(transparent)]
    Share(#[from] crate::store::ShareError),
    /// The records of running downloads, whose files are left out, cannot be read.
    #[error("the records of downloads cannot be read: {0}")]
    Records(io::Error),
}

impl From<DatabaseError> for ScanError {
    fn from(error: DatabaseError) -> Self {
        Self::Share(error.into())
    }
}

/// Updates the shares of `folder` to what is at the paths that are `due`, and below those that are
/// folders. The folder is watched for `scope`: everyone, or a group.
///
/// # Errors
/// See [`ScanError`].
pub(super) fn scan(
    store: &Store,
    folder: &Path,
    scope: Scope,
    due: &[DuePath],
    settling: &mut Settling,
    observer: &dyn ScanObserver,
) -> Result<Scanned, ScanError> {
    let mut scan = Scan {
        store,
        folder,
        scope,
        observer,
        ignores: Ignores::below(folder),
        growing: UnfinishedDownloads::of(store).map_err(ScanError::Records)?,
        settling,
        batch: Vec::new(),
        gone: Vec::new(),
        written: Instant::now(),
        scanned: Scanned::default(),
    };
    for due in due {
        let path = &due.path;
        let is_file = || path.symlink_metadata().is_ok_and(|found| found.is_file());
        if due.is_early && (!is_file() || scan.growing.contains(path)) {
            continue;
        }
        if scan.path(due.scan_root())?.is_break() {
            break;
        }
        if scan.is_due() {
            scan.write()?;
        }
    }
    scan.write()?;
    Ok(scan.scanned)
}

struct Scan<'a> {
    store: &'a Store,
    folder: &'a Path,
    scope: Scope,
    observer: &'a dyn ScanObserver,
    ignores: Ignores,
    growing: UnfinishedDownloads,
    settling: &'a mut Settling,
    batch: Vec<NewShare>,
    /// What is still shared, but is gone or excluded.
    gone: Vec<(Hash, PathBuf)>,
    written: Instant,
    scanned: Scanned,
}

impl Scan<'_> {
    fn path(&mut self, path: &Path) -> Result<ControlFlow<()>, ScanError> {
        note_missing(self.store, self.folder, path);
        if self.withdraw(path)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        // A missing path has nothing to walk, and the target of a link is not below the folder.
        let is_missing = self.store.is_below_missing(path);
        if is_missing || path.symlink_metadata().is_err() || self.is_behind_link(path) {
            self.settling.forget(path);
            return Ok(ControlFlow::Continue(()));
        }
        if self.growing.above(path, self.folder).is_some() || self.store.is_excluded(path) {
            return Ok(ControlFlow::Continue(()));
        }
        if path
            .parent()
            .is_some_and(|above| self.store.is_private(above))
        {
            return Ok(ControlFlow::Continue(()));
        }
        let mut mounts = Mounts::above(path);
        let walked = self.walk(path, &mut mounts)?;
        let remembered = self.store.remember_mounts(self.folder, &mounts.found);
        if let Err(error) = remembered {
            let folder = self.folder.display();
            tracing::warn!(
                %folder, %error, "cannot record the mounts below the folder: the node may not \
                 notice when one is missing"
            );
        }
        Ok(walked)
    }

    /// Shares what is at `path` and below.
    fn walk(&mut self, path: &Path, mounts: &mut Mounts) -> Result<ControlFlow<()>, ScanError> {
        let mut walk = WalkDir::new(path)
            .follow_root_links(path == self.folder)
            .max_depth(MAX_DEPTH)
            .sort_by_file_name()
            .into_iter();
        while let Some(entry) = walk.next() {
            if self.observer.pause().is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let taken = match entry {
                Ok(entry) => {
                    let is_folder = entry.file_type().is_dir();
                    let is_left_out = self.leaves_out(entry.path(), is_folder);
                    if is_left_out || self.is_misnamed(entry.path()) {
                        self.settling.forget(entry.path());
                        if is_folder {
                            walk.skip_current_dir();
                        }
                        continue;
                    }
                    if is_folder {
                        mounts.enter(&entry);
                        continue;
                    }
                    self.take_file(entry.into_path())
                }
                Err(error) => {
                    let why = error
                        .io_error()
                        .map_or_else(|| error.to_string(), io::Error::to_string);
                    let path = error.path().unwrap_or(path);
                    let shown = crate::store::shown(path).to_string();
                    self.scanned.failed.push((path.to_owned(), why.clone()));
                    Err(format!("{shown}: {why}"))
                }
            };
            if let Err(reason) = taken {
                tracing::warn!(
                    folder = %self.folder.display(), reason, "left out: this entry cannot be \
                     shared"
                );
                self.scanned.left_out += 1;
            }
            if self.is_due() {
                self.write()?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether an entry is excluded or ignored, is a growing download, or is the node's own folder.
    fn leaves_out(&mut self, path: &Path, is_folder: bool) -> bool {
        let is_top = path == self.folder;
        let is_excluded = self.store.is_excluded(path);
        let is_unwanted = is_excluded || !is_top && self.ignores.leave_out(path, is_folder);
        if is_unwanted || is_folder && self.store.is_private(path) {
            return true;
        }
        let is_growing = !is_top && self.growing.contains(path);
        if is_growing {
            tracing::info!(
                path = %path.display(), "the file is not shared: a download is writing it"
            );
            self.scanned.left_out += 1;
        }
        is_growing
    }

    /// Whether the path cannot be the name of a share.
    fn is_misnamed(&mut self, path: &Path) -> bool {
        let is_misnamed = share_name(self.folder, path).is_none();
        if is_misnamed {
            self.scanned.left_out += 1;
            self.scanned.misnamed.push(path.to_owned());
        }
        is_misnamed
    }

    /// Whether the path leads through a link below the folder.
    fn is_behind_link(&self, path: &Path) -> bool {
        let above = path.ancestors().skip(1);
        let mut above = above.take_while(|above| *above != self.folder);
        above.any(Path::is_symlink)
    }

    fn take_file(&mut self, path: PathBuf) -> Result<(), String> {
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            // The system reports removals as well.
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(format!("{}: {error}", crate::store::shown(&path))),
        };
        let Some(name) = share_name(self.folder, &path) else {
            return Ok(());
        };
        let known = self.known(&path, &metadata);
        // Mostly it is unchanged: then nothing is recorded, and it is announced already.
        if known.is_some_and(|known| self.is_ours(&known) && known.name == name) {
            self.settling.forget(&path);
            self.scanned.shared += 1;
            return Ok(());
        }
        if !metadata.is_file() {
            return self.share(path, name, None);
        }
        let seen = Observation::new(&metadata, Writers::at(&path));
        match self.settling.judge(&path, seen, Instant::now()) {
            Verdict::CheckAgain(again) => {
                self.scanned.changing.push((path, again));
                Ok(())
            }
            Verdict::Share => self.share(path, name, Some(seen)),
            Verdict::ShareInDoubt => {
                tracing::info!(
                    path = %path.display(),
                    "the file is open for writing, but unchanged for 10 minutes: shared in doubt"
                );
                self.share(path, name, Some(seen))
            }
        }
    }

    /// Hashes the entry at the path, which is a file if it was `seen` as one, and shares it.
    fn share(
        &mut self,
        path: PathBuf,
        name: String,
        seen: Option<Observation>,
    ) -> Result<(), String> {
        let begun = Instant::now();
        let examined = hash_unless_known(self.store, &path, &|_| ControlFlow::Continue(()));
        let (took, now) = (begun.elapsed(), Instant::now());
        let (descriptor, fingerprint) = match (examined, seen) {
            (Err(ShareError::Hash(HashError::Changed { path })), Some(seen)) => {
                let again = self.settling.overtaken(&path, seen, took, now);
                self.scanned.changing.push((path, again));
                return Ok(());
            }
            (Err(ShareError::Hash(HashError::Missing { .. })), _) => return Ok(()),
            (Ok(examined), _) => examined,
            (Err(error), _) => {
                let why = error.to_string();
                if error.may_pass() {
                    self.scanned.failed.push((path, why.clone()));
                }
                return Err(why);
            }
        };
        if let Some(seen) = seen {
            self.settling.hashed(&path, seen, took, now);
        }
        self.batch.push(NewShare {
            descriptor,
            name,
            path,
            scopes: self.scope.into(),
            origin: Origin::Folder(self.folder.to_owned()),
            fingerprint,
        });
        self.scanned.shared += 1;
        Ok(())
    }

    /// The share at the path, if the file can be served as it was hashed. A file in doubt is
    /// verified when it is sent, and hashed again later.
    fn known(&self, path: &Path, metadata: &Metadata) -> Option<Share> {
        let known = self.store.share_at(path).ok().flatten()?;
        let is_same = metadata.is_file() && known.fingerprint.compare_metadata(metadata) != Changed;
        // The file was open when it was hashed, and is closed now: it is hashed again before a peer
        // asks for it.
        let is_closed = known.fingerprint.is_in_doubt() && Writers::at(path) != Writers::Present;
        let is_same = is_same && !is_closed;
        (is_same && self.store.has_tree(&known.descriptor)).then_some(known)
    }

    /// Whether the share comes from this folder, for this scope. A person may keep it from everyone,
    /// and not from the group for which the folder is watched.
    fn is_ours(&self, share: &Share) -> bool {
        let is_from_here = matches!(&share.origin, Origin::Folder(from) if from == self.folder);
        is_from_here && (self.scope == Scope::Everyone || share.scopes.contains(self.scope))
    }

    fn is_due(&self) -> bool {
        self.batch.len().max(self.gone.len()) >= BATCH || self.written.elapsed() >= BATCH_TIME
    }

    fn write(&mut self) -> Result<(), ScanError> {
        self.written = Instant::now();
        self.write_gone()?;
        if !self.batch.is_empty() {
            self.store.add_shares(&self.batch)?;
            log_shared(&self.batch);
            self.batch.clear();
        }
        self.observer.waiting(self.settling);
        Ok(())
    }
}

/// Says what is shared now: a line for each of a few files.
fn log_shared(shared: &[NewShare]) {
    if shared.len() > MAX_LOGGED {
        tracing::info!(files = shared.len(), "shared new and changed files");
        return;
    }
    for share in shared {
        let size = ByteSize(share.descriptor.size());
        tracing::info!(path = %share.path.display(), %size, "shared a new or changed file");
    }
}

/// Rejects a file of a watched folder that a program still writes to: the node would share half of
/// it as the whole. A file that a person shared, and one that changed without a trace, are hashed
/// as they are, and are in doubt.
///
/// # Errors
/// [`ShareError::StillWritten`].
pub(super) fn check_settled(share: &Share) -> Result<(), ShareError> {
    let Ok(metadata) = share.path.symlink_metadata() else {
        // Hashing reports the problem.
        return Ok(());
    };
    let is_watched = matches!(share.origin, Origin::Folder(_));
    if !is_watched || share.fingerprint.compare_metadata(&metadata) != Changed {
        return Ok(());
    }
    let seen = Observation::new(&metadata, Writers::at(&share.path));
    match Settling::default().judge(&share.path, seen, Instant::now()) {
        Verdict::CheckAgain(_) => Err(ShareError::StillWritten {
            path: share.path.clone(),
        }),
        Verdict::Share | Verdict::ShareInDoubt => Ok(()),
    }
}
