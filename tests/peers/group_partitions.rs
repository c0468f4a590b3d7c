//! Groups whose members are apart for a while, and meet again.
//!
//! Nodes are apart when they run in networks of different names.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use libp2p::identity::Keypair;
use pelago::{DataFolder, Mode, Node, Role, Settings, Store, UserKey};
use tempfile::TempDir;

use crate::{
    groups::{auto_link, founded, home, join, key, until, user},
    nodes::{Home, in_time, settings},
};

/// A user whose node can be ended and started again, apart from others or with them.
struct Person {
    name: &'static str,
    mode: Mode,
    keypair: Keypair,
    store: Store,
    home: Option<Home>,
}

/// The settings of a node that is apart from those of other networks.
fn settings_in(network: &str, name: &str) -> Settings {
    Settings {
        network: network.to_owned(),
        ..settings(name)
    }
}

impl Person {
    async fn new(name: &'static str, mode: Mode) -> Self {
        let mut person = Self {
            name,
            mode,
            keypair: Keypair::generate_ed25519(),
            store: Store::in_memory(),
            home: None,
        };
        person.start("pelago").await;
        person
    }

    async fn start(&mut self, network: &str) {
        self.stop().await;
        let settings = Settings {
            mode: self.mode,
            ..settings_in(network, self.name)
        };
        let home = Home::of_user(settings, self.store.clone(), &self.keypair, user(self.name));
        self.home = Some(home.await);
    }

    async fn stop(&mut self) {
        if let Some(home) = self.home.take() {
            home.node.shutdown().await;
        }
    }

    fn home(&self) -> &Home {
        self.home.as_ref().unwrap()
    }

    fn node(&self) -> &Node {
        &self.home().node
    }

    async fn connect(&self, other: &Self) {
        let address = other.home().address().await;
        self.node().connect(&address).await.unwrap();
    }
}

/// The members that a node knows, with their roles.
type Members = BTreeSet<(UserKey, u8)>;

async fn members(node: &Node) -> Members {
    let role = |role| match role {
        Role::Member => 0,
        Role::Owner => 1,
        Role::Root => 2,
    };
    let members = node.group_members("family").await.unwrap_or_default();
    let members = members.into_iter();
    members
        .map(|member| (member.user, role(member.role)))
        .collect()
}

fn has(members: &Members, name: &str) -> bool {
    members.iter().any(|(user, _)| *user == key(name))
}

/// Waits until `wanted` holds for the members that a node knows, and returns them.
async fn until_members(node: &Node, wanted: impl Fn(&Members) -> bool) -> Members {
    let mut revision = node.groups_revision();
    in_time(async {
        loop {
            let members = members(node).await;
            if wanted(&members) {
                return members;
            }
            revision.changed().await.unwrap();
        }
    })
    .await
}

async fn until_member(node: &Node, name: &str, is_in: bool) -> Members {
    until_members(node, |members| has(members, name) == is_in).await
}

/// Anna is restored from a backup from before she removed Bert, and acts before she meets anyone.
///
/// ```text
///   anna (founder, restored) --- carl        bert (removed), dora (added by the restored anna)
/// ```
#[tokio::test]
async fn a_founder_restored_from_a_backup_brings_back_no_removed_user() {
    let (keypair, folder) = (Keypair::generate_ed25519(), tempfile::tempdir().unwrap());
    let start = async |network: &str, folder: TempDir| {
        let data = unlocked(&folder.path().join("data")).await;
        let store = Store::open(&data).unwrap();
        let settings = settings_in(network, "anna");
        Home::of_user_in(settings, store, folder, &keypair, user("anna")).await
    };
    let anna = start("pelago", folder).await;
    let (bert, carl) = (home("bert").await, home("carl").await);
    founded(&anna).await;
    let link = auto_link(&anna, 2).await;
    join(&bert, &link).await;
    join(&carl, &link).await;
    until_member(&carl.node, "bert", true).await;
    anna.node.shutdown().await;
    let backup = tempfile::tempdir().unwrap();
    let Home {
        folder,
        node,
        store,
    } = anna;
    drop((node, store));
    copy(&folder.path().join("data"), &backup.path().join("data"));

    let anna = start("pelago", folder).await;
    anna.node.connect(&carl.address().await).await.unwrap();
    anna.node.group_remove("family", "bert").await.unwrap();
    until_member(&carl.node, "bert", false).await;
    anna.node.shutdown().await;
    drop(anna);

    // The node that is restored acts before it meets another one.
    let anna = start("elsewhere", backup).await;
    assert!(has(&members(&anna.node).await, "bert"), "the backup is old");
    anna.node.group_add("family", key("dora")).await.unwrap();
    anna.node.shutdown().await;
    let Home {
        folder,
        node,
        store,
    } = anna;
    drop((node, store));
    let anna = start("pelago", folder).await;
    anna.node.connect(&carl.address().await).await.unwrap();
    until_member(&carl.node, "dora", true).await;
    let of_anna = until_member(&anna.node, "bert", false).await;
    let of_carl = members(&carl.node).await;
    assert!(!has(&of_carl, "bert") && has(&of_anna, "carl"));
    assert_eq!(of_anna, of_carl);
}

