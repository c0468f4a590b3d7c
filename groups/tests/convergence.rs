//! Histories of groups: replicas act, meet, miss each other, are restored from backups and lie; in
//! the end all have met, and all have one roster.
//!
//! The histories are random and reproducible. `PELAGO_HISTORIES` says how many there are.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;

use pelago_groups::{
    Body, Entry, GroupId, Held, InviteKey, InviteMode, MAX_NUMBER, Ownership, Roster, Secret,
    Statement, UserKey, acts,
};

const REPLICAS: usize = 24;

const STEPS: usize = 200;

/// Xorshift: tests need no more.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

struct World {
    random: Random,
    users: Vec<Secret<UserKey>>,
    /// What each user's node holds.
    replicas: Vec<Held>,
    backups: Vec<Held>,
    /// What a node has sent, which may arrive again or late.
    on_the_way: Vec<(usize, Statement)>,
}

impl World {
    fn new(seed: u64, users: &[Secret<UserKey>]) -> Self {
        let founding = acts::found(&users[0], &"family".parse().unwrap(), [7; 16]);
        let mut founder = Held::new(founding.group().unwrap());
        founder.merge([founding]);
        let mut replicas = vec![Held::new(founder.group()); REPLICAS];
        replicas[0] = founder;
        Self {
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            users: users.to_vec(),
            backups: replicas.clone(),
            replicas,
            on_the_way: Vec::new(),
        }
    }

    fn group(&self) -> GroupId {
        self.replicas[0].group()
    }

    fn step(&mut self) {
        let at = self.random.below(REPLICAS);
        match self.random.below(20) {
            0..=8 => self.act(at),
            9..=12 => self.meet(at),
            13..=15 => self.deliver(),
            16 => self.backups[at] = self.replicas[at].clone(),
            // It acts before it meets anyone.
            17 => {
                self.replicas[at] = self.backups[at].clone();
                self.act(at);
            }
            _ => self.lie(at),
        }
    }

    /// A user does something that the roster allows, as far as his node knows.
    fn act(&mut self, at: usize) {
        // Few act for everyone: often the root.
        let at = if self.random.one_in(2) { 0 } else { at };
        let other = self.users[self.random.below(REPLICAS)].key();
        let invite = InviteKey::from_bytes([self.random.below(6) as u8; 32]);
        let confirmed = self.random.below(2) == 0;
        let (held, secret) = (&self.replicas[at], &self.users[at]);
        let one = |acted: Result<Statement, acts::ActError>| acted.map(|statement| vec![statement]);
        let acted = match self.random.below(13) {
            0..=3 => one(acts::admit(held, secret, other, Some(invite))),
            4..=5 => one(acts::remove(held, secret, other, None)),
            6..=7 => one(acts::make_owner(held, secret, other)),
            8 => acts::drop_owner(held, secret, other, |_| confirmed),
            // Else the root, who acts most, would be the first to leave.
            9 if at != 0 || confirmed => Ok(vec![acts::leave(held, secret)]),
            9 => Ok(Vec::new()),
            10 => one(acts::mint(held, secret, invite, InviteMode::Ask)),
            11 => one(acts::revoke(held, secret, invite)),
            _ => one(acts::rename(held, secret, "family 2".parse().unwrap())),
        };
        self.say(at, acted.unwrap_or_default());
    }

    /// A user signs what no honest node would.
    fn lie(&mut self, at: usize) {
        let secret = &self.users[at];
        let number = match self.random.below(3) {
            0 => MAX_NUMBER,
            1 => 1,
            _ => 1 + self.random.below(6) as u64,
        };
        let is_in = self.random.one_in(2);
        let ownership = match self.random.below(3) {
            0 if is_in => Some(Ownership::Now),
            1 => Some(Ownership::Once),
            _ => None,
        };
        let entry = Entry {
            author: secret.key(),
            group: self.replicas[0].group(),
            is_in,
            number,
            ownership,
            role_number: self.random.below(4) as u64,
            user: self.users[self.random.below(REPLICAS)].key(),
            via: None,
        };
        let lie = Statement::sign(Body::Entry(entry), secret);
        self.say(at, vec![lie]);
    }

