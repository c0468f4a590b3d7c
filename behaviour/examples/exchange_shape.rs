//! Compares two ways to exchange chunks between two processes over loopback: libp2p's
//! request-response, with a stream for each exchange, and the chunk protocol of this crate, with
//! pipelined exchanges on one stream. Neither side uses a disk or hashes content.
//!
//! ```text
//! cargo run --release -p pelago-behaviour --example exchange_shape -- [MEBIBYTES]
//! ```

use std::{
    collections::HashMap,
    error::Error,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, io};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, identity,
    request_response::{self, Codec, OutboundRequestId, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent},
};
use pelago_behaviour::{
    Protocol, Protocols,
    chunk::{self, Answer, Item},
    streams, swarm_config, transport,
};
use pelago_content::{Descriptor, Hash, Kind};

type Failure = Box<dyn Error + Send + Sync>;

/// Chunk sizes in KiB, and how many chunks are in flight.
const CASES: [(u32, usize); 3] = [(256, 32), (1024, 8), (1024, 16)];

#[derive(NetworkBehaviour)]
struct Both {
    streams: streams::Behaviour,
    exchange: request_response::Behaviour<Bytes>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "serve") {
        return serve().await;
    }
    let mebibytes: u64 = arguments.first().map_or(Ok(2048), |text| text.parse())?;
    let executable = std::env::current_exe()?;
    let mut server = Command::new(executable)
        .arg("serve")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = server.stdout.take().ok_or("the server has no output")?;
    let addresses: Vec<String> = BufReader::new(output)
        .lines()
        .take(2)
        .collect::<Result<_, _>>()?;
    println!("| transport | chunk | in flight | request-response | one stream |");
    println!("|---|---|---|---|---|");
    for address in addresses {
        let transport = if address.contains("quic") {
            "QUIC"
        } else {
            "TCP"
        };
        for (kibibytes, in_flight) in CASES {
            let total = mebibytes << 20;
            let exchange = by_exchange(&address, kibibytes << 10, in_flight, total).await?;
            let stream = by_stream(&address, kibibytes << 10, in_flight, total).await?;
            let rate = |took: Duration| total as f64 / took.as_secs_f64() / 1e6;
            println!(
                "| {transport} | {kibibytes} KiB | {in_flight} | {:.0} MB/s | {:.0} MB/s |",
                rate(exchange),
                rate(stream)
            );
        }
    }
    Ok(server.kill()?)
}

fn swarm() -> Result<Swarm<Both>, Failure> {
    let keypair = identity::Keypair::generate_ed25519();
    let protocol = StreamProtocol::new("/pelago/measured/exchange/1");
    let config = request_response::Config::default().with_max_concurrent_streams(1000);
    let behaviour = Both {
        streams: streams::Behaviour::new(Protocols::new("measured")?),
        exchange: request_response::Behaviour::new([(protocol, ProtocolSupport::Full)], config),
    };
    let local = keypair.public().to_peer_id();
    Ok(Swarm::new(
        transport(
            &keypair,
            &pelago_behaviour::OwnIdCallers::default(),
            &pelago_behaviour::Connections::new(256 << 20),
            &pelago_behaviour::PrivateNetwork::default(),
        )?,
        behaviour,
        local,
        swarm_config(Duration::from_secs(60)),
    ))
}

async fn serve() -> Result<(), Failure> {
    let mut swarm = swarm()?;
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    swarm.listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse()?)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => println!("{address}"),
            SwarmEvent::Behaviour(BothEvent::Streams(event)) => {
                tokio::spawn(serve_stream(event.inbound));
            }
            SwarmEvent::Behaviour(BothEvent::Exchange(request_response::Event::Message {
                message:
                    request_response::Message::Request {
                        request, channel, ..
                    },
                ..
            })) => {
                // The requester may have disconnected.
                let _ = swarm
                    .behaviour_mut()
                    .exchange
                    .send_response(channel, vec![7; request]);
            }
            _ => {}
        }
    }
}

