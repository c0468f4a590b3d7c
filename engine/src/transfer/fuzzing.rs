//! The decoder of the saved list of downloads, for fuzzing.

use super::saved_downloads as list;

/// Decodes a saved list, and checks that it survives a round trip.
pub fn saved_downloads(data: &[u8]) {
    if let Ok(downloads) = list::from_bytes(data) {
        for download in &downloads {
            let _ = (download.request(), download.status());
        }
        let again = list::from_bytes(&list::to_bytes(downloads.clone()));
        assert_eq!(again, Ok(downloads));
    }
}
