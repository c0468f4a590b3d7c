//! What nodes that are in no group see of one, and how a large group finds what one of its members has.

use std::{fs, time::Duration};

use libp2p::identity::Keypair;
use pelago::{
    DownloadRequest, GroupId, Hash, InviteOptions, JoinStatus, Output, Settings, ShareRequest,
    Store,
};
use pelago_behaviour::record_key;
use pelago_groups::{NodeKey, NodeSecret};

use crate::{
    capture::Recorder,
    content::{Content, THREE_CHUNKS},
    group_members::{Member, profile},
    groups::{auto_link, founded, home, join, key, until, user},
    nodes::{Home, assert_same, ended, in_time, request, settings},
};

impl Home {
    async fn share_in(&self, group: GroupId, name: &str, content: &Content) {
        fs::write(self.path(name), &content.bytes).unwrap();
        let wanted = ShareRequest {
            groups: vec![group],
            ..ShareRequest::new(self.path(name))
        };
        self.node.share(wanted, |_| {}).await.unwrap();
    }

    fn wants_in(&self, group: GroupId, hash: Hash) -> DownloadRequest {
        DownloadRequest {
            group: Some(group),
            ..request(hash, Output::Into(self.folder.path().to_owned()), &[])
        }
    }
}

fn secret_of(keypair: &Keypair) -> NodeSecret {
    let pair = keypair.clone().try_into_ed25519().unwrap();
    NodeSecret::from_seed(pair.secret().as_ref().try_into().unwrap())
}

fn node_of(keypair: &Keypair) -> NodeKey {
    NodeKey::from_bytes(
        keypair
            .clone()
            .try_into_ed25519()
            .unwrap()
            .public()
            .to_bytes(),
    )
}

/// The hub is a node of the DHT, which both announce to and look up at, and records all that it gets.
///
/// ```text
///          hub (in no group, records)
///         /                         \
///   anna (founder, shares) ------- bert (member, downloads)
/// ```
#[tokio::test]
async fn a_node_of_the_dht_sees_single_keys_of_pairs_and_nothing_of_their_group() {
    let hub = Recorder::start().await;
    let people = ["anna of the tides", "bert of the tides"];
    let people = people.map(|name| (name, Keypair::generate_ed25519(), Store::in_memory()));
    let start = async |(name, keypair, store): &(&str, Keypair, Store)| {
        let settings = Settings {
            announce: true,
            ..settings("node")
        };
        Home::of_user(settings, store.clone(), keypair, user(name)).await
    };
    let (anna, bert) = (start(&people[0]).await, start(&people[1]).await);
    for home in [&anna, &bert] {
        home.node.connect(&hub.address).await.unwrap();
    }
    let name = "keepers of lighthouses";
    anna.node.group_create(name.parse().unwrap()).await.unwrap();
    let options = InviteOptions {
        auto: true,
        ..InviteOptions::default()
    };
    let link = anna.node.group_invite(name, options).await.unwrap();
    let joined = bert.node.group_join(link.clone(), "it is me, bert".into());
    assert_eq!(joined.await.unwrap(), JoinStatus::Accepted);
    // When they start, they choose whom to meet at once.
    for home in [anna, bert] {
        home.node.shutdown().await;
    }
    let (anna, bert) = (start(&people[0]).await, start(&people[1]).await);
    for home in [&anna, &bert] {
        home.node.connect(&hub.address).await.unwrap();
    }
    bert.node.connect(&anna.address().await).await.unwrap();
    let (secret, public) = (Content::new(THREE_CHUNKS, 1), Content::new(2000, 2));
    anna.share_in(link.group, "plan of the harbour", &secret)
        .await;
    anna.share("for everyone", &public).await;
    let wanted = bert.wants_in(link.group, secret.hash());
    let got = ended(&bert.begin(wanted).await).await.unwrap();
    assert_same(&got.path, &secret);

    // Each announces itself for the other one, and looks for nothing else.
    let [of_anna, of_bert] = [(0, 1), (1, 0)].map(|(own, other)| {
        let neighbour = secret_of(&people[own].1).neighbour(&node_of(&people[other].1));
        record_key(&Hash::from_bytes(neighbour.unwrap().publish))
    });
    let seen = [of_anna, of_bert, record_key(&public.hash())];
    in_time(async {
        while !seen.iter().all(|key| hub.has(key.as_ref())) {
            tokio::time::sleep(Duration::from_millis(20)).await; // nothing reports it
        }
    })
    .await;
    let removed = anna.node.group_remove(name, people[1].0).await;
    removed.unwrap();
    until(&bert.node, |node| node.groups().unwrap().is_empty()).await;

    let invite = link.invite.key();
    let ids = [
        *link.group.as_bytes(),
        *secret.hash().as_bytes(),
        *key(people[0].0).as_bytes(),
        *key(people[1].0).as_bytes(),
        *invite.as_bytes(),
    ];
    for id in ids {
        let digits = Hash::from_bytes(id).to_string();
        assert!(!hub.has(&id) && !hub.has(digits.as_bytes()), "{digits}");
        let provided = record_key(&Hash::from_bytes(id));
        assert!(!hub.has(provided.as_ref()), "a record of {digits}");
    }
    for text in [name, "of the tides", "plan of the harbour", "it is me"] {
        assert!(!hub.has(text.as_bytes()), "{text}");
    }
    assert!(!hub.has(&secret.descriptor.to_bytes()[9..]), "the root");
}

