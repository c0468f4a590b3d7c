//! The cost of a chunk request and its answer without a network: writing them to memory, and
//! reading them back with all checks.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::{executor::block_on, io::Cursor};
use pelago_behaviour::chunk::{
    Answer, Item, MAX_ITEMS, read_answer, read_data, read_request, write_answer, write_request,
};
use pelago_content::{Descriptor, Hash, Kind, Node, proof_len};

/// Bytes of the requested content.
const SIZE: u64 = 1 << 30;

fn items(hash: Hash, count: usize) -> Vec<Item> {
    let item = |index| Item {
        hash,
        level: 4,
        index,
        data: true,
    };
    (0..count as u64).map(item).collect()
}

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("request");
    for count in [1, MAX_ITEMS] {
        let items = items(Hash::from_bytes([7; 32]), count);
        let mut bytes = Vec::new();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("write, {count} items"), |b| {
            b.iter(|| {
                bytes.clear();
                block_on(write_request(&mut bytes, black_box(&items)))
            });
        });
        group.bench_function(format!("read, {count} items"), |b| {
            b.iter(|| block_on(read_request(&mut Cursor::new(black_box(&bytes)))));
        });
    }
    group.finish();
}

/// The answer to `item`, with a proof of the right length.
fn answer(descriptor: Descriptor, item: &Item) -> Option<Answer> {
    let geometry = descriptor.geometry();
    let chunk = geometry.chunk(item.level, item.index).ok()?;
    let bytes = chunk.bytes(geometry);
    let proof: Vec<Node> = vec![[1; 32]; proof_len(geometry, chunk)];
    Some(Answer::Data {
        descriptor,
        proof,
        length: u32::try_from(bytes.end - bytes.start).ok()?,
    })
}

fn answers(c: &mut Criterion) {
    let Ok(descriptor) = Descriptor::new(Kind::File, SIZE, [7; 32]) else {
        return;
    };
    let mut group = c.benchmark_group("answer");
    for level in [0, 4, 6] {
        let item = Item {
            hash: descriptor.hash(),
            level,
            index: 1,
            data: true,
        };
        let Some(answer) = answer(descriptor, &item) else {
            return;
        };
        let data = vec![3; (16 * 1024) << level];
        let (mut bytes, mut read) = (Vec::new(), Vec::new());
        group.throughput(Throughput::Bytes(data.len() as u64));
        group.bench_function(format!("write, {} KiB", data.len() / 1024), |b| {
            b.iter(|| {
                bytes.clear();
                block_on(write_answer(&mut bytes, black_box(&answer), &data))
            });
        });
        group.bench_function(format!("read and check, {} KiB", data.len() / 1024), |b| {
            b.iter(|| {
                let mut from = Cursor::new(black_box(&bytes));
                block_on(async {
                    let answer = read_answer(&mut from).await.ok()?;
                    answer.check(&item).ok()?;
                    read_data(&mut from, data.len() as u32, &mut read)
                        .await
                        .ok()
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests, answers);
criterion_main!(benches);
