//! The sending side: what is sent and what is waited for, in which order.

use std::fmt;

use crate::wire::json::{between, member, string};
use crate::wire::transfer::{Form, MESSAGE_BYTES_MAX, METADATA_BYTES_MAX, OK, named};

/// A file that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// In which form.
    pub form: Form,
    /// The sender's name.
    pub sender: String,
    /// The file's name, without folders.
    pub name: String,
    /// Its bytes.
    pub size: u64,
}

/// One step of a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Say this.
    Say(Vec<u8>),
    /// Hear `OK`.
    HearOk,
    /// Send the file, of so many bytes.
    File(u64),
    /// Close the writing half.
    HalfClose,
    /// Hear the other side's end.
    HearEnd,
}

/// The kinds of files that the JSON form knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A picture.
    Image,
    /// Comma-separated values.
    Csv,
    /// JSON.
    Json,
}

/// Why a file cannot be sent in a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SendError {
    /// The JSON form takes images, CSV and JSON alone.
    Kind,
    /// The stepwise form begins with an extension, and this name has none.
    NoExtension,
    /// The name is too long to be said.
    Name,
    /// The named form wants a name of 1 to 64 printable bytes.
    Sender,
}

impl Outgoing {
    /// What is to be done, in order.
    ///
    /// # Errors
    ///
    /// [`SendError`] for a file that this form cannot carry.
    pub fn steps(&self) -> Result<Vec<Step>, SendError> {
        let size = || Step::Say(self.size.to_string().into_bytes());
        match self.form {
            Form::Json => {
                let object = self.metadata()?;
                Ok(vec![
                    Step::Say(object),
                    Step::HearOk,
                    Step::File(self.size),
                    Step::HalfClose,
                    Step::HearEnd,
                ])
            }
            Form::Steps => {
                let extension = extension(&self.name).ok_or(SendError::NoExtension)?.as_bytes().to_vec();
                let name = Some(self.name.as_bytes().to_vec()).filter(|name| name.len() <= MESSAGE_BYTES_MAX);
                let said = [
                    Step::Say(extension),
                    Step::Say(name.ok_or(SendError::Name)?),
                    size(),
                    Step::File(self.size),
                ];
                Ok(said.into_iter().flat_map(|step| [step, Step::HearOk]).collect())
            }
            Form::Short => Ok(vec![size(), Step::HearOk, Step::File(self.size), Step::HearOk]),
            Form::Named => {
                let user = named::user(self.sender.as_bytes()).ok_or(SendError::Sender)?.as_bytes().to_vec();
                Ok(vec![size(), Step::File(self.size), Step::Say(user), Step::HalfClose, Step::HearEnd])
            }
        }
    }

    fn metadata(&self) -> Result<Vec<u8>, SendError> {
        let kind = FileKind::of_name(&self.name).ok_or(SendError::Kind)?;
        let members = [
            member("name", &string(&self.sender)),
            member("fileName", &string(&self.name)),
            member("fileType", &string(kind.as_str())),
        ];
        let object = between('{', members, '}').into_bytes();
        Some(object).filter(|object| object.len() <= METADATA_BYTES_MAX).ok_or(SendError::Name)
    }
}

impl FileKind {
    /// The kind that a file's name tells.
    pub fn of_name(name: &str) -> Option<FileKind> {
        match extension(name)?.to_ascii_lowercase().as_str() {
            ".png" | ".jpg" | ".jpeg" | ".gif" | ".bmp" | ".webp" => Some(FileKind::Image),
            ".csv" => Some(FileKind::Csv),
            ".json" => Some(FileKind::Json),
            _ => None,
        }
    }

    /// As the JSON form says it.
    pub fn as_str(self) -> &'static str {
        match self {
            FileKind::Image => "image",
            FileKind::Csv => "csv",
            FileKind::Json => "json",
        }
    }
}

/// Reads the one word that a receiver says.
#[derive(Debug, Default)]
pub struct OkHearing {
    heard: usize,
}

impl OkHearing {
    /// Takes bytes as they come: whether the word is complete. `Err`: it is another.
    ///
    /// # Errors
    ///
    /// The word is another.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool, NotOk> {
        let rest = OK.get(self.heard..).and_then(|left| left.strip_prefix(bytes)).ok_or(NotOk)?;
        self.heard = OK.len().saturating_sub(rest.len());
        Ok(rest.is_empty())
    }
}

/// The receiver said something else than `OK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOk;

