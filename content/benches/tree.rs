//! How fast content becomes nodes, and chunks are verified: bytes a second on one core.
//!
//! Compare with `openssl speed -bytes 16384 -evp sha256`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pelago_content::{
    Descriptor, Geometry, Hasher, Kind, Node, leaf, parent, siblings, subtree, verify,
};

const MIB: usize = 1 << 20;

/// Hashing of a warm buffer: one block alone, then runs in which blocks may share the core.
fn hashing(c: &mut Criterion) {
    let data: Vec<u8> = (0..MIB).map(|at| (at % 251) as u8).collect();
    let mut group = c.benchmark_group("hash");
    group.throughput(Throughput::Bytes(16 * 1024));
    group.bench_function("leaf, 16 KiB", |b| {
        b.iter(|| leaf(black_box(&data[..16 * 1024])));
    });
    for level in [1, 2, 3, 4, 6] {
        let bytes = (16 * 1024) << level;
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("subtree, {} KiB", bytes / 1024), |b| {
            b.iter(|| subtree(black_box(&data[..bytes]), level));
        });
    }
    group.throughput(Throughput::Bytes(MIB as u64));
    group.bench_function("Hasher, 1 MiB in pieces of 60000 bytes", |b| {
        b.iter(|| {
            let mut hasher = Hasher::new(Kind::File);
            data.chunks(60_000)
                .for_each(|piece| hasher.update(black_box(piece)));
            hasher.finish()
        });
    });
    group.finish();
}

/// Verifying the last chunk of 1 GiB (all zeroes, so that its tree is quick to know).
fn proving(c: &mut Criterion) {
    let geometry = Geometry::new(1 << 30);
    let data = vec![0; MIB];
    let mut nodes: Vec<Node> = vec![leaf(&data[..16 * 1024])];
    for level in 0..geometry.height() {
        let node = nodes[usize::from(level)];
        nodes.push(parent(&node, &node));
    }
    let root = nodes[usize::from(geometry.height())];
    let Ok(descriptor) = Descriptor::new(Kind::File, geometry.size(), root) else {
        return;
    };
    let mut group = c.benchmark_group("verify");
    for level in [0, 4, 6] {
        let Ok(chunk) = geometry.chunk(level, geometry.chunks(level) - 1) else {
            return;
        };
        let proof: Vec<Node> = siblings(geometry, chunk)
            .map(|(level, _)| nodes[usize::from(level)])
            .collect();
        let bytes = chunk.bytes(geometry);
        let data = &data[..(bytes.end - bytes.start) as usize];
        group.throughput(Throughput::Bytes(data.len() as u64));
        group.bench_function(format!("chunk of level {level} in 1 GiB"), |b| {
            b.iter(|| verify(&descriptor, chunk, black_box(data), &proof));
        });
    }
    group.finish();
}

criterion_group!(benches, hashing, proving);
criterion_main!(benches);
