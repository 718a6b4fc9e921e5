//! The `chunkcast` binary: see the library's [`chunkcast::cli`].

fn main() {}