/// The data folder, once the tasks of an earlier run have ended.
async fn unlocked(path: &Path) -> DataFolder {
    in_time(async {
        loop {
            if let Ok(data) = DataFolder::lock(path.to_owned()) {
                return data;
            }
            tokio::time::sleep(Duration::from_millis(10)).await; // nothing reports it
        }
    })
    .await
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// Two owners act at once, apart from each other.
///
/// ```text
///   anna (founder) --- carl   |   bert (owner) --- dora
/// ```
#[tokio::test]
async fn two_owners_who_act_at_once_have_one_roster_when_they_meet() {
    let mut anna = Person::new("anna", Mode::LongRunning).await;
    let bert = Person::new("bert", Mode::LongRunning).await;
    let mut carl = Person::new("carl", Mode::LongRunning).await;
    founded(anna.home()).await;
    let link = auto_link(anna.home(), 2).await;
    join(bert.home(), &link).await;
    join(carl.home(), &link).await;
    let bert_key = key("bert").to_string();
    anna.node()
        .group_owner_add("family", &bert_key)
        .await
        .unwrap();
    until_members(bert.node(), |members| members.contains(&(key("bert"), 1))).await;
    until_member(bert.node(), "carl", true).await;

    for person in [&mut anna, &mut carl] {
        person.start("elsewhere").await;
    }
    carl.connect(&anna).await;
    anna.node().group_add("family", key("emil")).await.unwrap();
    bert.node().group_add("family", key("dora")).await.unwrap();
    bert.node()
        .group_remove("family", &key("carl").to_string())
        .await
        .unwrap();
    until_member(carl.node(), "emil", true).await;

    for person in [&mut anna, &mut carl] {
        person.start("pelago").await;
    }
    anna.connect(&bert).await;
    anna.connect(&carl).await;
    until(carl.node(), |node| node.groups().unwrap().is_empty()).await;
    let mut rosters = Vec::new();
    for node in [anna.node(), bert.node()] {
        rosters.push(until_members(node, |members| members.len() == 4).await);
    }
    let [of_anna, of_bert] = &rosters[..] else {
        unreachable!();
    };
    assert!(has(of_anna, "dora") && has(of_anna, "emil") && !has(of_anna, "carl"));
    assert_eq!(of_anna, of_bert);
}

/// Of 24 members, a third is apart for a while: owners act on both sides, and nodes end and start on
/// both. When all meet, their rosters are equal.
///
/// ```text
///   0 (founder), 1 and 2 (owners) ... 15   |   16, 17 (owner) ... 23
/// ```
#[tokio::test]
async fn twenty_four_nodes_with_churn_and_a_partition_have_one_roster() {
    const NAMES: [&str; 24] = [
        "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "b0", "b1", "b2", "b3", "b4",
        "b5", "b6", "b7", "b8", "b9", "c0", "c1", "c2", "c3",
    ];
    const OWNERS: [usize; 3] = [1, 2, 17];
    const REMOVED: [usize; 4] = [8, 9, 20, 23];
    let mut people = Vec::new();
    for name in NAMES {
        // Clients of the DHT do not connect to all others.
        people.push(Person::new(name, Mode::OneShot).await);
    }
    founded(people[0].home()).await;
    let link = auto_link(people[0].home(), 23).await;
    for person in &people[1..] {
        join(person.home(), &link).await;
    }
    for owner in OWNERS {
        let owner = key(NAMES[owner]).to_string();
        people[0]
            .node()
            .group_owner_add("family", &owner)
            .await
            .unwrap();
    }
    for person in &people {
        until(person.node(), |node| {
            node.groups().unwrap()[0].members == 24
        })
        .await;
    }
    for owner in OWNERS {
        let mark = (key(NAMES[owner]), 1);
        until_members(people[owner].node(), |members| members.contains(&mark)).await;
    }
    for person in &mut people[16..] {
        person.start("elsewhere").await;
    }
    for at in 17..24 {
        people[at].connect(&people[at - 1]).await;
    }
    let remove = |by: usize, of: usize| {
        let (node, of) = (people[by].node().clone(), key(NAMES[of]).to_string());
        async move { node.group_remove("family", &of).await.unwrap() }
    };
    let add = |by: usize, name: &'static str| {
        let node = people[by].node().clone();
        async move { node.group_add("family", key(name)).await.unwrap() }
    };
    remove(1, 8).await;
    remove(0, 20).await;
    add(2, "new").await;
    remove(17, 23).await;
    // The founder removes one whom the owner on the other side removes as well.
    remove(17, 9).await;
    remove(0, 9).await;
    add(17, "far").await;
    for person in &mut people[13..16] {
        person.stop().await;
    }
    // Five others pass it on.
    until_member(people[22].node(), "far", true).await;
    for person in &mut people[13..] {
        person.start("pelago").await;
    }
    // A ring, and the founder in the middle of nothing: each knows the next member only.
    for at in 0..people.len() {
        let after = (1..).map(|step| (at + step) % people.len());
        let mut members = after.filter(|next| !REMOVED.contains(next));
        people[at].connect(&people[members.next().unwrap()]).await;
    }
    let is_whole = |members: &Members| {
        let is_gone = REMOVED.iter().all(|at| !has(members, NAMES[*at]));
        is_gone && has(members, "new") && has(members, "far")
    };
    let expected = until_members(people[0].node(), is_whole).await;
    assert_eq!(expected.len(), 24 - 4 + 2);
    for person in people.iter().filter(|person| has(&expected, person.name)) {
        until_members(person.node(), |members| *members == expected).await;
    }
    in_time(async {
        for at in REMOVED {
            until(people[at].node(), |node| node.groups().unwrap().is_empty()).await;
        }
    })
    .await;
}

