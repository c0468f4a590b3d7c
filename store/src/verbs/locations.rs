//! Where content is stored, and who may know about it.
//!
//! A member of a shared folder is found like any other content, in the scopes of the folder.
//! Changes nothing. Errors are those of the database.

use std::path::PathBuf;

use pelago_content::{Hash, Kind};

use super::members;
use crate::{
    Comparison, DatabaseError, MemberState, Scopes, Share, Store, open_files::Location,
    share_tables::shares_of,
};

impl Store {
    /// Who may know about this content: the scopes of all its live shares, of the folders that
    /// contain it, and of its download. `None` if it is not stored here.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn scopes(&self, hash: &Hash) -> Result<Option<Scopes>, DatabaseError> {
        let mut scopes = self.partial(hash).map(|partial| partial.scopes().clone());
        for folder in self.folders_with(hash) {
            scopes.get_or_insert_default().extend(folder.scopes());
        }
        let live = self.live_folders();
        let shares = self.inner.database.read(|transaction| {
            let mut found = shares_of(transaction, hash)?;
            found.retain(|share| share.origin.is_live(&live));
            let over = members::folders_of(transaction, hash, |s| s.origin.is_live(&live))?;
            found.extend(over.into_iter().map(|(folder, _)| folder));
            Ok(found)
        })?;
        for share in shares {
            scopes.get_or_insert_default().extend(&share.scopes);
        }
        Ok(scopes)
    }

    /// The name of this content at a location whose scopes `may_know` accepts: of a share, in a
    /// shared folder, or of a download. `None` if there is no such location.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn name_of(
        &self,
        hash: &Hash,
        may_know: impl Fn(&Scopes) -> bool,
    ) -> Result<Option<String>, DatabaseError> {
        let mut shares = self.shares_of(hash)?.into_iter();
        if let Some(share) = shares.find(|share| may_know(&share.scopes)) {
            return Ok(Some(share.name));
        }
        let live = self.live_folders();
        let over = self.inner.database.read(|transaction| {
            members::folders_of(transaction, hash, |share| share.origin.is_live(&live))
        })?;
        drop(live);
        let mut over = over.into_iter();
        if let Some((_, member)) = over.find(|(folder, _)| may_know(&folder.scopes)) {
            let last = member.path.rsplit('/').next();
            return Ok(last.map(str::to_owned));
        }
        if let Some(partial) = self.partial(hash).filter(|p| may_know(p.scopes())) {
            return Ok(Some(partial.spec().name.clone()));
        }
        let mut folders = self.folders_with(hash).into_iter();
        let found = folders.find(|folder| may_know(folder.scopes()));
        Ok(found.and_then(|folder| folder.name_of(hash)))
    }

    /// The live files with this content, individual shares first.
    pub(crate) fn locations_of(&self, hash: &Hash) -> Result<Vec<Location>, DatabaseError> {
        self.locations_in(hash, |_| true)
    }

    /// Those that are shared in scopes which `counts` accepts.
    pub(crate) fn locations_in(
        &self,
        hash: &Hash,
        counts: impl Fn(&Scopes) -> bool,
    ) -> Result<Vec<Location>, DatabaseError> {
        let is_file =
            |share: &Share| share.descriptor.kind() == Kind::File && counts(&share.scopes);
        let shares = self.shares_of(hash)?.into_iter().filter(is_file);
        let shares = shares.map(|share| Location {
            descriptor: share.descriptor,
            path: share.path,
            fingerprint: share.fingerprint,
        });
        let live = self.live_folders();
        let is_counted = |share: &Share| share.origin.is_live(&live) && counts(&share.scopes);
        let members = self
            .inner
            .database
            .read(|transaction| members::locations_of(transaction, hash, is_counted))?;
        let members = members
            .into_iter()
            .filter_map(|(folder, member)| match member.state {
                MemberState::File(fingerprint) => Some(Location {
                    descriptor: member.descriptor,
                    path: folder.join(member.path),
                    fingerprint,
                }),
                MemberState::Folder(_) => None,
            });
        Ok(shares.chain(members).collect())
    }

    /// The live files with this content that are in doubt: they may have changed.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn in_doubt(&self, hash: &Hash) -> Result<Vec<PathBuf>, DatabaseError> {
        let is_in_doubt = |location: &Location| {
            let metadata = location.path.metadata();
            metadata.is_ok_and(|metadata| {
                location.fingerprint.compare_metadata(&metadata) == Comparison::InDoubt
            })
        };
        let locations = self.locations_of(hash)?.into_iter().filter(is_in_doubt);
        Ok(locations.map(|location| location.path).collect())
    }

    /// The hashes that are neither shared nor in a shared folder, live or not.
    pub(crate) fn shared_nowhere(&self, hashes: &[Hash]) -> Result<Vec<Hash>, DatabaseError> {
        self.inner.database.read(|transaction| {
            let mut found = Vec::new();
            for hash in hashes {
                let is_share = !shares_of(transaction, hash)?.is_empty();
                if !is_share && members::folders_of(transaction, hash, |_| true)?.is_empty() {
                    found.push(*hash);
                }
            }
            Ok(found)
        })
    }
}
