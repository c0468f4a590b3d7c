//! Peers cannot displace the provider records of honest peers.

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    kad::{Event as Kad, GetProvidersOk, QueryResult},
    swarm::SwarmEvent,
};
use pelago::Hash;
use pelago_behaviour::{Behaviour, Event, record_key};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    nodes::{Home, in_time},
    scripted::server,
};

/// A peer whose only node of the DHT is `home`.
async fn joined(home: &Home, name: &str) -> Swarm<Behaviour> {
    let mut swarm = server(name);
    swarm
        .listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
        .unwrap();
    while swarm.listeners().next().is_none() {
        swarm.select_next_some().await;
    }
    swarm.dial(home.address().await.address().clone()).unwrap();
    in_time(async {
        loop {
            if let SwarmEvent::Behaviour(Event::Kad(event)) = swarm.select_next_some().await
                && let Kad::RoutingUpdated { .. } = *event
            {
                return swarm;
            }
        }
    })
    .await
}

/// Announces that `swarm` provides all of `hashes`, and keeps the swarm running.
async fn announce(mut swarm: Swarm<Behaviour>, hashes: Vec<Hash>) -> (PeerId, JoinHandle<()>) {
    let id = *swarm.local_peer_id();
    let (done, is_done) = oneshot::channel();
    let task = tokio::spawn(async move {
        for hash in &hashes {
            let kad = &mut swarm.behaviour_mut().kad;
            kad.start_providing(record_key(hash)).unwrap();
        }
        let (mut left, mut done) = (hashes.len(), Some(done));
        loop {
            let SwarmEvent::Behaviour(Event::Kad(event)) = swarm.select_next_some().await else {
                continue;
            };
            if let Kad::OutboundQueryProgressed {
                result: QueryResult::StartProviding(result),
                ..
            } = *event
            {
                result.unwrap();
                left -= 1;
                if left == 0 {
                    done.take().map(|done| done.send(()));
                }
            }
        }
    });
    in_time(is_done).await.unwrap();
    (id, task)
}

/// Repeats the query until an answer names `provider`: answers are drawn at random.
async fn find(swarm: &mut Swarm<Behaviour>, hash: &Hash, provider: PeerId) {
    in_time(async {
        loop {
            swarm.behaviour_mut().kad.get_providers(record_key(hash));
            loop {
                let SwarmEvent::Behaviour(Event::Kad(event)) = swarm.select_next_some().await
                else {
                    continue;
                };
                let Kad::OutboundQueryProgressed {
                    result: QueryResult::GetProviders(result),
                    step,
                    ..
                } = *event
                else {
                    continue;
                };
                if let Ok(GetProvidersOk::FoundProviders { providers, .. }) = result
                    && providers.contains(&provider)
                {
                    return;
                }
                if step.last {
                    break;
                }
            }
        }
    })
    .await;
}

/// ```text
///   honest ──▶ home ◀── 20 liars, then a getter      all announce the same content
/// ```
#[tokio::test]
async fn twenty_messages_do_not_push_an_honest_provider_off_its_key() {
    let home = Home::start("home").await;
    let hash = Hash::from_bytes([1; 32]);
    let (honest, _honest) = announce(joined(&home, "honest").await, vec![hash]).await;
    for _ in 0..20 {
        let (_, liar) = announce(joined(&home, "liar").await, vec![hash]).await;
        liar.abort();
    }
    find(&mut joined(&home, "getter").await, &hash, honest).await;
}

/// ```text
///   8 liars ──▶ home ◀── honest      5 MiB of records, then one record
/// ```
#[tokio::test]
async fn five_mebibytes_of_records_do_not_shut_out_an_honest_one() {
    let home = Home::start("home").await;
    let mut liars = Vec::new();
    for liar in 0..8_u8 {
        let mut swarm = joined(&home, "liar").await;
        for n in 0..200 {
            let address: Multiaddr = format!("/ip4/127.1.{liar}.{n}/tcp/4001").parse().unwrap();
            let id = multiaddr::Protocol::P2p(PeerId::random());
            swarm.add_external_address(address.with(id));
        }
        let hash = |n: u8| {
            let mut bytes = [0; 32];
            bytes[..2].copy_from_slice(&[liar, n]);
            Hash::from_bytes(bytes)
        };
        let (_, task) = announce(swarm, (0..80).map(hash).collect()).await;
        liars.push(task);
    }
    let hash = Hash::from_bytes([255; 32]);
    let (honest, _honest) = announce(joined(&home, "honest").await, vec![hash]).await;
    find(&mut joined(&home, "getter").await, &hash, honest).await;
    liars.iter().for_each(JoinHandle::abort);
}
