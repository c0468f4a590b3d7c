//! Shared folders: each file below is a share of its own, named by its path from the folder. Blocks.

use std::{
    ops::ControlFlow,
    path::{MAIN_SEPARATOR, Path, PathBuf},
    time::{Duration, Instant},
};

use pelago_content::{Hash, Kind};
use walkdir::WalkDir;

use super::{ShareError, shares::examine};
use crate::store::{DatabaseError, NewShare, Origin, Scope, Store};

/// Shares that are written down in one commit, at most.
const BATCH: usize = 1000;

/// How long a file that is hashed may wait to be written down.
const BATCH_TIME: Duration = Duration::from_secs(1);

/// Levels of folders below a shared one that are looked into.
const MAX_DEPTH: usize = 64;

/// What a scan found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Files that are shared now.
    pub(super) shared: usize,
    /// Entries that cannot be shared: the log says why.
    pub(super) left_out: usize,
    /// Shares withdrawn, as their files are gone.
    pub(super) gone: usize,
}

/// Brings what is shared of `folder` in line with what is in it. `shared` is told of hashes as they
/// are written down, `gone` of those that are withdrawn; a break of `shared` stops the scan.
///
/// # Errors
/// The database cannot be read or written.
pub(super) fn scan(
    store: &Store,
    folder: &Path,
    shared: &dyn Fn(Vec<Hash>) -> ControlFlow<()>,
    gone: &dyn Fn(Vec<Hash>),
) -> Result<Scanned, crate::store::ShareError> {
    let mut scan = Scan {
        store,
        folder,
        shared,
        batch: Vec::new(),
        written: Instant::now(),
    };
    let mut scanned = Scanned {
        gone: withdraw_gone(store, folder, gone)?,
        ..Scanned::default()
    };
    let walk = WalkDir::new(folder)
        .max_depth(MAX_DEPTH)
        .sort_by_file_name();
    for entry in walk {
        let taken = match entry {
            Ok(entry) if entry.file_type().is_dir() => continue,
            Ok(entry) => scan.take(entry.into_path()),
            Err(error) => Err(error.to_string()),
        };
        match taken {
            Ok(()) => scanned.shared += 1,
            Err(reason) => {
                tracing::warn!(folder = %folder.display(), reason, "left out");
                scanned.left_out += 1;
            }
        }
        if scan.is_due() && scan.write()?.is_break() {
            return Ok(scanned);
        }
    }
    // The end of the scan is the end in any case.
    let _ = scan.write()?;
    Ok(scanned)
}

struct Scan<'a> {
    store: &'a Store,
    folder: &'a Path,
    shared: &'a dyn Fn(Vec<Hash>) -> ControlFlow<()>,
    batch: Vec<NewShare>,
    written: Instant,
}

impl Scan<'_> {
    fn take(&mut self, path: PathBuf) -> Result<(), String> {
        if path
            .extension()
            .is_some_and(|extension| extension == "part")
        {
            return Err(format!("{}: a download under way", path.display()));
        }
        let name = share_name(self.folder, &path)
            .ok_or_else(|| format!("{}: its name is not valid UTF-8", path.display()))?;
        let examined = examine(self.store, &path, &|_| ControlFlow::Continue(()));
        let (descriptor, fingerprint) = examined.map_err(|error: ShareError| error.to_string())?;
        self.batch.push(NewShare {
            descriptor,
            name,
            path,
            scopes: Scope::Everyone.into(),
            origin: Origin::Folder(self.folder.to_owned()),
            fingerprint,
        });
        Ok(())
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
        Ok((self.shared)(hashes.collect()))
    }
}

/// What a file below a shared folder is called: its path from there, with `/` on every system.
fn share_name(folder: &Path, path: &Path) -> Option<String> {
    let name = path.strip_prefix(folder).ok()?.to_str()?;
    Some(name.replace(MAIN_SEPARATOR, "/"))
}

/// Withdraws the shares of `folder` whose files are no longer there.
fn withdraw_gone(
    store: &Store,
    folder: &Path,
    told: &dyn Fn(Vec<Hash>),
) -> Result<usize, DatabaseError> {
    let mut after: Option<PathBuf> = None;
    let mut count = 0;
    loop {
        let page = store.shares_under(folder, after.as_deref(), BATCH)?;
        let Some(last) = page.last() else {
            return Ok(count);
        };
        after = Some(last.path.clone());
        let is_ours = |origin: &Origin| matches!(origin, Origin::Folder(from) if from == folder);
        let gone = page
            .into_iter()
            .filter(|s| is_ours(&s.origin) && !s.path.exists());
        let gone: Vec<_> = gone.map(|share| (share.hash, share.path)).collect();
        if !gone.is_empty() {
            count += store.remove_shares(&gone)?;
            let mut hashes: Vec<_> = gone.into_iter().map(|(hash, _)| hash).collect();
            hashes.retain(|hash| store.shares_of(hash).is_ok_and(|shares| shares.is_empty()));
            told(hashes);
        }
    }
}

/// Hashes again a shared file that has changed, and shares it under its new hash. Returns the hash
/// it had, and the one it has now. What is in a shared folder stays as it is written down, and is
/// not served, until somebody shares the folder again.
///
/// # Errors
/// The file cannot be hashed, for example because it is still growing.
pub(super) fn renew(store: &Store, path: &Path) -> Result<Option<(Hash, Hash)>, ShareError> {
    let known = store
        .share_at(path)
        .map_err(crate::store::ShareError::from)?;
    for folder in store
        .folders_over(path)
        .map_err(crate::store::ShareError::from)?
    {
        let (path, folder) = (path.display(), folder.display());
        tracing::warn!(%path, %folder, "changed since its folder was shared: share that again");
    }
    let Some(known) = known.filter(|known| known.descriptor.kind() == Kind::File) else {
        return Ok(None);
    };
    let (descriptor, fingerprint) = examine(store, path, &|_| ControlFlow::Continue(()))?;
    let renewed = NewShare {
        descriptor,
        name: known.name,
        path: known.path,
        scopes: known.scopes,
        origin: known.origin,
        fingerprint,
    };
    store.add_shares(&[renewed])?;
    Ok(Some((known.hash, descriptor.hash())))
}
