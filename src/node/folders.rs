//! Shared folders: each file below is a share of its own, named by its path from the folder. Blocks.

use std::{
    ops::ControlFlow,
    path::{MAIN_SEPARATOR, Path, PathBuf},
    time::{Duration, Instant},
};

use pelago_content::Hash;
use walkdir::WalkDir;

use super::{
    ShareError,
    ignores::{IGNORE_FILE, Ignores},
    shares::examine,
};
use crate::store::{DatabaseError, Fingerprint, HashError, NewShare, Origin, Scope, Share, Store};

/// Shares that are written down in one commit, at most.
const BATCH: usize = 1000;

/// How long a file that is hashed may wait to be written down.
const BATCH_TIME: Duration = Duration::from_secs(1);

/// How long ago somebody has to have written to a file.
const FRESH: Duration = Duration::from_millis(900);

/// Levels of folders below a shared one that are looked into.
const MAX_DEPTH: usize = 64;

/// What is told while a folder is looked at. A break stops that.
pub(super) trait Told {
    /// These are shared now.
    fn shared(&self, hashes: Vec<Hash>) -> ControlFlow<()>;

    /// These are shared nowhere any more.
    fn gone(&self, hashes: Vec<Hash>) -> ControlFlow<()>;
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
    /// Files that changed while they were hashed: to be looked at again.
    pub(super) changing: Vec<PathBuf>,
}

/// Brings what is shared of `folder` in line with what is at `paths`, and below those that are folders.
///
/// # Errors
/// The database cannot be read or written.
pub(super) fn look(
    store: &Store,
    folder: &Path,
    paths: &[PathBuf],
    told: &dyn Told,
) -> Result<Scanned, crate::store::ShareError> {
    let mut look = Look {
        store,
        folder,
        told,
        ignores: Ignores::below(folder),
        batch: Vec::new(),
        replaced: Vec::new(),
        written: Instant::now(),
        scanned: Scanned::default(),
    };
    for path in paths {
        // A change of what is to be left out is a change of all around it.
        let is_rules = path.file_name().is_some_and(|name| name == IGNORE_FILE);
        let path = path.parent().filter(|_| is_rules).unwrap_or(path);
        if look.path(path)?.is_break() {
            break;
        }
    }
    // The end is the end in any case.
    let _ = look.write()?;
    Ok(look.scanned)
}

struct Look<'a> {
    store: &'a Store,
    folder: &'a Path,
    told: &'a dyn Told,
    ignores: Ignores,
    batch: Vec<NewShare>,
    /// What was shared before at the paths of the batch.
    replaced: Vec<Hash>,
    written: Instant,
    scanned: Scanned,
}

