//! Normalising and hashing beside plain SHA-256 of the same bytes, and the same for schedules.

// The macros of criterion generate items without documentation.
#![allow(missing_docs)]

#[path = "../tests/rust/identity_source.rs"]
mod source;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tirastore::identity::{HexDigest, key, program, schedule};

fn programs(criterion: &mut Criterion) {
    for (name, size) in [("program 3 KB", 3_000), ("program 200 KB", 200_000)] {
        let text = source::of_size(size);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("SHA-256 alone", |b| b.iter(|| HexDigest::of(black_box(text.as_bytes()))));
        group.bench_function("normalize", |b| b.iter(|| program::normalize(black_box(&text))));
        group.bench_function("hash", |b| b.iter(|| program::computed_hash(black_box(&text))));
        group.finish();
    }
}

fn schedules(criterion: &mut Criterion) {
    let hash = program::hash("");
    let text = "T3(L1, L2, L3, 32, 32, 32, comps=['comp05', 'comp06', 'comp07'])|U(L-1, 4, comps=['comp05'])";
    let mut group = criterion.benchmark_group("schedule");
    group.bench_function("normalize", |b| b.iter(|| schedule::normalize(black_box(text))));
    group.bench_function("validate", |b| b.iter(|| schedule::validate(black_box(text))));
    group.bench_function("make_key", |b| b.iter(|| key::make_key(hash.as_str(), black_box(text))));
    group.finish();
}

criterion_group!(benches, programs, schedules);
criterion_main!(benches);