/// Answers each item with as many bytes as its index.
async fn serve_stream(stream: streams::Inbound) -> Result<(), Failure> {
    let (mut reader, mut writer) = stream.split();
    while let Some(items) = chunk::read_request(&mut reader).await? {
        for item in items {
            let data = vec![7; item.index as usize];
            let length = u32::try_from(data.len())?;
            let descriptor = Descriptor::new(Kind::File, 1, [1; 32])?;
            let answer = Answer::Data {
                descriptor,
                proof: vec![[1; 32]; 12],
                length,
            };
            chunk::write_answer(&mut writer, &answer, &data).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}

async fn connect(address: &str) -> Result<(Swarm<Both>, PeerId), Failure> {
    let mut swarm = swarm()?;
    swarm.dial(address.parse::<Multiaddr>()?)?;
    loop {
        if let SwarmEvent::ConnectionEstablished { peer_id, .. } = swarm.select_next_some().await {
            return Ok((swarm, peer_id));
        }
    }
}

async fn by_exchange(
    address: &str,
    bytes: u32,
    in_flight: usize,
    total: u64,
) -> Result<Duration, Failure> {
    let (mut swarm, peer) = connect(address).await?;
    let started = Instant::now();
    let mut waiting: HashMap<OutboundRequestId, ()> = HashMap::new();
    let (mut asked, mut received) = (0, 0);
    while received < total {
        while waiting.len() < in_flight && asked < total {
            let request = swarm
                .behaviour_mut()
                .exchange
                .send_request(&peer, bytes as usize);
            waiting.insert(request, ());
            asked += u64::from(bytes);
        }
        let event = swarm.select_next_some().await;
        let SwarmEvent::Behaviour(BothEvent::Exchange(event)) = event else {
            continue;
        };
        match event {
            request_response::Event::Message {
                message:
                    request_response::Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => {
                waiting.remove(&request_id);
                received += response.len() as u64;
            }
            request_response::Event::OutboundFailure { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
    Ok(started.elapsed())
}

async fn by_stream(
    address: &str,
    bytes: u32,
    in_flight: usize,
    total: u64,
) -> Result<Duration, Failure> {
    let (mut swarm, peer) = connect(address).await?;
    let (reply, opened) = futures::channel::oneshot::channel();
    swarm
        .behaviour_mut()
        .streams
        .open(peer, Protocol::Chunk, reply);
    let driver = tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    let (mut reader, mut writer) = opened.await??.split();
    let started = Instant::now();
    let item = Item {
        hash: Hash::from_bytes([1; 32]),
        level: 6,
        index: bytes.into(),
        data: true,
    };
    let chunks = total.div_ceil(bytes.into());
    let mut asked = 0;
    let mut data = Vec::new();
    for received in 0..chunks {
        while asked < chunks && asked - received < in_flight as u64 {
            chunk::write_request(&mut writer, &[item]).await?;
            asked += 1;
        }
        let Answer::Data { length, .. } = chunk::read_answer(&mut reader).await? else {
            return Err("no data".into());
        };
        chunk::read_data(&mut reader, length, &mut data).await?;
    }
    driver.abort();
    Ok(started.elapsed())
}

/// A minimal codec for request-response: a length, and raw bytes.
#[derive(Clone, Default)]
struct Bytes;

impl Codec for Bytes {
    type Protocol = StreamProtocol;
    type Request = usize;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<usize> {
        Ok(read_length(io).await? as usize)
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; read_length(io).await? as usize];
        io.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: usize,
    ) -> io::Result<()> {
        io.write_all(&(request as u32).to_be_bytes()).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&(response.len() as u32).to_be_bytes()).await?;
        io.write_all(&response).await
    }
}

async fn read_length(io: &mut (impl AsyncRead + Unpin)) -> io::Result<u32> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    Ok(u32::from_be_bytes(length))
}