/// Bert comes back at another address, and knows only a node that is not in the group.
///
/// ```text
///   anna (member) --- hub (stranger, keeps records) --- bert (member, moved)
/// ```
#[tokio::test]
async fn members_find_each_other_through_nodes_that_know_no_group() {
    let settings = |name: &str| Settings {
        announce: true,
        ..settings(name)
    };
    let hub = Home::with(settings("hub")).await;
    let key = Keypair::generate_ed25519();
    let anna_key = Keypair::generate_ed25519();
    let stores = [Store::in_memory(), Store::in_memory()];
    let start_anna = || Home::of_user(settings("anna"), stores[0].clone(), &anna_key, user("anna"));
    let start_bert = || Home::of_user(settings("bert"), stores[1].clone(), &key, user("bert"));
    let (anna, bert) = (start_anna().await, start_bert().await);
    founded(&anna).await;
    join(&bert, &auto_link(&anna, 1).await).await;
    until_members(&bert.node, |members| members.len() == 2).await;
    for home in [anna, bert] {
        home.node.shutdown().await;
    }

    // Each knows only an address at which the other one is no longer.
    let anna = start_anna().await;
    anna.node.connect(&hub.address().await).await.unwrap();
    in_time(anna.node.announced()).await;
    let bert = start_bert().await;
    bert.node.connect(&hub.address().await).await.unwrap();
    in_time(async {
        loop {
            let online = anna.node.group_members("family").await.unwrap();
            if online.iter().all(|member| member.is_online) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await; // connections change no group
        }
    })
    .await;
}
