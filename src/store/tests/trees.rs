//! Downloads in folders below the target, and contents that are written under several names.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;
use crate::core::FaultKind;

const MANY: usize = 20 * (16 << 10) + 77;

impl Place {
    /// A store whose downloads make folders.
    fn tree(&self) -> Session {
        self.tree_as(self.config(), None)
    }

    fn tree_as(&self, config: StoreConfig, plan: Option<&Arc<FaultPlan>>) -> Session {
        Session { layout: Layout::Tree, ..self.open_as(config, plan) }
    }
}

impl Session {
    /// Looks for a content under the name `b.txt`; all that is told.
    fn open_second(&mut self, content: &Content) -> Vec<StoreReply> {
        self.begin_second(content);
        replies(self.run())
    }

    /// The first slice of that.
    fn begin_second(&mut self, content: &Content) {
        let (name, size) = ("b.txt".to_owned(), content.bytes.len() as u64);
        let open = StoreJob::OpenPart { content: content.id, name, layout: Layout::Tree, size };
        self.store.submit(open, &mut self.buffers);
    }
}

impl Content {
    /// The same content under another name.
    fn called(&self, name: &str) -> Content {
        let (name, bytes) = (name.to_owned(), self.bytes.clone());
        Content { name, bytes, id: self.id, manifest: self.manifest.clone() }
    }
}

