//! A process that dies at each of its calls in turn, and the next one on the same folders.

use super::*;

/// Dies at call `at` of a whole download; then another process goes on. True when the first came to its end.
fn dies_at(at: u64, recorded: bool) -> bool {
    let place = Place::new();
    let config = || if recorded { place.recorded() } else { place.classic() };
    let whole = bytes(1003, "whole");
    let chunks = names(&["forest_1", "forest_2", "forest_3", "forest_4", "forest_5"]);
    fs::write(place.in_target("forest.png"), b"was here before").unwrap();
    let run = |session: &mut Session| -> Result<PathBuf, ()> {
        let there: Vec<String> = session.list().into_iter().map(|(name, _)| name).collect();
        for (name, piece) in chunks.iter().zip(whole.chunks(201)) {
            if there.contains(&name.to_string()) {
                continue;
            }
            session.store.write_spool(SpoolId(0), b"12");
            session.store.write_spool(SpoolId(0), piece);
            let told = session.job(ClassicJob::KeepSpool { spool: SpoolId(0), name: name.clone(), skip: 2 });
            if !matches!(told.last(), Some(ClassicReply::ChunkKept { .. })) {
                return Err(());
            }
        }
        session.merge("forest.png", &chunks).map(|(path, _)| path).map_err(drop)
    };
    let plan = Arc::new(FaultPlan::dead_from(at));
    if let Ok(mut session) = place.try_open(&config(), Some(&plan)) {
        session.run();
        let _ = run(&mut session);
    }
    // A chunk under its name is whole.
    for (name, piece) in chunks.iter().zip(whole.chunks(201)) {
        if let Ok(there) = fs::read(place.in_chunks(&name.to_string())) {
            assert!(there == piece, "{name} is torn, died at {at}");
        }
    }
    if let Ok(there) = fs::read(place.in_target("forest (2).png")) {
        assert!(there == whole, "a wrong file under the final name, died at {at}");
    }
    let mut session = place.open_as(config(), None);
    session.run();
    assert_eq!(run(&mut session), Ok(place.in_target("forest (2).png")), "died at {at}");
    drop(session);
    assert_eq!(fs::read(place.in_target("forest.png")).unwrap(), b"was here before");
    assert_eq!(place.listing(), ["forest (2).png", "forest.png"], "died at {at}");
    assert_eq!(place.chunk_listing(), ["forest_1", "forest_2", "forest_3", "forest_4", "forest_5"]);
    if recorded {
        let text = fs::read(place.path("Available_Chunks.txt")).unwrap();
        let mut there = crate::wire::classic::records::decode_available(&text).unwrap();
        there.sort();
        assert_eq!(there, chunks, "died at {at}");
    }
    plan.calls() < at
}

#[test]
fn a_download_survives_a_death_at_every_call() {
    for recorded in [false, true] {
        let calls = (1..).find(|at| dies_at(*at, recorded)).unwrap();
        assert!(calls > 80, "{calls} calls");
    }
}
