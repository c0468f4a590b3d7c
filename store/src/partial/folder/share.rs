//! Shares a folder that was downloaded.

use std::collections::HashMap;

use pelago_content::{EntryKind, ListedEntry, Totals};

use super::{FinishedFolder, PartialFolder, progress::FileState};
use crate::{FolderError, Member, MemberState, NewShare, Origin, Scopes, ShareError, Store};

impl PartialFolder {
    /// Shares the folder. Returns whether it is shared.
    pub(super) fn share(&self, store: &Store, finished: &FinishedFolder) -> bool {
        let (name, scopes) = (self.spec.name.clone(), self.scopes());
        let shared = store.share_finished(finished, name, scopes);
        if let Err(error) = &shared {
            let path = finished.path.display();
            tracing::warn!(%path, %error, "downloaded the folder, but cannot share it");
        }
        shared.is_ok()
    }

    /// Everything that is in place, as members of a shared folder.
    pub(super) fn members(&self) -> Vec<Member> {
        let mut members = Vec::new();
        let mut folders: HashMap<usize, Totals> = HashMap::new();
        let progress = self.progress.lock();
        for (file, listed) in self.listing.files().enumerate() {
            let totals = Totals::of_file(&listed.descriptor);
            for folder in std::iter::successors(listed.entry.parent(), |entry| entry.parent()) {
                let sum = folders.entry(folder.index()).or_default();
                *sum = sum.checked_add(totals).unwrap_or(*sum);
            }
            if let FileState::Complete(done) = progress.files[file] {
                members.push(Member {
                    path: self.local.path(listed.entry),
                    descriptor: listed.descriptor,
                    state: MemberState::File(done.fingerprint),
                });
            }
        }
        let folder = |entry: ListedEntry<'_>| match entry.kind() {
            EntryKind::Folder { descriptor, .. } => Some(Member {
                path: self.local.path(entry),
                descriptor: *descriptor,
                state: MemberState::Folder(folders.remove(&entry.index()).unwrap_or_default()),
            }),
            _ => None,
        };
        members.extend(self.listing.entries().filter_map(folder));
        members
    }
}

impl Store {
    /// Shares a folder that was downloaded from its target, without hashing it again. If only some
    /// of its files were chosen, each of these is shared by itself.
    ///
    /// # Errors
    ///
    /// See [`FolderError`].
    pub fn share_finished(
        &self,
        folder: &FinishedFolder,
        name: String,
        scopes: &Scopes,
    ) -> Result<(), FolderError> {
        let share = |name, path, descriptor, fingerprint| NewShare {
            descriptor,
            name,
            path,
            scopes: scopes.clone(),
            origin: Origin::Downloaded,
            fingerprint,
        };
        if !folder.is_whole {
            let file = |member: &Member| match member.state {
                MemberState::File(fingerprint) => {
                    let (path, descriptor) = (folder.path.join(&member.path), member.descriptor);
                    Some(share(member.path.clone(), path, descriptor, fingerprint))
                }
                MemberState::Folder(_) => None,
            };
            let files: Vec<_> = folder.members.iter().filter_map(file).collect();
            return Ok(self.add_shares(&files)?);
        }
        for manifest in folder.listing.manifests() {
            self.keep_manifest(manifest)?;
        }
        let path = folder.path.clone();
        let share = share(name, path, folder.descriptor, folder.fingerprint);
        self.add_folder(&share, folder.totals, &folder.members)
            .map_err(ShareError::into)
    }
}
