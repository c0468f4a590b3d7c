//! A stranger that records what nodes send it, as it is inside the encrypted connections.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, StreamExt};
use libp2p::{
    Multiaddr, Swarm, Transport,
    core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox},
    identity::Keypair,
};
use parking_lot::Mutex;
use pelago::PeerAddress;
use pelago_behaviour::{OwnIdCallers, PrivateNetwork, swarm_config, transport};
use tokio::task::JoinHandle;

use crate::{
    nodes::in_time,
    scripted::{behaviour, connections},
};

/// What was received, stream by stream.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<Vec<u8>>>>);

/// A node of the DHT that is in no group. Dropping this ends it.
pub(crate) struct Recorder {
    pub(crate) address: PeerAddress,
    record: Record,
    run: JoinHandle<()>,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let (key, record) = (Keypair::generate_ed25519(), Record::default());
        let taken = record.clone();
        let inner = transport(
            &key,
            &OwnIdCallers::default(),
            &connections(),
            &PrivateNetwork::default(),
        )
        .unwrap();
        let tapped = Transport::map(inner, move |(peer, muxer), _| {
            let record = taken.clone();
            (peer, StreamMuxerBox::new(Tap { muxer, record }))
        });
        let mut swarm = Swarm::new(
            tapped.boxed(),
            behaviour(&key, "recorder", true),
            key.public().to_peer_id(),
            swarm_config(Duration::from_secs(60)),
        );
        let any: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        swarm.listen_on(any).unwrap();
        while swarm.listeners().next().is_none() {
            in_time(swarm.select_next_some()).await;
        }
        let address = PeerAddress::from(swarm.listeners().next().unwrap().clone());
        let run = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self {
            address,
            record,
            run,
        }
    }

    /// Whether some stream brought these bytes.
    pub(crate) fn has(&self, bytes: &[u8]) -> bool {
        let streams = self.record.0.lock();
        let has = |stream: &Vec<u8>| stream.windows(bytes.len()).any(|part| part == bytes);
        streams.iter().any(has)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.run.abort();
    }
}

/// A connection whose streams are recorded.
struct Tap {
    muxer: StreamMuxerBox,
    record: Record,
}

impl Tap {
    fn stream(&self, stream: SubstreamBox) -> TapStream {
        let mut streams = self.record.0.lock();
        streams.push(Vec::new());
        TapStream {
            stream,
            number: streams.len() - 1,
            record: self.record.clone(),
        }
    }
}

impl StreamMuxer for Tap {
    type Substream = TapStream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<TapStream>> {
        let stream = ready!(Pin::new(&mut self.muxer).poll_inbound(cx))?;
        Poll::Ready(Ok(self.stream(stream)))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<TapStream>> {
        let stream = ready!(Pin::new(&mut self.muxer).poll_outbound(cx))?;
        Poll::Ready(Ok(self.stream(stream)))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.muxer).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.muxer).poll(cx)
    }
}

struct TapStream {
    stream: SubstreamBox,
    number: usize,
    record: Record,
}

impl AsyncRead for TapStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.record.0.lock()[self.number].extend_from_slice(&buffer[..read]);
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for TapStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
