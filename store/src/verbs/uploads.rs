//! The saved uploads of a store. Errors are those of the operating system.

use std::io;

use crate::{SavedUploads, Store};

impl Store {
    /// The uploads that were saved last.
    #[must_use]
    pub fn saved_uploads(&self) -> SavedUploads {
        self.inner.uploads.get().clone()
    }

    /// Replaces the saved uploads. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// The error of the operating system. The saved ones stay then.
    pub fn save_uploads(&self, uploads: SavedUploads) -> io::Result<()> {
        self.inner.uploads.change(|saved| *saved = uploads)
    }
}

#[cfg(test)]
mod tests {
    use pelago_groups::GroupId;
    use serde_bytes::{ByteArray, ByteBuf};

    use super::*;
    use crate::{
        SavedUpload,
        testing::{Home, open},
    };

    #[test]
    fn uploads_are_read_as_they_were_saved() {
        let home = Home::on_disk();
        assert_eq!(home.store.saved_uploads(), SavedUploads::default());
        let upload = SavedUpload {
            hash: ByteArray::new([7; 32]),
            peer: ByteBuf::from([1, 2]),
            peer_name: Some("anna".to_owned()),
            group: Some(GroupId::from_bytes([3; 32])),
            name: None,
            size: 0,
            blocks: 0,
            is_done: false,
            sent_bytes: 5,
            held_blocks: Some(2),
            began_unix_ms: 3,
            ended_unix_ms: 4,
        };
        let saved = SavedUploads {
            sent_bytes: 9,
            received_bytes: 8,
            uploads: vec![upload],
        };
        home.store.save_uploads(saved.clone()).unwrap();
        let folder = home.folder;
        drop(home.store);
        assert_eq!(open(folder.path()).saved_uploads(), saved);
    }
}
