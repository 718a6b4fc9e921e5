//! Transfers in the four formats of other programs, in which a sender sends a file unasked.
//!
//! A receiver tells the formats apart by the first byte ([`hearing`]); a sender follows a script ([`telling`]). The
//! format without separators is parsed when all of it is here ([`named`]). The owner of a clock decides what is a pause
//! between two messages; this module has no clock.

pub mod hearing;
pub mod named;
pub mod telling;

use std::fmt;
use std::str::FromStr;

pub use hearing::{Announced, Heard, Hearing, Patience, TransferError};
pub use telling::{FileKind, OkHearing, Outgoing, SendError, Step};

/// The port on which receivers listen.
pub const PORT: u16 = 8080;
/// The port on which receivers of the named form listen.
pub const NAMED_PORT: u16 = 5000;
/// Where receivers of the named form write down who sent what, beside what they receive.
pub const NAMED_LOG: &str = "log.txt";
/// What a receiver says to go on.
pub const OK: &[u8] = b"OK";
/// The most bytes of metadata in the JSON form.
pub const METADATA_BYTES_MAX: usize = 64 << 10;
/// The most bytes of a message in the stepwise form: a name of 4 KiB, and some.
pub const MESSAGE_BYTES_MAX: usize = 8 << 10;
/// The most digits of a size.
pub const SIZE_DIGITS_MAX: usize = 20;
/// The most bytes of a user's name in the named form.
pub const USER_BYTES_MAX: usize = 64;

/// In which form a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// An object that describes the file, `OK`, the file to the end of the stream.
    Json,
    /// Extension, name, size, file, each answered with `OK`.
    Steps,
    /// Size and file, each answered with `OK`.
    Short,
    /// Size, file and the sender's name in one stream, nothing answered.
    Named,
}

impl Form {
    /// All of them.
    pub const ALL: [Form; 4] = [Form::Json, Form::Steps, Form::Short, Form::Named];

    /// The name by which people ask for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Form::Json => "json",
            Form::Steps => "steps",
            Form::Short => "short",
            Form::Named => "named",
        }
    }

    /// The port on which its receivers listen.
    pub fn port(self) -> u16 {
        match self {
            Form::Named => NAMED_PORT,
            Form::Json | Form::Steps | Form::Short => PORT,
        }
    }

    /// Whether a receiver says `OK` before the file comes.
    pub fn is_answered(self) -> bool {
        self != Form::Named
    }

    /// Whether a receiver says `OK` once the file is there.
    pub fn is_acknowledged(self) -> bool {
        matches!(self, Form::Steps | Form::Short)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Form {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Form, &'static str> {
        Form::ALL.into_iter().find(|form| form.as_str() == text).ok_or("write json, steps, short or named")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_they_are_written() {
        for form in Form::ALL {
            assert_eq!(form.as_str().parse(), Ok(form));
        }
        assert!("JSON".parse::<Form>().is_err());
    }
}
