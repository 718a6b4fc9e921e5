use super::*;

fn steps(search: &mut Search, at_ms: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        let step = search.step(Time::from_millis(at_ms));
        steps.push(step);
        if matches!(step, Step::Wait(_) | Step::Decide) {
            return steps;
        }
    }
}

#[test]
fn a_name_is_asked_for_and_then_everything() {
    let purpose = Purpose::Get { ticket: 0, at: None, layout: Layout::Flat, stall: Duration::ZERO };
    let mut search = Search::new(purpose, Wanted::Name("a".into()), Duration::from_secs(3), Time::ZERO);
    let wait = |ms| Step::Wait(Time::from_millis(ms));
    assert_eq!(steps(&mut search, 0), [Step::Ask, wait(250)]);
    assert_eq!(steps(&mut search, 250), [Step::Ask, wait(1000)]);
    assert_eq!(steps(&mut search, 1000), [Step::Ask, wait(1500)]);
    assert_eq!(steps(&mut search, 1500), [Step::QueryAll, wait(3000)]);
    assert_eq!(steps(&mut search, 3000), [Step::Decide]);
}

#[test]
fn a_long_search_asks_again_and_more_rarely() {
    let mut rng = Rng::new(1);
    let content = Wanted::Id(ContentId([1; 32]));
    let mut search = Search::new(Purpose::Look, content, Duration::from_secs(1_000), Time::ZERO);
    let mut asked = Vec::new();
    let mut now = Time::ZERO;
    while now < search.ends {
        match search.step(now) {
            Step::Ask => {
                asked.push(now);
                search.plan_next(now, &mut rng);
            }
            Step::Wait(until) => now = until,
            other => panic!("{other:?}"),
        }
    }
    let gaps: Vec<Duration> = asked.windows(2).map(|two| two[1].since(two[0])).collect();
    assert_eq!(gaps[..3], [250, 750, 500].map(Duration::from_millis));
    for (gap, least) in gaps[3..].iter().zip([2, 4, 8, 16, 32, 60, 60]) {
        let least = Duration::from_secs(least);
        assert!((least..least * 2).contains(gap), "{gaps:?}");
    }
    assert!((12..24).contains(&gaps.len()), "{gaps:?}");
}

#[test]
fn a_short_search_asks_for_everything_too() {
    let mut search = Search::new(Purpose::Look, Wanted::Name("a".into()), Duration::from_secs(1), Time::ZERO);
    let wait = |ms| Step::Wait(Time::from_millis(ms));
    assert_eq!(steps(&mut search, 0), [Step::Ask, wait(250)]);
    assert_eq!(steps(&mut search, 250), [Step::Ask, wait(750)]);
    assert_eq!(steps(&mut search, 750), [Step::QueryAll, wait(1000)]);
    let mut search =
        Search::new(Purpose::Look, Wanted::Name("a".into()), Duration::from_millis(9), Time::ZERO);
    assert_eq!(steps(&mut search, 0), [Step::Ask, Step::QueryAll, wait(9)]);
}

#[test]
fn a_name_settles_soon_after_it_was_heard() {
    let mut search = Search::new(Purpose::Look, Wanted::Name("a".into()), Duration::from_secs(3), Time::ZERO);
    steps(&mut search, 0);
    search.matched(Time::from_millis(2), 30, Duration::from_millis(50));
    assert_eq!(steps(&mut search, 2), [Step::Wait(Time::from_millis(32))]);
    search.matched(Time::from_millis(3), 1000, Duration::from_millis(50));
    assert_eq!(steps(&mut search, 32), [Step::Decide]);
    search.settles = None;
    search.matched(Time::from_millis(3), 1, Duration::from_millis(50));
    assert_eq!(steps(&mut search, 3), [Step::Decide]);
}

#[test]
fn pages_on_their_way_are_waited_for() {
    let conn = ConnId { slot: 0, generation: 0 };
    let get = Purpose::Get { ticket: 0, at: None, layout: Layout::Flat, stall: Duration::ZERO };
    // Who fetches all of it gets all of it; who looks at it was promised an end.
    for (purpose, latest_ms, more) in [(Purpose::Look, 2_000, false), (get, 31_000, true)] {
        let mut search = Search::new(purpose, Wanted::All, Duration::from_secs(1), Time::ZERO);
        search.walks.insert(conn, Walk::default());
        steps(&mut search, 250);
        assert_eq!(steps(&mut search, 1000), [Step::Wait(Time::from_millis(latest_ms))]);
        let limits = Limits::default();
        assert_eq!(search.walked(Time::from_millis(1_500), conn, 9, true, &limits), more);
        assert_eq!(search.cut_short, !more);
        assert!(!search.walked(Time::from_millis(1_500), conn, 9, false, &limits));
        assert_eq!((steps(&mut search, 1_500), search.cut_short), (vec![Step::Decide], !more));
    }
}

#[test]
fn a_page_that_does_not_come_is_not_waited_for_beyond_the_grace() {
    let conn = ConnId { slot: 0, generation: 0 };
    let mut search = Search::new(Purpose::Look, Wanted::All, Duration::from_secs(1), Time::ZERO);
    search.walks.insert(conn, Walk::default());
    steps(&mut search, 250);
    assert_eq!((steps(&mut search, 2_000), search.cut_short), (vec![Step::Decide], true));
}

#[test]
fn what_one_search_begins_and_walks_is_bounded() {
    let limits =
        Limits { search_contents_max: 3, search_bytes_max: 400, walk_entries_max: 5, ..Limits::default() };
    let conn = ConnId { slot: 0, generation: 0 };
    let title = |id: u8| (ContentId([id; 32]), [0; 16]);
    let get = || {
        let purpose = Purpose::Get { ticket: 0, at: None, layout: Layout::Flat, stall: Duration::ZERO };
        Search::new(purpose, Wanted::All, Duration::from_secs(1), Time::ZERO)
    };
    let mut search = get();
    let begun: Vec<bool> = [1, 2, 2, 3].map(|id| search.begin(title(id), "x", &limits)).into();
    assert_eq!((begun, search.cut_short), (vec![true, true, false, true], false));
    assert!(!search.begin(title(4), "x", &limits) && search.cut_short);
    assert!(!search.walked(Time::ZERO, conn, 1, true, &limits), "it takes no more of anything");
    let mut search = get();
    let long = "x".repeat(250);
    let begun = [1, 2].map(|id| search.begin(title(id), &long, &limits));
    assert_eq!((begun, search.cut_short), ([true, false], true));
    let mut search = get();
    let on: Vec<bool> =
        [2, 2, 2].map(|entries| search.walked(Time::ZERO, conn, entries, true, &limits)).into();
    assert_eq!((on, search.cut_short), (vec![true, true, false], true));
    let other = ConnId { slot: 1, generation: 0 };
    assert!(search.walked(Time::ZERO, other, 1, true, &limits), "who lists too much ends no other walk");
}

#[test]
fn names_that_look_alike() {
    let names = ["talk.mkv", "Talk2.mkv", "notes.pdf", "x"];
    assert_eq!(similar("tlak.mkv", names.into_iter(), 3), ["talk.mkv"]);
    assert_eq!(similar("talk", names.into_iter(), 3), ["Talk2.mkv", "talk.mkv"]);
    assert!(similar("zzz", names.into_iter(), 3).is_empty());
}
