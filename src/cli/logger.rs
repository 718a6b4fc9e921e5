//! The diagnostic log, on stderr.

use std::io::{self, IsTerminal, Write};

use crate::types::name::printable;

/// Starts the log: warnings, more with `-v`, less with `-q`; `RUST_LOG` says it finer.
pub(crate) fn start(verbose: u8, quiet: bool) {
    let level = match (verbose, quiet) {
        (0, true) => "error",
        (0, false) => "warn",
        (1, _) => "info",
        (2, _) => "debug",
        (_, _) => "trace",
    };
    // On a terminal the line that renews itself gives way.
    let clear = if io::stderr().is_terminal() { "\r\u{1b}[K" } else { "" };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level))
        .format(move |out, record| {
            let level = record.level().as_str().to_ascii_lowercase();
            let text = record.args().to_string();
            let text: Vec<String> = text.lines().map(printable).collect();
            writeln!(out, "{clear}chunkcast: {level}: {}", text.join(" | "))
        })
        .init();
}
