//! Shared folders: each file below is a share of its own, named by its path from the folder. Blocks.

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use std::{
    fs::Metadata,
    io,
    ops::ControlFlow,
    path::{MAIN_SEPARATOR, Path, PathBuf},
    time::{Duration, Instant},
};

use pelago_content::Hash;
use walkdir::{DirEntry, WalkDir};

use super::{
    ShareError,
    settling::{Observation, Settling, Verdict},
    shares::hash_unless_known,
};
use crate::store::{
    DatabaseError, Growing, HashError, IGNORE_FILE, Ignores, Look::Changed, NewShare, Origin,
    Scope, Share, Store, Writers, device, is_gone,
};

/// Shares that are written down in one commit, at most.
const BATCH: usize = 1000;

/// How long a file that is hashed may wait to be written down.
const BATCH_TIME: Duration = Duration::from_secs(1);

/// Levels of folders below a shared one that are looked into.
pub(super) const MAX_DEPTH: usize = 64;

/// Is told what a scan of a folder finds. A break stops the scan.
pub(super) trait ScanObserver {
    /// These are shared now.
    fn shared(&self, hashes: Vec<Hash>) -> ControlFlow<()>;

    /// These are shared nowhere any more.
    fn gone(&self, hashes: Vec<Hash>) -> ControlFlow<()>;

    /// Some of these files wait.
    fn waiting(&self, files: &Settling);

    /// Called for each entry and for each page of shares: a slow scan pauses here.
    fn pause(&self) {}
}

/// What was found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Files that are shared now.
    pub(super) shared: usize,
    /// Entries that cannot be shared: the log says why.
    pub(super) left_out: usize,
    /// Shares withdrawn, as their files are gone or to be left out.
    pub(super) gone: usize,
    /// Files that may still be being written, and when to look at them again.
    pub(super) changing: Vec<(PathBuf, Instant)>,
    /// Files and directories that could not be read or recorded, and why: the next attempt may succeed.
    pub(super) failed: Vec<(PathBuf, String)>,
}

/// A path to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DuePath {
    pub(super) path: PathBuf,
    /// Whether something changed there a moment ago: then a file is looked at, and nothing else.
    pub(super) is_early: bool,
}

impl DuePath {
    /// What is looked at: a change of what is to be left out is a change of everything around it.
    pub(super) fn scan_root(&self) -> &Path {
        let is_rules = self
            .path
            .file_name()
            .is_some_and(|name| name == IGNORE_FILE);
        let above = self.path.parent().filter(|_| is_rules);
        above.unwrap_or(&self.path)
    }
}

/// Why a folder was not looked at.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    /// The database cannot be read or written.
    #[error(transparent)]
    Share(#[from] crate::store::ShareError),
    /// It cannot be told which files are downloads under way.
    #[error("the records of downloads cannot be read: {0}")]
    Records(io::Error),
}

impl From<DatabaseError> for ScanError {
    fn from(error: DatabaseError) -> Self {
        Self::Share(error.into())
    }
}

/// Brings what is shared of `folder` in line with what is at the paths that are `due`, and below those
/// that are folders.
///
/// # Errors
/// See [`ScanError`].
pub(super) fn scan(
    store: &Store,
    folder: &Path,
    due: &[DuePath],
    settling: &mut Settling,
    observer: &dyn ScanObserver,
) -> Result<Scanned, ScanError> {
    let mut scan = Scan {
        store,
        folder,
        observer,
        ignores: Ignores::below(folder),
        growing: Growing::of(store).map_err(ScanError::Records)?,
        settling,
        batch: Vec::new(),
        replaced: Vec::new(),
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
        if scan.path(due.scan_root())?.is_break() || scan.is_due() && scan.write()?.is_break() {
            break;
        }
    }
    // The end is the end in any case.
    let _ = scan.write()?;
    Ok(scan.scanned)
}

struct Scan<'a> {
    store: &'a Store,
    folder: &'a Path,
    observer: &'a dyn ScanObserver,
    ignores: Ignores,
    growing: Growing,
    settling: &'a mut Settling,
    batch: Vec<NewShare>,
    /// What was shared before at the paths of the batch.
    replaced: Vec<Hash>,
    /// What is not there any more and is still shared.
    gone: Vec<(Hash, PathBuf)>,
    written: Instant,
    scanned: Scanned,
}

