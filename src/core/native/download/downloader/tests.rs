use super::*;

const CONTENT: ContentId = ContentId([1; 32]);
const CONN: ConnId = ConnId { slot: 0, generation: 0 };

fn wish(name: &str) -> Wish {
    let stall = Duration::from_secs(600);
    let (name, layout, ticket) = (name.into(), Layout::Flat, None);
    Wish { name, layout, size_claimed: 1, stall, began: Time::ZERO, ticket, renewed: 0 }
}

#[test]
fn a_download_that_waits_is_small() {
    // A search begins 100,000 of them, and what only an active one needs is elsewhere or not there yet.
    assert!(size_of::<Download>() <= 496, "{} bytes", size_of::<Download>());
    assert!(size_of::<Wish>() <= 72, "{} bytes", size_of::<Wish>());
}

#[test]
fn only_so_many_are_active() {
    let mut downloader = Downloader::new(1, 100);
    let other = ContentId([2; 32]);
    assert!(downloader.add(CONTENT, wish("a")) && !downloader.add(CONTENT, wish("a")));
    assert!(downloader.add(other, wish("a")));
    assert_eq!(downloader.activate(Time::ZERO), Some(CONTENT));
    assert_eq!(downloader.activate(Time::ZERO), None);
    downloader.finish(&CONTENT);
    assert_eq!(downloader.activate(Time::ZERO), Some(other));
    downloader.finish(&other);
    assert!(downloader.all_done());
    assert!(downloader.add(CONTENT, wish("a")));
    downloader.check(100);
}

#[test]
fn names_of_one_content_follow_each_other() {
    let mut downloader = Downloader::new(2, 100);
    let mut names = Vec::new();
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        assert_eq!(downloader.add_or_follow(CONTENT, wish(name)), number == 0);
    }
    // A name that is fetched already is not fetched once more.
    for name in ["c", "a"] {
        assert!(!downloader.add_or_follow(CONTENT, wish(name)));
    }
    assert_eq!(downloader.follower_count(&CONTENT), 2);
    while downloader.activate(Time::ZERO).is_some() {
        assert_eq!(downloader.activate(Time::ZERO), None, "one at a time");
        names.push(downloader.get(&CONTENT).unwrap().name.to_string());
        downloader.check(100);
        downloader.finish(&CONTENT);
    }
    assert_eq!(names, ["a", "b", "c"]);
    assert!(downloader.all_done());
}

#[test]
fn what_is_being_published_gives_way_to_the_next() {
    let mut downloader = Downloader::new(1, 100);
    let count = 2 + PUBLISHING_MAX;
    let content =
        |number: usize| ContentId([(number >> 8) as u8, number as u8].repeat(16).try_into().unwrap());
    for number in 0..count {
        assert!(downloader.add(content(number), wish("a")));
    }
    assert!(!downloader.publish(&content(0)));
    for number in 0..PUBLISHING_MAX {
        assert_eq!(downloader.activate(Time::ZERO), Some(content(number)));
        assert_eq!(downloader.activate(Time::ZERO), None);
        downloader.get_mut(&content(number)).unwrap().phase = Phase::Running;
        assert!(downloader.publish(&content(number)));
        downloader.check(100);
    }
    // So many wait for the disk: the next one waits for them.
    assert_eq!(downloader.activate(Time::ZERO), None);
    downloader.finish(&content(0));
    assert_eq!(downloader.activate(Time::ZERO), Some(content(PUBLISHING_MAX)));
    downloader.check(100);
}

#[test]
fn the_pool_bounds_what_is_asked_for() {
    let mut downloader = Downloader::new(1, 100);
    assert!(downloader.reserve(60) && !downloader.reserve(60));
    let buffer = downloader.take_buffer(60);
    downloader.free_buffer(buffer);
    downloader.free_buffer(buffer);
    assert!(downloader.reserve(100));
}

#[test]
fn lateness_counts_from_the_first_byte_or_from_silence() {
    let mut late = Download::new(wish("a"));
    late.geometry = Geometry::native(100_000).ok();
    let flight =
        Flight { conn: CONN, asked: Time::ZERO, begun: None, late: false, moved: false, revoked: None };
    late.flights.insert(0, Flight { begun: Some(Time::from_millis(3_000)), ..flight });
    late.flights.insert(1, flight);
    let limits = Limits::default();
    let mut at =
        |ms, heard_ms| late.mark_late(Time::from_millis(ms), &limits, |_| Some(Time::from_millis(heard_ms)));
    assert!(at(4_500, 3_000).is_empty());
    assert_eq!(at(7_060, 3_000), [(1, CONN)]);
    assert_eq!(at(7_100, 7_000), [(0, CONN)]);
    assert!(at(9_000, 7_000).is_empty());
}
