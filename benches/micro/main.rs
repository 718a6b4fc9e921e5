//! What single steps of a peer cost, by criterion: `cargo bench --bench micro [FILTER]`.

mod codecs;
mod manifest;
mod picker;
mod turn;

criterion::criterion_main!(codecs::group, picker::group, manifest::group, turn::group);
