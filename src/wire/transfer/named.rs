//! The `named` format: size, file and the sender's name, without separators.
//!
//! The size is the leading run of digits, or a prefix of it, for which the rest of the stream is that many bytes and a
//! plausible name. If several prefixes fit, the longest counts, so that a file that begins with digits is read
//! correctly unless its own bytes contradict.

use crate::wire::transfer::{SIZE_DIGITS_MAX, USER_BYTES_MAX};

/// Where the parts of a stream are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// So many bytes are the size.
    pub digits: u64,
    /// So many bytes behind them are the file.
    pub bytes: u64,
    /// The sender's name, as it says it.
    pub user: String,
}

/// So many bytes of a stream's beginning have to be known.
pub const HEAD_BYTES: usize = SIZE_DIGITS_MAX;
/// So many bytes of a stream's end have to be known.
pub const TAIL_BYTES: usize = USER_BYTES_MAX;

/// Takes a whole stream of `total` bytes apart: `head` are its first [`HEAD_BYTES`] bytes, `tail` its last [`TAIL_BYTES`],
/// both fewer only where the stream is shorter. `None`: the parts do not fit together.
pub fn parts(head: &[u8], tail: &[u8], total: u64) -> Option<Parts> {
    let run = head.iter().take(SIZE_DIGITS_MAX).take_while(|byte| byte.is_ascii_digit()).count();
    (1..=run).rev().find_map(|digits| {
        let bytes = size(head.get(..digits)?)?;
        let user_bytes = total.checked_sub(digits as u64)?.checked_sub(bytes)?;
        let before_user = tail.len().checked_sub(usize::try_from(user_bytes).ok()?)?;
        let user = user(tail.get(before_user..)?)?;
        Some(Parts { digits: digits as u64, bytes, user: user.to_owned() })
    })
}

/// The user's name that these bytes are, if one is plausible: 1 to [`USER_BYTES_MAX`] printable bytes.
pub fn user(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let plausible = bytes.len() <= USER_BYTES_MAX && !text.chars().any(char::is_control);
    (plausible && !text.trim().is_empty()).then_some(text)
}

/// The number that these digits are.
pub(super) fn size(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(stream: &[u8]) -> Option<Parts> {
        let head = &stream[..stream.len().min(HEAD_BYTES)];
        let tail = &stream[stream.len().saturating_sub(TAIL_BYTES)..];
        parts(head, tail, stream.len() as u64)
    }

    fn found(digits: u64, bytes: u64, user: &str) -> Option<Parts> {
        Some(Parts { digits, bytes, user: user.to_owned() })
    }

    #[test]
    fn the_longest_prefix_that_fits_counts() {
        assert_eq!(whole(b"3abcalice"), found(1, 3, "alice"));
        // The file itself begins with a digit.
        assert_eq!(whole(b"33bcalice"), found(1, 3, "alice"));
        // Both 1 and 12 fit; as 12 the stream is used up to a name of one letter.
        assert_eq!(whole(b"12abcdefghijklm"), found(2, 12, "m"));
        assert_eq!(whole(b"0alice"), found(1, 0, "alice"));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let long = [b"1x".as_slice(), &[b'a'; 65]].concat();
        for stream in
            [b"".as_slice(), b"x3abc", b"3abc", b"4abc", b"3abc\x1b[2J", b"3abc\xff", b"3abc  ", &long]
        {
            assert_eq!(whole(stream), None, "{stream:?}");
        }
        assert_eq!(whole(&[b'9'; 100]), None);
    }

    proptest! {
        #[test]
        fn what_was_sent_is_taken_apart(file in proptest::collection::vec(any::<u8>(), 0..300), user in "[a-zA-Zé]{1,20}") {
            let stream = [file.len().to_string().as_bytes(), &file, user.as_bytes()].concat();
            let parts = whole(&stream).unwrap();
            let digits = file.len().to_string().len() as u64;
            // Another reading is only ever a longer one, of a file that begins with digits.
            prop_assert!(parts.digits >= digits);
            if !file.first().is_some_and(u8::is_ascii_digit) {
                prop_assert_eq!(parts, Parts { digits, bytes: file.len() as u64, user });
            }
        }

        #[test]
        fn no_bytes_panic(head: Vec<u8>, tail: Vec<u8>, total: u64) {
            let _ = parts(&head, &tail, total);
        }
    }
}
