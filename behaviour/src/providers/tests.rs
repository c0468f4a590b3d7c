use std::time::{Duration, Instant};

use libp2p::{
    PeerId,
    kad::{
        ProviderRecord, Record, RecordKey,
        store::{RecordStore, Result},
    },
};
use pelago_content::Hash;

use super::{Announcer, MAX_PROVIDERS_PER_KEY, MAX_RECORDS, OwnKeys, ProviderStore, record_key};
use crate::dial::Namer;

fn hash(n: usize) -> Hash {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Hash::from_bytes(bytes)
}

fn record(n: usize, provider: PeerId) -> ProviderRecord {
    let mut record = ProviderRecord::new(record_key(&hash(n)), provider, Vec::new());
    record.expires = Some(Instant::now() + Duration::from_secs(3600));
    record
}

fn store() -> (ProviderStore, OwnKeys) {
    let own = OwnKeys::default();
    (ProviderStore::new(PeerId::random(), own.clone()), own)
}

/// Adds `record` as announced by a peer that is connected from `remote`.
fn add(store: &mut ProviderStore, remote: &str, record: ProviderRecord) -> Result<()> {
    let namer = Namer::new(record.provider, &remote.parse().unwrap());
    store.expect(Some(Announcer {
        namer,
        is_reached: false,
    }));
    store.add_provider(record)
}

fn providers(store: &ProviderStore, n: usize) -> Vec<PeerId> {
    let records = store.providers(&record_key(&hash(n)));
    records.iter().map(|record| record.provider).collect()
}

/// Whether any of several answers contains `provider`: a random one may leave it out.
fn is_answered(store: &ProviderStore, n: usize, provider: PeerId) -> bool {
    (0..200).any(|_| providers(store, n).contains(&provider))
}

const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/50000";
const LIAR: &str = "/ip4/11.0.0.1/tcp/50000";
const HONEST: &str = "/ip4/12.0.0.1/tcp/50000";

#[test]
fn a_hundred_thousand_own_keys_leave_the_room_of_strangers_alone() {
    let (mut store, own) = store();
    (0..100_000).for_each(|n| own.insert(&hash(n)));
    let stranger = PeerId::random();
    add(&mut store, LIAR, record(5, stranger)).unwrap();
    assert_eq!(providers(&store, 5), [store.local, stranger]);
    assert_eq!(store.records_held(), 1);
}

#[test]
fn a_site_fills_free_room_only_and_yields_to_others() {
    let (mut store, _) = store();
    let honest = PeerId::random();
    add(&mut store, HONEST, record(1, honest)).unwrap();
    for n in 0..MAX_RECORDS + 5_000 {
        let remote = format!("/ip4/11.0.0.{}/tcp/50000", n % 3);
        add(&mut store, &remote, record(n, PeerId::random())).unwrap();
    }
    assert_eq!(store.records_held(), MAX_RECORDS);
    assert!(providers(&store, 1).contains(&honest));
    // Others take the space of the crowd, and none of each other's.
    let others: Vec<_> = (0..1000).map(|_| PeerId::random()).collect();
    for (n, other) in others.iter().enumerate() {
        let remote = format!("/ip4/13.0.{}.1/tcp/50000", n % 250);
        add(&mut store, &remote, record(100_000 + n, *other)).unwrap();
    }
    for (n, other) in others.iter().enumerate() {
        assert_eq!(providers(&store, 100_000 + n), [*other]);
    }
    assert_eq!(store.records_held(), MAX_RECORDS);
}

#[test]
fn twenty_messages_do_not_push_an_honest_provider_off_its_key() {
    for remote in [LIAR, LOOPBACK] {
        let (mut store, _) = store();
        let honest = PeerId::random();
        add(&mut store, HONEST, record(1, honest)).unwrap();
        for _ in 0..20 {
            add(&mut store, remote, record(1, PeerId::random())).unwrap();
        }
        assert!(is_answered(&store, 1, honest), "{remote}");
    }
    // Any number of records from one address, or one network, has no effect.
    let (mut store, _) = store();
    let honest = PeerId::random();
    add(&mut store, HONEST, record(1, honest)).unwrap();
    for n in 0..10_000 {
        let remote = format!("/ip4/11.0.0.{}/tcp/50000", n % 250);
        add(&mut store, &remote, record(1, PeerId::random())).unwrap();
    }
    assert_eq!(store.records_held(), MAX_PROVIDERS_PER_KEY);
    assert!(providers(&store, 1).contains(&honest));
}

#[test]
fn an_answer_has_a_share_of_each_site_before_it_has_more_of_one() {
    let (mut store, _) = store();
    let at = |remote: &str, peer: PeerId| {
        let mut record = record(1, peer);
        record.addresses = vec![remote.parse().unwrap()];
        record
    };
    for _ in 0..40 {
        add(&mut store, LIAR, at(LIAR, PeerId::random())).unwrap();
    }
    let honest: Vec<_> = (0..10).map(|_| PeerId::random()).collect();
    for (n, peer) in honest.iter().enumerate() {
        let remote = format!("/ip4/12.0.{n}.1/tcp/4001");
        add(&mut store, &remote, at(&remote, *peer)).unwrap();
    }
    for _ in 0..50 {
        let answered = providers(&store, 1);
        assert!(honest.iter().all(|peer| answered[..14].contains(peer)));
    }
}

