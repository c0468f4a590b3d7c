//! The decoder of the list of downloads for fuzzing.

use super::saved_downloads as list;

/// The list as it is saved for the next run.
pub(crate) fn saved_downloads(data: &[u8]) {
    if let Ok(downloads) = list::from_bytes(data) {
        for download in &downloads {
            let _ = (download.request(), download.status());
        }
        let again = list::from_bytes(&list::to_bytes(downloads.clone()));
        assert_eq!(again, Ok(downloads));
    }
}