/// A name's extension with its dot; `None`: it has none.
fn extension(name: &str) -> Option<&str> {
    name.rfind('.').and_then(|dot| name.get(dot..)).filter(|extension| extension.len() > 1)
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Kind => "the JSON form takes images, CSV and JSON files alone",
            SendError::NoExtension => {
                "the stepwise form begins with the extension of the name, and this has none"
            }
            SendError::Name => "the name is too long",
            SendError::Sender => "the named form wants a user name of 1 to 64 printable bytes",
        })
    }
}

impl std::error::Error for SendError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::transfer::{Heard, Hearing};
    use proptest::prelude::*;

    fn outgoing(form: Form, name: &str) -> Outgoing {
        Outgoing { form, sender: "alice".to_owned(), name: name.to_owned(), size: 300_001 }
    }

    fn say(text: &str) -> Step {
        Step::Say(text.as_bytes().to_vec())
    }

    #[test]
    fn each_form_says_what_its_receivers_wait_for() {
        let steps = |form, name| outgoing(form, name).steps();
        let object = r#"{"name": "alice", "fileName": "cars.csv", "fileType": "csv"}"#;
        let (ok, file) = (Step::HearOk, Step::File(300_001));
        assert_eq!(
            steps(Form::Json, "cars.csv").unwrap(),
            [say(object), ok.clone(), file.clone(), Step::HalfClose, Step::HearEnd]
        );
        let expected = [say(".png"), ok.clone(), say("x.png"), ok.clone(), say("300001"), ok.clone()];
        assert_eq!(
            steps(Form::Steps, "x.png").unwrap(),
            [&expected[..], &[file.clone(), ok.clone()]].concat()
        );
        assert_eq!(steps(Form::Short, "x").unwrap(), [say("300001"), ok.clone(), file.clone(), ok]);
        assert_eq!(
            steps(Form::Named, "x").unwrap(),
            [say("300001"), file, say("alice"), Step::HalfClose, Step::HearEnd]
        );
    }

    #[test]
    fn what_a_form_cannot_say_is_refused() {
        assert_eq!(outgoing(Form::Json, "talk.mkv").steps(), Err(SendError::Kind));
        assert_eq!(outgoing(Form::Steps, "talk").steps(), Err(SendError::NoExtension));
        assert_eq!(outgoing(Form::Steps, "talk.").steps(), Err(SendError::NoExtension));
        let long = Outgoing { sender: "a".repeat(65), ..outgoing(Form::Named, "x.png") };
        assert_eq!(long.steps(), Err(SendError::Sender));
    }

    #[test]
    fn only_ok_is_ok() {
        let hear = |pieces: &[&[u8]]| {
            let mut hearing = OkHearing::default();
            pieces.iter().map(|piece| hearing.push(piece)).last().unwrap_or(Ok(false))
        };
        assert_eq!(hear(&[b"OK"]), Ok(true));
        assert_eq!(hear(&[b"O", b"K"]), Ok(true));
        assert_eq!(hear(&[b"O"]), Ok(false));
        for other in [b"ok".as_slice(), b"OKAY", b"OK\n", b"NO", b"{"] {
            assert_eq!(hear(&[other]), Err(NotOk), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn a_receiver_hears_what_a_sender_says(name in "[^\\n\\r\\t \u{0}]{1,40}", sender in "\\PC{1,20}", size: u64) {
            for (form, name) in [(Form::Json, format!("{name}.csv")), (Form::Steps, format!("{name}.csv")), (Form::Short, name)] {
                let outgoing = Outgoing { form, sender: sender.clone(), name: name.clone(), size };
                let mut hearing = Hearing::new(false);
                let mut last = Heard::Nothing;
                for step in outgoing.steps().unwrap() {
                    let Step::Say(bytes) = step else { continue };
                    let (used, heard) = hearing.push(&bytes).unwrap();
                    prop_assert_eq!(used, bytes.len());
                    last = if heard == Heard::Nothing { hearing.quiet().unwrap() } else { heard };
                }
                let Heard::Announced(announced) = last else { panic!("{last:?}") };
                prop_assert_eq!(announced.form, form);
                prop_assert!(form == Form::Short || announced.name.as_deref() == Some(&name));
                prop_assert!(form == Form::Json || announced.size == Some(size));
                prop_assert!(form != Form::Json || announced.sender.as_deref() == Some(&sender));
            }
        }
    }
}
