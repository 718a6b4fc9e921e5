//! Links the released program without the tables that say how to unwind its functions.
//!
//! It aborts where it panics and carries no symbols, so nobody can use them, and they are an eighth of its size. The compiler
//! cannot be asked to leave them out: the standard library comes with them. Tests, benchmarks and builds with debug
//! information keep theirs; so does a build with a linker or link arguments of its own, which need not understand the script.

use std::env;

const SCRIPT: &str = "packaging/no-unwind-tables.ld";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SCRIPT}");
    let says = |name: &str, value: &str| env::var(name).is_ok_and(|said| said == value);
    let released = says("PROFILE", "release") && says("DEBUG", "false");
    let of_linux = says("CARGO_CFG_TARGET_OS", "linux") && says("CARGO_CFG_TARGET_ENV", "gnu");
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let usual_linker = env::var_os("RUSTC_LINKER").is_none() && !flags.contains("link");
    if released && of_linux && usual_linker {
        let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned());
        println!("cargo::rustc-link-arg-bins=-T");
        println!("cargo::rustc-link-arg-bins={folder}/{SCRIPT}");
    }
}
