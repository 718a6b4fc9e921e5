//! Sizes around every boundary, and names that file systems allow.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files::{assert_same, names_in, random_file};
use crate::lan::Lan;

#[test]
fn files_of_every_awkward_size_arrive() {
    let lan = Lan::new();
    let shared = lan.folder("shared");
    // A chunk is 16 KiB here; a unit the same; a BLAKE3 chunk 1 KiB.
    let sizes = [0, 1, 1023, 1024, 1025, 16_383, 16_384, 16_385, 3 * 16_384, 5 * 16_384 + 1, 2_000_000];
    for size in sizes {
        random_file(&shared.join(format!("{size}.bin")), size, size);
    }
    let mut sharer = lan.share("sharer", &shared);
    for size in sizes {
        wait_offered(&mut sharer, &format!("{size}.bin"));
    }
    let folder = lan.folder("got");
    let ended = lan.get("getter", "*.bin", &folder).run().expect(0);
    assert_eq!(ended.of_type("done").len(), sizes.len());
    assert_eq!(names_in(&folder), names_in(&shared));
    for size in sizes {
        let name = format!("{size}.bin");
        assert_same(&shared.join(&name), &folder.join(&name));
    }
    for size in sizes {
        // Each alone, too: no other file helps to find it.
        let folder = lan.folder(&format!("got-{size}"));
        lan.get("getter", &format!("{size}.bin"), &folder).run().expect(0);
        assert_same(&shared.join(format!("{size}.bin")), &folder.join(format!("{size}.bin")));
    }
}

#[test]
fn names_with_spaces_quotes_and_unicode_stay_as_they_are() {
    let names = [
        "two words.txt",
        "it's quoted.txt",
        "a`b$(c);d&e.txt",
        "Übergröße 漢字 🦀.txt",
        "100%.txt",
        "a@b.txt",
        "no extension",
        "many.dots.in.it",
        "{braces},comma=equals.txt",
    ];
    for (name, got) in fetch_each(&names.map(str::to_owned)) {
        assert_eq!(got.file_name().unwrap().to_str(), Some(name.as_str()));
    }
}

#[test]
fn names_that_mislead_or_are_too_long_become_safe_ones() {
    let long = format!("{}.txt", "l".repeat(251));
    let wide = format!("{}.txt", "漢".repeat(83));
    assert!(long.len() == 255 && wide.len() == 253);
    let names = [
        "new\nline.txt".to_owned(),
        "tab\tand\u{7f}delete.txt".to_owned(),
        "\u{1b}[31mred.txt".to_owned(),
        "gpj.\u{202e}exe".to_owned(),
        "glob*?[x].txt".to_owned(),
        "back\\slash.txt".to_owned(),
        "colon:stream.txt".to_owned(),
        "-rf".to_owned(),
        " space before and after ".to_owned(),
        "dots...".to_owned(),
        "\"double quotes\".txt".to_owned(),
        "com|pipe.txt".to_owned(),
        "nul.txt".to_owned(),
        long,
        wide,
    ];
    for (name, got) in fetch_each(&names) {
        let local = got.file_name().unwrap().to_str().expect("UTF-8");
        assert!(local.len() <= 255 && !local.is_empty(), "{name:?} became {local:?}");
        assert!(
            !local.chars().any(|c| c.is_control() || "\u{202e}\\:\"|?*".contains(c)),
            "{name:?} became {local:?}"
        );
        if name.ends_with(".txt") {
            assert!(local.ends_with(".txt"), "{name:?} became {local:?}");
        }
    }
}

#[test]
fn a_hidden_file_is_shared_only_when_named() {
    let lan = Lan::new();
    let shared = lan.folder("shared");
    random_file(&shared.join(".secret"), 10, 50);
    random_file(&shared.join("open.txt"), 10, 51);
    fs::create_dir(shared.join(".hidden")).unwrap();
    random_file(&shared.join(".hidden/inside.txt"), 10, 52);
    std::os::unix::fs::symlink("/etc/passwd", shared.join("link.txt")).unwrap();
    let _sharer = lan.share("sharer", &shared);
    let listed = lan.launch("reader", &["ls", "--json"]).run().expect(0);
    let names: Vec<&str> =
        listed.of_type("content").iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["open.txt"]);
}

/// Shares a file under each of these names, gets each by its id, and returns where it came to lie.
fn fetch_each(names: &[String]) -> Vec<(String, PathBuf)> {
    let lan = Lan::new();
    let shared = lan.folder("shared");
    let ids: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(number, name)| random_file(&shared.join(name), 20_000, 60 + number as u64).to_string())
        .collect();
    let mut sharer = lan.share("sharer", &shared);
    for id in &ids {
        sharer.wait_json("an offer", |line| {
            (line["t"] == "content" && line["id"] == id.as_str()).then_some(())
        });
    }
    let mut got = Vec::new();
    for (number, (name, id)) in names.iter().zip(&ids).enumerate() {
        let folder = lan.folder(&format!("got-{number}"));
        let ended = lan.get("getter", id, &folder).run().expect(0);
        let path = PathBuf::from(ended.of_type("done")[0]["path"].as_str().unwrap());
        assert_eq!(path.parent(), Some(Path::new(&folder)), "{name:?}");
        assert_eq!(names_in(&folder).len(), 1, "{name:?}");
        assert_same(&shared.join(name), &path);
        got.push((name.clone(), path));
    }
    got
}

fn wait_offered(sharer: &mut crate::child::Child, name: &str) {
    sharer.wait_json(name, |line| (line["t"] == "content" && line["name"] == name).then_some(()));
}
