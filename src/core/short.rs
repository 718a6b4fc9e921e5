//! Texts that are short most of the time, as names of users are: they lie where they are kept, without memory of their own.

/// So many bytes have room in the place of the text itself, which is as large as a `String`.
const WITHIN_BYTES: usize = 22;

/// See the file's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::core) enum Short {
    Within { len: u8, bytes: [u8; WITHIN_BYTES] },
    Beyond(Box<str>),
}

impl Short {
    /// This text.
    pub(in crate::core) fn new(text: &str) -> Short {
        let mut bytes = [0; WITHIN_BYTES];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                // At most the length of the place.
                Short::Within { len: text.len() as u8, bytes }
            }
            None => Short::Beyond(text.into()),
        }
    }

    /// The text.
    pub(in crate::core) fn as_str(&self) -> &str {
        match self {
            // What was put in whole is text.
            Short::Within { len, bytes } => {
                let text = bytes.get(..usize::from(*len)).unwrap_or_default();
                str::from_utf8(text).unwrap_or_default()
            }
            Short::Beyond(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_come_back() {
        for len in 0..60 {
            let text: String = "añ".chars().cycle().take(len).collect();
            assert_eq!(Short::new(&text).as_str(), text);
        }
        assert!(matches!(Short::new("host-4000"), Short::Within { .. }));
        assert_eq!(size_of::<Short>(), size_of::<String>());
    }
}
