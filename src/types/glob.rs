//! Patterns of names: `*`, `?`, `[...]`.
//!
//! Patterns and names both come from the network. A pattern is compiled once. After that, each character of a name
//! costs the same few operations, whatever came before: one bit for each place in the pattern that the characters so
//! far may have reached. There is no backtracking, so no pattern can make a name expensive.

/// The most wildcards (`*`, `?` and brackets) of a pattern.
pub const WILDCARDS_MAX: usize = 64;
/// The most bytes inside the brackets of a pattern, all of them together.
pub const BRACKET_BYTES_MAX: usize = 256;

/// What a character takes beside the words of its row.
const CHARACTER_STEPS: usize = 2;
/// The characters that have a row of their own whatever the pattern.
const ASCII: usize = 128;

/// Whether a pattern has no more wildcards, and no more bytes inside brackets, than a pattern may have.
///
/// ```
/// use chunkcast::types::glob::is_within_limits;
/// assert!(is_within_limits("talk-[0-9]?.*"));
/// assert!(!is_within_limits(&"*a".repeat(100)));
/// ```
pub fn is_within_limits(pattern: &str) -> bool {
    let (mut wildcards, mut bytes) = (0_usize, 0_usize);
    for (element, _) in Elements::of(pattern) {
        wildcards = wildcards.saturating_add(usize::from(!matches!(element, Element::Literal(_))));
        bytes = bytes.saturating_add(if let Element::Set(set) = element { set.len() } else { 0 });
    }
    wildcards <= WILDCARDS_MAX && bytes <= BRACKET_BYTES_MAX
}

/// A pattern that was read, to be compared with names.
///
/// A *place* is what of the pattern was passed: so many elements, stars not counted. Sets of places are bits in `words`
/// words. A row says from which places a character leads to the next one.
#[derive(Debug)]
pub(crate) struct Pattern<'p> {
    /// What each matching name begins and ends with: most names are told apart by that alone.
    head: &'p str,
    tail: &'p str,
    words: usize,
    /// The places that a star lets a character stay at.
    stays: Vec<u64>,
    /// One row for each ASCII character, then one for each of `others`, which has the literals alone: there may be hundreds
    /// of them, and names with few. The last is made from it and the wildcards whenever a character that is not ASCII comes.
    rows: Vec<u64>,
    /// The literal characters of the pattern that are not ASCII, in order.
    others: Vec<char>,
    /// The elements that may match other characters, each with its place.
    wild: Vec<(usize, Element<'p>)>,
    /// The places that were reached, and the last one: who reaches it matches.
    reached: Vec<u64>,
    end: usize,
    steps: u64,
}

/// One element of a pattern.
#[derive(Debug, Clone, Copy)]
enum Element<'p> {
    /// Any characters.
    Star,
    /// One character.
    Any,
    /// One of these, or none of these.
    Set(&'p str),
    /// This character.
    Literal(char),
}

/// The elements of a pattern in order, each with what is behind it. A `[` without its `]` stands for itself.
struct Elements<'p> {
    rest: &'p str,
    /// How many bytes are behind the last `]`: a `[` among them needs no search for one, so that a pattern of nothing but
    /// `[` takes no more than its length.
    unclosed: usize,
    /// How many bytes were looked at in search of a `]`.
    searched: usize,
}

impl<'p> Elements<'p> {
    fn of(pattern: &'p str) -> Elements<'p> {
        let unclosed = pattern.rsplit_once(']').map_or(pattern, |(_, behind)| behind).len();
        Elements { rest: pattern, unclosed, searched: 0 }
    }
}

impl<'p> Iterator for Elements<'p> {
    type Item = (Element<'p>, &'p str);

