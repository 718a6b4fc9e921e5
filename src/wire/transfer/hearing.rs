//! The receiving side: from the first byte of a connection to what the sender says about its file.
//!
//! This module owns the bytes of a message until it is over. In `steps` and `short` only silence ends a message, so
//! bytes alone never end one here: [`Hearing::quiet`] does, after a pause of [`Hearing::patience`]. So the result does
//! not depend on how the stream was split.

use std::fmt;

use serde_json::Value;

use crate::wire::json::ClosingScan;
use crate::wire::transfer::{Form, MESSAGE_BYTES_MAX, METADATA_BYTES_MAX, SIZE_DIGITS_MAX, named};

/// Extensions after which nothing more of them is expected.
const EXTENSIONS: &[&str] = &[
    ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".csv", ".json", ".txt", ".pdf", ".mp3", ".mp4",
    ".mkv", ".zip",
];

/// What a sender says of its file before it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// In which form.
    pub form: Form,
    /// The sender's name.
    pub sender: Option<String>,
    /// The file's name: a suggestion.
    pub name: Option<String>,
    /// What it says the file is: a word, or an extension with its dot.
    pub kind: Option<String>,
    /// How many bytes will come.
    pub size: Option<u64>,
}

/// What bytes or silence meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Nothing yet.
    Nothing,
    /// A message is over; `OK` lets the sender go on to the next.
    Step,
    /// The file follows. In the named form nothing was said of it, and its size is among what follows.
    Announced(Announced),
}

/// How long a silence ends the message that has come so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It looks complete: a short one.
    Short,
    /// More may be on its way: a longer one.
    Long,
}

/// Why a sender cannot be understood. The connection cannot go on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransferError {
    /// The first byte begins none of the forms.
    NoForm,
    /// Longer than any message may be.
    TooLong,
    /// Not JSON, or not text.
    Malformed,
    /// No name of a file in the object, or no text.
    NoName,
    /// No size, or none that fits.
    NoSize,
    /// The stream ended before the file was described.
    CutShort,
}

/// Reads what one sender says.
#[derive(Debug)]
pub struct Hearing {
    /// A digit at the beginning is the named form's, not the short one's.
    is_named: bool,
    stage: Stage,
    text: Vec<u8>,
    scan: ClosingScan,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    First,
    Metadata,
    Extension,
    Name { extension: String },
    Size { extension: String, name: String },
    ShortSize,
    Over,
}

impl Hearing {
    /// For a connection at a port where a digit begins the named form, or else the short one.
    pub fn new(is_named: bool) -> Hearing {
        Hearing { is_named, stage: Stage::First, text: Vec::new(), scan: ClosingScan::default() }
    }

