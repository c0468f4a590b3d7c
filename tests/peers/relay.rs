//! A TCP proxy that delays all bytes like a long path, without limiting the rate.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pelago::PeerAddress;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// How many pieces may be in flight in one direction: with 64 KiB each, more than any window.
const UNDER_WAY: usize = 1024;

const PIECE: usize = 64 << 10;

/// The proxy. Dropping this ends it.
pub(crate) struct Relay {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Relay {
    /// A proxy to `target` that delays bytes in each direction by `delay`, and counts all bytes
    /// from `target`.
    pub(crate) async fn start(
        target: SocketAddr,
        delay: Duration,
        delivered: Arc<AtomicU64>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(target).await else {
                    continue;
                };
                let (from_near, to_near) = near.into_split();
                let (from_far, to_far) = far.into_split();
                let uncounted = Arc::default();
                tokio::spawn(pass(from_near, to_far, delay, uncounted));
                tokio::spawn(pass(from_far, to_near, delay, Arc::clone(&delivered)));
            }
        });
        Self { address, task }
    }

    pub(crate) fn address(&self) -> PeerAddress {
        let address = format!("/ip4/127.0.0.1/tcp/{}", self.address.port());
        address.parse().unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    delivered: Arc<AtomicU64>,
) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let send = async move {
        let mut piece = vec![0; PIECE];
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            let due = Instant::now() + delay;
            if sender.send((due, piece[..read].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let deliver = async move {
        while let Some((due, piece)) = under_way.recv().await {
            sleep_until(due).await; // the distance is the point
            delivered.fetch_add(piece.len() as u64, Ordering::SeqCst);
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(send, deliver);
}