    fn next(&mut self) -> Option<(Element<'p>, &'p str)> {
        let mut chars = self.rest.chars();
        let first = chars.next()?;
        let rest = chars.as_str();
        let may_close = first == '[' && rest.len() > self.unclosed;
        let class = may_close.then(|| class(rest)).flatten();
        if may_close {
            self.searched = self.searched.saturating_add(class.map_or(rest.len(), |(set, _)| set.len()));
        }
        let (element, rest) = match (first, class) {
            ('*', _) => (Element::Star, rest),
            ('?', _) => (Element::Any, rest),
            (_, Some((set, behind))) => (Element::Set(set), behind),
            (literal, None) => (Element::Literal(literal), rest),
        };
        self.rest = rest;
        Some((element, rest))
    }
}

impl<'p> Pattern<'p> {
    /// Reads a pattern. That takes a step for each byte and each word of a row, and one for each ASCII character that a
    /// wildcard matches: less than a first slice of those that look through names, whatever the pattern.
    pub(crate) fn new(pattern: &'p str) -> Pattern<'p> {
        let (mut head, mut tail) = (pattern, "");
        let mut elements = Vec::new();
        let mut before = pattern;
        let mut read = Elements::of(pattern);
        for (element, behind) in read.by_ref() {
            if !matches!(element, Element::Literal(_)) {
                if head.len() == pattern.len() {
                    head = pattern.strip_suffix(before).unwrap_or_default();
                }
                tail = behind;
            }
            elements.push(element);
            before = behind;
        }
        let read_bytes = pattern.len().saturating_add(read.searched);
        let literal = |element: &Element<'_>| match element {
            Element::Literal(c) if !c.is_ascii() => Some(*c),
            _ => None,
        };
        let mut others: Vec<char> = elements.iter().filter_map(literal).collect();
        others.sort_unstable();
        others.dedup();
        let end = elements.iter().filter(|element| !matches!(element, Element::Star)).count();
        let words = (end / 64).saturating_add(1);
        let rows = ASCII.saturating_add(others.len()).saturating_add(1);
        let mut read = Pattern {
            head,
            tail,
            words,
            stays: vec![0; words],
            rows: vec![0; rows.saturating_mul(words)],
            others,
            wild: Vec::new(),
            reached: vec![0; words],
            end,
            steps: 0,
        };
        read.count(read_bytes.saturating_add(read.rows.len()));
        let mut place = 0_usize;
        for element in elements {
            match element {
                Element::Star => mark(&mut read.stays, place),
                Element::Literal(c) => {
                    let row = read.row_of(c);
                    mark(read.row_mut(row), place);
                }
                Element::Any | Element::Set(_) => {
                    read.mark_ascii(place, element);
                    read.wild.push((place, element));
                }
            }
            place = place.saturating_add(usize::from(!matches!(element, Element::Star)));
        }
        read
    }

    /// Whether all of `text` is what the pattern describes.
    pub(crate) fn matches(&mut self, text: &str) -> bool {
        self.count(1);
        if !text.starts_with(self.head) || !text.ends_with(self.tail) {
            return false;
        }
        self.reached.fill(0);
        mark(&mut self.reached, 0);
        for c in text.chars() {
            self.count(self.words.saturating_add(CHARACTER_STEPS));
            let row = if c.is_ascii() { c as usize } else { self.make_row(c) };
            let row = self.rows.chunks_exact(self.words).nth(row).unwrap_or_default();
            let (mut carried, mut any) = (0, 0);
            for ((reached, leads), stays) in self.reached.iter_mut().zip(row).zip(&self.stays) {
                let on = *reached & leads;
                *reached = (on << 1) | carried | (*reached & stays);
                carried = on >> 63;
                any |= *reached;
            }
            if any == 0 {
                return false;
            }
        }
        self.reached.get(self.end / 64).is_some_and(|word| (word >> (self.end % 64)) & 1 == 1)
    }

    /// What reading and comparing took so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    fn count(&mut self, steps: usize) {
        self.steps = self.steps.saturating_add(steps as u64);
    }

    /// Which row is a character's: the last where it has none of its own.
    fn row_of(&self, c: char) -> usize {
        if c.is_ascii() {
            return c as usize;
        }
        self.others.binary_search(&c).map_or(self.any_other(), |at| ASCII.saturating_add(at))
    }

    /// The row of the characters that have none of their own.
    fn any_other(&self) -> usize {
        ASCII.saturating_add(self.others.len())
    }

    fn row_mut(&mut self, row: usize) -> &mut [u64] {
        self.rows.chunks_exact_mut(self.words).nth(row).unwrap_or_default()
    }

    /// Marks the place of a wildcard in the rows of the ASCII characters that it matches.
    fn mark_ascii(&mut self, place: usize, element: Element<'_>) {
        let ascii = match element {
            Element::Set(set) => {
                self.count(set.len());
                ascii_of(set)
            }
            _ => u128::MAX,
        };
        for c in (0..ASCII).filter(|c| (ascii >> c) & 1 == 1) {
            self.count(1);
            mark(self.row_mut(c), place);
        }
    }

