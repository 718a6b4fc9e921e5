//! The command of `--on-error`: its environment, and its time limit.

use std::ffi::OsString;
use std::time::Duration;

use crate::cli::failure::Failure;
use crate::cli::failure_notice::Subject;
use crate::shell::aside::CommandQueue;
use crate::types::name::printable;

/// The variable that stands for the flag.
pub(super) const VARIABLE: &str = "CHUNKCAST_ON_ERROR";
/// How long the command may take for one failure.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the process waits at its end for commands that are not through.
pub(super) const END_MAX: Duration = Duration::from_secs(10);

/// A queue for this command.
pub(super) fn queue(command: String) -> CommandQueue {
    CommandQueue::new(command, LIMIT)
}

/// What the command finds in its environment. Text from peers is escaped; an empty value stands for a variable that is
/// not set.
pub(super) fn variables(failure: &Failure, of: &Subject<'_>) -> Vec<(&'static str, OsString)> {
    let path = of.path.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    vec![
        ("CHUNKCAST_ERROR_NAME", of.name.map(printable).unwrap_or_default().into()),
        ("CHUNKCAST_ERROR_ID", of.id.map(|id| id.to_string()).unwrap_or_default().into()),
        ("CHUNKCAST_ERROR_REASON", failure.happened.clone().into()),
        ("CHUNKCAST_ERROR_PATH", path.unwrap_or_default().into()),
        ("CHUNKCAST_ERROR_EXIT", failure.exit.code().to_string().into()),
        ("CHUNKCAST_ERROR_KIND", failure.exit.word().into()),
        ("CHUNKCAST_ERROR_KEPT", failure.kept.clone().unwrap_or_default().into()),
        ("CHUNKCAST_ERROR_NEXT", failure.next.join("\n").into()),
        // A command that calls this program again must not call itself without end.
        (VARIABLE, OsString::new()),
    ]
}

/// A clause about the command as a sentence.
pub(super) fn complaint(clause: &str) -> String {
    format!("the command of --on-error {clause}")
}