impl Scan<'_> {
    fn path(&mut self, path: &Path) -> Result<ControlFlow<()>, ScanError> {
        if self.note_missing(path)?.is_break() || self.withdraw(path)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        // Nothing there any more is nothing to walk, and what a link leads to is not below the folder.
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
            tracing::warn!(%folder, %error, "the node may not notice when its disk is not mounted");
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
            self.observer.pause();
            let taken = match entry {
                Ok(entry) => {
                    let is_folder = entry.file_type().is_dir();
                    if self.leaves_out(entry.path(), is_folder) {
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
                    if let Some(path) = error.path() {
                        let failed = (path.to_owned(), error.to_string());
                        self.scanned.failed.push(failed);
                    }
                    Err(error.to_string())
                }
            };
            if let Err(reason) = taken {
                tracing::warn!(folder = %self.folder.display(), reason, "left out");
                self.scanned.left_out += 1;
            }
            if self.is_due() && self.write()?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether something is to be left out, or, being the node's own folder, has to be.
    fn leaves_out(&mut self, path: &Path, is_folder: bool) -> bool {
        let is_top = path == self.folder;
        let is_excluded = self.store.is_excluded(path);
        let is_told = is_excluded || !is_top && self.ignores.leave_out(path, is_folder);
        if is_told || is_folder && self.store.is_private(path) {
            return true;
        }
        let is_growing = !is_top && self.growing.contains(path);
        if is_growing {
            tracing::info!(path = %path.display(), "left out: a download under way");
            self.scanned.left_out += 1;
        }
        is_growing
    }

    /// Whether a link leads to the path, from the folder down.
    fn is_behind_link(&self, path: &Path) -> bool {
        let above = path.ancestors().skip(1);
        let mut above = above.take_while(|above| *above != self.folder);
        above.any(Path::is_symlink)
    }

    fn take_file(&mut self, path: PathBuf) -> Result<(), String> {
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            // The system tells of a removal, too.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("{}: {error}", crate::store::shown(&path))),
        };
        let name = share_name(self.folder, &path).ok_or_else(|| {
            format!(
                "{}: its name is not valid UTF-8",
                crate::store::shown(&path)
            )
        })?;
        let known = self.known(&path, &metadata);
        // Mostly it is: then nothing is written, and the network knows already.
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
                    "still open for writing, but unchanged for 10 minutes: shared in doubt"
                );
                self.share(path, name, Some(seen))
            }
        }
    }

    /// Hashes what is at the path, which is a file if it was `seen` as one, and shares it.
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
        if let Ok(Some(known)) = self.store.share_at(&path)
            && known.hash != descriptor.hash()
        {
            self.replaced.push(known.hash);
        }
        self.batch.push(NewShare {
            descriptor,
            name,
            path,
            scopes: Scope::Everyone.into(),
            origin: Origin::Folder(self.folder.to_owned()),
            fingerprint,
        });
        self.scanned.shared += 1;
        Ok(())
    }

    /// The share at the path, if the file can be served as it was hashed. One in doubt is proven when it
    /// is sent, and hashed again by and by.
    fn known(&self, path: &Path, metadata: &Metadata) -> Option<Share> {
        let known = self.store.share_at(path).ok().flatten()?;
        let is_same = metadata.is_file() && known.fingerprint.look(metadata) != Changed;
        // The file was open when it was hashed, and is closed now: that is hashed before anybody asks.
        let is_closed = known.fingerprint.is_in_doubt() && Writers::at(path) != Writers::Present;
        let is_same = is_same && !is_closed;
        (is_same && self.store.has_tree(&known.descriptor)).then_some(known)
    }

    /// Whether it is this folder that shares it.
    fn is_ours(&self, share: &Share) -> bool {
        matches!(&share.origin, Origin::Folder(from) if from == self.folder)
    }

    fn is_due(&self) -> bool {
        self.batch.len().max(self.gone.len()) >= BATCH || self.written.elapsed() >= BATCH_TIME
    }

    fn write(&mut self) -> Result<ControlFlow<()>, ScanError> {
        self.written = Instant::now();
        if self.write_gone()?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if self.batch.is_empty() {
            self.observer.waiting(self.settling);
            return Ok(ControlFlow::Continue(()));
        }
        self.store.add_shares(&self.batch)?;
        self.observer.waiting(self.settling);
        let hashes = self.batch.drain(..).map(|share| share.descriptor.hash());
        if self.observer.shared(hashes.collect()).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let replaced = std::mem::take(&mut self.replaced);
        Ok(self.report_gone(replaced))
    }

    /// Withdraws in one commit what was found to be gone.
    fn write_gone(&mut self) -> Result<ControlFlow<()>, DatabaseError> {
        let gone = std::mem::take(&mut self.gone);
        if gone.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        self.scanned.gone += self.store.remove_shares(&gone)?;
        let hashes = gone.into_iter().map(|(hash, _)| hash).collect();
        Ok(self.report_gone(hashes))
    }

    /// Finds what the folder shares at `path` or below and that is not there, or to be left out.
    fn withdraw(&mut self, path: &Path) -> Result<ControlFlow<()>, DatabaseError> {
        let at = self.store.share_at(path)?;
        let mut page: Vec<_> = at.into_iter().collect();
        let mut after: Option<PathBuf> = None;
        loop {
            self.observer.pause();
            page.retain(|share| self.is_over(share));
            let gone = page.drain(..).map(|share| (share.hash, share.path));
            let mut gone: Vec<_> = gone.collect();
            // An unmounted disk takes its files with it.
            if !gone.is_empty() && self.note_missing(path)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            gone.retain(|(_, path)| !self.store.is_below_missing(path));
            self.gone.extend(gone);
            if self.gone.len() >= BATCH && self.write_gone()?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            page = self.store.shares_under(path, after.as_deref(), BATCH)?;
            match page.last() {
                Some(last) => after = Some(last.path.clone()),
                None => return Ok(ControlFlow::Continue(())),
            }
        }
    }

    /// Whether what the folder shares is not there any more, or to be left out.
    fn is_over(&mut self, share: &Share) -> bool {
        let (path, folder) = (&share.path, self.folder);
        if !self.is_ours(share) || self.store.is_below_missing(path) {
            return false;
        }
        // What is there now may be a folder, a link, or behind one.
        let is_there = match path.symlink_metadata() {
            Ok(metadata) => metadata.is_file() && !self.is_behind_link(path),
            // What cannot be looked at may be there.
            Err(error) => !is_gone(&error),
        };
        let grows = || self.growing.contains(path) || self.growing.above(path, folder).is_some();
        let is_excluded = || self.store.is_excluded(path);
        !is_there || grows() || is_excluded() || self.ignores.leave_out(path, false)
    }

    /// Finds out whether the folder, or a mount around `path`, is there. Shares on one that is not stay
    /// listed, and are not offered.
    fn note_missing(&mut self, path: &Path) -> Result<ControlFlow<()>, DatabaseError> {
        let missing = self.store.missing_folders(self.folder, path);
        let (gone, back) = self.store.set_missing(self.folder, path, &missing);
        for folder in gone {
            tracing::warn!(folder = %folder.display(), "missing: its shares are offered again when it is back");
            if self.each_below(&folder, Self::report_gone)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        for folder in back {
            tracing::info!(folder = %folder.display(), "back: its shares are offered again");
            if self
                .each_below(&folder, |scan, found| scan.observer.shared(found))?
                .is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Passes the hashes of what is shared below `folder` on, some at a time.
    fn each_below(
        &self,
        folder: &Path,
        pass: impl Fn(&Self, Vec<Hash>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, DatabaseError> {
        let mut after: Option<PathBuf> = None;
        loop {
            let page = self.store.shares_under(folder, after.as_deref(), BATCH)?;
            let Some(last) = page.last() else {
                return Ok(ControlFlow::Continue(()));
            };
            after = Some(last.path.clone());
            let ours = page.iter().filter(|share| self.is_ours(share));
            let hashes = ours.map(|share| share.hash).collect();
            if pass(self, hashes).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    fn report_gone(&self, mut hashes: Vec<Hash>) -> ControlFlow<()> {
        let is_offered = |share: &Share| self.store.state_of(share).is_available();
        let is_gone = |hash: &Hash| {
            let shares = self.store.shares_of(hash);
            shares.is_ok_and(|shares| !shares.iter().any(is_offered))
        };
        hashes.retain(is_gone);
        if hashes.is_empty() {
            ControlFlow::Continue(())
        } else {
            self.observer.gone(hashes)
        }
    }
}

/// The file systems that are mounted below a path, found as it is walked.
struct Mounts {
    /// The devices of the folders down to the one that is walked; that of the folder above first.
    devices: Vec<Option<u64>>,
    found: Vec<PathBuf>,
}

impl Mounts {
    fn above(path: &Path) -> Self {
        let above = path.parent().and_then(|above| above.metadata().ok());
        Self {
            devices: vec![above.as_ref().map(device)],
            found: Vec::new(),
        }
    }

    fn enter(&mut self, folder: &DirEntry) {
        let own = folder.metadata().ok().as_ref().map(device);
        self.devices.truncate(folder.depth() + 1);
        if self.devices.last() != Some(&own) {
            self.found.push(folder.path().to_owned());
        }
        self.devices.push(own);
    }
}

/// Refuses a file of a watched folder that a program still writes to: the node would share half of it as
/// the whole. A file that a person shared by hand, and one that changed without a trace, are hashed as
/// they are, and are in doubt.
///
/// # Errors
/// [`ShareError::StillWritten`].
pub(super) fn check_settled(share: &Share) -> Result<(), ShareError> {
    let Ok(metadata) = share.path.symlink_metadata() else {
        // Hashing says what is in the way.
        return Ok(());
    };
    let is_watched = matches!(share.origin, Origin::Folder(_));
    if !is_watched || share.fingerprint.look(&metadata) != Changed {
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
