//! Measures the scheduler: all chunks of 1 GiB from 1, 16 and 300 sources.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pelago_engine::transfer::schedule;

fn scheduler(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scheduler");
    group.sample_size(10);
    for sources in [1, 16, 300] {
        let chunks = schedule(1 << 30, sources);
        group.throughput(Throughput::Elements(chunks as u64));
        group.bench_function(BenchmarkId::new("1 GiB", sources), |bencher| {
            bencher.iter(|| schedule(1 << 30, sources));
        });
    }
    group.finish();
}

criterion_group!(benches, scheduler);
criterion_main!(benches);
