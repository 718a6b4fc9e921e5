use super::*;
use std::os::unix::fs::symlink;

fn folder() -> (tempfile::TempDir, Fs, File) {
    let root = tempfile::tempdir().unwrap();
    let (fs, open) = (Fs::default(), Fs::default().open_folder(root.path()).unwrap());
    (root, fs, open)
}

#[test]
fn nothing_outside_a_folder_is_opened_below_it() {
    let (root, fs, _) = folder();
    std::fs::create_dir_all(root.path().join("in/sub")).unwrap();
    std::fs::write(root.path().join("in/sub/file"), b"in").unwrap();
    std::fs::write(root.path().join("file"), b"out").unwrap();
    symlink("sub", root.path().join("in/link")).unwrap();
    symlink("sub/file", root.path().join("in/file-link")).unwrap();
    let inside = fs.open_folder(&root.path().join("in")).unwrap();
    type Way = fn(&Fs, &File, &Path) -> FsResult<File>;
    for open in [Fs::open_read_below as Way, Fs::walk_below as Way] {
        assert!(open(&fs, &inside, Path::new("sub/file")).is_ok());
        for path in ["../file", "/etc/hostname", "link/file", "file-link", "sub/../../file", "", "none"] {
            assert!(open(&fs, &inside, Path::new(path)).is_err(), "{path}");
        }
    }
}

#[test]
fn renaming_never_replaces_whichever_way_it_is_done() {
    let (root, fs, open) = folder();
    for rename in [Fs::rename_new, Fs::link_new] {
        std::fs::write(root.path().join("a"), b"a").unwrap();
        std::fs::write(root.path().join("b"), b"b").unwrap();
        assert_eq!(rename(&fs, &open, "a", "b"), Err(Errno::EXIST));
        assert_eq!(std::fs::read(root.path().join("b")).unwrap(), b"b");
        assert_eq!(rename(&fs, &open, "a", "c"), Ok(()));
        assert!(!root.path().join("a").exists());
        std::fs::remove_file(root.path().join("c")).unwrap();
    }
}

#[test]
fn reading_ends_where_the_file_ends() {
    let (_root, fs, open) = folder();
    let file = fs.open_write_at(&open, "file", Make::New).unwrap();
    assert_eq!(fs.open_write_at(&open, "file", Make::New).unwrap_err(), Errno::EXIST);
    fs.write_at(&file, b"abc", 5).unwrap();
    let mut bytes = [9; 10];
    assert_eq!((fs.read_at(&file, &mut bytes, 4), &bytes[..5]), (Ok(4), &b"\0abc\x09"[..]));
    assert_eq!(fs.read_at(&file, &mut bytes, 100), Ok(0));
}

#[test]
fn a_lock_is_for_one() {
    let (_root, fs, open) = folder();
    let first = fs.open_write_at(&open, "file", Make::New).unwrap();
    let second = fs.open_write_at(&open, "file", Make::Never).unwrap();
    assert_eq!((fs.try_lock(&first), fs.try_lock(&second)), (Ok(true), Ok(false)));
    fs.unlock(&first).unwrap();
    assert_eq!(fs.try_lock(&second), Ok(true));
}

#[test]
fn private_folders_are_made_with_what_is_above() {
    use std::os::unix::fs::PermissionsExt;
    let (root, fs, _) = folder();
    let path = root.path().join("a/b/c");
    fs.make_private_folders(&path).unwrap();
    fs.make_private_folders(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_planned_call_fails_and_its_write_is_torn() {
    let (root, _, open) = folder();
    let fs = Fs::with_plan(Arc::new(FaultPlan::parse("28@3+").unwrap()));
    let file = fs.open_write_at(&open, "file", Make::New).unwrap();
    fs.write_at(&file, b"abcd", 0).unwrap();
    assert_eq!(fs.write_at(&file, b"efgh", 4), Err(Errno::NOSPC));
    assert_eq!(fs.sync(&file), Err(Errno::NOSPC));
    assert_eq!(std::fs::read(root.path().join("file")).unwrap(), b"abcdef");
}
