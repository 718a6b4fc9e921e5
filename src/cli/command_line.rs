//! Commands to type next: the command line of this process, again or with another content in it.

use clap::Parser;

use crate::cli::args::{Action, Cli};
use crate::cli::wanted::shell_quoted;
use crate::types::ContentId;
use crate::types::name::printable;

/// The command line of this process, as a shell reads it.
pub(crate) fn command_line() -> String {
    written(&arguments())
}

/// The next step after a command that was cut short and can go on.
pub(crate) fn again() -> String {
    format!("continue with: {}", command_line())
}

/// The command line of this process with a content in the place of what it fetches; of one that fetches nothing by name, a
/// short one.
pub(crate) fn command_for(content: &ContentId) -> String {
    command_to_get(format!("id:{}", content.short()))
}

/// The same with any word that names a content.
pub(crate) fn command_to_get(word: String) -> String {
    match Cli::try_parse().map(|cli| cli.action) {
        Ok(Action::Get(args)) => written(&with_word(arguments(), &args.wanted_texts(), word)),
        _ => written(&["get".to_owned(), word]),
    }
}

fn arguments() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

fn written(arguments: &[String]) -> String {
    let words = arguments.iter().map(|word| printable(&shell_quoted(word)));
    std::iter::once("chunkcast".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Puts a word in the place of what is wanted. The value of a flag may read like that, so a word behind a flag stays.
fn with_word(mut words: Vec<String>, wanted: &[&str], new: String) -> Vec<String> {
    let is_behind_flag = |at: usize| {
        at.checked_sub(1)
            .and_then(|at| words.get(at))
            .is_some_and(|word| word.starts_with('-') && word != "--")
    };
    let is_wanted = |at: &usize| words.get(*at).is_some_and(|word| wanted.contains(&word.as_str()));
    let all: Vec<usize> = (0..words.len()).filter(is_wanted).collect();
    let mut places: Vec<usize> = all.iter().copied().filter(|at| !is_behind_flag(*at)).collect();
    if places.is_empty() {
        places.extend(all.last());
    }
    let first = places.first().copied();
    match first.and_then(|at| words.get_mut(at)) {
        Some(word) => *word = new,
        None => words.push(new),
    }
    for at in places.into_iter().skip(1).rev() {
        words.remove(at);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_takes_the_place_of_what_was_wanted() {
        let line = |words: &str, wanted: &[&str]| {
            let words = words.split(' ').map(str::to_owned).collect();
            with_word(words, wanted, "id:1".to_owned()).join(" ")
        };
        assert_eq!(line("get a -o d --port 9", &["a"]), "get id:1 -o d --port 9");
        assert_eq!(line("get -o a a", &["a"]), "get -o a id:1");
        assert_eq!(line("get a -o a", &["a"]), "get id:1 -o a");
        assert_eq!(line("get a b -o d", &["a", "b"]), "get id:1 -o d");
        assert_eq!(line("get -q a", &["a"]), "get -q id:1");
        assert_eq!(line("get -- -a", &["-a"]), "get -- id:1");
        assert_eq!(line("get -o d", &[]), "get -o d id:1");
    }
}
