//! Patterns of names: `*`, `?`, `[...]`.
//!
//! Patterns come from the network, so matching takes no recursion and no more steps than the product of both lengths.

/// Whether all of `text` is what `pattern` describes. A `[` without its `]` stands for itself.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Behind the last star: the pattern, and the text that the star has not taken yet. Earlier stars never need to
    // take more: whatever they could reach, the last one reaches too.
    let mut star: Option<(&str, &str)> = None;
    loop {
        if let Some(behind) = pattern.strip_prefix('*') {
            star = Some((behind, text));
            pattern = behind;
            continue;
        }
        let mut rest = text.chars();
        match (rest.next(), pattern.is_empty()) {
            (None, done) => return done,
            (Some(c), false) => {
                if let Some(behind) = one(pattern, c) {
                    (pattern, text) = (behind, rest.as_str());
                    continue;
                }
            }
            (Some(_), true) => {}
        }
        let Some((behind, untaken)) = star else { return false };
        let mut untaken = untaken.chars();
        untaken.next();
        (pattern, text) = (behind, untaken.as_str());
        star = Some((pattern, text));
    }
}

/// What is behind the first element of a pattern, when that describes `c`.
fn one(pattern: &str, c: char) -> Option<&str> {
    let mut chars = pattern.chars();
    let first = chars.next()?;
    // Only a bracket is worth the search for its end.
    match (first, (first == '[').then(|| class(chars.as_str())).flatten()) {
        ('?', _) => Some(chars.as_str()),
        (_, Some((set, behind))) => is_in(set, c).then_some(behind),
        (literal, None) => (literal == c).then_some(chars.as_str()),
    }
}

/// The set that ends with the first `]`, where one that stands first is in the set, and what is behind it.
fn class(inner: &str) -> Option<(&str, &str)> {
    let sign = inner.chars().next().filter(|c| matches!(c, '!' | '^')).map_or(0, char::len_utf8);
    let first = inner[sign..].chars().next()?.len_utf8();
    let end = sign + first + inner[sign + first..].find(']')?;
    Some((&inner[..end], &inner[end + 1..]))
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
        ] {
            matching.iter().for_each(|text| assert!(matches(pattern, text), "{pattern} {text}"));
            other.iter().for_each(|text| assert!(!matches(pattern, text), "{pattern} {text}"));
        }
    }

    #[test]
    fn hostile_patterns_end_soon() {
        let text = "a".repeat(1024);
        assert!(!matches(&("*a".repeat(500) + "b"), &text));
        assert!(!matches(&("*".to_owned() + &"a".repeat(500) + "b"), &text));
        assert!(!matches(&"[".repeat(1024), &text));
        assert!(!matches(&("*".to_owned() + &"[a]".repeat(300) + "[b]"), &text));
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
