//! How fast content is hashed into nodes, and chunks are verified: bytes a second on one core.
//!
//! Compare with `openssl speed -bytes 16384 -evp sha256`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pelago_content::{
    Chunk, Descriptor, Geometry, Hasher, Kind, Node, leaf, parent, proven_nodes, siblings, subtree,
    verify, verify_leaves, verify_node,
};

const MIB: usize = 1 << 20;

/// Hashes a warm buffer: one block, then runs whose blocks are interleaved.
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

/// 1 GiB of zeroes, whose tree is quick to compute.
struct Zeroes {
    descriptor: Descriptor,
    /// The node of each level: all nodes of a level are the same.
    nodes: Vec<Node>,
}

impl Zeroes {
    fn new() -> Option<Self> {
        let geometry = Geometry::new(1 << 30);
        let mut nodes: Vec<Node> = vec![leaf(&[0; 16 * 1024])];
        for level in 0..geometry.height() {
            let node = nodes[usize::from(level)];
            nodes.push(parent(&node, &node));
        }
        let root = nodes[usize::from(geometry.height())];
        let descriptor = Descriptor::new(Kind::File, geometry.size(), root).ok()?;
        Some(Self { descriptor, nodes })
    }

    fn last_chunk(&self, level: u8) -> Option<Chunk> {
        let geometry = self.descriptor.geometry();
        geometry.chunk(level, geometry.chunks(level) - 1).ok()
    }

    fn proof(&self, chunk: Chunk) -> Vec<Node> {
        siblings(self.descriptor.geometry(), chunk)
            .map(|(level, _)| self.nodes[usize::from(level)])
            .collect()
    }
}

/// The sender builds the proof of the last chunk of 1 GiB, the receiver verifies it and keeps the
/// proven nodes.
fn proving(c: &mut Criterion) {
    let Some(zeroes) = Zeroes::new() else { return };
    let geometry = zeroes.descriptor.geometry();
    for level in [0, 4, 6] {
        let Some(chunk) = zeroes.last_chunk(level) else {
            return;
        };
        let proof = zeroes.proof(chunk);
        let data = vec![0; (16 * 1024) << level];
        let mut group = c.benchmark_group(format!("proof, chunk of level {level} in 1 GiB"));
        group.bench_function("positions", |b| {
            b.iter(|| siblings(geometry, black_box(chunk)).collect::<Vec<_>>());
        });
        group.bench_function("verify_node", |b| {
            let node = zeroes.nodes[usize::from(level)];
            b.iter(|| verify_node(&zeroes.descriptor, chunk, black_box(node), &proof));
        });
        group.throughput(Throughput::Bytes(data.len() as u64));
        group.bench_function("verify", |b| {
            b.iter(|| verify(&zeroes.descriptor, chunk, black_box(&data), &proof));
        });
        group.bench_function("verify_leaves and proven_nodes", |b| {
            b.iter(|| {
                let mut leaves = Vec::new();
                let data = black_box(&data);
                let verified = verify_leaves(&zeroes.descriptor, chunk, data, &proof, &mut leaves);
                proven_nodes(geometry, chunk, &leaves, &proof, |_, _, node| {
                    black_box(node);
                });
                verified
            });
        });
        group.finish();
    }
}

criterion_group!(benches, hashing, proving);
criterion_main!(benches);