    fn say(&mut self, at: usize, statements: Vec<Statement>) {
        self.replicas[at].merge(statements.clone());
        for statement in statements {
            for _ in 0..self.random.below(4) {
                let to = self.random.below(REPLICAS);
                self.on_the_way.push((to, statement.clone()));
            }
        }
    }

    /// One statement arrives: in any order, lost, or more than once.
    fn deliver(&mut self) {
        if self.on_the_way.is_empty() {
            return;
        }
        let at = self.random.below(self.on_the_way.len());
        let (to, statement) = self.on_the_way[at].clone();
        if self.random.one_in(2) {
            self.on_the_way.swap_remove(at);
        }
        if !self.random.one_in(4) {
            self.replicas[to].merge([statement]);
        }
    }

    /// Two nodes meet, and exchange all or a part.
    fn meet(&mut self, at: usize) {
        let other = self.random.below(REPLICAS);
        let keep = 1 + self.random.below(3);
        let some = |held: &Held| held.statements().step_by(keep).cloned().collect::<Vec<_>>();
        let (sent, received) = (some(&self.replicas[at]), some(&self.replicas[other]));
        self.replicas[at].merge(received);
        self.replicas[other].merge(sent);
    }

    /// All meet until nothing changes.
    fn heal(&mut self) {
        loop {
            let mut has_changed = false;
            for at in 0..REPLICAS {
                let next = (at + 1) % REPLICAS;
                let all = |held: &Held| held.statements().cloned().collect::<Vec<_>>();
                let (sent, received) = (all(&self.replicas[at]), all(&self.replicas[next]));
                has_changed |= !self.replicas[at].merge(received).new.is_empty();
                has_changed |= !self.replicas[next].merge(sent).new.is_empty();
            }
            if !has_changed {
                return;
            }
        }
    }
}

fn users() -> Vec<Secret<UserKey>> {
    let seeds = 0..u8::try_from(REPLICAS).unwrap();
    seeds.map(|seed| Secret::from_seed([seed; 32])).collect()
}

fn histories() -> u64 {
    let set = std::env::var("PELAGO_HISTORIES");
    set.map_or(1000, |count| {
        count.parse().expect("PELAGO_HISTORIES is a number")
    })
}

#[test]
fn replicas_that_have_met_have_one_roster() {
    let users = users();
    let mut sizes = BTreeMap::<usize, usize>::new();
    for seed in 0..histories() {
        let mut world = World::new(seed, &users);
        for _ in 0..STEPS {
            world.step();
        }
        world.heal();
        let digest = world.replicas[0].digest();
        let roster = Roster::of(&world.replicas[0]);
        for (at, replica) in world.replicas.iter().enumerate() {
            assert_eq!(replica.digest(), digest, "history {seed}, replica {at}");
            assert_eq!(Roster::of(replica), roster, "history {seed}, replica {at}");
        }
        *sizes.entry(roster.members().len()).or_default() += 1;
        assert_eq!(roster.group(), world.group());
    }
    println!("members: {sizes:?}");
    assert!(sizes.len() > 5, "the histories differ: {sizes:?}");
}

/// Whatever a batch has, its order and repetitions have no effect, and to merge what is held changes
/// nothing.
#[test]
fn order_and_repetition_have_no_effect() {
    let users = users();
    for seed in 0..histories() / 10 {
        let mut world = World::new(seed, &users);
        for _ in 0..STEPS {
            world.step();
        }
        let mut all: Vec<_> = world
            .replicas
            .iter()
            .flat_map(Held::statements)
            .cloned()
            .collect();
        all.extend(
            world
                .on_the_way
                .iter()
                .map(|(_, statement)| statement.clone()),
        );
        let group = world.group();
        let merged = |statements: &[Statement]| {
            let mut held = Held::new(group);
            held.merge(statements.to_vec());
            held
        };
        let first = merged(&all);
        for at in (1..all.len()).rev() {
            let other = world.random.below(at + 1);
            all.swap(at, other);
        }
        let mut second = merged(&all);
        assert_eq!(first.digest(), second.digest(), "history {seed}");
        assert!(second.merge(first.statements().cloned()).new.is_empty());
        assert!(first.statements().all(|statement| {
            Statement::from_bytes(statement.as_bytes()).as_ref() == Ok(statement)
        }));
    }
}

