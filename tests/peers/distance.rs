//! Downloads over a long path: a node keeps enough requests in flight to fill it.
//!
//! ```text
//!   getter <--- 100 ms ---> source        in each direction
//! ```

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{PeerId, multiaddr, swarm::SwarmEvent};
use pelago_behaviour::{
    Event, FrameError, Protocol, availability,
    chunk::{self, Item},
    streams::Inbound,
};
use pelago_content::{BLOCK_SIZE, BlockRanges};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    content::Content,
    nodes::{Home, in_time},
    relay::Relay,
    scripted::{has_all, proven, swarm},
};

/// The delay of all bytes in one direction.
const DELAY: Duration = Duration::from_millis(100);

/// How many requests are in flight, at least, to a source of unknown rate.
const AT_FIRST: u64 = 4;

/// How many bytes are in flight, at least, once the node knows that the path is long.
const LATER: u64 = 2 << 20;

/// A source that answers all requests, but the first one only after [`AT_FIRST`] requests.
struct Source {
    content: Content,
    asked: watch::Sender<Asked>,
    /// Bytes that have arrived at the getter, overhead included.
    delivered: Arc<AtomicU64>,
}

#[derive(Default)]
struct Asked {
    items: u64,
    /// The requested blocks, each counted once.
    blocks: BlockRanges,
    /// The largest number of bytes that were requested and had not arrived.
    most_in_flight: u64,
}

impl Source {
    async fn converse(
        self: Arc<Self>,
        local: PeerId,
        peer: PeerId,
        mut stream: Inbound,
    ) -> Result<(), FrameError> {
        match stream.held.protocol {
            Protocol::Availability => {
                availability::read_request(&mut stream).await?;
                let update = proven(has_all(&self.content.descriptor), &local, &peer);
                stream.write_all(&update).await?;
                stream.flush().await?;
                // Keeps the stream until the subscriber ends it.
                availability::read_request(&mut stream).await.map(drop)
            }
            Protocol::Chunk => self.send_chunks(stream).await,
            Protocol::Catalogue | Protocol::ListedAvailability | Protocol::Group => Ok(()),
        }
    }

    /// Reads requests while it answers earlier ones.
    async fn send_chunks(&self, stream: Inbound) -> Result<(), FrameError> {
        let (mut reader, mut writer) = stream.split();
        let (sender, mut wanted) = mpsc::channel(4096);
        let read = async move {
            while let Some(items) = chunk::read_request(&mut reader).await? {
                for item in items {
                    self.record(&item);
                    let _ = sender.send(item).await;
                }
            }
            Ok::<_, FrameError>(())
        };
        let answer = async {
            let mut asked = self.asked.subscribe();
            let _ = asked.wait_for(|asked| asked.items >= AT_FIRST).await;
            while let Some(item) = wanted.recv().await {
                writer.write_all(&self.content.truth(&item)).await?;
                writer.flush().await?;
            }
            Ok(())
        };
        futures::try_join!(read, answer).map(drop)
    }

    fn record(&self, item: &Item) {
        let geometry = self.content.descriptor.geometry();
        let chunk = geometry.chunk(item.level, item.index).unwrap();
        let delivered = self.delivered.load(Ordering::SeqCst);
        self.asked.send_modify(|asked| {
            asked.items += 1;
            asked.blocks.insert(chunk.blocks(geometry));
            let in_flight = (asked.blocks.len() * BLOCK_SIZE).saturating_sub(delivered);
            asked.most_in_flight = asked.most_in_flight.max(in_flight);
        });
    }
}

/// Starts `source` on loopback. It ends with the task.
async fn listen(source: Arc<Source>) -> (SocketAddr, JoinHandle<()>) {
    let mut swarm = swarm("far away");
    let local = *swarm.local_peer_id();
    swarm
        .listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
        .unwrap();
    let port = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await
            && let Some(multiaddr::Protocol::Tcp(port)) = address.iter().nth(1)
        {
            break port;
        }
    };
    let run = async move {
        loop {
            if let SwarmEvent::Behaviour(Event::Stream(stream)) = swarm.select_next_some().await {
                let source = Arc::clone(&source);
                tokio::spawn(source.converse(local, stream.peer, stream.inbound));
            }
        }
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    (address, tokio::spawn(run))
}

#[tokio::test]
async fn a_long_path_is_filled() {
    let content = Content::new(16 << 20, 1);
    let delivered: Arc<AtomicU64> = Arc::default();
    let (asked, what_was_asked) = watch::channel(Asked::default());
    let source = Source {
        content: content.clone(),
        asked,
        delivered: Arc::clone(&delivered),
    };
    let (address, running) = listen(Arc::new(source)).await;
    let relay = Relay::start(address, DELAY, delivered).await;
    let getter = Home::start("getter").await;

    // This hangs unless the node requests several chunks before the first one arrives.
    in_time(getter.fetch(&content, &[relay.address()])).await;

    let most = what_was_asked.borrow().most_in_flight;
    assert!(most >= LATER, "only {most} bytes were in flight");
    running.abort();
}
