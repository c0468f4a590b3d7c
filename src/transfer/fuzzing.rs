//! The decoder of the list of downloads for fuzzing.

use super::kept;

/// The list as it is kept for the next run.
pub(crate) fn saved_downloads(data: &[u8]) {
    if let Ok(downloads) = kept::from_bytes(data) {
        for download in &downloads {
            let _ = (download.request(), download.status());
        }
        let again = kept::from_bytes(&kept::to_bytes(downloads.clone()));
        assert_eq!(again, Ok(downloads));
    }
}