/// A replica that was restored from an old backup and acts before it has met anyone changes only
/// the person whom it acts on.
#[test]
fn a_restored_owner_brings_nobody_back() {
    let users = users();
    let key = |at: usize| users[at].key();
    let mut world = World::new(1, &users);
    for user in 1..10 {
        let admitted = acts::admit(&world.replicas[0], &users[0], key(user), None).unwrap();
        world.replicas[0].merge([admitted]);
    }
    world.heal();
    let backup = world.replicas[0].clone();
    for user in 1..5 {
        let removed = acts::remove(&world.replicas[0], &users[0], key(user), None).unwrap();
        world.replicas[0].merge([removed]);
    }
    world.heal();
    world.replicas[0] = backup;
    let acted = acts::remove(&world.replicas[0], &users[0], key(9), None).unwrap();
    world.replicas[0].merge([acted]);
    world.heal();
    let roster = Roster::of(&world.replicas[7]);
    let is_in = (1..10).map(|user| roster.is_in(&key(user)));
    let expected = (1..10).map(|user| (5..9).contains(&user));
    assert!(is_in.eq(expected), "{roster:?}");
}

/// Throw-away authors, whom nobody named, fill no disk.
#[test]
fn what_strangers_sign_is_not_held() {
    let users = users();
    let mut world = World::new(1, &users);
    let before = world.replicas[0].digest();
    let group = world.group();
    let strangers = (0..4096_u32).map(|number| {
        let mut seed = [0xFF; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        let secret = Secret::<UserKey>::from_seed(seed);
        let entry = Entry {
            author: secret.key(),
            group,
            is_in: true,
            number: 1,
            ownership: Some(Ownership::Now),
            role_number: 1,
            user: secret.key(),
            via: None,
        };
        Statement::sign(Body::Entry(entry), &secret)
    });
    let merged = world.replicas[0].merge(strangers.collect::<Vec<_>>());
    assert!(merged.new.is_empty());
    assert_eq!(world.replicas[0].digest(), before);
}

/// A hostile root marks as many owners as she likes, and these say something of everyone: what is
/// held is bounded, and the owners of now come before those of once.
#[test]
fn a_hostile_root_fills_little() {
    let secret = |number: u32| {
        let mut seed = [0xEE; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        Secret::<UserKey>::from_seed(seed)
    };
    let root = secret(u32::MAX);
    let founding = acts::found(&root, &"family".parse().unwrap(), [7; 16]);
    let mut held = Held::new(founding.group().unwrap());
    let entry = |author: &Secret<UserKey>, user: UserKey, ownership| {
        let entry = Entry {
            author: author.key(),
            group: founding.group().unwrap(),
            is_in: true,
            number: 1,
            ownership,
            role_number: 0,
            user,
            via: None,
        };
        Statement::sign(Body::Entry(entry), author)
    };
    let mut statements = vec![founding.clone()];
    for number in 0..100 {
        let ownership = match number % 10 {
            0 => Ownership::Now,
            _ => Ownership::Once,
        };
        let owner = secret(number);
        statements.push(entry(&root, owner.key(), Some(ownership)));
        statements.push(entry(&owner, secret(1000 + number).key(), None));
    }
    held.merge(statements);
    let authors = (0..100).filter(|number| held.entries_of(secret(*number).key()).count() == 1);
    let authors: Vec<_> = authors.collect();
    assert_eq!(authors.len(), pelago_groups::MAX_AUTHORS);
    assert!(
        (0..100).step_by(10).all(|owner| authors.contains(&owner)),
        "{authors:?}"
    );
}