/// All files below a folder, links not followed, by their paths from there.
fn below(folder: &Path) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match fs::symlink_metadata(&path).unwrap().is_dir() {
                true => walk(root, &path, found),
                false => found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

#[test]
fn a_download_goes_where_its_name_says() {
    for len in [0, 5_000, MANY] {
        let (place, content) = (Place::new(), Content::new("a/b c/talk.mkv", len));
        let mut session = place.tree();
        let path = session.download(&content).unwrap();
        assert_eq!(path, place.in_target("a/b c/talk.mkv"));
        assert_eq!(fs::read(&path).unwrap(), content.bytes);
        assert_eq!(below(&place.target()), ["a/b c/talk.mkv"]);
        assert_eq!(session.served(&content).unwrap(), content.bytes);
        let state = place.tree().open_part(&content).unwrap();
        assert!(matches!(state, PartState::Complete { path: there, .. } if there == path));
    }
}

#[test]
fn a_part_lies_beside_its_target_and_resumes() {
    let (place, content) = (Place::new(), Content::new("a/talk.mkv", MANY));
    let mut session = place.tree();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    (0..7).for_each(|chunk| drop(session.write(&content, chunk)));
    session.close(&content);
    assert_eq!(below(&place.target()), [content.part(), content.state()]);
    let PartState::Resumed { have, .. } = place.tree().open_part(&content).unwrap() else { panic!() };
    assert_eq!(have.count(), 7);
    // Under no other name: the part is that of one file.
    assert_eq!(place.tree().open_named(&content, "b/talk.mkv").unwrap(), PartState::Fresh);
}

#[test]
fn a_content_that_is_here_is_copied_and_not_fetched() {
    for len in [0, 5_000, MANY, 3_000_000] {
        let (place, content) = (Place::new(), Content::new("a.txt", len));
        let mut session = place.tree();
        session.download(&content).unwrap();
        for name in ["b.txt", "sub/a.txt", "sub/deep/c.txt"] {
            let PartState::Resumed { have, .. } = session.open_named(&content, name).unwrap() else {
                panic!()
            };
            assert!(have.is_full(), "{len}");
            assert!(!place.in_target(name).exists(), "not before it is synced");
            assert_eq!(session.publish(&content).unwrap(), place.in_target(name));
            assert_eq!(fs::read(place.in_target(name)).unwrap(), content.bytes);
        }
        assert_eq!(below(&place.target()), ["a.txt", "b.txt", "sub/a.txt", "sub/deep/c.txt"]);
        // The first one may go.
        fs::remove_file(place.in_target("a.txt")).unwrap();
        assert_eq!(session.served(&content).unwrap(), content.bytes);
        // Each is found where it is.
        let state = session.open_named(&content, "sub/a.txt").unwrap();
        assert!(matches!(state, PartState::Complete { path, .. } if path == place.in_target("sub/a.txt")));
    }
}

#[test]
fn a_part_of_another_name_is_filled_from_what_is_here() {
    let (place, content) = (Place::new(), Content::new("a.txt", MANY));
    let other = content.called("sub/b.txt");
    let mut session = place.tree();
    session.open_part(&other).unwrap();
    session.create(&other).unwrap();
    (3..9).for_each(|chunk| drop(session.write(&other, chunk)));
    session.close(&other);
    let mut session = place.tree();
    session.download(&content).unwrap();
    let PartState::Resumed { have, .. } = session.open_part(&other).unwrap() else { panic!() };
    assert!(have.is_full());
    assert_eq!(session.publish(&other).unwrap(), place.in_target("sub/b.txt"));
    assert_eq!(below(&place.target()), ["a.txt", "sub/b.txt"]);
    assert_eq!(fs::read(place.in_target("sub/b.txt")).unwrap(), content.bytes);
}

#[test]
fn what_was_changed_is_not_copied() {
    for len in [5_000, MANY] {
        let (place, content) = (Place::new(), Content::new("a.txt", len));
        let mut session = place.tree();
        session.download(&content).unwrap();
        fs::write(place.in_target("a.txt"), bytes(len, "edited")).unwrap();
        let replies = session.open_second(&content);
        assert!(
            matches!(
                &replies[..],
                [StoreReply::Withdrawn { .. }, StoreReply::PartOpened { state: PartState::Fresh, .. }]
            ),
            "{replies:?}"
        );
        assert_eq!(below(&place.target()), ["a.txt"]);
    }
    // Meanwhile: what was copied by then is right, and the rest is to be fetched.
    let (place, content) = (Place::new(), Content::new("a.txt", 5 << 20));
    let mut session = place.tree();
    session.download(&content).unwrap();
    session.begin_second(&content);
    session.store.step();
    fs::write(place.in_target("a.txt"), b"edited").unwrap();
    let replies = replies(session.run());
    let [.., StoreReply::PartOpened { state: PartState::Resumed { have, .. }, .. }] = &replies[..] else {
        panic!("{replies:?}")
    };
    assert!(have.count() > 0 && !have.is_full(), "{} chunks", have.count());
    let missing: Vec<u32> = have.missing().collect();
    missing.into_iter().for_each(|chunk| drop(session.write(&content, chunk)));
    assert_eq!(session.publish(&content).unwrap(), place.in_target("b.txt"));
    assert_eq!(fs::read(place.in_target("b.txt")).unwrap(), content.bytes);
}

#[test]
fn a_copy_that_is_given_up_leaves_a_part() {
    let (place, content) = (Place::new(), Content::new("a.txt", 5 << 20));
    let mut session = place.tree();
    session.download(&content).unwrap();
    session.begin_second(&content);
    let replies = session.submit(StoreJob::ClosePart { content: content.id });
    assert!(
        matches!(replies[..], [StoreReply::PartFailed { .. }, StoreReply::PartClosed { .. }]),
        "{replies:?}"
    );
    assert!(!place.in_target("b.txt").exists());
    let PartState::Resumed { have, .. } = session.open_named(&content, "b.txt").unwrap() else { panic!() };
    assert!(have.is_full());
    session.publish(&content).unwrap();
    assert_eq!(below(&place.target()), ["a.txt", "b.txt"]);
}

#[test]
fn links_and_files_in_the_place_of_folders_are_told_of() {
    let place = Place::new();
    fs::create_dir_all(place.path("outside/deep")).unwrap();
    symlink(place.path("outside"), place.in_target("link")).unwrap();
    symlink("real", place.in_target("inner")).unwrap();
    fs::create_dir_all(place.in_target("real/sub")).unwrap();
    symlink("../..", place.in_target("real/sub/up")).unwrap();
    fs::write(place.in_target("file"), b"mine").unwrap();
    for (name, what) in [
        ("link/a.txt", "is a link"),
        ("link/deep/a.txt", "is a link"),
        ("inner/a.txt", "is a link"),
        ("real/sub/up/a.txt", "is a link"),
        ("file/a.txt", "is no folder"),
    ] {
        let fault = place.tree().download(&Content::new(name, 5_000)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Denied);
        assert!(fault.text.contains(what), "{}", fault.text);
    }
    assert_eq!(below(&place.path("outside")), [""; 0]);
    for on_conflict in [OnConflict::Rename, OnConflict::Overwrite, OnConflict::Skip, OnConflict::Error] {
        let config = StoreConfig { on_conflict, ..place.config() };
        let fault = place.tree_as(config, None).download(&Content::new("real", 5_000)).unwrap_err();
        assert!(fault.kind == FaultKind::Exists && fault.text.contains("is a folder"), "{}", fault.text);
    }
    assert_eq!(fs::read(place.in_target("file")).unwrap(), b"mine");
}

#[test]
fn a_folder_that_is_swapped_for_a_link_leads_nowhere() {
    let (place, content) = (Place::new(), Content::new("a/one.txt", MANY));
    let mut session = place.tree();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    fs::create_dir(place.path("outside")).unwrap();
    fs::rename(place.in_target("a"), place.in_target("moved")).unwrap();
    symlink(place.path("outside"), place.in_target("a")).unwrap();
    (0..content.manifest.geometry.chunks()).for_each(|chunk| drop(session.write(&content, chunk)));
    session.publish(&content).unwrap();
    assert_eq!(below(&place.path("outside")), [""; 0]);
    assert_eq!(below(&place.target()), ["a", "moved/one.txt"]);
    // It is not served from elsewhere either.
    assert_eq!(session.served(&content), Err(SpanFault::Gone));
}

#[test]
fn of_a_file_and_a_folder_of_one_name_the_first_stays() {
    for folder_first in [false, true] {
        let place = Place::new();
        let [file, inside] = [Content::new("a", MANY), Content::new("a/b", MANY)];
        let mut session = place.tree();
        session.open_part(&file).unwrap();
        session.create(&file).unwrap();
        (0..21).for_each(|chunk| drop(session.write(&file, chunk)));
        // While the file is on its way, the folder can still be made.
        if folder_first {
            session.download(&inside).unwrap();
            let fault = session.publish(&file).unwrap_err();
            assert_eq!(fault.kind, FaultKind::Exists, "{}", fault.text);
            assert_eq!(fs::read(place.in_target("a/b")).unwrap(), inside.bytes);
        } else {
            session.publish(&file).unwrap();
            assert!(session.download(&inside).unwrap_err().text.contains("is no folder"));
            assert_eq!(below(&place.target()), ["a"]);
        }
    }
}

#[test]
fn overwriting_replaces_no_file_of_this_run_in_any_folder() {
    let place = Place::new();
    let [one, two] = [5_000, 6_000].map(|len| Content::new("a/x.txt", len));
    let config = StoreConfig { on_conflict: OnConflict::Overwrite, ..place.config() };
    let mut session = place.tree_as(config, None);
    assert_eq!(session.download(&one).unwrap(), place.in_target("a/x.txt"));
    assert_eq!(session.download(&two).unwrap(), place.in_target("a/x (2).txt"));
    assert_eq!(session.download(&two.called("b/x.txt")).unwrap(), place.in_target("b/x.txt"));
    assert_eq!(below(&place.target()), ["a/x (2).txt", "a/x.txt", "b/x.txt"]);
}

/// Dies at call `at` while a content is written under a second name; true when the process came to its end.
fn copy_dies_at(at: u64, content: &Content) -> bool {
    let place = Place::new();
    let other = content.called("sub/deep/b.txt");
    let plan = Arc::new(FaultPlan::dead_from(at));
    if let Ok(session) = place.try_open(&place.config(), Some(&plan)) {
        let mut session = Session { layout: Layout::Tree, ..session };
        if session.download(content).is_ok() {
            let _ = session.download(&other);
        }
    }
    for name in ["a.txt", "sub/deep/b.txt"] {
        let there = fs::read(place.in_target(name));
        assert!(there.is_err() || there.is_ok_and(|there| there == content.bytes), "{name}, died at {at}");
    }
    let mut session = place.tree();
    for content in [content, &other] {
        assert_eq!(session.download(content).unwrap(), place.in_target(&content.name), "died at {at}");
        assert_eq!(fs::read(place.in_target(&content.name)).unwrap(), content.bytes, "died at {at}");
    }
    assert_eq!(below(&place.target()), ["a.txt", "sub/deep/b.txt"], "died at {at}");
    plan.calls() < at
}

#[test]
fn a_copy_survives_a_death_at_every_call() {
    for len in [0, 4_096, 8 * (16 << 10) + 1] {
        let content = Content::new("a.txt", len);
        let calls = (1..).find(|at| copy_dies_at(*at, &content)).unwrap();
        assert!(calls > 20, "{calls} calls");
    }
}

#[test]
fn folders_that_were_made_are_synced_before_a_file_in_them_counts() {
    let content = Content::new("a/b/c.txt", 4_096);
    let calls = |prepare: fn(&Place)| {
        let (place, plan) = (Place::new(), Arc::new(FaultPlan::dead_from(0)));
        prepare(&place);
        let mut session = place.tree_as(place.config(), Some(&plan));
        session.open_part(&content).unwrap();
        let opened = plan.calls();
        session.create(&content).unwrap();
        session.write(&content, 0);
        session.publish(&content).unwrap();
        plan.calls() - opened
    };
    // One sync for the target, in which `a` was made, and one for `a`, in which `b` was.
    let there = calls(|place| fs::create_dir_all(place.in_target("a/b")).unwrap());
    assert_eq!(calls(|_| ()), there + 2);
}

/// A component as somebody hostile may choose it.
fn component() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "",
        ".",
        "..",
        "...",
        " ..",
        "..\u{200b}",
        ".. ",
        "link",
        "inner",
        "file",
        "dir",
        ".git",
        "CON",
        "nul.txt",
        "a\\..\\..\\b",
        "..\\..\\x",
        "x.part",
        "\0",
        "a\nb",
        "~",
        "-rf",
        "C:",
        "up",
        "dir.12345678.part",
    ]);
    prop_oneof![
        odd.prop_map(str::to_owned),
        "[a-c]{1,2}",
        any::<String>().prop_map(|text| text.replace('/', ""))
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever names peers offer, everything that is made is below the target, no link is followed and no file that was
    /// there is touched.
    #[test]
    fn nothing_is_written_outside_the_target(
        names in prop::collection::vec(prop::collection::vec(component(), 1..6).prop_map(|all| all.join("/")), 1..8),
        flat in prop::bool::weighted(0.2),
        len in prop::sample::select(vec![0, 100, MANY]),
        overwrite in any::<bool>(),
    ) {
        let place = Place::new();
        fs::create_dir_all(place.path("outside/deep")).unwrap();
        fs::write(place.path("outside/b"), b"theirs").unwrap();
        fs::create_dir(place.in_target("dir")).unwrap();
        fs::write(place.in_target("file"), b"mine").unwrap();
        symlink(place.path("outside"), place.in_target("link")).unwrap();
        symlink("dir", place.in_target("inner")).unwrap();
        symlink("../..", place.in_target("dir/up")).unwrap();
        symlink(place.path("outside/b"), place.in_target("dir/b")).unwrap();
        let on_conflict = if overwrite { OnConflict::Overwrite } else { OnConflict::Rename };
        let mut session = place.tree_as(StoreConfig { on_conflict, ..place.config() }, None);
        session.layout = if flat { Layout::Flat } else { Layout::Tree };
        let content = Content::new("x", len);
        let mut written = BTreeSet::new();
        for name in &names {
            if let Ok(path) = session.download(&content.called(name)) {
                let inside = path.strip_prefix(place.target()).unwrap().to_owned();
                prop_assert!(inside.components().all(|part| matches!(part, std::path::Component::Normal(_))));
                prop_assert!(!flat || inside.components().count() == 1);
                prop_assert_eq!(&fs::read(&path).unwrap(), &content.bytes);
                written.insert(inside.to_str().unwrap().to_owned());
            }
        }
        prop_assert_eq!(below(&place.path("outside")), ["b"]);
        prop_assert_eq!(fs::read(place.path("outside/b")).unwrap(), b"theirs");
        let top: BTreeSet<String> = fs::read_dir(place.root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        prop_assert_eq!(top.into_iter().collect::<Vec<_>>(), ["outside", "state", "target"]);
        if !overwrite {
            prop_assert_eq!(fs::read(place.in_target("file")).unwrap(), b"mine");
        }
        let mut expected = written;
        expected.extend(["dir/b", "dir/up", "file", "inner", "link"].map(str::to_owned));
        prop_assert_eq!(below(&place.target()).into_iter().collect::<BTreeSet<_>>(), expected);
    }
}
