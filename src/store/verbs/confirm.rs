//! What hashing a file of a shared folder again says of it.
//!
//! Owns that the folder stays as it was shared: a file that is still what is listed gets the look that it
//! has now, and one that is not is served no more. Failures leave as a [`ShareError`].

use std::path::Path;

use crate::store::{Hashed, Member, MemberState, ShareError, Store, members::MemberTables};

impl Store {
    /// Takes what hashing `member` of the shared `folder` again showed. Whether it is what is listed: if
    /// it is not, it is not served there any more, however it looks.
    ///
    /// # Errors
    ///
    /// [`ShareError`]; nothing is changed then.
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
        // What is open was opened with what was known before.
        self.inner.open_files.forget(&[member.descriptor.hash()]);
        self.unpin(&[hash]);
        Ok(is_listed)
    }
}
