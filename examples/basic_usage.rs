//! A node inside another program: start it, share a file, see its link.
//!
//! ```text
//! cargo run --example basic_usage -- FILE
//! ```

use std::error::Error;

use libp2p::identity::Keypair;
use pelago::{Node, Settings, ShareRequest, Store};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args()
        .nth(1)
        .unwrap_or_else(|| file!().to_owned());

    // On loopback and without discovery; `Settings::default()` takes part in the local network. This node
    // keeps its state in memory only; `Store::open` would keep it in a folder.
    let settings = Settings {
        name: "basic usage".to_owned(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
        mdns: false,
        ..Settings::default()
    };
    let node = Node::start(
        settings,
        Store::in_memory(),
        &Keypair::generate_ed25519(),
        None,
    )
    .await?;
    for address in node.addresses().await? {
        println!("listening on {address}");
    }

    let path = std::path::absolute(file)?;
    let request = ShareRequest::new(path);
    let shared = node
        .share(request, |hashed| eprintln!("{hashed} bytes hashed"))
        .await?;
    println!("{} is shared: {}", shared.name, shared.link);

    node.shutdown().await;
    Ok(())
}