#[test]
fn a_full_store_takes_honest_records() {
    let (mut store, _) = store();
    for n in 0..MAX_RECORDS + 1000 {
        let remote = format!("/ip4/11.{}.{}.1/tcp/50000", n / 250 % 250, n % 250);
        add(&mut store, &remote, record(n, PeerId::random())).unwrap();
    }
    assert_eq!(store.records_held(), MAX_RECORDS);
    for n in 0..100 {
        let honest = PeerId::random();
        add(&mut store, HONEST, record(n, honest)).unwrap();
        assert!(providers(&store, n).contains(&honest));
    }
    assert_eq!(store.records_held(), MAX_RECORDS);
}

#[test]
fn providers_that_were_reached_are_kept_and_answered_first() {
    let (mut store, _) = store();
    let honest = PeerId::random();
    add(&mut store, HONEST, record(1, honest)).unwrap();
    store.reached(&honest);
    for n in 0..5_000 {
        let remote = format!("/ip4/11.{}.{}.1/tcp/50000", n / 250, n % 250);
        add(&mut store, &remote, record(1, PeerId::random())).unwrap();
    }
    assert_eq!(store.records_held(), MAX_PROVIDERS_PER_KEY);
    // Announcing again does not change this.
    add(&mut store, HONEST, record(1, honest)).unwrap();
    for _ in 0..50 {
        let answered = providers(&store, 1);
        assert_eq!(
            (answered.len(), answered[0]),
            (MAX_PROVIDERS_PER_KEY, honest)
        );
    }
}

#[test]
fn what_does_not_fit_an_answer_is_drawn_at_random() {
    let (mut store, _) = store();
    for n in 0..MAX_PROVIDERS_PER_KEY {
        let remote = format!("/ip4/11.0.{n}.1/tcp/50000");
        let mut record = record(1, PeerId::random());
        let tail = "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN".repeat(4);
        let addresses = (1..9).map(|port| format!("/ip4/11.0.{n}.1/tcp/{port}{tail}"));
        record.addresses = addresses.map(|address| address.parse().unwrap()).collect();
        add(&mut store, &remote, record).unwrap();
    }
    let mut answered = std::collections::HashSet::new();
    for _ in 0..500 {
        let records = store.providers(&record_key(&hash(1)));
        let addresses = records.iter().flat_map(|record| &record.addresses);
        let bytes: usize = addresses.map(|address| address.len() + 3).sum();
        assert!(bytes + 50 * records.len() < 8 << 10 && records.len() >= 10);
        answered.extend(records.iter().map(|record| record.provider));
    }
    assert_eq!(answered.len(), MAX_PROVIDERS_PER_KEY);
}

#[test]
fn expired_records_are_neither_answered_nor_kept_before_others() {
    let (mut store, own) = store();
    for n in 0..MAX_PROVIDERS_PER_KEY {
        let remote = format!("/ip4/11.0.{n}.1/tcp/50000");
        let mut old = record(1, PeerId::random());
        old.expires = Some(Instant::now());
        add(&mut store, &remote, old).unwrap();
    }
    assert!(providers(&store, 1).is_empty());
    let fresh: Vec<_> = (0..MAX_PROVIDERS_PER_KEY)
        .map(|n| {
            let peer = PeerId::random();
            let remote = format!("/ip4/12.0.{n}.1/tcp/50000");
            add(&mut store, &remote, record(1, peer)).unwrap();
            peer
        })
        .collect();
    assert!(fresh.iter().all(|peer| is_answered(&store, 1, *peer)));
    own.insert(&hash(1));
    assert_eq!(providers(&store, 1)[0], store.local);
}

#[test]
fn an_announcement_that_is_repeated_is_one_record_with_its_latest_addresses() {
    let (mut store, _) = store();
    let peer = PeerId::random();
    for port in 1..5 {
        let mut record = record(1, peer);
        record.addresses = vec![format!("/ip4/12.0.0.1/tcp/{port}").parse().unwrap()];
        add(&mut store, HONEST, record).unwrap();
    }
    assert_eq!(store.records_held(), 1);
    let (_, addresses) = store.addresses(&record_key(&hash(1)), &peer).unwrap();
    assert_eq!(addresses, ["/ip4/12.0.0.1/tcp/4".parse().unwrap()]);
    store.remove_provider(&record_key(&hash(1)), &peer);
    assert_eq!((store.records_held(), store.bytes_held()), (0, 0));
    assert!(store.records.usage().is_empty() && providers(&store, 1).is_empty());
}

#[test]
fn values_foreign_keys_and_records_from_nowhere_are_refused() {
    let (mut store, _) = store();
    let value = Record::new(record_key(&hash(1)), vec![1]);
    assert!(store.put(value).is_err());
    let foreign = RecordKey::from(vec![1, 2, 3]);
    let foreign = ProviderRecord::new(foreign, PeerId::random(), Vec::new());
    assert!(add(&mut store, LIAR, foreign).is_err());
    store.expect(None);
    assert!(store.add_provider(record(1, PeerId::random())).is_err());
}
