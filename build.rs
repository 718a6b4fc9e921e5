//! Links the released program smaller than the linker would by itself, where the linker can.
//!
//! The program aborts where it panics and carries no symbols, so nobody can use the tables that say how to unwind its functions:
//! they were an eighth of its size, and the compiler cannot be asked to leave them out, because the standard library comes
//! with them. Functions of the same code need to be there once. What has to be relocated when the program starts can be
//! said in bits in place of 24 bytes each. Not every linker knows these, so each is tried with a program that does nothing,
//! beside those that work; the last one also depends on the loader, so that program has to run. A program that was linked so on glibc 2.36
//! or later needs as much where it runs: `CHUNKCAST_PORTABLE=1` leaves that out. Tests, benchmarks and builds with debug information are
//! linked as usual.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const SCRIPT: &str = "packaging/no-unwind-tables.ld";
/// Whether the program is to run on older systems than this one.
const PORTABLE: &str = "CHUNKCAST_PORTABLE";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SCRIPT}");
    for name in ["RUSTC_LINKER", "CARGO_ENCODED_RUSTFLAGS", PORTABLE] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let says = |name: &str, value: &str| env::var(name).is_ok_and(|said| said == value);
    let released = says("PROFILE", "release") && says("DEBUG", "false");
    let of_linux = says("CARGO_CFG_TARGET_OS", "linux") && says("CARGO_CFG_TARGET_ENV", "gnu");
    if !released || !of_linux {
        return;
    }
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned());
    let loads_here = says("HOST", &env::var("TARGET").unwrap_or_default());
    let portable = env::var(PORTABLE).is_ok_and(|said| !said.is_empty() && said != "0");
    let mut arguments: Vec<String> = Vec::new();
    for (argument, is_wanted, is_loaded) in [
        (format!("-Wl,-T,{folder}/{SCRIPT}"), true, false),
        ("-Wl,--icf=all".to_owned(), true, false),
        ("-Wl,-z,pack-relative-relocs".to_owned(), loads_here && !portable, true),
    ] {
        arguments.push(argument);
        if !is_wanted || !works(&arguments, is_loaded) {
            arguments.pop();
        }
    }
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

/// Whether a program that does nothing links with `arguments`, and, where it is `loaded` otherwise, also runs.
fn works(arguments: &[String], loaded: bool) -> bool {
    let said = |name: &str| env::var(name).unwrap_or_default();
    let (compiler, target) = (said("RUSTC"), said("TARGET"));
    let folder = PathBuf::from(said("OUT_DIR"));
    let (source, program) = (folder.join("nothing.rs"), folder.join("nothing"));
    // What is left of an earlier trial must not be taken for this one's.
    let _ = std::fs::remove_file(&program);
    if std::fs::write(&source, "fn main() {}\n").is_err() {
        return false;
    }
    let linker = env::var_os("RUSTC_LINKER").map(|linker| {
        let mut option = OsString::from("linker=");
        option.push(linker);
        [OsString::from("-C"), option]
    });
    let flags = said("CARGO_ENCODED_RUSTFLAGS");
    let linked = Command::new(compiler)
        .args(linker.into_iter().flatten())
        .args(flags.split('\x1f').filter(|flag| !flag.is_empty()))
        .args(["--target", &target, "-C", "panic=abort"])
        .args(arguments.iter().flat_map(|argument| ["-C".to_owned(), format!("link-arg={argument}")]))
        .arg("-o")
        .args([&program, &source])
        .stderr(Stdio::null())
        .status();
    let runs = || Command::new(&program).status().is_ok_and(|status| status.success());
    linked.is_ok_and(|status| status.success()) && (!loaded || runs())
}
