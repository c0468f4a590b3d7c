//! What a person keeps unlisted or in groups stays so wherever a watched folder finds it.
//!
//! Owns the tables of unlisted and of confined content. All that is shared unlisted gets a row in the
//! first: a file, a folder with its members, a download. All that is shared with groups gets one in
//! the second. A file that a folder watched for everyone finds is unlisted if its content has a row in
//! the first, if the share that it replaces was unlisted, or if a folder above it is shared unlisted.
//! If its content is confined, it is in the groups with which the content is shared at present, of
//! which there may be none. Rows stay when the share ends; only a person who lists the content removes
//! them. Errors are those of redb.

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
            let above = match replaces {
                true => None,
                false => self.scopes_above(&share.path, watched)?,
            };
            let kept = self.kept_scopes(&share.hash)?;
            if above.is_some() || kept.is_some() {
                share.scopes.remove(Scope::Everyone);
            }
            for scopes in above.iter().chain(&kept) {
                share.scopes.extend(scopes);
            }
        }
        // What is listed already does not become unlisted by a download or by a copy.
        if !share.scopes.is_listed() && !self.is_listed(&share.hash)? {
            let members = members.iter().map(|member| member.descriptor.hash());
            for hash in members.chain([share.hash]) {
                self.keep(hash, &share.scopes)?;
            }
        }
        Ok(())
    }

    /// Notes content that is shared in scopes without everyone.
    pub(super) fn keep(&mut self, hash: Hash, scopes: &Scopes) -> Result<(), redb::Error> {
        if scopes.contains(Scope::Unlisted) {
            self.note_unlisted(hash)?;
        } else {
            self.confined.insert(hash.as_bytes(), ())?;
        }
        Ok(())
    }

    /// Notes content of groups that is shared with no peer at present.
    pub(super) fn confine(&mut self, hashes: &[Hash]) -> Result<(), redb::Error> {
        for hash in hashes {
            if !self.is_listed(hash)? {
                self.confined.insert(hash.as_bytes(), ())?;
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
    /// found at `path` and below. Returns the shares whose scopes changed, and how many files and
    /// folders below were unlisted and are listed now.
    pub(super) fn decide_scopes(
        &mut self,
        path: &str,
        scopes: &Scopes,
    ) -> Result<(Vec<Share>, u64), redb::Error> {
        // Sharing with a group adds to the scopes, and takes none away.
        if !scopes.is_listed() && !scopes.contains(Scope::Unlisted) {
            return Ok((Vec::new(), 0));
        }
        let mut hashes = self.members.hashes_in(path)?;
        let own = self.share_at(path)?.map(|share| share.hash);
        hashes.extend(own);
        let (mut found, mut revealed) = (self.found_below(path)?, 0);
        for hash in hashes {
            let was_listed = match scopes.is_listed() {
                true => {
                    let was_unlisted = self.unlisted.remove(hash.as_bytes())?.is_some();
                    let was_confined = self.confined.remove(hash.as_bytes())?.is_some();
                    !was_unlisted && !was_confined
                }
                false => self.unlisted.insert(hash.as_bytes(), ())?.is_none(),
            };
            // Most of what is listed was listed before.
            if was_listed != scopes.is_listed() {
                found.extend(self.shares_of(&hash)?);
                revealed += u64::from(scopes.is_listed() && Some(hash) != own);
            }
        }
        found.retain(Share::is_found);
        let mut changed = Vec::new();
        for mut share in found {
            let mut decided = scopes.clone();
            share
                .scopes
                .groups()
                .for_each(|group| decided.insert(Scope::Group(group)));
            if share.scopes != decided
                && let Some(path) = share.path.clone().to_str()
            {
                share.scopes = decided;
                self.put(&share, path)?;
                changed.push(share);
            }
        }
        Ok((changed, revealed))
    }

    /// What limits the scopes of this content wherever it is found; `None` if nothing does.
    fn kept_scopes(&self, hash: &Hash) -> Result<Option<Scopes>, redb::Error> {
        let mut kept: Option<Scopes> = None;
        if self.is_unlisted(hash)? {
            kept = Some(Scope::Unlisted.into());
        }
        if self.is_confined(hash)? {
            let kept = kept.get_or_insert_default();
            for share in self.shares_of(hash)? {
                share
                    .scopes
                    .groups()
                    .for_each(|group| kept.insert(Scope::Group(group)));
            }
        }
        Ok(kept)
    }

    /// Whether content belongs to groups.
    fn is_confined(&self, hash: &Hash) -> Result<bool, redb::Error> {
        Ok(self.confined.get(hash.as_bytes())?.is_some())
    }

    /// Whether content stays unlisted.
    fn is_unlisted(&self, hash: &Hash) -> Result<bool, redb::Error> {
        Ok(self.unlisted.get(hash.as_bytes())?.is_some())
    }

    /// Whether content that may be unlisted is listed at one of its paths.
    fn is_listed(&self, hash: &Hash) -> Result<bool, redb::Error> {
        if self.is_unlisted(hash)? || self.is_confined(hash)? {
            return Ok(false);
        }
        let shares = self.shares_of(hash)?;
        Ok(shares.iter().any(|share| share.scopes.is_listed()))
    }

    /// The scopes of the nearest folder above `path`, up to the folder `watched`, that a person or a
    /// download shares; `None` if there is none, or if it is listed.
    fn scopes_above(&self, path: &Path, watched: &Path) -> Result<Option<Scopes>, redb::Error> {
        let above = path.ancestors().skip(1);
        for above in above.take_while(|above| above.starts_with(watched)) {
            let share = above.to_str().map(|above| self.share_at(above));
            if let Some(share) = share.transpose()?.flatten() {
                return Ok(Some(share.scopes).filter(|scopes| !scopes.is_listed()));
            }
        }
        Ok(None)
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
