//! The shares that were lost with a damaged database, until they are found again.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
};

use crate::{
    DatabaseError, Recovery, Share, Store, durable, recovery::text, share_log::is_logged,
    share_tables::Tables,
};

/// A share that is not found yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostShare {
    /// Its path.
    pub path: PathBuf,
    /// The share from the log; `None` if only its path is known, so that a person has to share it
    /// again.
    pub share: Option<Share>,
}

impl Store {
    /// The shares that were lost with a damaged database and are not found yet.
    ///
    /// # Errors
    ///
    /// [`RecoveryError`].
    pub fn lost_shares(&self) -> Result<Vec<LostShare>, RecoveryError> {
        // The database is opened at its first use, and damage is detected then.
        self.inner.database.read(|_| Ok(()))?;
        let recovery = self.folder().map(Recovery::read).transpose()?.flatten();
        let Some(recovery) = recovery else {
            return Ok(Vec::new());
        };
        let mut logged = self
            .inner
            .share_log
            .lock()
            .read()?
            .unwrap_or_default()
            .shares;
        let listed = recovery.lost.into_iter().map(PathBuf::from);
        let paths: BTreeSet<_> = listed.chain(logged.keys().cloned()).collect();
        let mut lost = Vec::new();
        for path in paths {
            if self.share_at(&path)?.is_none() {
                let share = logged.remove(&path);
                lost.push(LostShare { path, share });
            }
        }
        Ok(lost)
    }

    /// Updates the list of lost shares. If it is empty, the recovery ends: the list is removed, and
    /// the log of shares is rewritten from the database.
    ///
    /// # Errors
    ///
    /// [`RecoveryError`].
    pub fn keep_lost(&self, lost: &[PathBuf]) -> Result<(), RecoveryError> {
        let Some(folder) = self.folder() else {
            return Ok(());
        };
        let recovery = Recovery::read(folder)?;
        if let Some(before) = &recovery
            && !lost.is_empty()
        {
            let recovery = Recovery {
                damaged: before.damaged.clone(),
                lost: lost.iter().filter_map(|path| text(path)).collect(),
            };
            if recovery != *before {
                recovery.write(folder)?;
            }
            return Ok(());
        }
        let mut log = self.inner.share_log.lock();
        let mut shares = BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.every_share(after.as_ref(), usize::MAX, is_logged)?;
            shares.extend(
                page.shares
                    .into_iter()
                    .map(|share| (share.path.clone(), share)),
            );
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        log.set(&shares)?;
        drop(log);
        if recovery.is_some() {
            self.inner
                .database
                .write(|transaction| Tables::open(transaction)?.remove_strays())?;
            durable::remove(&Recovery::file(folder))?;
        }
        Ok(())
    }
}

impl Store {
    /// Whether shares that were lost with a damaged database are still missing.
    pub(crate) fn is_recovering(&self) -> bool {
        self.folder()
            .is_some_and(|folder| Recovery::file(folder).exists())
    }
}

/// Why lost shares could not be listed or updated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A file in the data folder cannot be read or written.
    #[error("the shares that were lost with the database cannot be listed: {0}")]
    Io(#[from] io::Error),
}
