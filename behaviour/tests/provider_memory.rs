//! Measures the memory of the store of provider records, in a process of its own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::{fs, time::Instant};

use libp2p::{
    Multiaddr, PeerId,
    kad::{ProviderRecord, store::RecordStore},
};
use pelago_behaviour::{
    Announcer, MAX_RECORD_BYTES, MAX_RECORDS, OwnKeys, ProviderStore, dial::Namer, record_key,
};
use pelago_content::Hash;

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<usize>().unwrap() << 10
}

/// Sends record `n` of a provider that is connected from `remote`, with 16 KiB of addresses.
fn send(store: &mut ProviderStore, n: usize, provider: PeerId, remote: &str, sent: &[Multiaddr]) {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&n.to_be_bytes());
    store.expect(Some(Announcer {
        namer: Namer::new(provider, &remote.parse().unwrap()),
        is_reached: false,
    }));
    let record = ProviderRecord {
        key: record_key(&Hash::from_bytes(hash)),
        provider,
        expires: Some(Instant::now() + std::time::Duration::from_secs(3600)),
        addresses: sent.to_vec(),
    };
    store.add_provider(record).unwrap();
}

/// First 8 ids send 960 MiB: 61,440 records of 16 KiB. Then each of 65,536 records has its own host
/// and id, which takes the most memory.
#[test]
fn the_store_stays_within_its_bytes_for_any_records() {
    let mut store = ProviderStore::new(PeerId::random(), OwnKeys::default());
    let peers: Vec<_> = (0..8).map(|_| PeerId::random()).collect();
    let tail = format!("/unix/{}", "a".repeat(200));
    let sent: Vec<_> = (0..75)
        .map(|port| format!("/ip4/127.0.0.1/tcp/{port}{tail}").parse().unwrap())
        .collect();
    let before = resident();
    for n in 0..61_440 {
        let peer = peers[n % peers.len()];
        send(&mut store, n, peer, "/ip4/127.0.0.1/tcp/50000", &sent);
    }
    for n in 0..MAX_RECORDS {
        let remote = format!("/ip4/11.{}.{}.1/tcp/50000", n / 250 % 250, n % 250);
        send(&mut store, n, PeerId::random(), &remote, &sent);
    }
    let grown = resident().saturating_sub(before);
    println!("{} records, {} MiB", store.records_held(), grown >> 20);
    assert!(store.bytes_held() <= MAX_RECORD_BYTES);
    assert!(grown <= MAX_RECORD_BYTES, "{} MiB", grown >> 20);
    assert!(store.records_held() > MAX_RECORDS / 2);
}
