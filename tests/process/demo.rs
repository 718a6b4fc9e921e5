//! `demo`: the newcomer's first command, as a person reads it and as a script does.

use serde_json::Value;

fn demo(args: &[&str]) -> String {
    let output = crate::child::chunkcast(&[])
        .args(["demo", "--peers", "2", "--size", "1MiB"])
        .args(args)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_tells_who_got_what_from_whom() {
    let told = demo(&["--json=off"]);
    for part in [
        "sharer",
        "peer-1",
        "peer-2",
        " came from the sharer and ",
        "All 2 peers have the file",
        "byte by byte",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[test]
fn its_json_lines_are_those_of_every_command() {
    let told = demo(&["--json"]);
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<&str> = lines.iter().map(|line| line["t"].as_str().unwrap()).collect();
    assert_eq!(types, ["done", "done", "summary"]);
    for done in &lines[..2] {
        assert_eq!((&done["name"], &done["bytes"]), (&"demo.bin".into(), &(1 << 20).into()));
        assert_eq!((&done["verified"], &done["skipped"]), (&true.into(), &false.into()));
        assert!(
            done["dur"].is_f64() && done["peers"].as_u64() > Some(0) && done["path"].is_string(),
            "{done}"
        );
    }
}
