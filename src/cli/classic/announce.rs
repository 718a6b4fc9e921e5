//! `classic announce`: cuts files into chunks and announces the available chunks again and again.

use std::path::PathBuf;

use clap::Args;

use crate::cli::classic::folder::Folder;
use crate::cli::classic::setup::{Alone, Duty};
use crate::cli::classic::{self, until_ended};
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::{Outcome, human};
use crate::core::{ClassicEvent, Voice};
use crate::shell::terminal;
use crate::types::name::printable;
use crate::wire::classic::ChunkName;

/// As JSON lines name it.
pub(super) const COMMAND: &str = "classic announce";

const ABOUT: &str = "\
Cut files into the chunks of a dialect, put them into the folder, list them in Available_Chunks.txt, and announce that \
list until Ctrl-C: once at the start, then every --announce-interval. The folder is read again for each announcement, so \
chunks that another program adds are announced too. Programs that keep no such list put chunk files beside themselves, \
or into the folder temp; these chunks are announced then.

Without FILE, a terminal is asked for one. Without an answer or a terminal, the chunks in the folder are announced.";

const EXAMPLES: &str = "\
Examples:
  chunkcast classic announce forest.png
  chunkcast classic announce --dir shared            the chunks in the folder shared
  chunkcast classic announce forest.png --dialect A  chunk names of dialect A, on UDP port 5000

Exit: 0 ended by Ctrl-C or SIGTERM, 2 usage, 4 no network, 7 a file cannot be read or cut.";

/// Cut files into chunks and announce them
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct AnnounceArgs {
    /// Files to cut and announce [default: ask, or the chunks in the folder]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    alone: Alone,
}

pub(super) fn run(args: &AnnounceArgs, global: &Global, out: &mut Output) -> Outcome {
    let files = if args.files.is_empty() && out.may_ask() { asked(out) } else { args.files.clone() };
    let folder = args.alone.folder();
    // Before the first round: the next one is a minute later.
    if let Err(exit) = cut(&folder, &files, out) {
        return Outcome::of(exit);
    }
    let mut run = match classic::start(COMMAND, Duty::Announce, (&args.alone, &folder), global, out) {
        Ok(run) => run,
        Err(exit) => return Outcome::of(exit),
    };
    if let Some(missing) = folder.missing().filter(|_| files.is_empty()) {
        run.out.note(&missing);
    }
    let formats = args.alone.announcement_formats(&folder);
    let exit = until_ended(&mut run, |run, event| {
        if let ClassicEvent::Announced { chunks } = event {
            run.out.note(&announced(*chunks, &formats));
        }
    });
    classic::leave(&mut run, |_, _| {});
    Outcome { exit, done: files.len(), failed: 0, bytes: 0 }
}

/// Cuts the files, and says into what.
fn cut(folder: &Folder, files: &[PathBuf], out: &mut Output) -> Result<(), Exit> {
    for file in files {
        let shown = printable(&file.to_string_lossy());
        match folder.cut(file) {
            Ok(chunks) => {
                let names: Vec<String> = chunks.iter().map(ChunkName::to_string).collect();
                out.result(&format!("{shown}: {}", printable(&names.join(" "))));
            }
            Err(fault) => {
                let exit = Exit::of_fault(&fault);
                out.error(exit, &printable(&fault.text), None);
                return Err(exit);
            }
        }
    }
    Ok(())
}

/// The file that somebody types. Nothing runs yet that a question could hold up.
fn asked(out: &mut Output) -> Vec<PathBuf> {
    out.prompt("which file? (empty: the chunks in the folder) ");
    let line = terminal::read_line().recv().unwrap_or_default();
    let name = line.trim_end_matches(['\n', '\r']);
    if name.is_empty() { Vec::new() } else { vec![PathBuf::from(name)] }
}

/// What a round of announcements is, for people.
pub(super) fn announced(chunks: usize, formats: &[Voice]) -> String {
    let ports: Vec<String> = formats.iter().map(|format| format.port.to_string()).collect();
    let ports = ports.join(" and ");
    match chunks {
        0 => format!("nothing to announce on UDP {ports}"),
        _ => format!("announced {} on UDP {ports}", human::counted(chunks, "chunk", "chunks")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::classic::Dialect;

    #[test]
    fn a_round_says_how_much_and_where() {
        let formats = [5001, 5002].map(|port| Voice { dialect: Dialect::D, port });
        assert_eq!(announced(5, &formats[..1]), "announced 5 chunks on UDP 5001");
        assert_eq!(announced(1, &formats), "announced 1 chunk on UDP 5001 and 5002");
        assert_eq!(announced(0, &formats[..1]), "nothing to announce on UDP 5001");
    }
}
