//! The `chunkcast` binary: see the library's [`chunkcast::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    chunkcast::cli::main()
}
