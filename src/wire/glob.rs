//! Patterns of names: `*`, `?`, `[...]`.
//!
//! Patterns come from the network, and so do the names that are compared with them. A pattern is read once; after that
//! each character of a name takes the same few operations whatever came before it, one bit for each place in the pattern
//! that the characters so far may have led to. There is no going back, so that no pattern makes a name cost more.

/// See [`crate::wire::message::WILDCARDS_MAX`].
pub(super) const WILDCARDS_MAX: usize = 64;
/// See [`crate::wire::message::BRACKET_BYTES_MAX`].
pub(super) const BRACKET_BYTES_MAX: usize = 256;

/// What a character takes beside the words of its row.
const CHARACTER_STEPS: usize = 2;
/// The characters that have a row of their own whatever the pattern.
const ASCII: usize = 128;

/// Whether a pattern has no more wildcards, and no more bytes inside brackets, than a pattern may have.
pub(super) fn is_within_limits(pattern: &str) -> bool {
    let (mut wildcards, mut bytes) = (0_usize, 0_usize);
    for (element, _) in Elements(pattern) {
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
pub(super) struct Pattern<'p> {
    /// What each matching name begins and ends with: most names are told apart by that alone.
    head: &'p str,
    tail: &'p str,
    words: usize,
    /// The places that a star lets a character stay at.
    stays: Vec<u64>,
    /// One row for each ASCII character, then one for each of `others`; the last is made for any other character.
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
struct Elements<'p>(&'p str);

impl<'p> Iterator for Elements<'p> {
    type Item = (Element<'p>, &'p str);

    fn next(&mut self) -> Option<(Element<'p>, &'p str)> {
        let mut chars = self.0.chars();
        let first = chars.next()?;
        let rest = chars.as_str();
        let (element, rest) = match (first, (first == '[').then(|| class(rest)).flatten()) {
            ('*', _) => (Element::Star, rest),
            ('?', _) => (Element::Any, rest),
            (_, Some((set, behind))) => (Element::Set(set), behind),
            (literal, None) => (Element::Literal(literal), rest),
        };
        self.0 = rest;
        Some((element, rest))
    }
}

impl<'p> Pattern<'p> {
    /// Reads a pattern. That takes as many steps as it has bytes inside brackets, for each ASCII character.
    pub(super) fn new(pattern: &'p str) -> Pattern<'p> {
        let (mut head, mut tail) = (pattern, "");
        let mut elements = Vec::new();
        let mut before = pattern;
        for (element, behind) in Elements(pattern) {
            if !matches!(element, Element::Literal(_)) {
                if head.len() == pattern.len() {
                    head = pattern.strip_suffix(before).unwrap_or_default();
                }
                tail = behind;
            }
            elements.push(element);
            before = behind;
        }
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
        read.count(read.rows.len());
        let mut place = 0_usize;
        for element in elements {
            match element {
                Element::Star => mark(&mut read.stays, place),
                Element::Literal(c) => {
                    let row = read.row_of(c);
                    mark(read.row_mut(row), place);
                }
                Element::Any | Element::Set(_) => read.wild.push((place, element)),
            }
            place = place.saturating_add(usize::from(!matches!(element, Element::Star)));
        }
        for c in (0..ASCII as u8).map(char::from).chain(read.others.clone()) {
            let row = read.row_of(c);
            read.mark_wild(row, c);
        }
        read
    }

    /// Whether all of `text` is what the pattern describes.
    pub(super) fn matches(&mut self, text: &str) -> bool {
        self.count(1);
        if !text.starts_with(self.head) || !text.ends_with(self.tail) {
            return false;
        }
        self.reached.fill(0);
        mark(&mut self.reached, 0);
        for c in text.chars() {
            self.count(self.words.saturating_add(CHARACTER_STEPS));
            let row = self.row_of(c);
            if row == self.any_other() {
                self.row_mut(row).fill(0);
                self.mark_wild(row, c);
            }
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
    pub(super) fn steps(&self) -> u64 {
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

    /// Marks in a character's row the places whose wildcard matches it.
    fn mark_wild(&mut self, row: usize, c: char) {
        let Some(row) = self.rows.chunks_exact_mut(self.words).nth(row) else { return };
        for (place, element) in &self.wild {
            let (steps, is_match) = match element {
                Element::Set(set) => (set.len(), is_in(set, c)),
                _ => (0, true),
            };
            self.steps = self.steps.saturating_add(steps as u64).saturating_add(1);
            if is_match {
                mark(row, *place);
            }
        }
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
    let (members, negated) = match set.strip_prefix(['!', '^']) {
        Some(members) => (members, true),
        None => (set, false),
    };
    let mut chars = members.chars();
    let mut found = false;
    while let Some(low) = chars.next() {
        let mut ahead = chars.clone();
        let high = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) => {
                chars = ahead;
                high
            }
            _ => low,
        };
        found |= (low..=high).contains(&c);
    }
    found != negated
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
            assert!(read.steps() <= (257 + 64 + 17) * 129, "{pattern}: {}", read.steps());
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
        fn matching_follows_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), defined(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn nothing_panics(pattern in "([\\[\\]*?!^-]|.){0,12}", text in ".{0,12}") {
            matches(&pattern, &text);
        }
    }
}
