//! Two nodes: one shares a file, the other knows its address, downloads the file by its hash, and both copies
//! are compared.
//!
//! ```text
//! cargo run --release --example file_sharing_demo -- [MEBIBYTES]
//! ```

use std::{error::Error, fs, time::Duration};

use libp2p::identity::Keypair;
use pelago::{DownloadRequest, Node, Output, PeerAddress, Settings, ShareRequest, Store, Target};
use rand::Rng;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mebibytes: usize = std::env::args()
        .nth(1)
        .map_or(Ok(64), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let original = folder.path().join("original.bin");
    let mut content = vec![0; mebibytes << 20];
    rand::rng().fill_bytes(&mut content);
    fs::write(&original, &content)?;

    let alice = start("alice").await?;
    let bob = start("bob").await?;

    let request = ShareRequest::new(original);
    let shared = alice.share(request, |_| {}).await?;
    println!(
        "alice shares {} ({} bytes) as {}",
        shared.name, shared.size, shared.hash
    );

    let address = alice
        .addresses()
        .await?
        .into_iter()
        .next()
        .ok_or("alice listens nowhere")?;
    println!("bob knows that alice is at {address}");
    let download = bob
        .download(DownloadRequest {
            peers: vec![PeerAddress::from(address)],
            seed: true,
            ..DownloadRequest::new(
                Target::Hash(shared.hash),
                Output::At(folder.path().join("copy.bin")),
                Duration::from_secs(30),
            )
        })
        .await?;
    let finished = download.finished().await?;
    let seconds = finished.elapsed.as_secs_f64();
    println!(
        "bob has {} bytes in {seconds:.2} s, {:.0} MB/s, every block proven",
        finished.size,
        finished.size as f64 / 1e6 / seconds
    );
    assert!(fs::read(&finished.path)? == content, "the copies differ");
    println!("both copies are the same");

    bob.shutdown().await;
    alice.shutdown().await;
    Ok(())
}

/// A node on loopback without discovery.
async fn start(name: &str) -> Result<Node, Box<dyn Error>> {
    let settings = Settings {
        name: name.to_owned(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
        mdns: false,
        ..Settings::default()
    };
    Ok(Node::start(
        settings,
        Store::in_memory(),
        &Keypair::generate_ed25519(),
        None,
    )
    .await?)
}