    /// Makes the row of a character that is not ASCII, and says which it is.
    fn make_row(&mut self, c: char) -> usize {
        let (literals, row) = (self.row_of(c), self.any_other());
        self.count(self.words);
        let begin = literals.saturating_mul(self.words);
        if literals == row {
            self.row_mut(row).fill(0);
        } else {
            self.rows.copy_within(begin..begin.saturating_add(self.words), row.saturating_mul(self.words));
        }
        let Some(row_words) = self.rows.chunks_exact_mut(self.words).nth(row) else { return row };
        for (place, element) in &self.wild {
            let (steps, is_match) = match element {
                Element::Set(set) => (set.len(), is_in(set, c)),
                _ => (0, true),
            };
            self.steps = self.steps.saturating_add(steps as u64).saturating_add(1);
            if is_match {
                mark(row_words, *place);
            }
        }
        row
    }
}

/// Puts a place into a set.
fn mark(set: &mut [u64], place: usize) {
    if let Some(word) = set.get_mut(place / 64) {
        *word |= 1 << (place % 64);
    }
}

/// The set that ends with the first `]`, where one that stands first is in the set, and what is behind it.
fn class(inner: &str) -> Option<(&str, &str)> {
    let mut members = inner.strip_prefix(['!', '^']).unwrap_or(inner).chars();
    members.next()?;
    let (_, behind) = members.as_str().split_once(']')?;
    let set = inner.strip_suffix(behind)?.strip_suffix(']')?;
    Some((set, behind))
}

fn is_in(set: &str, c: char) -> bool {
    let (mut ranges, negated) = ranges(set);
    ranges.any(|(low, high)| (low..=high).contains(&c)) != negated
}

/// The ASCII characters that are in a set, a bit for each.
fn ascii_of(set: &str) -> u128 {
    let (ranges, negated) = ranges(set);
    let mut found = 0_u128;
    for (low, high) in ranges {
        let below = |c: char| 1_u128.checked_shl(u32::from(c)).map_or(u128::MAX, |bit| bit.wrapping_sub(1));
        let with_high = below(high) | 1_u128.checked_shl(u32::from(high)).unwrap_or(0);
        found |= with_high & !below(low);
    }
    if negated { !found } else { found }
}