/// Of 200 users, few have nodes that run. Carl has the file, and starts after Bert asked for it, at an
/// address that Bert does not know. They are none of each other's 32 neighbours.
///
/// ```text
///   anna (founder) --- bert (wants it) --- hub (in no group) --- carl (shares it)
/// ```
#[tokio::test]
async fn in_a_group_of_200_the_one_node_that_has_it_is_found() {
    let hub = Home::start("hub").await;
    let anna = home("anna").await;
    founded(&anna).await;
    let others: Vec<_> = (0..195_u8).map(|number| format!("user-{number}")).collect();
    for name in &others {
        anna.node.group_add("family", key(name)).await.unwrap();
    }
    let link = auto_link(&anna, 3).await;
    let (mut nodes, mut profiles) = (Vec::new(), Vec::new());
    for name in &others {
        let keypair = Keypair::generate_ed25519();
        profiles.push(profile(&user(name).secret, name, &[&keypair], None));
        nodes.push(node_of(&keypair));
    }
    let mut dora = Member::join(&anna, "dora", &link).await;
    for part in profiles.chunks(100) {
        dora.push(part).await;
    }
    drop(dora);

    let keypair = Keypair::generate_ed25519();
    nodes.push(node_of(&keypair));
    let of_bert = loop {
        let bert = Keypair::generate_ed25519();
        let nearest = secret_of(&bert).neighbours(nodes.iter().copied(), 32);
        if nearest.iter().all(|near| near.node != node_of(&keypair)) {
            break bert;
        }
    };
    let (store, content) = (Store::in_memory(), Content::new(THREE_CHUNKS, 1));
    let start = || Home::of_user(settings("carl"), store.clone(), &keypair, user("carl"));
    let carl = start().await;
    join(&carl, &link).await;
    carl.share_in(link.group, "lamp", &content).await;
    carl.node.shutdown().await;
    let Home { folder, .. } = carl;

    let bert = Home::of_user(settings("bert"), Store::in_memory(), &of_bert, user("bert")).await;
    join(&bert, &link).await;
    until(&bert.node, |node| node.groups().unwrap()[0].members == 199).await;
    bert.node.connect(&hub.address().await).await.unwrap();
    let wanted = DownloadRequest {
        timeout: Duration::from_millis(500),
        waits: true,
        ..bert.wants_in(link.group, content.hash())
    };
    let download = bert.begin(wanted).await;
    let mut status = download.status();
    let is_waiting = |status: &pelago::DownloadStatus| status.waits.is_some();
    in_time(status.wait_for(is_waiting)).await.unwrap();

    let carl = start().await;
    carl.node.connect(&hub.address().await).await.unwrap();
    let got = ended(&download).await.unwrap();
    assert_same(&got.path, &content);
    assert_eq!(got.sources, 1);
    drop((carl, folder));
}

/// Members that compare the group and then take their time do not hold up another one.
///
/// ```text
///   32 members (begin a sync, and send nothing) ---> anna <--- bert
/// ```
#[tokio::test]
async fn members_that_take_their_time_hold_up_no_one() {
    let anna = home("anna").await;
    founded(&anna).await;
    let link = auto_link(&anna, 33).await;
    let mut slow = Vec::new();
    for number in 0..32 {
        let mut member = Member::join(&anna, &format!("slow-{number}"), &link).await;
        member.begin_sync().await;
        slow.push(member);
    }
    let bert = home("bert").await;
    join(&bert, &link).await;
    until(&bert.node, |node| {
        node.groups()
            .unwrap()
            .first()
            .is_some_and(|group| group.members == 34)
    })
    .await;
    drop(slow);
}
