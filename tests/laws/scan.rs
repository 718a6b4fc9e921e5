//! Reads the paths off Rust source: just enough of the language to tell code from comments and literals, and to
//! flatten the braces of `use`.

/// A path as the code names it, `use` trees flattened: `use std::{fs, io::Read}` is `std::fs` and `std::io::Read`.
/// A lone word is a path of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// The line of its last segment, from 1 on.
    pub(crate) line: usize,
    /// Its segments.
    pub(crate) segments: Vec<String>,
    /// Whether it stands in `forbid(...)` or `deny(...)`.
    pub(crate) in_forbidding_attribute: bool,
}

/// A word or a sign of the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    Join,
    Sign(char),
}

/// All paths of a source text.
pub(crate) fn paths(text: &str) -> Vec<Path> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut at = 0;
    let mut forbidding_depth = 0_usize;
    while at < tokens.len() {
        match &tokens[at].1 {
            Token::Word(word) if word == "use" => at = use_tree(&tokens, at + 1, &[], &mut found),
            Token::Word(word) => {
                let opens = matches!(tokens.get(at + 1), Some((_, Token::Sign('('))));
                if opens && (word == "forbid" || word == "deny") && forbidding_depth == 0 {
                    forbidding_depth = 1;
                    at += 2;
                    continue;
                }
                at = path(&tokens, at, forbidding_depth > 0, &mut found);
            }
            Token::Sign('(') if forbidding_depth > 0 => {
                forbidding_depth += 1;
                at += 1;
            }
            Token::Sign(')') if forbidding_depth > 0 => {
                forbidding_depth -= 1;
                at += 1;
            }
            _ => at += 1,
        }
    }
    found
}

/// The path that begins at token `at`; returns where it ends.
fn path(
    tokens: &[(usize, Token)],
    mut at: usize,
    in_forbidding_attribute: bool,
    found: &mut Vec<Path>,
) -> usize {
    let line = tokens[at].0;
    let mut segments = Vec::new();
    while let Some((_, Token::Word(word))) = tokens.get(at) {
        segments.push(word.clone());
        at += 1;
        match (tokens.get(at), tokens.get(at + 1)) {
            (Some((_, Token::Join)), Some((_, Token::Word(_)))) => at += 1,
            _ => break,
        }
    }
    found.push(Path { line, segments, in_forbidding_attribute });
    at
}

/// One branch of a `use` and all below it; returns where it ends: at `,`, `}` or behind `;`.
fn use_tree(tokens: &[(usize, Token)], mut at: usize, prefix: &[String], found: &mut Vec<Path>) -> usize {
    let mut segments = prefix.to_vec();
    let mut line = tokens.get(at).map_or(0, |(line, _)| *line);
    while let Some((here, token)) = tokens.get(at) {
        match token {
            Token::Word(word) if word == "as" => at += 1,
            Token::Word(word) => {
                line = *here;
                // `self` names what stands before it; a new name after `as` is no part of the path.
                let renames = at > 0 && tokens[at - 1].1 == Token::Word("as".to_owned());
                if !(renames || word == "self" && !segments.is_empty()) {
                    segments.push(word.clone());
                }
            }
            Token::Join => {}
            Token::Sign('{') => {
                at += 1;
                while let Some((_, token)) = tokens.get(at) {
                    match token {
                        Token::Sign('}') => break,
                        Token::Sign(',') => at += 1,
                        Token::Sign(';') => return at,
                        _ => at = use_tree(tokens, at, &segments, found),
                    }
                }
                return at + 1;
            }
            Token::Sign(',' | '}' | ';') => break,
            Token::Sign(_) => {}
        }
        at += if matches!(tokens.get(at), Some((_, Token::Word(word))) if word == "as") { 0 } else { 1 };
    }
    found.push(Path { line, segments, in_forbidding_attribute: false });
    at
}

/// The words, `::` and signs of a source text, each with its line.
pub(crate) fn tokens(text: &str) -> Vec<(usize, Token)> {
    let mut found = Vec::new();
    for (index, line) in blank(text).lines().enumerate() {
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let word_end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let len = if word_end > 0 {
                found.push((index + 1, Token::Word(rest[..word_end].to_owned())));
                word_end
            } else if rest.starts_with("::") {
                found.push((index + 1, Token::Join));
                2
            } else {
                if !first.is_whitespace() {
                    found.push((index + 1, Token::Sign(first)));
                }
                first.len_utf8()
            };
            rest = &rest[len..];
        }
    }
    found
}

/// The text with comments and literals turned into spaces; lines stay where they are.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment, literal or lifetime that begins at `at` ends; `at` itself when none does.
fn skipped(chars: &[char], at: usize) -> usize {
    let get = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let inside_word = at > 0 && word(chars[at - 1]);
    match (get(at), get(at + 1)) {
        ('/', '/') => (at..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len()),
        ('/', '*') => block_comment(chars, at),
        ('"', _) => quoted(chars, at, '"'),
        ('\'', next) => {
            let character = next == '\\' || get(at + 2) == '\'';
            if character {
                return quoted(chars, at, '\'');
            }
            (at + 1..chars.len()).find(|i| !word(chars[*i])).unwrap_or(chars.len())
        }
        ('b' | 'c', '"' | '\'') if !inside_word => quoted(chars, at + 1, get(at + 1)),
        ('r', '"' | '#') | ('b' | 'c', 'r') if !inside_word => raw(chars, at),
        _ => at,
    }
}

fn block_comment(chars: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

/// A literal whose opening quote is at `open`, with backslash escapes.
fn quoted(chars: &[char], open: usize, quote: char) -> usize {
    let mut at = open + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// A raw literal; `start` itself when it is none (`r#type`, a word that begins with `br`).
fn raw(chars: &[char], start: usize) -> usize {
    let mut at = start + if chars[start] == 'r' { 1 } else { 2 };
    let hashes = chars[at.min(chars.len())..].iter().take_while(|c| **c == '#').count();
    at += hashes;
    if chars.get(at) != Some(&'"') {
        return start;
    }
    at += 1;
    while at < chars.len() {
        if chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    at
}