impl Look<'_> {
    fn path(&mut self, path: &Path) -> Result<ControlFlow<()>, crate::store::ShareError> {
        if self.withdraw(path)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        // Nothing there any more is nothing to walk, and what a link leads to is not below the folder.
        if path.symlink_metadata().is_err() || self.is_behind_link(path) {
            return Ok(ControlFlow::Continue(()));
        }
        if path
            .parent()
            .is_some_and(|above| self.store.is_private(above))
        {
            return Ok(ControlFlow::Continue(()));
        }
        let mut walk = WalkDir::new(path)
            .follow_root_links(path == self.folder)
            .max_depth(MAX_DEPTH)
            .sort_by_file_name()
            .into_iter();
        while let Some(entry) = walk.next() {
            let taken = match entry {
                Ok(entry) => {
                    let is_folder = entry.file_type().is_dir();
                    if self.leaves_out(entry.path(), is_folder) {
                        if is_folder {
                            walk.skip_current_dir();
                        }
                        continue;
                    }
                    if is_folder {
                        continue;
                    }
                    self.take(entry.into_path())
                }
                Err(error) => Err(error.to_string()),
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
        let is_told = !is_top && self.ignores.leave_out(path, is_folder);
        is_told || is_folder && self.store.is_private(path)
    }

    /// Whether a link leads to the path, from the folder down.
    fn is_behind_link(&self, path: &Path) -> bool {
        let above = path.ancestors().skip(1);
        let mut above = above.take_while(|above| *above != self.folder);
        above.any(Path::is_symlink)
    }

    fn take(&mut self, path: PathBuf) -> Result<(), String> {
        if path
            .extension()
            .is_some_and(|extension| extension == "part")
        {
            return Err(format!("{}: a download under way", path.display()));
        }
        let known = self.known(&path);
        if known.is_none() && is_fresh(&path) {
            self.scanned.changing.push(path);
            return Ok(());
        }
        let name = share_name(self.folder, &path)
            .ok_or_else(|| format!("{}: its name is not valid UTF-8", path.display()))?;
        // Mostly it is: then nothing is written, and the network knows already.
        if known.is_some_and(|known| self.is_ours(&known) && known.name == name) {
            self.scanned.shared += 1;
            return Ok(());
        }
        let (descriptor, fingerprint) =
            match examine(self.store, &path, &|_| ControlFlow::Continue(())) {
                Err(ShareError::Hash(HashError::Changed { path })) => {
                    self.scanned.changing.push(path);
                    return Ok(());
                }
                // What is gone by now is found to be.
                Err(ShareError::Hash(HashError::Missing { .. })) => return Ok(()),
                examined => examined.map_err(|error| error.to_string())?,
            };
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

    /// What is shared at the path, if that is what is there now, and can be served.
    fn known(&self, path: &Path) -> Option<Share> {
        let known = self.store.share_at(path).ok().flatten()?;
        let now = Fingerprint::new(&path.symlink_metadata().ok()?);
        (known.fingerprint == now && self.store.has_tree(&known.descriptor)).then_some(known)
    }

    /// Whether it is this folder that shares it.
    fn is_ours(&self, share: &Share) -> bool {
        matches!(&share.origin, Origin::Folder(from) if from == self.folder)
    }

    fn is_due(&self) -> bool {
        self.batch.len() >= BATCH || self.written.elapsed() >= BATCH_TIME
    }

    fn write(&mut self) -> Result<ControlFlow<()>, crate::store::ShareError> {
        self.written = Instant::now();
        if self.batch.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        self.store.add_shares(&self.batch)?;
        let hashes = self.batch.drain(..).map(|share| share.descriptor.hash());
        if self.told.shared(hashes.collect()).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let replaced = std::mem::take(&mut self.replaced);
        Ok(self.tell_gone(replaced))
    }

    /// Withdraws what the folder shares at `path` or below and that is not there, or to be left out.
    fn withdraw(&mut self, path: &Path) -> Result<ControlFlow<()>, DatabaseError> {
        let at = self.store.share_at(path)?;
        let mut page: Vec<_> = at.into_iter().collect();
        let mut after: Option<PathBuf> = None;
        loop {
            page.retain(|share| self.is_over(share));
            let gone = page.drain(..).map(|share| (share.hash, share.path));
            let gone: Vec<_> = gone.collect();
            if !gone.is_empty() {
                self.scanned.gone += self.store.remove_shares(&gone)?;
                let hashes = gone.into_iter().map(|(hash, _)| hash).collect();
                if self.tell_gone(hashes).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
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
        // What is there now may be a folder, or behind a link.
        let is_there = || share.path.is_file() && !self.is_behind_link(&share.path);
        self.is_ours(share) && (!is_there() || self.ignores.leave_out(&share.path, false))
    }

    fn tell_gone(&self, mut hashes: Vec<Hash>) -> ControlFlow<()> {
        let is_gone = |hash: &Hash| {
            let shares = self.store.shares_of(hash);
            shares.is_ok_and(|shares| shares.is_empty())
        };
        hashes.retain(is_gone);
        if hashes.is_empty() {
            ControlFlow::Continue(())
        } else {
            self.told.gone(hashes)
        }
    }
}

/// Whether somebody wrote to the file a moment ago, and so may be about to again.
fn is_fresh(path: &Path) -> bool {
    let written = path.symlink_metadata().and_then(|found| found.modified());
    let age = written.ok().and_then(|written| written.elapsed().ok());
    age.is_some_and(|age| age < FRESH)
}

/// What a file below a shared folder is called: its path from there, with `/` on every system.
fn share_name(folder: &Path, path: &Path) -> Option<String> {
    let name = path.strip_prefix(folder).ok()?.to_str()?;
    Some(name.replace(MAIN_SEPARATOR, "/"))
}
