//! `verify`: checks whether a file or a folder has an id.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::json::{Line, path_text};
use crate::cli::output::Output;
use crate::cli::wanted::wanted;
use crate::cli::{Outcome, hash, human};
use crate::core::{Fault, FaultKind};
use crate::store::folder;
use crate::types::ContentId;
use crate::types::name::printable;
use crate::wire::message::Wanted;

/// Fewer digits of an id than these do not say which content is meant.
const DIGITS_MIN: usize = 8;

/// Check whether a file or a folder has an id
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chunkcast verify talk.mkv id:3f9a1c7e
  chunkcast verify photos/ id:91d04b3e      the id that \"chunkcast hash photos/\" prints last

Exit: 0 it has this id, 6 it has another, 7 it cannot be read, 8 unclear: fewer than 8 digits.")]
pub(crate) struct VerifyArgs {
    /// The file or folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Its id: 64 hexadecimal digits, or id: and the first 8 or more of them
    #[arg(value_name = "ID", value_parser = AskedId::parse)]
    id: AskedId,
}

/// The id, or the beginning of one, that a file is compared with.
#[derive(Debug, Clone)]
struct AskedId {
    /// As it was written, for messages.
    text: String,
    wanted: Wanted,
}

impl AskedId {
    fn parse(text: &str) -> Result<AskedId, String> {
        let not_an_id = "not an id: write its 64 hexadecimal digits, or id: and the first 8 or more of them, for \
                         example id:3f9a1c7e";
        match wanted(text) {
            Ok(wanted @ (Wanted::Id(_) | Wanted::Prefix(_))) => Ok(AskedId { text: text.to_owned(), wanted }),
            Err(why) if text.starts_with("id:") => Err(why),
            _ => Err(not_an_id.to_owned()),
        }
    }

    /// How many digits are given, where these are too few to say which content is meant.
    fn too_few_digits(&self) -> Option<usize> {
        match &self.wanted {
            Wanted::Prefix(digits) => Some(digits.len()).filter(|given| *given < DIGITS_MIN),
            _ => None,
        }
    }
}

pub(crate) fn run(args: &VerifyArgs, out: &mut Output) -> Result<Outcome, Exit> {
    let shown = human::quoted_path(&args.path);
    let hashed = identified(&args.path, out);
    let (id, bytes) =
        hashed.map_err(|fault| out.refuse(Exit::of_fault(&fault), &printable(&fault.text), None))?;
    if !args.id.wanted.matches("", &id) {
        out.error(
            Exit::Integrity,
            &format!("{shown} is not that content: its id is {id}"),
            Some(&format!("chunkcast get {}", args.id.text)),
        );
        return Ok(Outcome { bytes, ..Outcome::of(Exit::Integrity) });
    }
    if let Some(given) = args.id.too_few_digits() {
        let given = human::counted(given, "digit does", "digits do");
        out.error(
            Exit::Ambiguous,
            &format!("the id of {shown} begins so, but {given} not identify a file"),
            Some(&format!("give at least {DIGITS_MIN} digits; the id of the file is {id}")),
        );
        return Ok(Outcome { bytes, ..Outcome::of(Exit::Ambiguous) });
    }
    out.json(&Line::Done {
        id,
        name: &args.path.to_string_lossy(),
        path: path_text(&args.path),
        bytes,
        dur: 0.0,
        peers: 0,
        verified: true,
        skipped: false,
    });
    match &args.id.wanted {
        Wanted::Prefix(digits) => out.result(&format!(
            "{shown} is that content, as far as {} digits of its id say; the id is {id}",
            digits.len()
        )),
        _ => out.result(&format!("{shown} is that content")),
    }
    Ok(Outcome { bytes, ..Outcome::of(Exit::Ok) })
}

/// The id of a file or a folder, and its size in bytes.
fn identified(path: &Path, out: &mut Output) -> Result<(ContentId, u64), Fault> {
    let Some(tree) = folder::tree(path)? else { return hash::hashed(path, out) };
    let mut failed = None;
    let listed = hash::listing(path, tree, out, |_, hashed, _| failed = failed.take().or(hashed.err()));
    match (listed, failed) {
        (Some(listed), None) => {
            let listing = listed.map_err(|error| hash::cannot_be_listed(path, &error))?;
            Ok((listing.id(), listing.files().1))
        }
        (_, Some(fault)) => Err(fault),
        (None, None) => Err(Fault { kind: FaultKind::Io, text: "nobody reads the output".to_owned() }),
    }
}
