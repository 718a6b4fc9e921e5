//! The type of a file, found from its bytes.

use std::fmt;

use imagesize::{ImageType, blob_size, image_type};
use serde::de::IgnoredAny;

use crate::cli::human;

/// So many records have to agree before a text is a table.
const RECORDS_LOOKED_AT: usize = 20;
/// What stands between the fields of a table.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has no byte.
    Empty,
    /// An image of a format, with width and height where they are told.
    Image { format: &'static str, size: Option<(usize, usize)> },
    /// Rows of fields.
    Csv { delimiter: u8 },
    /// JSON.
    Json,
    /// Other text.
    Text,
    /// Anything else.
    Other,
}

/// What a file is that begins with these bytes, or consists of them.
pub(crate) fn of(bytes: &[u8], is_whole: bool) -> Kind {
    if bytes.is_empty() {
        return Kind::Empty;
    }
    let is_text = is_text(bytes, is_whole);
    // Two letters begin a BMP, and many a text.
    if let Ok(format) = image_type(bytes)
        && !(is_text && format == ImageType::Bmp)
    {
        let size = blob_size(bytes).ok().map(|size| (size.width, size.height));
        return Kind::Image { format: name_of(format), size };
    }
    if !is_text {
        return Kind::Other;
    }
    if is_whole && is_json(bytes) {
        return Kind::Json;
    }
    match DELIMITERS.into_iter().find(|delimiter| is_table(bytes, *delimiter)) {
        Some(delimiter) => Kind::Csv { delimiter },
        None => Kind::Text,
    }
}

impl Kind {
    /// A word for programs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Kind::Empty => "empty",
            Kind::Image { .. } => "image",
            Kind::Csv { .. } => "csv",
            Kind::Json => "json",
            Kind::Text => "text",
            Kind::Other => "other",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Empty => f.write_str("empty"),
            Kind::Image { format, size: Some((width, height)) } => {
                let [width, height] = [width, height].map(|pixels| human::count(*pixels as u64));
                write!(f, "{format} image, {width} × {height}")
            }
            Kind::Image { format, size: None } => write!(f, "{format} image of unknown size"),
            Kind::Csv { .. } => f.write_str("CSV"),
            Kind::Json => f.write_str("JSON"),
            Kind::Text => f.write_str("text"),
            Kind::Other => f.write_str("binary file"),
        }
    }
}

fn name_of(format: ImageType) -> &'static str {
    match format {
        ImageType::Png => "PNG",
        ImageType::Jpeg => "JPEG",
        ImageType::Gif => "GIF",
        ImageType::Webp => "WebP",
        ImageType::Bmp => "BMP",
        ImageType::Tiff => "TIFF",
        _ => "other",
    }
}

fn is_text(bytes: &[u8], is_whole: bool) -> bool {
    let is_utf8 = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        // What was cut may end in the middle of a character.
        Err(error) => !is_whole && error.error_len().is_none(),
    };
    is_utf8 && !bytes.contains(&0)
}

fn is_json(bytes: &[u8]) -> bool {
    let begins = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
    begins && serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// Whether the first records have the same number of fields, and more than one.
fn is_table(bytes: &[u8], delimiter: u8) -> bool {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
    let lengths: Vec<usize> =
        reader.byte_records().take(RECORDS_LOOKED_AT).map_while(Result::ok).map(|row| row.len()).collect();
    match lengths.split_first() {
        Some((first, others)) => *first > 1 && !others.is_empty() && others.iter().all(|len| len == first),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a PNG that claims to be of this size.
    fn png_head(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn bytes_tell_the_kind() {
        for (bytes, kind) in [
            (b"".as_slice(), Kind::Empty),
            (b"{\"a\": 1}", Kind::Json),
            (b" [1, 2]\n", Kind::Json),
            (b"{not json}", Kind::Text),
            (b"a,b\n1,2\n", Kind::Csv { delimiter: b',' }),
            (b"a;b\n1,5;2\n", Kind::Csv { delimiter: b';' }),
            (b"dear all,\nthis is, well, a letter\n", Kind::Text),
            (b"BMW is a car", Kind::Text),
            (b"one line, only", Kind::Text),
            (b"a\0b", Kind::Other),
            (b"\xff\xfe", Kind::Other),
            (&png_head(640, 480), Kind::Image { format: "PNG", size: Some((640, 480)) }),
        ] {
            assert_eq!(of(bytes, true), kind, "{bytes:?}");
        }
        assert_eq!(of("né".as_bytes().split_last().unwrap().1, false), Kind::Text);
    }

    #[test]
    fn a_bomb_is_described() {
        let kind = of(&png_head(200_000, 200_000), true);
        assert_eq!(kind.to_string(), "PNG image, 200,000 × 200,000");
    }
}
