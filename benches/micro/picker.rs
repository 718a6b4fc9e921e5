//! One pick among many chunks: the beginning (all open), the middle (every other) and the end (one).

use std::hint::black_box;

use chunkcast::core::Rng;
use chunkcast::core::picker::rarest_first;
use chunkcast::types::Bitfield;
use criterion::{Criterion, criterion_group};

criterion_group!(group, picks);

fn picks(c: &mut Criterion) {
    let mut group = c.benchmark_group("picker");
    for (name, chunks) in [("1k", 1_000u32), ("100k", 100_000)] {
        let mut rng = Rng::new(7);
        let availability: Vec<u16> = (0..chunks).map(|_| 1 + (rng.next_u64() % 8) as u16).collect();
        let cases: [(&str, &dyn Fn(u32) -> bool); 3] = [
            ("all open", &|_| true),
            ("half open", &|chunk| chunk % 2 == 0),
            ("the last one open", &|chunk| chunk == chunks - 1),
        ];
        let had = Bitfield::full(chunks);
        for (case, is_open) in cases {
            let mut open = Bitfield::empty(chunks);
            (0..chunks).filter(|chunk| is_open(*chunk)).for_each(|chunk| {
                open.set(chunk);
            });
            group.bench_function(format!("{name} chunks, {case}"), |b| {
                b.iter(|| rarest_first(&had, black_box(&open), black_box(&availability), &mut rng));
            });
        }
    }
    group.finish();
}
