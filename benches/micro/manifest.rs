//! Building a manifest from a file's bytes, and checking it and its chunks.

#![allow(clippy::expect_used, reason = "a benchmark of something that does not work has no figures")]

use std::hint::black_box;

use chunkcast::types::Geometry;
use chunkcast::types::manifest::ManifestBuilder;
use criterion::{Criterion, Throughput, criterion_group};

const FILE_BYTES: usize = 64 << 20;
/// What the store reads at a time.
const SLICE_BYTES: usize = 1 << 20;

criterion_group!(group, manifests);

fn manifests(c: &mut Criterion) {
    let bytes: Vec<u8> =
        (0..FILE_BYTES as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let geometry = Geometry::native(FILE_BYTES as u64).expect("a legal size");
    let build = |bytes: &[u8]| {
        let mut builder = ManifestBuilder::new(geometry);
        bytes.chunks(SLICE_BYTES).for_each(|slice| builder.push(slice));
        builder.finish().expect("all bytes are there")
    };
    let (id, manifest) = build(&bytes);
    let mut group = c.benchmark_group("manifest");
    group.sample_size(10).throughput(Throughput::Bytes(FILE_BYTES as u64));
    group.bench_function("build, 64 MiB", |b| b.iter(|| build(black_box(&bytes))));
    group.bench_function("BLAKE3 alone, 64 MiB", |b| b.iter(|| blake3::hash(black_box(&bytes))));
    let chunk_bytes = geometry.chunk_bytes() as usize;
    group.sample_size(50).throughput(Throughput::Bytes(chunk_bytes as u64));
    group.bench_function("check a chunk of 32 KiB", |b| {
        b.iter(|| manifest.verify_chunk(&id, 1, black_box(&bytes[chunk_bytes..2 * chunk_bytes])));
    });
    group.throughput(Throughput::Elements(u64::from(geometry.units())));
    group.bench_function("check a manifest of 2,048 units", |b| b.iter(|| black_box(&manifest).verify(&id)));
    group.finish();
}
