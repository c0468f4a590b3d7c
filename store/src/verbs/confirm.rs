//! The result of hashing a file of a shared folder again.
//!
//! The folder stays as it was shared: a file that still has the listed content gets its current
//! fingerprint, and a file with other content is not served any more. Errors are [`ShareError`]s.

use std::path::Path;

use crate::{Hashed, Member, MemberState, ShareError, Store, members::MemberTables};

impl Store {
    /// Records that `member` of the shared `folder` was hashed again. Returns whether it has the
    /// listed content; if not, it is not served from there any more.
    ///
    /// # Errors
    ///
    /// [`ShareError`]. Nothing is changed then.
    pub fn confirm_member(
        &self,
        folder: &Path,
        member: &Member,
        hashed: &Hashed,
    ) -> Result<bool, ShareError> {
        let is_listed = member.descriptor == hashed.descriptor;
        let (Some(folder), MemberState::File(_)) = (folder.to_str(), member.state) else {
            return Ok(is_listed);
        };
        let fingerprint = if is_listed {
            hashed.fingerprint
        } else {
            hashed.fingerprint.of_other_content()
        };
        let hash = hashed.descriptor.hash();
        self.sync_side_files(&[hash])?;
        self.inner.database.write(|transaction| {
            let mut tables = MemberTables::open(transaction)?;
            tables.set_fingerprint(folder, member, fingerprint)
        })?;
        // An open handle still has the earlier fingerprint.
        self.inner.open_files.forget(&[member.descriptor.hash()]);
        self.unpin(&[hash]);
        Ok(is_listed)
    }
}
