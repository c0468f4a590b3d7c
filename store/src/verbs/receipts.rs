//! The receipts of downloads: stored, read and removed.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
};

use pelago_content::Hash;

use crate::{Receipt, Store, durable, receipts::parse};

/// The highest size of a receipt that is read, in bytes: a folder of a million files has one of
/// about 150 MB.
const MAX_LEN: u64 = 1 << 30;

impl Store {
    /// Stores what the download of `hash` puts in place. Continues an earlier receipt of the same
    /// download; a new download begins with [`Store::forget_receipt`].
    ///
    /// # Errors
    ///
    /// The error of the operating system, or a path is not UTF-8. The receipt is then kept for this
    /// run only.
    pub fn keep_receipt(&self, hash: &Hash, receipt: Receipt) -> io::Result<()> {
        let receipt = match receipt.may_continue().then(|| self.receipt(hash)) {
            Some(Ok(Some(earlier))) => receipt.continued_from(&earlier),
            _ => receipt,
        };
        let receipts = &self.inner.receipts;
        let written = receipts.write(hash, &receipt);
        let mut in_memory = receipts.in_memory.lock();
        in_memory.remove(hash);
        if written.is_err() || receipts.folder.is_none() {
            in_memory.insert(*hash, receipt);
        }
        written
    }

    /// Stores a receipt, and only logs an error.
    pub(crate) fn keep_receipt_or_log(&self, hash: &Hash, receipt: Receipt) {
        if let Err(error) = self.keep_receipt(hash, receipt) {
            tracing::warn!(
                %hash, %error,
                "after a restart, the download cannot be removed with its data"
            );
        }
    }

    /// What the download of `hash` put in place; `None` if there is no valid receipt.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn receipt(&self, hash: &Hash) -> io::Result<Option<Receipt>> {
        let receipts = &self.inner.receipts;
        if let Some(receipt) = receipts.in_memory.lock().get(hash) {
            return Ok(Some(receipt.clone()));
        }
        let Some(path) = receipts.path(hash) else {
            return Ok(None);
        };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_LEN).read_to_end(&mut bytes)?;
        let receipt = parse(&bytes);
        if receipt.is_none() {
            tracing::warn!(%hash, "the receipt of a download cannot be read");
        }
        Ok(receipt)
    }

    /// Removes the receipt of the download of `hash`.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn forget_receipt(&self, hash: &Hash) -> io::Result<()> {
        let receipts = &self.inner.receipts;
        receipts.in_memory.lock().remove(hash);
        match receipts.path(hash).map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes all receipts except those of the `listed` downloads.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn keep_receipts_of(&self, listed: &HashSet<Hash>) -> io::Result<()> {
        let receipts = &self.inner.receipts;
        receipts
            .in_memory
            .lock()
            .retain(|hash, _| listed.contains(hash));
        let Some(folder) = &receipts.folder else {
            return Ok(());
        };
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            let is_unfinished = name.ends_with(durable::TEMPORARY_SUFFIX);
            let is_listed = |hash: Hash| listed.contains(&hash);
            if is_unfinished || name.parse().is_ok_and(|hash| !is_listed(hash)) {
                fs::remove_file(folder.join(name))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_layout::RECEIPTS_FOLDER;
    use crate::testing::{Home, bytes, on_every_store};

    fn receipt(home: &Home, name: &str) -> (Hash, Receipt) {
        let share = home.share(name, &bytes(1000, 1));
        let receipt =
            Receipt::of_test_file(&share.path, share.descriptor, share.fingerprint).unwrap();
        (share.descriptor.hash(), receipt)
    }

    #[test]
    fn a_receipt_stays_while_its_download_is_listed() {
        on_every_store(|home| {
            let (hash, receipt) = receipt(&home, "file");
            assert_eq!(home.store.receipt(&hash).unwrap(), None);
            home.store.keep_receipt(&hash, receipt.clone()).unwrap();
            assert_eq!(home.store.receipt(&hash).unwrap(), Some(receipt.clone()));
            home.store.keep_receipts_of(&HashSet::from([hash])).unwrap();
            assert_eq!(home.store.receipt(&hash).unwrap(), Some(receipt.clone()));
            home.store.keep_receipts_of(&HashSet::new()).unwrap();
            assert_eq!(home.store.receipt(&hash).unwrap(), None);
            home.store.keep_receipt(&hash, receipt.clone()).unwrap();
            home.store.forget_receipt(&hash).unwrap();
            assert_eq!(home.store.receipt(&hash).unwrap(), None);
        });
    }

    #[test]
    fn a_damaged_receipt_counts_as_none() {
        let home = Home::on_disk();
        let (hash, receipt) = receipt(&home, "file");
        home.store.keep_receipt(&hash, receipt.clone()).unwrap();
        let path = home
            .path("data")
            .join(RECEIPTS_FOLDER)
            .join(hash.to_string());
        let whole = fs::read(&path).unwrap();
        for damaged in [&[][..], &whole[..whole.len() / 2], &[0; 200]] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(home.store.receipt(&hash).unwrap(), None);
        }
    }
}
