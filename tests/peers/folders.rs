//! What a peer is told and given of a shared folder.
//!
//! ```text
//!   server <--- client        the client asks for manifests and files by their hashes
//! ```

use std::fs;

use pelago::{
    content::{EntryKind, Hash, Kind, Listing, Manifest, verify},
    node::ShareRequest,
};
use pelago_behaviour::chunk::{Answer, Item};

use crate::{nodes::Home, raw::Client};

async fn share(server: &Home, unlisted: bool) -> Hash {
    let request = ShareRequest {
        path: server.path("box"),
        name: None,
        unlisted,
    };
    server.node.share(request, |_| {}).await.unwrap().hash
}

/// All of a short content, proven.
async fn fetch(client: &Client, hash: Hash) -> Option<(Kind, Vec<u8>)> {
    let item = Item {
        hash,
        level: 8,
        index: 0,
        data: true,
    };
    match client.ask(item).await {
        (
            Answer::Data {
                descriptor, proof, ..
            },
            data,
        ) => {
            assert_eq!(descriptor.hash(), hash);
            let chunk = descriptor.geometry().chunk(8, 0).unwrap();
            verify(&descriptor, chunk, &data, &proof).unwrap();
            Some((descriptor.kind(), data))
        }
        (Answer::Absent, _) => None,
        (answer, _) => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn a_folder_is_given_manifest_by_manifest_and_file_by_file() {
    let server = Home::start("server").await;
    fs::create_dir_all(server.path("box/sub")).unwrap();
    fs::write(server.path("box/sub/file"), "content").unwrap();
    let client = Client::connect(&server).await;
    for unlisted in [true, false] {
        let root = share(&server, unlisted).await;
        let mut expander = None;
        let mut wanted = vec![root];
        while let Some(hash) = wanted.pop() {
            let (kind, bytes) = fetch(&client, hash).await.unwrap();
            assert_eq!(kind, Kind::Folder);
            let descriptor = Manifest::describe(&bytes).unwrap();
            let expander =
                expander.get_or_insert_with(|| pelago::content::Expander::new(descriptor).unwrap());
            expander.wanted();
            let manifest = Manifest::from_bytes(&bytes).unwrap();
            for entry in manifest.entries() {
                if let EntryKind::Folder { descriptor, .. } = &entry.kind {
                    wanted.push(descriptor.hash());
                }
            }
            expander.take(&hash, manifest).unwrap();
        }
        let listing: Listing = expander.unwrap().finish().unwrap();
        let file = listing.files().next().unwrap();
        assert_eq!((file.path(), file.blocks()), ("sub/file".to_owned(), 0..1));
        let (kind, data) = fetch(&client, file.descriptor.hash()).await.unwrap();
        assert_eq!((kind, &data[..]), (Kind::File, &b"content"[..]));
    }
    let root = share(&server, false).await;
    server.node.unshare("box").await.unwrap();
    assert_eq!(fetch(&client, root).await, None);
}
