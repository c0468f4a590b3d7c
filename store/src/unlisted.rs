//! What a person keeps unlisted stays unlisted wherever a watched folder finds it.
//!
//! Owns the table of unlisted content. All that is shared unlisted gets a row there: a file, a folder
//! with its members, a download. A file that a watched folder finds is unlisted if its content
//! has a row, if the share that it replaces was unlisted, or if a folder above it is shared unlisted.
//! Rows stay when the share ends; only a person who lists the content removes them. Errors are those
//! of redb.

use std::{
    ops::Bound,
    path::{MAIN_SEPARATOR, Path},
};

use pelago_content::Hash;
use redb::ReadableTable;

use super::{
    Member, Origin, Scope, Scopes, Share,
    share_tables::{Tables, all_locations, row},
};

impl Tables<'_> {
    /// Sets the scopes of `share`, which is about to be added with its members, and notes content
    /// that is unlisted. `origin` is where it was found now; `replaces` tells whether its path was
    /// shared before.
    pub(super) fn settle_scopes(
        &mut self,
        share: &mut Share,
        origin: &Origin,
        replaces: bool,
        members: &[Member],
    ) -> Result<(), redb::Error> {
        if let Origin::Folder(watched) = origin {
            let is_below = !replaces && self.is_below_unlisted(&share.path, watched)?;
            if is_below || self.is_unlisted(&share.hash)? {
                share.scopes = Scope::Unlisted.into();
            }
        }
        // What is listed already does not become unlisted by a download or by a copy.
        if !share.scopes.is_listed() && !self.is_listed(&share.hash)? {
            self.note_unlisted(share.hash)?;
            for member in members {
                self.note_unlisted(member.descriptor.hash())?;
            }
        }
        Ok(())
    }

    /// Notes all content that was shared unlisted before there was a table.
    pub(super) fn note_all_unlisted(&mut self) -> Result<(), redb::Error> {
        let mut unlisted = Vec::new();
        for entry in self.shares.iter()? {
            let (key, row) = entry?;
            let (hash, path) = key.value();
            let share = Share::from_row(hash, path, row.value())?;
            if !share.scopes.is_listed() {
                unlisted.push(share.hash);
                unlisted.extend(self.members.hashes_in(path)?);
            }
        }
        unlisted
            .into_iter()
            .try_for_each(|hash| self.note_unlisted(hash))
    }

    fn note_unlisted(&mut self, hash: Hash) -> Result<(), redb::Error> {
        self.unlisted.insert(hash.as_bytes(), ())?;
        Ok(())
    }

    /// Applies what a person decided by sharing `path` in `scopes`: it holds for the content there
    /// and for that of all files below, also where watched folders found it, and for all that they
    /// found at `path` and below. Returns the content whose scopes changed, and how many files and
    /// folders below were unlisted and are listed now.
    pub(super) fn decide_scopes(
        &mut self,
        path: &str,
        scopes: &Scopes,
    ) -> Result<(Vec<Hash>, u64), redb::Error> {
        let mut hashes = self.members.hashes_in(path)?;
        let own = self.share_at(path)?.map(|share| share.hash);
        hashes.extend(own);
        let (mut found, mut revealed) = (self.found_below(path)?, 0);
        for hash in hashes {
            let was_listed = match scopes.is_listed() {
                true => self.unlisted.remove(hash.as_bytes())?.is_none(),
                false => self.unlisted.insert(hash.as_bytes(), ())?.is_none(),
            };
            // Most of what is listed was listed before.
            if was_listed != scopes.is_listed() {
                found.extend(self.shares_of(&hash)?);
                revealed += u64::from(scopes.is_listed() && Some(hash) != own);
            }
        }
        found.retain(|share| share.is_found() && share.scopes != *scopes);
        for share in &mut found {
            share.scopes = scopes.clone();
            let key = (
                share.hash.as_bytes(),
                share.path.to_str().unwrap_or_default(),
            );
            self.shares.insert(key, &share.to_row()?[..])?;
        }
        let changed = found.into_iter().map(|share| share.hash).collect();
        Ok((changed, revealed))
    }

    /// Whether content stays unlisted.
    fn is_unlisted(&self, hash: &Hash) -> Result<bool, redb::Error> {
        Ok(self.unlisted.get(hash.as_bytes())?.is_some())
    }

    /// Whether content that may be unlisted is listed at one of its paths.
    fn is_listed(&self, hash: &Hash) -> Result<bool, redb::Error> {
        if self.is_unlisted(hash)? {
            return Ok(false);
        }
        let shares = self.shares_of(hash)?;
        Ok(shares.iter().any(|share| share.scopes.is_listed()))
    }

    /// Whether a person or a download shares a folder above `path` unlisted, up to the folder
    /// `watched`.
    fn is_below_unlisted(&self, path: &Path, watched: &Path) -> Result<bool, redb::Error> {
        let above = path.ancestors().skip(1);
        for above in above.take_while(|above| above.starts_with(watched)) {
            let share = above.to_str().map(|above| self.share_at(above));
            if let Some(share) = share.transpose()?.flatten() {
                return Ok(!share.scopes.is_listed());
            }
        }
        Ok(false)
    }

    fn shares_of(&self, hash: &Hash) -> Result<Vec<Share>, redb::Error> {
        let rows = self.shares.range(all_locations(hash))?.map(|entry| {
            let (key, row) = entry?;
            let (hash, path) = key.value();
            Share::from_row(hash, path, row.value())
        });
        rows.collect()
    }

    /// The shares that watched folders found at `path` and below.
    fn found_below(&self, path: &str) -> Result<Vec<Share>, redb::Error> {
        let mut found: Vec<_> = self.share_at(path)?.into_iter().collect();
        let below = format!("{path}{MAIN_SEPARATOR}");
        let after = (Bound::Excluded(&below[..]), Bound::Unbounded);
        for entry in self.paths.range::<&str>(after)? {
            let (path, hash) = entry?;
            if !path.value().starts_with(&below) {
                break;
            }
            found.extend(row(&self.shares, hash.value(), path.value())?);
        }
        found.retain(Share::is_found);
        Ok(found)
    }
}