    /// Takes bytes as they come, up to where the file begins: how many were used, and what they mean.
    ///
    /// # Errors
    ///
    /// [`TransferError`] for bytes that begin no transfer.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(usize, Heard), TransferError> {
        let Some(first) = bytes.first() else { return Ok((0, Heard::Nothing)) };
        if self.stage == Stage::First {
            self.stage = match first {
                b'{' => Stage::Metadata,
                b'.' => Stage::Extension,
                b'0'..=b'9' if self.is_named => {
                    self.stage = Stage::Over;
                    return Ok((0, Heard::Announced(Announced::of_form(Form::Named))));
                }
                b'0'..=b'9' => Stage::ShortSize,
                _ => return Err(TransferError::NoForm),
            };
        }
        match self.stage {
            Stage::Metadata => self.take_metadata(bytes),
            Stage::Over => Ok((0, Heard::Nothing)),
            Stage::First | Stage::Extension | Stage::Name { .. } => self.take_text(bytes, MESSAGE_BYTES_MAX),
            // With room for a line end, which some put behind it.
            Stage::Size { .. } | Stage::ShortSize => self.take_text(bytes, SIZE_DIGITS_MAX + 2),
        }
    }

    /// How long a silence ends what has come so far; `None`: silence ends nothing now.
    pub fn patience(&self) -> Option<Patience> {
        if self.text.is_empty() {
            return None;
        }
        let looks_complete = match &self.stage {
            Stage::First | Stage::Metadata | Stage::Over => return None,
            Stage::Extension => EXTENSIONS
                .iter()
                .any(|known| known.as_bytes().eq_ignore_ascii_case(self.text.trim_ascii_end())),
            Stage::Name { extension } => {
                let stem_bytes = self.text.len().saturating_sub(extension.len());
                let end = self.text.get(stem_bytes..).unwrap_or_default();
                stem_bytes > 0 && end.eq_ignore_ascii_case(extension.as_bytes())
            }
            Stage::Size { .. } | Stage::ShortSize => true,
        };
        Some(if looks_complete { Patience::Short } else { Patience::Long })
    }

    /// The silence that [`Hearing::patience`] asks for is over: so is the message.
    ///
    /// # Errors
    ///
    /// [`TransferError`] for a message that may not end there.
    pub fn quiet(&mut self) -> Result<Heard, TransferError> {
        if self.patience().is_none() {
            return Ok(Heard::Nothing);
        }
        let text = std::mem::take(&mut self.text);
        let text = text.trim_ascii_end();
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Extension => {
                self.stage = Stage::Name { extension: message(text)? };
                Ok(Heard::Step)
            }
            Stage::Name { extension } => {
                self.stage = Stage::Size { extension, name: message(text)? };
                Ok(Heard::Step)
            }
            Stage::Size { extension, name } => Ok(Heard::Announced(Announced {
                name: Some(name),
                kind: Some(extension),
                size: Some(named::size(text).ok_or(TransferError::NoSize)?),
                ..Announced::of_form(Form::Steps)
            })),
            Stage::ShortSize => Ok(Heard::Announced(Announced {
                size: Some(named::size(text).ok_or(TransferError::NoSize)?),
                ..Announced::of_form(Form::Short)
            })),
            stage @ (Stage::First | Stage::Metadata | Stage::Over) => {
                self.stage = stage;
                Ok(Heard::Nothing)
            }
        }
    }

    /// Whether nothing at all has come.
    pub fn is_silent(&self) -> bool {
        self.stage == Stage::First
    }

    fn take_metadata(&mut self, bytes: &[u8]) -> Result<(usize, Heard), TransferError> {
        for (at, byte) in bytes.iter().enumerate() {
            if self.text.len() >= METADATA_BYTES_MAX {
                return Err(TransferError::TooLong);
            }
            self.text.push(*byte);
            if self.scan.closes(*byte) {
                self.stage = Stage::Over;
                let announced = metadata(&std::mem::take(&mut self.text))?;
                return Ok((at.saturating_add(1), Heard::Announced(announced)));
            }
        }
        Ok((bytes.len(), Heard::Nothing))
    }

    fn take_text(&mut self, bytes: &[u8], bytes_max: usize) -> Result<(usize, Heard), TransferError> {
        if self.text.len().saturating_add(bytes.len()) > bytes_max {
            return Err(TransferError::TooLong);
        }
        self.text.extend_from_slice(bytes);
        Ok((bytes.len(), Heard::Nothing))
    }
}

impl Announced {
    fn of_form(form: Form) -> Announced {
        Announced { form, sender: None, name: None, kind: None, size: None }
    }
}

/// A message of the stepwise form.
fn message(text: &[u8]) -> Result<String, TransferError> {
    String::from_utf8(text.to_vec()).map_err(|_| TransferError::Malformed)
}

/// What the object of the JSON form says. What else is in it concerns nobody here.
fn metadata(object: &[u8]) -> Result<Announced, TransferError> {
    let Ok(Value::Object(mut members)) = serde_json::from_slice(object) else {
        return Err(TransferError::Malformed);
    };
    let mut text = |key| match members.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let name = text("fileName").ok_or(TransferError::NoName)?;
    Ok(Announced {
        sender: text("name").filter(|sender| !sender.is_empty()),
        name: Some(name),
        kind: text("fileType"),
        ..Announced::of_form(Form::Json)
    })
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TransferError::NoForm => "what it says is no form of a push",
            TransferError::TooLong => "it describes its file at too great a length",
            TransferError::Malformed => "the description of its file makes no sense",
            TransferError::NoName => "it does not say the file's name",
            TransferError::NoSize => "it does not say the file's size as a number",
            TransferError::CutShort => "the connection ended before the file was described",
        })
    }
}

impl std::error::Error for TransferError {}

#[cfg(test)]
mod tests;
