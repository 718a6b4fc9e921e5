//! The part of a content that a conditional request asks for. The tag of a content is its id, so it never goes stale.

use std::ops::Range;

use crate::types::id::ContentId;

/// The fields that decide it, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `Range`.
    pub range: Option<String>,
    /// `If-Range`.
    pub if_range: Option<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
}

/// What follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The asker has it.
    NotModified,
    /// All of it.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// A part that does not exist.
    Beyond,
}

impl Conditions {
    /// What is wanted of a content of so many bytes. A range that is malformed, or several, count as none.
    pub fn judge(&self, content: &ContentId, size: u64) -> Verdict {
        let tag = format!("\"{content}\"");
        let is_it = |text: &str| {
            let text = text.trim();
            text == "*" || text.strip_prefix("W/").unwrap_or(text) == tag
        };
        if self.if_none_match.as_ref().is_some_and(|list| list.split(',').any(is_it)) {
            return Verdict::NotModified;
        }
        let same = self.if_range.as_ref().is_none_or(|text| text.trim() == tag);
        match self.range.as_deref().filter(|_| same).and_then(|text| part_of(text, size)) {
            None => Verdict::Whole,
            Some(None) => Verdict::Beyond,
            Some(Some(part)) => Verdict::Part(part),
        }
    }
}

/// The one range of a field; `None`: it says nothing. `Some(None)`: nothing is there.
fn part_of(text: &str, size: u64) -> Option<Option<Range<u64>>> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    let part = match (first.is_empty(), last.is_empty()) {
        (true, true) => return None,
        (true, false) => size.saturating_sub(number(last)?)..size,
        (false, true) => number(first)?..size,
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..size.min(last.saturating_add(1))
        }
    };
    Some((part.start < part.end).then_some(part))
}

/// A number of bytes; one that does not fit is beyond every file's end.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: ContentId = ContentId([0xab; 32]);

    fn judge(range: &str, size: u64) -> Verdict {
        Conditions { range: Some(range.to_owned()), ..Conditions::default() }.judge(&ID, size)
    }

    #[test]
    fn ranges() {
        for (range, verdict) in [
            ("bytes=0-", Verdict::Part(0..10)),
            ("bytes=3-4", Verdict::Part(3..5)),
            ("Bytes = 3 - 99", Verdict::Part(3..10)),
            ("bytes=-3", Verdict::Part(7..10)),
            ("bytes=-99", Verdict::Part(0..10)),
            ("bytes=0-18446744073709551615", Verdict::Part(0..10)),
            ("bytes=10-", Verdict::Beyond),
            ("bytes=99999999999999999999999-", Verdict::Beyond),
            ("bytes=-0", Verdict::Beyond),
            ("bytes=4-3", Verdict::Whole),
            ("bytes=0-1,3-4", Verdict::Whole),
            ("bytes=-", Verdict::Whole),
            ("bytes=a-", Verdict::Whole),
            ("items=0-1", Verdict::Whole),
            ("", Verdict::Whole),
        ] {
            assert_eq!(judge(range, 10), verdict, "{range}");
        }
        assert_eq!((judge("bytes=0-", 0), judge("bytes=-5", 0)), (Verdict::Beyond, Verdict::Beyond));
    }

    #[test]
    fn tags() {
        let tag = format!("\"{ID}\"");
        let has = |text: &str| {
            Conditions { if_none_match: Some(text.to_owned()), ..Conditions::default() }.judge(&ID, 10)
        };
        for text in [tag.clone(), format!("\"x\" , W/{tag}"), "*".to_owned()] {
            assert_eq!(has(&text), Verdict::NotModified, "{text}");
        }
        assert_eq!(has("\"x\""), Verdict::Whole);
        let resumed = |tag: &str| {
            let (range, if_range) = (Some("bytes=3-".to_owned()), Some(tag.to_owned()));
            Conditions { range, if_range, if_none_match: None }.judge(&ID, 10)
        };
        assert_eq!(resumed(&tag), Verdict::Part(3..10));
        for other in ["\"x\"".to_owned(), format!("W/{tag}"), "Fri, 20 Nov 2026 00:00:00 GMT".to_owned()] {
            assert_eq!(resumed(&other), Verdict::Whole, "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_content(text in "bytes=[0-9]{0,20}-[0-9]{0,20}|.*", size: u64) {
            if let Verdict::Part(part) = judge(&text, size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }
    }
}
