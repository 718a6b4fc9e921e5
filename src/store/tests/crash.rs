//! A process that dies at each of its calls in turn, and the next one on the same folders.

use super::*;

/// Chunks that were stored and told so are not fetched again: but the last, whose record may be lost.
fn keeps_what_it_stored(at: u64, content: &Content) -> bool {
    let place = Place::new();
    let plan = Arc::new(FaultPlan::dead_from(at));
    let mut stored = 0;
    if let Ok(mut session) = place.try_open(&place.config(), Some(&plan))
        && session.open_part(content).is_ok()
        && session.create(content).is_ok()
    {
        let mut write = |chunk| matches!(session.write(content, chunk), StoreReply::ChunkStored { .. });
        stored =
            (0..content.manifest.geometry.chunks()).map_while(|chunk| write(chunk).then_some(chunk)).count();
    }
    let kept = match place.open().open_part(content).unwrap() {
        PartState::Resumed { have, .. } => have.count() as usize,
        _ => 0,
    };
    assert!(kept + 1 >= stored && kept <= stored, "{stored} stored, {kept} kept, died at {at}");
    plan.calls() < at
}

#[test]
fn what_was_stored_is_kept_by_a_death_at_every_call() {
    let content = Content::new("talk.mkv", 64 * (16 << 10));
    let calls = (1..).find(|at| keeps_what_it_stored(*at, &content)).unwrap();
    assert!(calls > 128, "{calls} calls");
}

/// Dies at call `at`, then downloads again; true when the first process came to its end.
fn dies_at(at: u64, content: &Content, close_early: bool) -> bool {
    let place = Place::new();
    fs::write(place.in_target("bystander"), b"untouched").unwrap();
    fs::write(place.in_target(&content.name), b"was here before").unwrap();
    let plan = Arc::new(FaultPlan::dead_from(at));
    if let Ok(mut session) = place.try_open(&place.config(), Some(&plan)) {
        if close_early {
            half_a_download(&mut session, content);
        } else {
            let _ = session.download(content);
        }
    }
    let second_name = place.in_target("talk (2).mkv");
    if let Ok(there) = fs::read(&second_name) {
        assert_eq!(there, content.bytes, "a wrong file under the final name, died at {at}");
    }
    let path = place.open().download(content).unwrap();
    assert_eq!(path, second_name, "died at {at}");
    assert_eq!(fs::read(path).unwrap(), content.bytes, "died at {at}");
    assert_eq!(fs::read(place.in_target("bystander")).unwrap(), b"untouched");
    assert_eq!(fs::read(place.in_target(&content.name)).unwrap(), b"was here before");
    assert_eq!(place.listing(), ["bystander", "talk (2).mkv", "talk.mkv"], "died at {at}");
    plan.calls() < at
}

fn half_a_download(session: &mut Session, content: &Content) {
    if session.open_part(content).is_ok() && session.create(content).is_ok() {
        (0..content.manifest.geometry.chunks() / 2).for_each(|chunk| drop(session.write(content, chunk)));
    }
    session.close(content);
}

#[test]
fn a_download_survives_a_death_at_every_call() {
    let content = Content::new("talk.mkv", 63 * (16 << 10) + 1);
    assert_eq!(content.manifest.geometry.chunks(), 64);
    let calls = (1..).find(|at| dies_at(*at, &content, false)).unwrap();
    assert!(calls > 140, "{calls} calls");
}

#[test]
fn small_and_interrupted_downloads_survive_a_death_at_every_call() {
    for (len, close_early) in [(0, false), (4096, false), (8 * (16 << 10), true)] {
        let content = Content::new("talk.mkv", len);
        let calls = (1..).find(|at| dies_at(*at, &content, close_early)).unwrap();
        assert!(calls > 10, "{calls} calls");
    }
}

#[test]
fn resuming_survives_a_death_at_every_call() {
    let content = Content::new("talk.mkv", 8 * (16 << 10) + 1);
    for at in 1.. {
        let place = Place::new();
        half_a_download(&mut place.open(), &content);
        let plan = Arc::new(FaultPlan::dead_from(at));
        if let Ok(mut session) = place.try_open(&place.config(), Some(&plan)) {
            let _ = session.download(&content);
        }
        let path = place.open().download(&content).unwrap();
        assert_eq!(fs::read(path).unwrap(), content.bytes, "died at {at}");
        if plan.calls() < at {
            break;
        }
    }
}

#[test]
fn a_scan_survives_a_death_at_every_call() {
    let files: Vec<Content> =
        [0, 5, 100_000].into_iter().map(|len| Content::new(&len.to_string(), len)).collect();
    for at in 1.. {
        let place = Place::new();
        let folder = place.path("shared");
        fs::create_dir_all(folder.join("sub")).unwrap();
        files.iter().for_each(|file| fs::write(folder.join("sub").join(&file.name), &file.bytes).unwrap());
        let plan = Arc::new(FaultPlan::dead_from(at));
        if let Ok(mut session) = place.try_open(&place.config(), Some(&plan))
            && session.store.share(&folder).is_ok()
        {
            session.run();
        }
        let mut session = place.open();
        let ids: Vec<_> = offered(&session.share(&folder)).into_iter().map(|(_, id, _)| id).collect();
        assert_eq!(ids, [files[0].id, files[2].id, files[1].id], "died at {at}");
        for file in &files {
            assert_eq!(session.served(file).unwrap(), file.bytes);
        }
        if plan.calls() < at {
            break;
        }
    }
}

#[test]
fn a_failed_sync_makes_everything_suspect() {
    let content = Content::new("talk.mkv", 4 * (16 << 10));
    let place = Place::new();
    let calls_before_sync = {
        let place = Place::new();
        let plan = Arc::new(FaultPlan::dead_from(0));
        let mut session = place.open_as(place.config(), Some(&plan));
        session.open_part(&content).unwrap();
        session.create(&content).unwrap();
        (0..4).for_each(|chunk| drop(session.write(&content, chunk)));
        plan.calls()
    };
    let plan = Arc::new(FaultPlan::fail_once(calls_before_sync + 1, rustix::io::Errno::IO));
    let mut session = place.open_as(place.config(), Some(&plan));
    assert!(session.download(&content).unwrap_err().text.contains("save"));
    assert_eq!(session.served(&content), Err(SpanFault::Gone));
    // Closed without a clean mark: each chunk is read again before it counts.
    let before = plan.calls();
    let PartState::Resumed { have, .. } = session.open_part(&content).unwrap() else { panic!() };
    assert!(have.is_full() && plan.calls() - before > 10);
    assert_eq!(fs::read(session.publish(&content).unwrap()).unwrap(), content.bytes);
}

#[test]
fn a_download_by_way_of_the_io_thread_survives_a_death_at_every_call() {
    let content = Content::cut("talk.mkv", bytes(7 * (64 << 10) + 1, "talk.mkv"), 64 << 10);
    for close_early in [false, true] {
        let calls = (1..).find(|at| dies_at(*at, &content, close_early)).unwrap();
        assert!(calls > 20, "{calls} calls");
    }
}
