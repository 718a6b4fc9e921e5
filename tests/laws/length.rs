//! How long a file of `src` is, and a function in it.

use super::scan::{Token, tokens};

/// Lines of a file.
pub(crate) const FILE_LINES_MAX: usize = 450;
/// Lines of a function, from its `fn` to its closing brace.
pub(crate) const FUNCTION_LINES_MAX: usize = 80;

/// What is too long in a file of `src`: the file, as `path`, and functions, as `path fn name`.
pub(crate) fn too_long(file: &str, text: &str) -> Vec<String> {
    // Tests are lists of cases, which may be long.
    let is_test = file.ends_with("/tests.rs") || file.contains("/tests/");
    if !file.starts_with("src/") || !file.ends_with(".rs") || is_test {
        return Vec::new();
    }
    let mut found = Vec::new();
    if text.lines().count() > FILE_LINES_MAX {
        found.push(file.to_owned());
    }
    let tokens = tokens(text);
    for (at, (first, token)) in tokens.iter().enumerate() {
        let Some((_, Token::Word(name))) = tokens.get(at + 1) else { continue };
        if *token == Token::Word("fn".to_owned())
            && last_line(&tokens[at..]).is_some_and(|last| last - first + 1 > FUNCTION_LINES_MAX)
        {
            found.push(format!("{file} fn {name}"));
        }
    }
    found
}

/// The line of the brace that closes the block of the function that begins here; `None` when it has no block.
fn last_line(tokens: &[(usize, Token)]) -> Option<usize> {
    let (mut round, mut braces) = (0_usize, 0_usize);
    for (line, token) in tokens {
        match token {
            Token::Sign('(' | '[') => round += 1,
            Token::Sign(')' | ']') => round = round.saturating_sub(1),
            Token::Sign(';') if braces == 0 && round == 0 => return None,
            Token::Sign('{') => braces += 1,
            Token::Sign('}') if braces == 1 => return Some(*line),
            Token::Sign('}') => braces = braces.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[test]
fn long_files_and_functions_are_found() {
    let body = |lines: usize| "    step();\n".repeat(lines);
    let function = |lines: usize| format!("pub(crate) fn f(a: [u8; 2]) -> u8\n{{\n{}}}\n", body(lines - 3));
    let file = "src/core/x.rs";
    assert_eq!(too_long(file, &function(FUNCTION_LINES_MAX)), [""; 0]);
    assert_eq!(too_long(file, &function(FUNCTION_LINES_MAX + 1)), ["src/core/x.rs fn f"]);
    assert_eq!(too_long(file, &format!("trait T {{ fn g(); }}\n{}", body(100))), [""; 0]);
    assert_eq!(too_long(file, &body(FILE_LINES_MAX)), [""; 0]);
    assert_eq!(too_long(file, &body(FILE_LINES_MAX + 1)), [file]);
    assert_eq!(too_long("src/core/x/tests.rs", &function(FUNCTION_LINES_MAX + 1)), [""; 0]);
    assert_eq!(too_long("tests/x.rs", &body(FILE_LINES_MAX + 1)), [""; 0]);
}