/// The ranges of a set, a single character as one of itself alone, and whether the set is of all others.
fn ranges(set: &str) -> (impl Iterator<Item = (char, char)>, bool) {
    let members = set.strip_prefix(['!', '^']);
    let mut chars = members.unwrap_or(set).chars();
    let ranges = std::iter::from_fn(move || {
        let low = chars.next()?;
        let mut ahead = chars.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) => {
                chars = ahead;
                Some((low, high))
            }
            _ => Some((low, low)),
        }
    });
    (ranges, members.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).matches(text)
    }

    #[test]
    fn patterns_match_what_they_describe() {
        for (pattern, matching, other) in [
            ("*.txt", &["a.txt", ".txt", "a/b.txt", "ä.txt.txt"][..], &["a.txt2", "txt", "a.TXT"][..]),
            ("", &[""], &["a"]),
            ("*", &["", "a", "a/b"], &[]),
            ("?", &["a", "ä", "/"], &["", "ab"]),
            ("a*b*c", &["abc", "a.b.c", "abbcc", "axbxbxc"], &["ab", "acb", "abcd"]),
            ("**a", &["a", "ba"], &["", "b"]),
            ("[abc]x", &["ax", "cx"], &["dx", "x", "[abc]x"]),
            ("[a-c-]", &["a", "b", "-"], &["d", ""]),
            ("[!a-c]", &["d", "ä"], &["a", ""]),
            ("[^a]", &["b"], &["a", "^a"]),
            ("[]a]", &["]", "a"], &["b", "[]a]"]),
            ("[!]a]", &["b"], &["]", "a"]),
            ("[ä-ü]", &["ö"], &["a"]),
            ("[*]", &["*"], &["a"]),
            ("[a", &["[a"], &["a"]),
            ("a[", &["a["], &["a"]),
            ("[]", &["[]"], &["a"]),
            ("[!]", &["[!]"], &["a"]),
            ("[z-a]", &[], &["a", "z", "m"]),
            ("ab*b", &["abb", "ab.b"], &["ab", "abc"]),
            ("*ö?[!ü]", &["öab", "xöüb", "ööö"], &["öaü", "öa", "oab"]),
        ] {
            matching.iter().for_each(|text| assert!(matches(pattern, text), "{pattern} {text}"));
            other.iter().for_each(|text| assert!(!matches(pattern, text), "{pattern} {text}"));
        }
    }

    #[test]
    fn no_pattern_makes_a_name_cost_more_than_its_places_do() {
        let brackets = |count: usize, bytes: usize| format!("[!{}]", "~".repeat(bytes)).repeat(count);
        let (ascii, wide) = ("a".repeat(1024), "ä".repeat(512));
        for pattern in [
            "*a".repeat(64) + "b",
            "*".to_owned() + &"a".repeat(500) + "*b",
            "[".repeat(1024),
            "*".to_owned() + &brackets(12, 20) + "~*",
            "*".to_owned() + &brackets(1, 255) + &"a".repeat(700) + "*",
            "*".to_owned() + &brackets(63, 3) + "*~*",
        ] {
            let mut read = Pattern::new(&pattern);
            for (text, steps_max) in [(&ascii, 19 * 1024 + 1), (&wide, 512 * (19 + 256 + 64) + 1)] {
                let before = read.steps();
                assert!(!read.matches(text) || pattern.ends_with('*'), "{pattern}");
                let steps = read.steps() - before;
                assert!(steps <= steps_max, "{pattern} took {steps}");
            }
        }
        // Most names are told apart by their ends.
        let mut read = Pattern::new("*.mkv");
        let before = read.steps();
        assert!(!read.matches(&ascii));
        assert_eq!(read.steps() - before, 1);
    }

    #[test]
    fn no_pattern_takes_more_to_read_than_a_first_slice() {
        let others = |count: u32| (0..count).filter_map(|at| char::from_u32(0x100 + at)).collect::<String>();
        for pattern in [
            "[".repeat(1024),
            "[".repeat(1023) + "]",
            "[]".to_owned() + &"[".repeat(1022),
            "[".repeat(1000) + "[!]" + &"[".repeat(21),
            "[]".repeat(512),
            "[!a]".repeat(64),
            "?".repeat(64) + &"a".repeat(960),
            "?".repeat(64) + &others(480),
            format!("[!{}]{}{}", "~".repeat(252), "?".repeat(63), others(350)),
        ] {
            let steps = Pattern::new(&pattern).steps();
            assert!(pattern.len() <= 1024 && steps <= 16_000, "{pattern}: {steps}");
            assert!(steps >= pattern.len() as u64, "{pattern}: {steps}");
        }
    }

    #[test]
    fn wildcards_and_what_is_inside_brackets_are_limited_and_plain_characters_are_not() {
        let inside = |bytes: usize| format!("[{}]", "a".repeat(bytes));
        for (pattern, within) in [
            ("*".repeat(64), true),
            ("*".repeat(65), false),
            ("?".repeat(32) + &"*".repeat(32), true),
            ("?".repeat(32) + &"*".repeat(32) + "[a]", false),
            ("[a]".repeat(64), true),
            (inside(256), true),
            (inside(257), false),
            (inside(100) + &inside(156), true),
            (inside(100) + "x" + &inside(157), false),
            ("a".repeat(1024), true),
            ("[".repeat(1024), true),
        ] {
            assert_eq!(is_within_limits(&pattern), within, "{pattern}");
        }
    }

    /// The definition itself, in exponential time.
    fn defined(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', behind)), _) => (0..=text.len()).any(|taken| defined(behind, &text[taken..])),
            (Some((p, behind)), Some((t, rest))) => (*p == '?' || p == t) && defined(behind, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_follows_the_definition(pattern in "[abéö*?]{0,8}", text in "[abéü]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), defined(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn a_set_is_the_same_read_at_once_and_for_a_character(set in "[!^]?[]a-c\\[*^!é\\x00\\x7e-\\x7f-]{0,8}") {
            for c in (0..128_u8).map(char::from) {
                prop_assert_eq!((ascii_of(&set) >> u32::from(c)) & 1 == 1, is_in(&set, c), "{:?}", c);
            }
        }

        #[test]
        fn nothing_panics(pattern in "([\\[\\]*?!^-]|.){0,12}", text in ".{0,12}") {
            matches(&pattern, &text);
        }
    }
}
