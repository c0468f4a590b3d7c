//! How long a group of 1,024 members and 8 owners takes: its roster, a merge, its signatures.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use pelago_groups::{Held, NodeSecret, Roster, Secret, Statement, UserKey, acts};

const MEMBERS: u32 = 1024;

const OWNERS: usize = 7;

fn user(number: u32) -> Secret<UserKey> {
    let mut seed = [1; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    Secret::from_seed(seed)
}

/// A full group, in which every owner has said something of a part of the members.
fn full_group() -> Held {
    let root = user(0);
    let founding = acts::found(&root, &"family".parse().expect("a name"), [7; 16]);
    let mut held = Held::new(founding.group().expect("of a group"));
    held.merge([founding]);
    let owners: Vec<_> = (1..).take(OWNERS).map(user).collect();
    for owner in &owners {
        held.merge([acts::admit(&held, &root, owner.key(), None).expect("admitted")]);
        held.merge([acts::make_owner(&held, &root, owner.key()).expect("an owner")]);
    }
    let others = (0..MEMBERS).skip(1 + OWNERS);
    for (number, by) in others.zip(owners.iter().cycle()) {
        let member = user(number);
        let name = format!("member {number}").parse().expect("a name");
        let admission = acts::admit(&held, by, member.key(), None).expect("admitted");
        let profile = acts::name_user(&member, name, Vec::new(), None).expect("named");
        held.merge([admission, profile]);
    }
    assert_eq!(Roster::of(&held).members().len(), MEMBERS as usize);
    held
}

fn roster(c: &mut Criterion) {
    let held = full_group();
    let statements: Vec<_> = held.statements().cloned().collect();
    let bytes: usize = statements
        .iter()
        .map(|statement| statement.as_bytes().len())
        .sum();
    println!("{} statements in {bytes} bytes", statements.len());
    c.bench_function("roster of 1,024 members and 8 owners", |b| {
        b.iter(|| Roster::of(black_box(&held)));
    });
    c.bench_function("digest", |b| b.iter(|| black_box(&held).digest()));
    c.bench_function("merge of all statements", |b| {
        b.iter_batched(
            || (Held::new(held.group()), statements.clone()),
            |(mut held, statements)| held.merge(statements),
            BatchSize::LargeInput,
        );
    });
    c.bench_function("verification of one statement", |b| {
        b.iter(|| Statement::from_bytes(black_box(statements[1].as_bytes())));
    });
    let nodes: Vec<_> = (1..=u8::MAX)
        .map(|seed| NodeSecret::from_seed(&[seed; 32]))
        .collect();
    let keys: Vec<_> = nodes.iter().map(NodeSecret::key).collect();
    c.bench_function("32 neighbours of 254", |b| {
        b.iter(|| nodes[0].neighbours(black_box(&keys).iter().copied(), 32));
    });
}

criterion_group!(benches, roster);
criterion_main!(benches);
